"""Requests that are resent and requests that are not, against a server that fails on purpose."""

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

#: Failures after which the service may or may not have acted.
LOST = {
    "closed unread": DropUnread(),
    "closed after reading": DropRead(),
    "no bytes": Hang(),
    "half an error body": Half(ScriptedResponse(500, {"error": "x" * 50})),
    "not HTTP": Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "408": ScriptedResponse(408),
    "500": ScriptedResponse(500, {"error": "boom"}),
    "502": ScriptedResponse(502, b"<html>Bad Gateway</html>"),
    "503 without Retry-After": ScriptedResponse(503),
    "503 with an invalid Retry-After": ScriptedResponse(503, headers={"Retry-After": "soon"}),
    "504": ScriptedResponse(504),
}

#: Successes whose body cannot be read.
UNREADABLE = {
    "half a body": Half(ScriptedResponse(200, {"offer_state": STATE})),
    "not JSON": ScriptedResponse(200, b"<html>Welcome to the hotel</html>"),
    "broken JSON": ScriptedResponse(200, b'{"offer_state": {"offer_state_id": 7'),
    "broken gzip": ScriptedResponse(200, b"not gzip at all", headers={"Content-Encoding": "gzip"}),
    "half a chunk": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "wrong chunks": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
}

#: Responses that do not confirm a change.
PROVES_NOTHING = {
    **UNREADABLE,
    "empty": ScriptedResponse(201),
    "half the headers": Raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "only errors": ScriptedResponse(200, {"errors": {"base": ["no"]}}),
    "null": ScriptedResponse(200, b"null"),
    "no id": ScriptedResponse(200, {"offer_state": {"status": "incomplete"}}),
    "two": ScriptedResponse(200, [STATE, {**STATE, "offer_state_id": 8}]),
    "accepted": ScriptedResponse(202, {"offer_state": STATE}),
    "errors next to it": ScriptedResponse(200, {"offer_state": STATE, "errors": {"base": ["no"]}}),
}

#: Responses that mean that the service did not process the request.
NOT_PROCESSED = {
    "429": ScriptedResponse(429),
    "429 with Retry-After": ScriptedResponse(429, headers={"Retry-After": "3"}),
    "503 with Retry-After": ScriptedResponse(503, headers={"Retry-After": "3"}),
}


def params(table):
    return pytest.mark.parametrize("fault", list(table.values()), ids=list(table))


def call(client, name):
    return client.call(ENDPOINTS[name], **VALUES[name])


@pytest.mark.parametrize("name", [*READS, *VOIDS])
@params({**LOST, **NOT_PROCESSED})
def test_reads_and_voids_are_resent_after_every_temporary_failure(name, fault, connect, clock):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        result = call(connect(server, timeout=(5, 0.25)), name)

        assert (result.attempts, len(clock.pauses)) == (2, 1)


@pytest.mark.parametrize("name", READS)
@params(
    {
        **UNREADABLE,
        **{kind: PROVES_NOTHING[kind] for kind in ("empty", "half the headers", "only errors", "null", "no id")},
    }
)
def test_reads_are_resent_after_an_unreadable_response(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", VOIDS)
@params(
    {
        **UNREADABLE,
        "an error": ScriptedResponse(200, {"error": "not really"}),
        "errors": ScriptedResponse(200, {"errors": {"base": ["not really"]}}),
        "accepted": ScriptedResponse(202),
        "a gateway status": ScriptedResponse(524),
    }
)
def test_voids_are_resent_after_an_unreadable_response(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", CHANGES)
@params({**LOST, **PROVES_NOTHING, "redirect": ScriptedResponse(307, headers={"Location": "/elsewhere"})})
def test_change_that_may_have_happened_is_sent_once_and_unknown(name, fault, connect, clock):
    with ScriptedServer(fault) as server:
        with pytest.raises(OutcomeUnknown):
            call(connect(server, timeout=(5, 0.25)), name)

        assert server.connections == 1
        assert len(server.received) == (0 if isinstance(fault, DropUnread) else 1)
        assert clock.pauses == []


@pytest.mark.parametrize("name", CHANGES)
@params(NOT_PROCESSED)
def test_change_that_was_not_processed_is_resent(name, fault, connect):
    with ScriptedServer(fault, success(ENDPOINTS[name])) as server:
        result = call(connect(server), name)

        assert result.parsed["offer_state_id"] == 7
        assert [received.body for received in server.received] == [server.received[0].body] * 2


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_request_that_never_reached_the_service_is_resent(name, connect, clock):
    with ScriptedServer(success(ENDPOINTS[name]), listens=False) as server:
        clock.when_sleeping = server.listen

        assert call(connect(server), name).attempts == 2


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_unreachable_service_raises_connection_failed_after_all_attempts(name, connect, clock):
    with ScriptedServer(listens=False) as server:
        with pytest.raises(ConnectionFailed, match=r"5 attempts\. The service did not process the request"):
            call(connect(server), name)

        assert len(clock.pauses) == 4


#: The error for each status. A 422 on a void is not an error. It means that the offer state was voided before.
REFUSALS = {400: ApiError, 403: PermissionDenied, 404: NotFound, 409: ApiError, 422: Unprocessable}


@pytest.mark.parametrize(
    ("name", "status"),
    [(name, status) for name in ENDPOINTS for status in REFUSALS if (name in VOIDS, status) != (True, 422)],
)
def test_refusal_raises_the_error_of_its_status_and_is_not_resent(name, status, connect):
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
def test_already_voided_counts_as_a_success(name, connect):
    with ScriptedServer(ScriptedResponse(422, {"error": "already voided", "trace": "7b633ad0"})) as server:
        result = call(connect(server), name)

        assert (result.already, result.trace, result.status) == (True, "7b633ad0", 422)


@pytest.mark.parametrize("name", VOIDS)
def test_void_after_a_lost_response_ends_as_already_voided(name, connect):
    with ScriptedServer(DropRead(), ScriptedResponse(422, {"error": "already voided"})) as server:
        assert call(connect(server), name).already


@pytest.mark.parametrize("name", VOIDS)
def test_void_without_any_response_may_have_happened(name, connect):
    with (
        ScriptedServer(DropRead(), DropRead()) as server,
        pytest.raises(RequestFailed, match=r"2 attempts\. It may be voided\. Voiding it again does no harm"),
    ):
        call(connect(server, policy=RetryPolicy(attempts=2)), name)


def test_void_may_have_happened_even_if_the_last_attempt_was_not_sent(connect, clock):
    policy = RetryPolicy(attempts=2)
    with ScriptedServer(DropRead()) as server:
        client = connect(server, policy=policy)
        clock.when_sleeping = server.stop_listening

        with pytest.raises(RequestFailed, match="may be voided"):
            call(client, "void_offer_state")


@pytest.mark.parametrize("name", [*VOIDS, "get_offer_state"])
def test_request_that_met_a_500_never_counts_as_not_processed(name, connect, clock):
    with ScriptedServer(ScriptedResponse(500)) as server:
        client = connect(server, policy=RetryPolicy(attempts=2))
        clock.when_sleeping = server.stop_listening

        with pytest.raises(RequestFailed) as caught:
            call(client, name)
        assert "did not process" not in str(caught.value)


@pytest.mark.parametrize("status", [403, 404, 409])
@pytest.mark.parametrize("name", VOIDS)
def test_void_that_is_refused_after_a_lost_response_is_unknown(name, status, connect):
    with ScriptedServer(DropRead(), ScriptedResponse(status, {"error": "no"})) as server:
        with pytest.raises(OutcomeUnknown, match=f"{status}: no"):
            call(connect(server), name)
        assert len(server.received) == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(ScriptedResponse(500, {"error": "boom", "trace": "t-1"}), ServerError), (ScriptedResponse(429), RateLimited),
     (ScriptedResponse(200, b"{"), UnreadableAnswer), (DropRead(), RequestFailed)],
)  # fmt: skip
def test_read_fails_after_the_last_attempt(fault, kind, connect):
    with ScriptedServer(*[fault] * 3) as server:
        with pytest.raises(kind) as caught:
            call(connect(server, policy=RetryPolicy(attempts=3)), "get_offer_state")

        assert type(caught.value) is kind
        assert len(server.received) == 3


def test_change_that_was_only_delayed_ends_as_rate_limited_not_unknown(connect):
    with (
        ScriptedServer(*[ScriptedResponse(429, headers={"Retry-After": "1"})] * 5) as server,
        pytest.raises(RateLimited),
    ):
        call(connect(server), "issue_offer")


def test_attempts_stop_at_total_time(connect, clock):
    with ScriptedServer(
        ScriptedResponse(429, headers={"Retry-After": "40"}), ScriptedResponse(429, headers={"Retry-After": "40"})
    ) as server:
        with pytest.raises(RateLimited):
            call(connect(server, policy=RetryPolicy(total_time=60)), "get_offer_state")

        assert sum(clock.pauses) <= 60


@pytest.mark.parametrize("header", ["17", "date"])
def test_delay_follows_retry_after(header, connect, clock):
    header = formatdate(clock.now + 17, usegmt=True) if header == "date" else header
    with ScriptedServer(
        ScriptedResponse(503, headers={"Retry-After": header}), success(ENDPOINTS["issue_offer"])
    ) as server:
        call(connect(server), "issue_offer")

        assert 17 <= clock.pauses[0] < 18


def test_delays_grow_while_a_failure_lasts(connect, clock):
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
def test_outcome_unknown_contains_the_call_that_checks_it(name, line, connect):
    with ScriptedServer(ScriptedResponse(500, {"error": "boom", "trace": "t-1"})) as server:
        with pytest.raises(OutcomeUnknown) as caught:
            call(connect(server), name)

        assert caught.value.readback.startswith(line)
        assert caught.value.status == 500
        assert "boom [trace t-1]" in str(caught.value)
        assert caught.value.readback in str(caught.value)


def test_outcome_unknown_ignores_errors_that_the_caller_is_handling(connect):
    """The outcome of an earlier request does not change the outcome of this one."""
    with ScriptedServer(listens=False) as absent, ScriptedServer(DropRead()) as server:
        with pytest.raises(ConnectionFailed):
            call(connect(absent), "issue_offer")
        try:
            call(connect(absent), "issue_offer")
        except ConnectionFailed:
            with pytest.raises(OutcomeUnknown):
                call(connect(server), "issue_offer")

        assert len(server.received) == 1
