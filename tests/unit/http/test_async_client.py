"""A bulk request that changes something is on the wire once, with our own requests and with aiohttp's."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import aiohttp
import pytest
from bulk_requests import choose
from scripted_server import (
    RECEIPT,
    STATE,
    VALUES,
    DropRead,
    Early,
    Half,
    Hang,
    Raw,
    ScriptedResponse,
    ScriptedServer,
    Slow,
    Twice,
)
from tls import tls_of

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.request import assemble
from sparkfly_nb.http import async_fallback
from sparkfly_nb.http.async_client import AsyncClientConfig, RequestNotSent, ResponseLost, open_client
from sparkfly_nb.http.async_exchange import TESTED_AIOHTTP, BufferedRequest, BufferedResponse, can_use_buffered
from sparkfly_nb.settings import Secret

CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect != "read"]


async def nothing(_client):
    """Do nothing between two requests."""


def send(server, *names, timeout_s=0.5, between=nothing):
    """Send requests one after the other, and return the response or the failure of each."""
    config = AsyncClientConfig(
        base_url=server.base_url,
        token=Secret("a-token"),
        connect_timeout_s=2,
        read_timeout_s=timeout_s,
        is_loopback=True,
    )

    async def send_all():
        ends = []
        async with open_client(config) as client:
            for position, name in enumerate(names):
                if position:
                    await between(client)
                try:
                    ends.append(await client.send(assemble(ENDPOINTS[name], VALUES[name])))
                except (ResponseLost, RequestNotSent) as failure:
                    ends.append(failure)
        return ends

    return asyncio.run(send_all())


def connections(server):
    return [received.connection for received in server.received]


# ---- which kind of requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [".".join(map(str, numbers)) for numbers in TESTED_AIOHTTP])
def test_our_own_requests_are_used_with_tested_versions_of_aiohttp(version):
    assert can_use_buffered(version)


@pytest.mark.parametrize("version", ["3.13.99", "3.14.99", "3.15.0", "3.14.1rc1", "3.14.1.post1", "3.14", "4.0.0", ""])
def test_aiohttp_own_requests_are_used_with_all_other_versions(version):
    assert not can_use_buffered(version)


def test_a_connection_is_kept_by_our_own_requests_alone(bulk_requests):
    answer = ScriptedResponse(200, {"offer_state": STATE})
    with ScriptedServer(answer, answer) as server:
        ends = send(server, "get_offer_state", "get_offer_state")
    assert [end.status for end in ends] == [200, 200]
    assert connections(server) == ([1, 1] if bulk_requests == "buffered" else [1, 2])


def test_both_kinds_send_the_same_requests(monkeypatch):
    sent = {}
    for kind in ("buffered", "fallback"):
        choose(monkeypatch, kind)
        with ScriptedServer(answer=lambda _received: ScriptedResponse(500)) as server:
            send(server, *ENDPOINTS)
        for received in server.received:
            del received.headers["host"]
            assert received.headers.pop("connection", "close") == "close"
        sent[kind] = [(each.method, each.target, each.headers, each.body) for each in server.received]
    assert sent["buffered"] == sent["fallback"]
    assert len(sent["fallback"]) == len(ENDPOINTS)


# ---- sent once -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_sent_once_if_its_connection_breaks(name, bulk_requests):
    with ScriptedServer(ScriptedResponse(200, {"offer_state": STATE}), DropRead()) as server:
        first, second = send(server, "get_offer_state", name)
    assert first.status == 200
    assert isinstance(second, ResponseLost)
    assert connections(server) == ([1, 1] if bulk_requests == "buffered" else [1, 2])
    assert [received.method for received in server.received] == ["GET", ENDPOINTS[name].method]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_on_a_new_connection_is_sent_once_if_it_breaks(name, bulk_requests):
    with ScriptedServer(DropRead()) as server:
        (end,) = send(server, name)
    assert isinstance(end, ResponseLost)
    assert len(server.received) == 1


def test_aiohttp_resends_a_read_whose_kept_connection_breaks(monkeypatch):
    """This shows that `test_a_change_is_sent_once_if_its_connection_breaks` can fail."""
    choose(monkeypatch, "buffered")
    answer = ScriptedResponse(200, {"offer_state": STATE})
    with ScriptedServer(answer, DropRead(), answer) as server:
        ends = send(server, "get_offer_state", "get_offer_state")
    assert [end.status for end in ends] == [200, 200]
    assert len(server.received) == 3


def test_aiohttp_would_resend_a_put_if_the_fallback_did_not_refuse(monkeypatch):
    """This shows that `test_a_change_on_a_new_connection_is_sent_once_if_it_breaks` can fail."""
    choose(monkeypatch, "fallback")
    monkeypatch.setattr(async_fallback, "_refuse_resend", async_fallback._mark_as_sent)
    with ScriptedServer(DropRead(), ScriptedResponse(200, {"offer_state": STATE})) as server:
        (end,) = send(server, "update_offer_state")
    assert end.status == 200
    assert len(server.received) == 2


def test_the_fallback_does_not_let_aiohttp_resend_a_read(monkeypatch):
    choose(monkeypatch, "fallback")
    with ScriptedServer(DropRead()) as server:
        (end,) = send(server, "get_offer_state")
    assert isinstance(end, ResponseLost)
    assert len(server.received) == 1


# ---- responses to no request -----------------------------------------------------------------------------------------


def test_a_response_that_comes_before_the_request_is_not_its_response(monkeypatch):
    """Some services send "408" over an idle connection. The next row was never sent."""
    choose(monkeypatch, "buffered")
    gate = threading.Event()

    async def wait_for_response(client):
        gate.set()
        kept = [protocol for waiting in client._http.connector._conns.values() for protocol, _since in waiting]
        assert len(kept) == 1
        while not kept[0].should_close:  # noqa: ASYNC110 - no event reports that bytes have come
            await asyncio.sleep(0.01)

    with ScriptedServer(Twice(ScriptedResponse(200, {"offer_state": STATE}), gate)) as server:
        first, second = send(server, "get_offer_state", "issue_offer", between=wait_for_response)
    assert first.status == 200
    assert isinstance(second, RequestNotSent)
    assert [received.method for received in server.received] == ["GET"]


def test_the_fallback_gets_no_response_over_the_connection_of_another_request(monkeypatch):
    choose(monkeypatch, "fallback")
    gate = threading.Event()

    async def open_gate(_client):
        gate.set()
        await asyncio.sleep(0.1)

    steps = Twice(ScriptedResponse(200, {"offer_state": STATE}), gate), ScriptedResponse(201, {"offer_state": RECEIPT})
    with ScriptedServer(*steps) as server:
        ends = send(server, "get_offer_state", "issue_offer", between=open_gate)
    assert [end.status for end in ends] == [200, 201]
    assert connections(server) == [1, 2]


def test_a_connection_with_two_responses_is_not_used_again(bulk_requests):
    extra = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
    twice, once = (
        ScriptedResponse(201, b"{}" + extra, {"Content-Length": "2"}),
        ScriptedResponse(201, {"offer_state": RECEIPT}),
    )
    with ScriptedServer(twice, once) as server:
        ends = send(server, "issue_offer", "issue_offer")
    assert [(end.status, end.body) for end in ends] == [(201, b"{}"), (201, once.bytes())]
    assert connections(server) == [1, 2]


@pytest.mark.parametrize("length", [2**15, 2**25])
@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")  # by aiohttp, only in this test
def test_a_connection_with_half_a_request_on_it_is_not_used_again(
    is_secure, length, certificate, monkeypatch, bulk_requests
):
    """A request that is too long is rejected after its head. The next request must not follow half of the first."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    monkeypatch.setitem(VALUES, "update_offer_state", {**VALUES["update_offer_state"], "value": "9" * length})
    tls = tls_of(certificate) if is_secure else None
    with ScriptedServer(
        Early(ScriptedResponse(413)), ScriptedResponse(201, {"offer_state": RECEIPT}), tls=tls
    ) as server:
        ends = send(server, "update_offer_state", "issue_offer", timeout_s=2)
    assert [end.status for end in ends] == [413, 201]


# ---- incomplete responses --------------------------------------------------------------------------------------------


def test_an_interim_response_is_not_the_response(bulk_requests):
    interim = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    final = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
    with ScriptedServer(Raw(interim + final)) as server:
        (end,) = send(server, "issue_offer")
    assert (end.status, end.body) == (201, b"{}")


BROKEN = {
    "half a body": Half(ScriptedResponse(201, {"offer_state": RECEIPT})),
    "an endless head": Slow("head"),
    "an endless body": Slow("body"),
    "no HTTP": Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a bad length": Raw(b"HTTP/1.1 201 Created\r\nContent-Length: minus one\r\n\r\n{}"),
    "a bad chunk": Raw(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
    "bad compression": Raw(b"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
    "nothing": Raw(b""),
    "silence": Hang(),
    "a switch of protocol": Raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "an invalid status": Raw(b"HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\n{}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("step", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["issue_offer", "update_offer_state"])
def test_a_change_with_an_incomplete_response_is_lost_and_sent_once(name, step, bulk_requests):
    with ScriptedServer(step) as server:
        (end,) = send(server, name, timeout_s=0.2)
    assert isinstance(end, ResponseLost) or end.status in (99, 101)
    assert len(server.received) == 1


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_not_sent_without_a_connection(name, bulk_requests):
    with ScriptedServer(listens=False) as server:
        (end,) = send(server, name)
    assert isinstance(end, RequestNotSent)


def test_a_name_that_cannot_be_resolved_means_not_sent(bulk_requests, monkeypatch):
    async def fail(*_arguments, **_options):
        raise OSError(None, "no such name")

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", fail)
    monkeypatch.setattr(ScriptedServer, "base_url", "http://service.invalid/v1.0")
    with ScriptedServer() as server:
        (end,) = send(server, "issue_offer")
    assert isinstance(end, RequestNotSent)


# ---- bugs ------------------------------------------------------------------------------------------------------------


def bug(*_arguments, **_options):
    raise AttributeError("the library has changed")


def test_an_error_after_the_request_is_a_lost_response(bulk_requests, monkeypatch):
    """The other rows of the shard must go on."""
    owner = BufferedResponse if bulk_requests == "buffered" else aiohttp.ClientResponse
    monkeypatch.setattr(owner, "start", bug)
    with ScriptedServer(answer=lambda _received: ScriptedResponse(201, {"offer_state": RECEIPT})) as server:
        (end,) = send(server, "issue_offer")
    assert isinstance(end, ResponseLost)


def test_a_bug_before_the_request_is_raised(bulk_requests, monkeypatch):
    monkeypatch.setattr(BufferedRequest if bulk_requests == "buffered" else aiohttp.ClientRequest, "__init__", bug)
    with ScriptedServer() as server, pytest.raises(AttributeError, match="has changed"):
        send(server, "issue_offer")


@pytest.mark.parametrize("listens", [True, False])
def test_a_failure_is_a_lost_response_if_aiohttp_calls_no_hooks(listens, monkeypatch):
    """A release of aiohttp without working hooks must not turn a request that was sent into one that was not."""
    choose(monkeypatch, "fallback")
    monkeypatch.setattr("sparkfly_nb.http.async_client.send_trace", aiohttp.TraceConfig)
    steps = [DropRead()] if listens else []
    with ScriptedServer(*steps, listens=listens) as server:
        (end,) = send(server, "issue_offer")
    assert isinstance(end, ResponseLost)


def test_a_shard_creates_no_class(monkeypatch):
    """A class is a reference cycle: it would keep its loop and the token until the next full collection."""
    choose(monkeypatch, "buffered")
    with ScriptedServer(ScriptedResponse(201, {"offer_state": RECEIPT})) as server:
        send(server, "issue_offer")
    assert BufferedRequest.__subclasses__() == []


@pytest.mark.slow
def test_a_failure_is_freed_without_a_collection(bulk_requests):
    gc.collect()
    gc.disable()
    try:
        with ScriptedServer(Hang()) as server:
            ends = send(server, "issue_offer", timeout_s=0.1)
        failure = weakref.ref(ends.pop())
        assert failure() is None
    finally:
        gc.enable()


def test_a_redirect_is_not_followed_and_no_cookie_is_kept(bulk_requests):
    steps = (
        ScriptedResponse(307, headers={"Location": "http://127.0.0.1:1/elsewhere", "Set-Cookie": "a=b"}),
        ScriptedResponse(201, {"offer_state": RECEIPT}),
    )
    with ScriptedServer(*steps) as server:
        ends = send(server, "issue_offer", "issue_offer")
    assert [end.status for end in ends] == [307, 201]
    assert "cookie" not in server.received[1].headers


@pytest.mark.parametrize("step", [DropRead(), Raw(b"SSH-2.0-OpenSSH_9.6\r\n")], ids=["no response", "no HTTP"])
def test_a_failure_shows_no_token(step, bulk_requests):
    with ScriptedServer(step) as server:
        (failure,) = send(server, "issue_offer")
    seen = []
    while failure is not None:
        seen.append(repr(failure) + str(vars(failure)))
        failure = failure.__cause__ or failure.__context__
    assert "a-token" not in "".join(seen)
