"""Bulk calls send each request once, through the proxy that the environment names, and with nothing from netrc."""

from __future__ import annotations

import base64

import pytest
from scripted_server import DropRead, Half, Hang, Raw, ScriptedResponse, ScriptedServer, Tunnel
from tls import tls_of

from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.records import Row
from sparkfly_nb.bulk.worker.messages import SendJob, WorkerConfig
from sparkfly_nb.bulk.worker.send_shard import send_shard
from sparkfly_nb.http.async_client import AsyncClientConfig
from sparkfly_nb.settings import Secret

RECEIPT = ScriptedResponse(201, {"offer_state": {"id": 7, "member_id": 1009, "offer_id": 3, "campaign_id": "SUMMER26"}})
ROW = Row(0, {"campaign_id": "SUMMER26", "member_id": 1009, "external_ref_id": "one"})


@pytest.fixture(autouse=True)
def _both_kinds_of_requests(bulk_requests):
    """Run each test with our own requests and with aiohttp's."""


@pytest.fixture(autouse=True)
def _no_lower_case_proxies(monkeypatch):
    for variable in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)


def send(base_url, rows=(ROW,), operation="issue", timeout_s=30):
    """Send rows one after the other, to a service that does not count as loopback."""
    config = AsyncClientConfig(base_url, Secret("token"), min(5, timeout_s), timeout_s, False)
    worker = WorkerConfig(config, 1, None, RetryPolicy(attempts=1), "no stop")
    return send_shard((SendJob(worker, operation, 0, rows),))


def outcomes(report):
    return [outcome.outcome for outcome in report.outcomes]


@pytest.mark.parametrize("scheme", ["http://", ""], ids=["named with its scheme", "without"])
def test_rows_go_through_the_proxy_of_the_environment(scheme, certificate, monkeypatch, bulk_requests):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    with (
        ScriptedServer(RECEIPT, RECEIPT, tls=tls_of(certificate)) as service,
        ScriptedServer(answer=lambda _received: Tunnel(service.port)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}127.0.0.1:{proxy.port}")

        assert outcomes(send(service.base_url, [ROW, ROW])) == ["issued", "issued"]
        assert {received.target for received in proxy.received} == {f"127.0.0.1:{service.port}"}
        # the tunnel is kept only by our own requests
        used = [1, 1] if bulk_requests == "buffered" else [1, 2]
        assert [received.connection for received in service.received] == used
        assert [name for received in proxy.received for name in received.headers if name.startswith("x-")] == []
        assert len(proxy.received) == used[-1]
        assert service.received[1].headers["x-auth-token"] == "token"


CLOSING = {
    "closed after the response": (ScriptedResponse(201, RECEIPT.body, {"Connection": "close"}), "issued"),
    "half a response": (Half(RECEIPT), "unknown"),
    "no response": (Hang(), "unknown"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("step", "outcome"), CLOSING.values(), ids=CLOSING)
def test_outcomes_survive_connections_that_end_over_tls(step, outcome, certificate, monkeypatch):
    """uvloop cannot close a loop while a connection waits for the end of TLS. This is a race, hence several rows."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    with (
        ScriptedServer(answer=lambda _received: step, tls=tls_of(certificate)) as service,
        ScriptedServer(answer=lambda _received: Tunnel(service.port)) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")

        assert outcomes(send(service.base_url, [ROW] * 4, timeout_s=0.3)) == [outcome] * 4


def test_hosts_in_no_proxy_are_reached_directly(monkeypatch):
    with ScriptedServer() as proxy, ScriptedServer(RECEIPT) as service:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

        assert outcomes(send(service.base_url)) == ["issued"]
        assert proxy.connections == 0


def test_the_proxy_gets_its_own_password_and_no_token(monkeypatch):
    with ScriptedServer(ScriptedResponse(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://person:secret%40@127.0.0.1:{proxy.port}")
        send("https://service.example/v1.0")

        received = proxy.received[0]
        assert received.method == "CONNECT"
        assert received.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"person:secret@").decode()
        assert "x-auth-token" not in received.headers


NO_TUNNEL = {"refuses": ScriptedResponse(403), "closes": DropRead(), "hangs": Hang(), "no HTTP": Raw(b"SSH-2.0\r\n")}


@pytest.mark.parametrize("step", NO_TUNNEL.values(), ids=NO_TUNNEL)
def test_a_row_without_a_tunnel_through_the_proxy_was_not_sent(step, monkeypatch):
    with ScriptedServer(answer=lambda _received: step) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        report = send("https://service.example/v1.0", timeout_s=0.2)

    assert outcomes(report) == []
    assert "no connection" in report.hindrance


def test_bulk_calls_do_not_use_netrc(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(RECEIPT) as service:
        send(service.base_url)

        assert "authorization" not in service.received[0].headers


def test_a_put_whose_connection_breaks_is_sent_once(bulk_requests):
    updated = ScriptedResponse(200, {"offer_state": {"offer_state_id": 7, "member_id": 1009}})
    rows = [Row(position, {"member_id": 1009, "offerstate_id": 7, "value": position}) for position in (0, 1)]
    with ScriptedServer(updated, DropRead()) as service:  # a third request would be outside the script
        report = send(service.base_url, rows, "update")

        used = [1, 1] if bulk_requests == "buffered" else [1, 2]
        assert [received.connection for received in service.received] == used
    assert outcomes(report) == ["updated", "unknown"]
