"""Single calls: addresses, headers, redirects, proxies, and slow or endless responses."""

from __future__ import annotations

import gc
import gzip
import re
import warnings
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_server import STATE, VALUES, Hang, ScriptedResponse, ScriptedServer, Slow, success
from tls import tls_of

from sparkfly_nb import (
    ApiError,
    ConfigurationError,
    ConnectionFailed,
    InvalidInput,
    OutcomeUnknown,
    RequestFailed,
    UnreadableAnswer,
    __version__,
)
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.http.sync_client import SyncClient
from sparkfly_nb.http.sync_connection import IDLE_S
from sparkfly_nb.settings import Settings

ONCE = RetryPolicy(attempts=1)
ISSUE = ENDPOINTS["issue_offer"]
GET = ENDPOINTS["get_offer_state"]
VOID = ENDPOINTS["void_offer_state"]
FOUND = success(GET)


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_each_operation_uses_its_method_path_and_headers(name, connect):
    endpoint = ENDPOINTS[name]
    with ScriptedServer(success(endpoint)) as server:
        connect(server).call(endpoint, **VALUES[name])

        [received] = server.received
        assert received.method == endpoint.method
        assert received.target.partition("?")[0] == "/v1.0" + endpoint.path.format(**VALUES[name])
        assert {"accept": "application/json", "x-auth-token": "given-token"}.items() <= received.headers.items()
        assert received.headers["user-agent"] == f"sparkfly-nb/{__version__}"


def test_a_body_is_json_with_its_content_type(connect):
    with ScriptedServer(success(ISSUE)) as server:
        connect(server).call(ISSUE, campaign_id="SÖMMER", member_identifier="a\u2028b", expires_at="2027-01-01T00:00Z")

        [received] = server.received
        assert received.headers["content-type"] == "application/json"
        assert received.json == {
            "offer_state": {
                "campaign_id": "SÖMMER",
                "member_identifier": "a\u2028b",
                "expires_at": "2027-01-01T00:00:00Z",
            }
        }


@pytest.fixture(scope="module")
def echo():
    """One server and one SyncClient for all examples of a property."""
    with ScriptedServer(answer=lambda _received: ScriptedResponse(200)) as server:
        transport = SyncClient(Settings.make("sandbox", base_url=server.base_url, token="given-token"))
        yield server, transport
        transport.close()


TRICKY = st.text(st.sampled_from("./\\?#%&=+;:@ \r\n\t\x00aé2eEfF"), max_size=12) | st.text(max_size=20)


@given(member_id=TRICKY, offerstate_id=TRICKY)
@example(member_id="..", offerstate_id="..")
@example(member_id="%2e%2e", offerstate_id="%2E%2E%2F..")
@example(member_id="a/../../b", offerstate_id="7?x=1#y")
@example(member_id="2\r\nX-Evil: 1", offerstate_id="7\nPOST /auth HTTP/1.1")
@example(member_id="//evil.example", offerstate_id="\\\\evil")
@example(member_id="%", offerstate_id="%zz")
def test_no_id_can_change_the_address(echo, member_id, offerstate_id):
    server, transport = echo
    before = len(server.received)

    try:
        transport.call(VOID, member_id=member_id, offerstate_id=offerstate_id)
    except InvalidInput:
        assert len(server.received) == before
        return

    [received] = server.received[before:]
    parts = re.fullmatch(r"/v1\.0/members/([^/?#]+)/offer_states/([^/?#]+)/void", received.target)
    meant = [re.sub(r"^(-?[0-9]+)\.0+$", r"\1", given.strip()) for given in (member_id, offerstate_id)]
    assert [unquote(part) for part in parts.groups()] == meant
    assert "x-evil" not in received.headers


@given(identifier=TRICKY)
@example(identifier="a&b=c#d")
@example(identifier="x\r\nX-Evil: 1")
def test_no_query_value_can_add_another(echo, identifier):
    server, transport = echo
    before = len(server.received)

    try:
        transport.call(ENDPOINTS["void_offer_state_by_identifier"], offerstate_id=7, member_identifier=identifier)
    except InvalidInput:
        assert len(server.received) == before
        return

    [received] = server.received[before:]
    assert parse_qsl(urlsplit(received.target).query, keep_blank_values=True) == [("member_identifier", identifier)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status, connect):
    with ScriptedServer() as elsewhere:
        redirect = ScriptedResponse(status, b"moved", {"Location": f"{elsewhere.base_url}/members"})
        with ScriptedServer(redirect) as server, pytest.raises(ApiError, match="redirects are not followed"):
            connect(server).call(GET, member_id=2, offerstate_id=7)

        assert elsewhere.connections == 0


def test_a_redirect_with_an_invalid_location_is_not_followed(connect):
    with (
        ScriptedServer(ScriptedResponse(302, headers={"Location": "http://[::1/\x7f"})) as server,
        pytest.raises(ApiError, match="redirects are not followed"),
    ):
        connect(server).call(GET, member_id=2, offerstate_id=7)


def test_cookies_are_not_kept(connect):
    with ScriptedServer(ScriptedResponse(200, {"offer_state": STATE}, {"Set-Cookie": "crumb=1"}), FOUND) as server:
        transport = connect(server)
        transport.call(GET, member_id=2, offerstate_id=7)
        transport.call(GET, member_id=2, offerstate_id=7)

        assert all("cookie" not in received.headers for received in server.received)


def test_single_calls_do_not_use_netrc(connect, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer(FOUND) as server:
        connect(server).call(GET, member_id=2, offerstate_id=7)

        assert "authorization" not in server.received[0].headers


def test_loopback_is_reached_without_a_proxy(connect, monkeypatch):
    with ScriptedServer() as proxy, ScriptedServer(FOUND) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        connect(server).call(GET, member_id=2, offerstate_id=7)

        assert proxy.connections == 0


def test_a_refusal_by_the_proxy_means_not_sent(monkeypatch, clock):
    with ScriptedServer(ScriptedResponse(403, framed=False)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        transport = SyncClient(Settings.make("staging", token="given-token"), policy=ONCE, clock=clock.as_clock())
        with pytest.raises(ConnectionFailed, match="proxy refused the connection"):
            transport.call(ISSUE, **VALUES["issue_offer"])
        transport.close()
        with warnings.catch_warnings():  # Python 3.10 leaves a connection that a proxy refused to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

        assert proxy.received[0].method == "CONNECT"
        assert "x-auth-token" not in proxy.received[0].headers


def test_calls_share_one_connection(connect):
    with ScriptedServer(*[FOUND] * 5) as server:
        transport = connect(server)
        for _ in range(5):
            transport.call(GET, member_id=2, offerstate_id=7)

        assert server.connections == 1


def test_a_void_with_an_empty_response_keeps_the_connection(connect):
    with ScriptedServer(
        ScriptedResponse(200), ScriptedResponse(204, framed=True), ScriptedResponse(404, {"error": "no"}), FOUND
    ) as server:
        transport = connect(server)
        transport.call(VOID, member_id=2, offerstate_id=7)
        transport.call(VOID, member_id=2, offerstate_id=7)
        with pytest.raises(ApiError):
            transport.call(VOID, member_id=2, offerstate_id=7)
        transport.call(GET, member_id=2, offerstate_id=7)

        assert server.connections == 1


def test_a_connection_is_not_used_again_after_a_long_idle_time(connect, clock):
    with ScriptedServer(FOUND, success(ISSUE)) as server:
        transport = connect(server)
        transport.call(GET, member_id=2, offerstate_id=7)
        clock.now += IDLE_S + 1
        transport.call(ISSUE, **VALUES["issue_offer"])

        assert server.connections == 2


def test_a_void_is_not_confirmed_by_an_incomplete_head(connect):
    with ScriptedServer(Slow("head"), Slow("head")) as server:
        transport = connect(server, policy=RetryPolicy(attempts=2), attempt_timeout_s=0.5)

        with pytest.raises(RequestFailed, match="may be voided"):
            transport.call(VOID, member_id=2, offerstate_id=7)


@pytest.mark.parametrize("part", ["head", "body"])
def test_slow_bytes_do_not_extend_the_attempt_timeout(part, connect):
    with ScriptedServer(Slow(part)) as server:
        transport = connect(server, policy=ONCE, attempt_timeout_s=0.3)
        with pytest.raises(RequestFailed):
            transport.call(GET, member_id=2, offerstate_id=7)

        assert server.client_left.wait(10)


def test_a_change_with_a_slow_response_is_unknown(connect):
    with ScriptedServer(Slow("head")) as server:
        transport = connect(server, attempt_timeout_s=0.3)

        with pytest.raises(OutcomeUnknown, match="no response came in time"):
            transport.call(ISSUE, **VALUES["issue_offer"])


def test_silence_ends_with_the_read_timeout(connect):
    with ScriptedServer(Hang()) as server:
        with pytest.raises(RequestFailed, match="no response came in time"):
            connect(server, policy=ONCE, timeout=(5, 0.2)).call(GET, member_id=2, offerstate_id=7)

        assert server.client_left.wait(10)


def test_a_call_leaves_no_thread_behind(connect):
    import threading

    with ScriptedServer(FOUND) as server:
        transport = connect(server)
        before = set(threading.enumerate())
        transport.call(GET, member_id=2, offerstate_id=7)

        left = {thread for thread in set(threading.enumerate()) - before if isinstance(thread, threading.Timer)}
        assert left == set()


def test_an_endless_response_is_refused(connect):
    with (
        ScriptedServer(ScriptedResponse(200, b"[" + b" " * 2000 + b"]")) as server,
        pytest.raises(UnreadableAnswer, match="longer than 1000 bytes"),
    ):
        connect(server, policy=ONCE, max_answer_bytes=1000).call(GET, member_id=2, offerstate_id=7)


def test_a_compression_bomb_is_refused(connect):
    bomb = gzip.compress(b" " * 5_000_000)
    with (
        ScriptedServer(ScriptedResponse(200, bomb, {"Content-Encoding": "gzip"})) as server,
        pytest.raises(UnreadableAnswer, match="longer than"),
    ):
        connect(server, policy=ONCE).call(GET, member_id=2, offerstate_id=7)


def test_compressed_responses_are_read(connect):
    packed = ScriptedResponse(200, gzip.compress(FOUND.bytes()), {"Content-Encoding": "gzip"})
    with ScriptedServer(packed) as server:
        assert connect(server).call(GET, member_id=2, offerstate_id=7).parsed == [STATE]


def test_the_status_of_an_error_counts_if_its_body_is_unreadable(connect):
    broken = ScriptedResponse(404, b"no gzip", {"Content-Encoding": "gzip"})
    with ScriptedServer(broken) as server, pytest.raises(ApiError, match=r"404 on POST .*: not found"):
        connect(server).call(ISSUE, **VALUES["issue_offer"])


def test_nothing_is_sent_after_close(connect):
    with ScriptedServer() as server:
        transport = connect(server)
        transport.close()
        transport.close()

        with pytest.raises(ConfigurationError, match="closed"):
            transport.call(GET, member_id=2, offerstate_id=7)
        assert server.connections == 0


def test_a_missing_certificate_bundle_is_reported(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))

    with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE"):
        SyncClient(Settings.make(token="given-token"))


def test_nothing_is_sent_to_an_untrusted_certificate(certificate, connect):
    with ScriptedServer(tls=tls_of(certificate)) as server:
        with pytest.raises(ConnectionFailed, match="certificate of the service is not trusted"):
            connect(server, policy=ONCE).call(ISSUE, **VALUES["issue_offer"])

        assert server.received == []


def test_certificates_of_requests_ca_bundle_are_trusted(certificate, connect, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    with ScriptedServer(FOUND, Slow("head"), tls=tls_of(certificate)) as server:
        transport = connect(server, policy=ONCE, attempt_timeout_s=0.5)

        assert transport.call(GET, member_id=2, offerstate_id=7).parsed == [STATE]
        with pytest.raises(RequestFailed, match="no response came in time"):
            transport.call(GET, member_id=2, offerstate_id=7)
