"""What is sent again and what is not: over the wire, against a server that fails on purpose."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from scripted_server import (
    STATE,
    VALUES,
    DropRead,
    DropUnread,
    Half,
    Hang,
    Raw,
    ScriptedResponse,
    ScriptedServer,
    success,
)

from sparkfly_nb import (
    ApiError,
    ConnectionFailed,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    RequestFailed,
    ServerError,
    Unprocessable,
    UnreadableAnswer,
)
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy

READS = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect == "read"]
VOIDS = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect == "void"]
CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect == "change"]

LOST = {
    "closed unread": DropUnread(),
    "closed after reading": DropRead(),
    "silence": Hang(),
    "half an error": Half(ScriptedResponse(500, {"error": "x" * 50})),
    "no HTTP": Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "408": ScriptedResponse(408),
    "500": ScriptedResponse(500, {"error": "boom"}),
    "502": ScriptedResponse(502, b"<html>Bad Gateway</html>"),
    "503 without Retry-After": ScriptedResponse(503),
    "503 with a Retry-After that means nothing": ScriptedResponse(503, headers={"Retry-After": "soon"}),
    "504": ScriptedResponse(504),
}
"""Answers after which nobody knows whether the service acted."""

UNREADABLE = {
    "half a body": Half(ScriptedResponse(200, {"offer_state": STATE})),
    "no JSON": ScriptedResponse(200, b"<html>Welcome to the hotel</html>"),
    "broken JSON": ScriptedResponse(200, b'{"offer_state": {"offer_state_id": 7'),
    "broken gzip": ScriptedResponse(200, b"not gzip at all", headers={"Content-Encoding": "gzip"}),
    "half a chunk": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "wrong chunks": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
}
"""Successes with a body that proves nothing."""

PROVES_NOTHING = {
    **UNREADABLE,
    "empty": ScriptedResponse(201),
    "half a head": Raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "only errors": ScriptedResponse(200, {"errors": {"base": ["no"]}}),
    "null": ScriptedResponse(200, b"null"),
    "no id": ScriptedResponse(200, {"offer_state": {"status": "incomplete"}}),
    "two": ScriptedResponse(200, [STATE, {**STATE, "offer_state_id": 8}]),
    "accepted": ScriptedResponse(202, {"offer_state": STATE}),
    "errors next to it": ScriptedResponse(200, {"offer_state": STATE, "errors": {"base": ["no"]}}),
}

NOT_PROCESSED = {
    "429": ScriptedResponse(429),
    "429 with Retry-After": ScriptedResponse(429, headers={"Retry-After": "3"}),
    "503 with Retry-After": ScriptedResponse(503, headers={"Retry-After": "3"}),
}


def params(table):
    return pytest.mark.parametrize("fault", list(table.values()), ids=list(table))


def call(transport, name):
    return transport.call(ENDPOINTS[name], **VALUES[name])


@pytest.mark.parametrize("name", [*READS, *VOIDS])
@params({**LOST, **NOT_PROCESSED})
def test_reads_and_voids_are_asked_again_after_every_passing_fault(name, fault, connect, clock):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        reply = call(connect(server, timeout=(5, 0.25)), name)

        assert (reply.attempts, len(clock.pauses)) == (2, 1)


@pytest.mark.parametrize("name", READS)
@params(
    {**UNREADABLE, **{kind: PROVES_NOTHING[kind] for kind in ("empty", "half a head", "only errors", "null", "no id")}}
)
def test_reads_are_asked_again_after_an_answer_that_cannot_be_read(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", VOIDS)
@params(
    {
        **UNREADABLE,
        "an error": ScriptedResponse(200, {"error": "not really"}),
        "errors": ScriptedResponse(200, {"errors": {"base": ["not really"]}}),
        "accepted": ScriptedResponse(202),
        "a status of a gateway": ScriptedResponse(524),
    }
)
def test_voids_are_sent_again_after_an_answer_that_cannot_be_read(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", CHANGES)
@params({**LOST, **PROVES_NOTHING, "redirect": ScriptedResponse(307, headers={"Location": "/elsewhere"})})
def test_a_change_that_may_have_happened_is_sent_once_and_unknown(name, fault, connect, clock):
    with ScriptedServer(fault) as server:
        with pytest.raises(OutcomeUnknown):
            call(connect(server, timeout=(5, 0.25)), name)

        assert server.connections == 1
        assert len(server.received) == (0 if isinstance(fault, DropUnread) else 1)
        assert clock.pauses == []


@pytest.mark.parametrize("name", CHANGES)
@params(NOT_PROCESSED)
def test_a_change_that_was_provably_not_processed_is_sent_again(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        reply = call(connect(server), name)

        assert reply.parsed["offer_state_id"] == 7
        assert [received.body for received in server.received] == [server.received[0].body] * 2


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_what_never_reached_the_service_is_sent_again(name, connect, clock):
    with ScriptedServer(success(ENDPOINTS[name]), listens=False) as server:
        clock.when_sleeping = server.listen

        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_a_service_that_cannot_be_reached_is_given_up_and_saw_nothing(name, connect, clock):
    with ScriptedServer(listens=False) as server:
        with pytest.raises(ConnectionFailed, match=r"5 attempts\. The service did not see the request"):
            call(connect(server), name)

        assert len(clock.pauses) == 4


REFUSALS = {400: ApiError, 403: PermissionDenied, 404: NotFound, 409: ApiError, 422: Unprocessable}
"""A 422 on a void is none: it says that it was voided before."""


@pytest.mark.parametrize(
    ("name", "status"),
    [(name, status) for name in ENDPOINTS for status in REFUSALS if (name in VOIDS, status) != (True, 422)],
)
def test_a_refusal_is_an_error_of_its_own_and_is_not_sent_again(name, status, connect):
    kind = REFUSALS[status]
    refusal = ScriptedResponse(status, {"error": "OfferState not found - not found", "trace": "7b633ad0"})
    with ScriptedServer(refusal) as server:
        with pytest.raises(kind) as caught:
            call(connect(server), name)

        error = caught.value
        assert type(error) is kind
        assert (error.status, error.reason, error.trace) == (status, "OfferState not found - not found", "7b633ad0")
        assert (error.method, f"/v1.0{error.path}") == (server.received[0].method, server.targets[0].partition("?")[0])


@pytest.mark.parametrize("name", VOIDS)
def test_already_voided_is_an_answer(name, connect):
    with ScriptedServer(ScriptedResponse(422, {"error": "already voided", "trace": "7b633ad0"})) as server:
        reply = call(connect(server), name)

        assert (reply.already, reply.trace, reply.status) == (True, "7b633ad0", 422)


@pytest.mark.parametrize("name", VOIDS)
def test_a_void_whose_first_answer_was_lost_ends_as_already_voided(name, connect):
    with ScriptedServer(DropRead(), ScriptedResponse(422, {"error": "already voided"})) as server:
        assert call(connect(server), name).already


@pytest.mark.parametrize("name", VOIDS)
def test_a_void_without_any_answer_says_that_it_may_have_happened(name, connect):
    with (
        ScriptedServer(DropRead(), DropRead()) as server,
        pytest.raises(RequestFailed, match=r"2 attempts\. It may be voided\. Voiding it again does no harm"),
    ):
        call(connect(server, policy=RetryPolicy(attempts=2)), name)


def test_a_void_that_was_lost_once_never_counts_as_unseen(connect, clock):
    policy = RetryPolicy(attempts=2)
    with ScriptedServer(DropRead()) as server:
        transport = connect(server, policy=policy)
        clock.when_sleeping = server.stop_listening

        with pytest.raises(RequestFailed, match="may be voided"):
            call(transport, "void_offer_state")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(ScriptedResponse(500, {"error": "boom", "trace": "t-1"}), ServerError), (ScriptedResponse(429), RateLimited),
     (ScriptedResponse(200, b"{"), UnreadableAnswer), (DropRead(), RequestFailed)],
)  # fmt: skip
def test_a_read_is_given_up_after_the_allowed_number_of_attempts(fault, kind, connect):
    with ScriptedServer(*[fault] * 3) as server:
        with pytest.raises(kind) as caught:
            call(connect(server, policy=RetryPolicy(attempts=3)), "get_offer_state")

        assert type(caught.value) is kind
        assert len(server.received) == 3


def test_a_change_that_is_only_ever_put_off_ends_as_rate_limited_not_as_unknown(connect):
    with (
        ScriptedServer(*[ScriptedResponse(429, headers={"Retry-After": "1"})] * 5) as server,
        pytest.raises(RateLimited),
    ):
        call(connect(server), "issue_offer")


def test_attempts_end_with_the_time_allowed(connect, clock):
    with ScriptedServer(
        ScriptedResponse(429, headers={"Retry-After": "40"}), ScriptedResponse(429, headers={"Retry-After": "40"})
    ) as server:
        with pytest.raises(RateLimited):
            call(connect(server, policy=RetryPolicy(total_time=60)), "get_offer_state")

        assert sum(clock.pauses) <= 60


@pytest.mark.parametrize("header", ["17", "date"])
def test_the_pause_is_the_one_that_the_service_asks_for(header, connect, clock):
    header = formatdate(clock.now + 17, usegmt=True) if header == "date" else header
    with ScriptedServer(
        ScriptedResponse(503, headers={"Retry-After": header}), success(ENDPOINTS["issue_offer"])
    ) as server:
        call(connect(server), "issue_offer")

        assert 17 <= clock.pauses[0] < 18


def test_pauses_grow_while_a_fault_lasts(connect, clock):
    with ScriptedServer(*[ScriptedResponse(500)] * 4, success(ENDPOINTS["get_offer_state"])) as server:
        call(connect(server), "get_offer_state")

        assert clock.pauses == sorted(clock.pauses)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("issue_offer", "session.list_offer_states(2).query("),
        ("issue_offer_state", "session.list_offer_states('2').query("),
        ("create_offer_state", "session.query_offer_states(external_ref_id='r-1')"),
        ("update_offer_state", "session.get_offer_state('2', '7')"),
        ("redeem_offer_state", "session.get_offer_state('2', '7')"),
    ],
)
def test_an_unknown_outcome_says_how_to_look(name, line, connect):
    with ScriptedServer(ScriptedResponse(500, {"error": "boom", "trace": "t-1"})) as server:
        with pytest.raises(OutcomeUnknown) as caught:
            call(connect(server), name)

        assert caught.value.readback.startswith(line)
        assert caught.value.status == 500
        assert "boom [trace t-1]" in str(caught.value)
        assert caught.value.readback in str(caught.value)


def test_an_unknown_outcome_does_not_depend_on_errors_that_the_caller_is_handling(connect):
    """A service that could not be reached before says nothing about the request that is lost now."""
    with ScriptedServer(listens=False) as absent, ScriptedServer(DropRead()) as server:
        with pytest.raises(ConnectionFailed):
            call(connect(absent), "issue_offer")
        try:
            call(connect(absent), "issue_offer")
        except ConnectionFailed:
            with pytest.raises(OutcomeUnknown):
                call(connect(server), "issue_offer")

        assert len(server.received) == 1
