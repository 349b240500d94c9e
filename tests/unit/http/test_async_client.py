"""A request that changes something is on the wire once, whatever the HTTP library would like to do about it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from scripted_server import (
    RECEIPT,
    STATE,
    VALUES,
    DropRead,
    Early,
    Half,
    Raw,
    ScriptedResponse,
    ScriptedServer,
    Slow,
    Twice,
)
from tls import tls_of

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.request import assemble
from sparkfly_nb.http.async_client import AsyncClientConfig, RequestNotSent, ResponseLost, open_client
from sparkfly_nb.http.async_exchange import BufferedRequest, BufferedResponse
from sparkfly_nb.settings import Secret


async def nothing(_wire):
    """Do nothing between two requests."""


def ask(server, *names, timeout_s=0.5, between=nothing):
    """Send requests one after the other over one connection where it is kept; give what each came to."""
    config = AsyncClientConfig(
        base_url=server.base_url,
        token=Secret("a-token"),
        connect_timeout_s=2,
        read_timeout_s=timeout_s,
        is_loopback=True,
    )

    async def all_of_them():
        ends = []
        async with open_client(config) as wire:
            for place, name in enumerate(names):
                if place:
                    await between(wire)
                try:
                    ends.append(await wire.send(assemble(ENDPOINTS[name], VALUES[name])))
                except (ResponseLost, RequestNotSent) as fault:
                    ends.append(fault)
        return ends

    return asyncio.run(all_of_them())


CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect != "read"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_sent_once_even_where_a_kept_connection_breaks(name):
    with ScriptedServer(ScriptedResponse(200, {"offer_state": STATE}), DropRead()) as server:
        first, second = ask(server, "get_offer_state", name)
    assert first.status == 200
    assert isinstance(second, ResponseLost)
    assert [received.connection for received in server.received] == [1, 1], "the connection was kept"
    assert [received.method for received in server.received] == ["GET", ENDPOINTS[name].method]


def test_a_read_may_be_sent_again_where_a_kept_connection_breaks():
    """The library does so by itself; this shows that the test above could fail."""
    answer = ScriptedResponse(200, {"offer_state": STATE})
    with ScriptedServer(answer, DropRead(), answer) as server:
        ends = ask(server, "get_offer_state", "get_offer_state")
    assert [end.status for end in ends] == [200, 200]
    assert len(server.received) == 3


def test_an_answer_that_nobody_asked_for_is_not_taken_for_that_to_the_next_request():
    """Some services say "408" and some proxies worse on a connection that rests; the row behind it was never sent."""
    gate = threading.Event()

    async def it_comes(wire):
        gate.set()
        kept = [protocol for of_one_way in wire._http.connector._conns.values() for protocol, _since in of_one_way]
        assert len(kept) == 1
        while not kept[0].should_close:  # noqa: ASYNC110 - nothing tells that bytes have come
            await asyncio.sleep(0.01)

    with ScriptedServer(Twice(ScriptedResponse(200, {"offer_state": STATE}), gate)) as server:
        answer, second = ask(server, "get_offer_state", "issue_offer", between=it_comes)
    assert answer.status == 200
    assert isinstance(second, RequestNotSent)
    assert [received.method for received in server.received] == ["GET"]


def test_two_answers_at_once_are_the_end_of_a_connection():
    unasked = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
    twice, once = (
        ScriptedResponse(201, b"{}" + unasked, {"Content-Length": "2"}),
        ScriptedResponse(201, {"offer_state": RECEIPT}),
    )
    with ScriptedServer(twice, once) as server:
        ends = ask(server, "issue_offer", "issue_offer")
    assert [(end.status, end.body) for end in ends] == [(201, b"{}"), (201, once.bytes())]
    assert [received.connection for received in server.received] == [1, 2]


@pytest.mark.parametrize("length", [2**15, 2**25])
@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "TLS"])
def test_a_connection_with_half_a_request_on_it_is_not_used_again(is_secure, length, certificate, monkeypatch):
    """Refused after its head, as one that is too long is: the next request must not follow the first half of this."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    monkeypatch.setitem(VALUES, "update_offer_state", {**VALUES["update_offer_state"], "value": "9" * length})
    tls = tls_of(certificate) if is_secure else None
    with ScriptedServer(
        Early(ScriptedResponse(413)), ScriptedResponse(201, {"offer_state": RECEIPT}), tls=tls
    ) as server:
        ends = ask(server, "update_offer_state", "issue_offer", timeout_s=2)
    assert [end.status for end in ends] == [413, 201]


def test_what_is_said_before_the_answer_is_not_the_answer():
    before = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
    with ScriptedServer(Raw(before + answer)) as server:
        (end,) = ask(server, "issue_offer")
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
    "a switch of protocol": Raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "a status that is none": Raw(b"HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize("step", BROKEN.values(), ids=BROKEN)
def test_whatever_is_no_whole_answer_is_lost_and_sent_once(step):
    with ScriptedServer(step) as server:
        (end,) = ask(server, "issue_offer", timeout_s=0.2)
    assert isinstance(end, ResponseLost) or end.status in (99, 101)
    assert len(server.received) == 1


@pytest.mark.parametrize("name", CHANGES)
def test_without_a_connection_nothing_was_sent(name):
    with ScriptedServer(listens=False) as server:
        (end,) = ask(server, name)
    assert isinstance(end, RequestNotSent)


def test_no_class_is_made_for_a_shard():
    """A class is a cycle: each would keep its loop and the token until the next full collection, which seldom comes."""
    with ScriptedServer(ScriptedResponse(201, {"offer_state": RECEIPT})) as server:
        ask(server, "issue_offer")
    assert BufferedRequest.__subclasses__() == []


def a_fault_of_our_own(*_arguments, **_values):
    raise AttributeError("the library has changed")


def test_whatever_goes_wrong_after_the_writing_is_a_lost_answer_and_not_the_end_of_the_rows_beside_it(monkeypatch):
    monkeypatch.setattr(BufferedResponse, "read", a_fault_of_our_own)
    with ScriptedServer(ScriptedResponse(201, {"offer_state": RECEIPT})) as server:
        (end,) = ask(server, "issue_offer")
        assert isinstance(end, ResponseLost)


def test_a_fault_of_our_own_before_the_writing_is_not_hidden(monkeypatch):
    monkeypatch.setattr(BufferedRequest, "__init__", a_fault_of_our_own)
    with ScriptedServer() as server, pytest.raises(AttributeError, match="has changed"):
        ask(server, "issue_offer")


def test_a_redirect_is_not_followed_and_no_cookie_is_kept():
    steps = (
        ScriptedResponse(307, headers={"Location": "http://127.0.0.1:1/elsewhere", "Set-Cookie": "a=b"}),
        ScriptedResponse(201, {"offer_state": RECEIPT}),
    )
    with ScriptedServer(*steps) as server:
        ends = ask(server, "issue_offer", "issue_offer")
    assert [end.status for end in ends] == [307, 201]
    assert "cookie" not in server.received[1].headers


def test_a_fault_shows_no_token():
    with ScriptedServer(DropRead()) as server:
        (end,) = ask(server, "issue_offer")
    seen, fault = [], end
    while fault is not None:
        seen.append(repr(fault) + str(vars(fault)))
        fault = fault.__cause__
    assert "a-token" not in "".join(seen)
