"""Tokens, identities and keys are in no message, traceback, log or pickle."""

from __future__ import annotations

import logging
import signal
import threading

import pytest
from scripted_server import VALUES, DropRead, Half, Hang, Raw, ScriptedResponse, ScriptedServer
from tracebacks import everything_about

from sparkfly_nb import SparkflyError
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy

TOKEN, IDENTITY, KEY = "tok-5ecret-5ecret", "ident-5ecret-5ecret", "key-5ecret-5ecret"
SECRET = "5ecret"


def echo(received):
    """Return the client's secrets, as a careless service might."""
    known = [
        received.headers[name] for name in ("x-auth-token", "x-auth-identity", "x-auth-key") if name in received.headers
    ]
    return {"error": f"{' and '.join(known)} is not good", "trace": known[0]}


ENDS = {
    "refused": lambda received: ScriptedResponse(403, echo(received)),
    "unauthenticated": lambda received: ScriptedResponse(401, echo(received)),
    "server error": lambda received: ScriptedResponse(500, echo(received)),
    "rate limit": lambda received: ScriptedResponse(429, echo(received)),
    "closed": lambda _received: DropRead(),
    "half": lambda _received: Half(ScriptedResponse(200, {"offer_state": {"token": "x" * 100}})),
    "no HTTP": lambda _received: Raw(b"nonsense\r\n\r\n"),
    "silence": lambda _received: Hang(),
    "unreadable": lambda _received: ScriptedResponse(200, b"<html>"),
    "error in a success": lambda received: ScriptedResponse(
        200, {**echo(received), "errors": echo(received), "offer_state": {}}
    ),
}


@pytest.mark.parametrize("name", ["issue_offer", "get_offer_state", "void_offer_state"])
@pytest.mark.parametrize("end", list(ENDS.values()), ids=list(ENDS))
def test_no_error_of_a_call_shows_the_token(name, end, connect):
    with ScriptedServer(answer=end) as server:
        transport = connect(server, token=TOKEN, policy=RetryPolicy(attempts=2), timeout=(5, 0.2))
        with pytest.raises(SparkflyError) as caught:
            transport.call(ENDPOINTS[name], **VALUES[name])

    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize("end", list(ENDS.values()), ids=list(ENDS))
def test_no_error_of_authentication_shows_the_credentials(end, connect):
    with ScriptedServer(answer=end) as server:
        transport = connect(server, identity=IDENTITY, key=KEY, policy=RetryPolicy(attempts=2), timeout=(5, 0.2))
        with pytest.raises(SparkflyError) as caught:
            transport.call(ENDPOINTS["get_offer_state"], member_id=2, offerstate_id=7)

    assert SECRET not in everything_about(caught.value)


@pytest.mark.parametrize("spelling", [b"5\\u0065cret\\/5ecret+\\u003d", b"5ecret/5ecret\\u002b="])
def test_no_spelling_of_the_token_in_json_is_shown(spelling, connect):
    with ScriptedServer(
        ScriptedResponse(403, b'{"error": "not ' + spelling + b'", "trace": "' + spelling + b'"}')
    ) as server:
        transport = connect(server, token="5ecret/5ecret+=")
        with pytest.raises(SparkflyError, match=r"not \*\*\*") as caught:
            transport.call(ENDPOINTS["get_offer_state"], **VALUES["get_offer_state"])

    assert SECRET not in everything_about(caught.value)


def test_our_errors_have_no_library_error_as_context(connect):
    """The errors of requests have the request, with the token, in their attributes."""
    with ScriptedServer(DropRead()) as server, pytest.raises(SparkflyError) as caught:
        connect(server, token=TOKEN).call(ENDPOINTS["issue_offer"], **VALUES["issue_offer"])

    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to one thread")
@pytest.mark.parametrize(("name", "said"), [("issue_offer", "may have acted"), ("get_offer_state", "^$")])
def test_an_interrupt_shows_no_token_and_warns_after_a_change(name, said, connect):
    def press_stop(_received):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return Hang()

    with ScriptedServer(answer=press_stop) as server:
        transport = connect(server, token=TOKEN)
        with pytest.raises(KeyboardInterrupt, match=said) as caught:
            transport.call(ENDPOINTS[name], **VALUES[name])

    assert caught.value.__context__ is None
    assert SECRET not in everything_about(caught.value)


def test_no_log_shows_a_secret(connect, caplog):
    caplog.set_level(logging.DEBUG)
    steps = [
        ScriptedResponse(204, headers={"X-Auth-Token": TOKEN}),
        ScriptedResponse(200),
        ScriptedResponse(422, {"error": f"not with {TOKEN}", "trace": TOKEN}),
        Raw(b"HTTP/1.1 200 OK\r\nbad"),
    ]
    with ScriptedServer(*steps) as server:
        transport = connect(server, identity=IDENTITY, key=KEY)
        for _ in range(3):
            transport.call(ENDPOINTS["void_offer_state"], member_id=2, offerstate_id=7)

    assert caplog.text
    assert SECRET not in caplog.text


def test_no_repr_contains_a_secret(connect):
    with ScriptedServer(ScriptedResponse(204, headers={"X-Auth-Token": TOKEN})) as server:
        transport = connect(server, identity=IDENTITY, key=KEY)
        shown = [repr(transport.tokens.current()), repr(transport), repr(transport._settings), repr(transport.tokens),
                 repr(vars(transport.tokens))]  # fmt: skip

    assert SECRET not in "".join(shown)
