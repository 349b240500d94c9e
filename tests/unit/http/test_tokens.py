"""The token is requested once, and renewed in time by one thread for all."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from scripted_server import VALUES, DropRead, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import ApiError, AuthenticationError, ServerError, SparkflyError, UnreadableAnswer
from sparkfly_nb.api.endpoints import ENDPOINTS, TOKEN_LIFETIME_S
from sparkfly_nb.http.tokens import FAILED_RENEWAL_PAUSE_S, MAX_TOKEN_LENGTH, RENEWED_AFTER_S

CREDENTIALS = {"identity": "the-identity", "key": "the-secret-key"}
GET = ENDPOINTS["get_offer_state"]
ISSUE = ENDPOINTS["issue_offer"]
FOUND = success(GET)
ISSUED = success(ISSUE)
REFUSED = ScriptedResponse(401)


def token(text):
    return ScriptedResponse(204, headers={"X-Auth-Token": text})


def get(transport):
    return transport.call(GET, member_id=2, offerstate_id=7)


def issue(transport):
    return transport.call(ISSUE, **VALUES["issue_offer"])


def tokens_sent(server):
    return [received.headers.get("x-auth-token") for received in server.received if received.target != "/auth"]


def token_requests(server):
    return server.targets.count("/auth")


def test_identity_and_key_are_sent_only_to_auth(connect):
    with ScriptedServer(token("one"), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        request = server.received[0]
        assert (request.method, request.target, request.body) == ("POST", "/auth", b"")
        assert (request.headers["x-auth-identity"], request.headers["x-auth-key"]) == ("the-identity", "the-secret-key")
        assert "x-auth-token" not in request.headers


def test_calls_send_the_token_and_never_the_key(connect):
    with ScriptedServer(token("one"), FOUND, FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        get(transport)

        assert tokens_sent(server) == ["one", "one"]
        assert all("x-auth-key" not in received.headers for received in server.received[1:])


def test_a_given_token_is_used_without_authentication(connect):
    with ScriptedServer(FOUND) as server:
        get(connect(server, token="given", **CREDENTIALS))

        assert tokens_sent(server) == ["given"]


@pytest.mark.parametrize(("call", "done"), [(get, FOUND), (issue, ISSUED)], ids=["read", "change"])
def test_a_rejected_token_is_renewed_and_the_call_resent(call, done, connect):
    with ScriptedServer(token("one"), REFUSED, token("two"), done) as server:
        call(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one", "two"]


def test_a_new_token_that_is_rejected_is_an_error(connect):
    with (
        ScriptedServer(token("one"), REFUSED, token("two"), REFUSED) as server,
        pytest.raises(AuthenticationError, match="refuses a token that it just issued"),
    ):
        issue(connect(server, **CREDENTIALS))


def test_without_credentials_the_error_explains_how_to_renew(connect):
    with ScriptedServer(REFUSED) as server:
        with pytest.raises(AuthenticationError) as caught:
            issue(connect(server, token="given"))

        assert (caught.value.status, caught.value.path) == (401, "/members/offer_states/issue")
        for hint in ("identity=", "key=", "POST <root>/auth", "SPARKFLY_TOKEN", "24 hours"):
            assert hint in str(caught.value)


def test_without_credentials_no_token_is_renewed(connect):
    with ScriptedServer() as server:
        tokens = connect(server, token="given").tokens

        assert not tokens.can_renew
        with pytest.raises(AuthenticationError, match="identity="):
            tokens.renew(tokens.current()[1])


def test_wrong_credentials_are_an_error_without_a_retry(connect):
    with (
        ScriptedServer(ScriptedResponse(401, {"error": "Invalid credentials"})) as server,
        pytest.raises(AuthenticationError, match=r"401 on POST /auth: Invalid credentials\. Check identity and key"),
    ):
        get(connect(server, **CREDENTIALS))


def test_another_error_of_authentication_keeps_its_status(connect):
    with (
        ScriptedServer(ScriptedResponse(403, {"error": "blocked"})) as server,
        pytest.raises(ApiError, match="403 on POST /auth"),
    ):
        get(connect(server, **CREDENTIALS))


@pytest.mark.parametrize(
    "fault",
    [ScriptedResponse(500), ScriptedResponse(503, headers={"Retry-After": "1"}), ScriptedResponse(429), DropRead()],
)
def test_authentication_is_retried(fault, connect):
    with ScriptedServer(fault, token("one"), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Auth-Token": ""}, {"X-Auth-Token": "a\x01b"}, {"X-Auth-Token": "tökén"},
     {"X-Auth-Token": "x" * (MAX_TOKEN_LENGTH + 1)}],
)  # fmt: skip
def test_a_response_without_a_valid_token_is_refused(headers, connect):
    with (
        ScriptedServer(ScriptedResponse(204, headers=headers)) as server,
        pytest.raises(UnreadableAnswer, match="no valid token"),
    ):
        get(connect(server, **CREDENTIALS))


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_with_status_200_or_201_is_accepted(status, connect):
    with ScriptedServer(ScriptedResponse(status, headers={"X-Auth-Token": "one"}), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one"]


def test_a_token_is_renewed_an_hour_before_it_expires(connect, clock):
    with ScriptedServer(token("one"), FOUND, FOUND, token("two"), FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S - 1
        get(transport)
        clock.now += 1
        get(transport)

        assert tokens_sent(server) == ["one", "one", "two"]
        assert transport.tokens.expires_at == clock.now + TOKEN_LIFETIME_S


def test_the_old_token_stays_in_use_if_an_early_renewal_fails(connect, clock):
    with ScriptedServer(token("one"), FOUND, *[ScriptedResponse(500)] * 5, FOUND, FOUND, token("two"), FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S
        get(transport)
        get(transport)
        clock.now += FAILED_RENEWAL_PAUSE_S
        get(transport)

        assert tokens_sent(server) == ["one", "one", "one", "two"]


def test_a_failed_renewal_of_an_expired_token_is_an_error(connect, clock):
    with ScriptedServer(token("one"), FOUND, *[ScriptedResponse(500)] * 5) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += TOKEN_LIFETIME_S

        with pytest.raises(ServerError, match="POST /auth"):
            get(transport)


def test_wrong_credentials_in_an_early_renewal_are_an_error(connect, clock):
    with ScriptedServer(token("one"), FOUND, ScriptedResponse(401)) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S

        with pytest.raises(AuthenticationError):
            get(transport)


# ---- many threads ----------------------------------------------------------------------------------------------------

THREADS = 12


def in_threads(work, count=THREADS):
    """Run a function in many threads at the same time, and return their results or errors."""
    begin = threading.Barrier(count)

    def run():
        begin.wait()
        try:
            return work()
        except SparkflyError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(count)]]


def until(condition):
    """Wait until a condition is true."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition never became true")


def waiting_for(tokens):
    """Count the threads that wait for a renewal in progress."""
    renewal = tokens._renewal
    return len(renewal.ended._cond._waiters) if renewal else 0


def test_threads_share_the_first_token(connect):
    with ScriptedServer(answer=lambda got: token("one") if got.target == "/auth" else FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        in_threads(lambda: get(transport))

        assert token_requests(server) == 1
        assert tokens_sent(server) == ["one"] * THREADS


def test_one_of_many_rejected_threads_authenticates(connect):
    together = threading.Barrier(THREADS)

    def answer(received):
        if received.target == "/auth":
            return token("new")
        if received.headers["x-auth-token"] == "old":
            together.wait(20)  # all are rejected before the first can renew
            return REFUSED
        return ISSUED

    with ScriptedServer(answer=answer) as server:
        transport = connect(server, token="old", **CREDENTIALS)
        replies = in_threads(lambda: issue(transport))

        assert token_requests(server) == 1
        assert [reply.status for reply in replies] == [201] * THREADS
        assert sorted(tokens_sent(server)) == ["new"] * THREADS + ["old"] * THREADS


def test_a_failed_renewal_fails_for_all_waiting_threads(connect):
    def answer(_received):
        until(lambda: waiting_for(tokens) == THREADS - 1)
        return ScriptedResponse(401, {"error": "Invalid credentials"})

    with ScriptedServer(answer=answer) as server:
        tokens = connect(server, **CREDENTIALS).tokens
        errors = in_threads(lambda: tokens.renew(0))

        assert token_requests(server) == 1
        assert [type(error) for error in errors] == [AuthenticationError] * THREADS
        assert len({id(error) for error in errors}) == THREADS


def test_a_late_thread_gets_the_token_that_is_already_renewed(connect):
    with ScriptedServer(token("one"), token("two")) as server:
        tokens = connect(server, **CREDENTIALS).tokens
        _, old = tokens.current()
        newer = tokens.renew(old)

        assert tokens.renew(old) == newer
        assert newer[0].reveal() == "two"


def test_another_thread_renews_if_the_first_is_interrupted(connect, clock):
    def interrupt():
        clock.when_sleeping = lambda: None
        until(lambda: waiting_for(tokens) == 1)
        raise KeyboardInterrupt

    with ScriptedServer(ScriptedResponse(500), token("one")) as server:
        tokens = connect(server, **CREDENTIALS).tokens
        clock.when_sleeping = interrupt

        def renew():
            try:
                return tokens.renew(0)[0].reveal()
            except KeyboardInterrupt:
                return "interrupted"

        assert sorted(in_threads(renew, count=2)) == ["interrupted", "one"]


def test_threads_do_not_mix_up_responses(connect):
    def answer(received):
        member_id = received.target.split("/")[3]
        return ScriptedResponse(
            200, {"offer_state": {"offer_state_id": int(member_id) * 10, "member_id": int(member_id)}}
        )

    with ScriptedServer(answer=answer) as server:
        transport = connect(server)

        def run(member_id):
            [state] = transport.call(GET, member_id=member_id, offerstate_id=1).parsed
            return state["offer_state_id"]

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(run, range(1, 201))) == [number * 10 for number in range(1, 201)]
        assert server.connections <= 16
