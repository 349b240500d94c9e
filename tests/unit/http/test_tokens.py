"""The token: got once, renewed in time, by one thread for all, and never without credentials."""

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


def asked_for_tokens(server):
    return server.targets.count("/auth")


def test_a_token_is_got_below_the_root_with_identity_and_key(connect):
    with ScriptedServer(token("one"), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        asked = server.received[0]
        assert (asked.method, asked.target, asked.body) == ("POST", "/auth", b"")
        assert (asked.headers["x-auth-identity"], asked.headers["x-auth-key"]) == ("the-identity", "the-secret-key")
        assert "x-auth-token" not in asked.headers


def test_calls_carry_the_token_and_never_the_key(connect):
    with ScriptedServer(token("one"), FOUND, FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        get(transport)

        assert tokens_sent(server) == ["one", "one"]
        assert all("x-auth-key" not in received.headers for received in server.received[1:])


def test_a_given_token_is_used_without_asking_for_one(connect):
    with ScriptedServer(FOUND) as server:
        get(connect(server, token="given", **CREDENTIALS))

        assert tokens_sent(server) == ["given"]


@pytest.mark.parametrize(("call", "done"), [(get, FOUND), (issue, ISSUED)], ids=["read", "change"])
def test_a_refused_token_is_renewed_and_the_call_sent_again(call, done, connect):
    with ScriptedServer(token("one"), REFUSED, token("two"), done) as server:
        call(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one", "two"]


def test_a_fresh_token_that_is_refused_as_well_is_an_error(connect):
    with (
        ScriptedServer(token("one"), REFUSED, token("two"), REFUSED) as server,
        pytest.raises(AuthenticationError, match="refuses a token that it just issued"),
    ):
        issue(connect(server, **CREDENTIALS))


def test_with_only_a_token_the_error_says_how_to_renew_it(connect):
    with ScriptedServer(REFUSED) as server:
        with pytest.raises(AuthenticationError) as caught:
            issue(connect(server, token="given"))

        assert (caught.value.status, caught.value.path) == (401, "/members/offer_states/issue")
        for hint in ("identity=", "key=", "POST <root>/auth", "SPARKFLY_TOKEN", "24 hours"):
            assert hint in str(caught.value)


def test_with_only_a_token_nothing_can_be_renewed(connect):
    with ScriptedServer() as server:
        tokens = connect(server, token="given").tokens

        assert not tokens.can_renew
        with pytest.raises(AuthenticationError, match="identity="):
            tokens.renew(tokens.current()[1])


def test_wrong_credentials_are_an_error_at_once(connect):
    with (
        ScriptedServer(ScriptedResponse(401, {"error": "Invalid credentials"})) as server,
        pytest.raises(AuthenticationError, match=r"401 on POST /auth: Invalid credentials\. Check identity and key"),
    ):
        get(connect(server, **CREDENTIALS))


def test_a_refusal_of_another_kind_keeps_its_status(connect):
    with (
        ScriptedServer(ScriptedResponse(403, {"error": "blocked"})) as server,
        pytest.raises(ApiError, match="403 on POST /auth"),
    ):
        get(connect(server, **CREDENTIALS))


@pytest.mark.parametrize(
    "fault",
    [ScriptedResponse(500), ScriptedResponse(503, headers={"Retry-After": "1"}), ScriptedResponse(429), DropRead()],
)
def test_asking_for_a_token_is_tried_again(fault, connect):
    with ScriptedServer(fault, token("one"), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Auth-Token": ""}, {"X-Auth-Token": "a\x01b"}, {"X-Auth-Token": "tökén"},
     {"X-Auth-Token": "x" * (MAX_TOKEN_LENGTH + 1)}],
)  # fmt: skip
def test_an_answer_without_a_usable_token_is_refused(headers, connect):
    with (
        ScriptedServer(ScriptedResponse(204, headers=headers)) as server,
        pytest.raises(UnreadableAnswer, match="without a token"),
    ):
        get(connect(server, **CREDENTIALS))


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_that_comes_with_another_success_is_taken(status, connect):
    with ScriptedServer(ScriptedResponse(status, headers={"X-Auth-Token": "one"}), FOUND) as server:
        get(connect(server, **CREDENTIALS))

        assert tokens_sent(server) == ["one"]


def test_a_token_is_renewed_an_hour_before_it_ends(connect, clock):
    with ScriptedServer(token("one"), FOUND, FOUND, token("two"), FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S - 1
        get(transport)
        clock.now += 1
        get(transport)

        assert tokens_sent(server) == ["one", "one", "two"]
        assert transport.tokens.expires_at == clock.now + TOKEN_LIFETIME_S


def test_an_early_renewal_that_fails_leaves_the_old_token_in_use_for_a_while(connect, clock):
    with ScriptedServer(token("one"), FOUND, *[ScriptedResponse(500)] * 5, FOUND, FOUND, token("two"), FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S
        get(transport)
        get(transport)
        clock.now += FAILED_RENEWAL_PAUSE_S
        get(transport)

        assert tokens_sent(server) == ["one", "one", "one", "two"]


def test_a_renewal_that_fails_when_the_token_is_over_is_an_error(connect, clock):
    with ScriptedServer(token("one"), FOUND, *[ScriptedResponse(500)] * 5) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += TOKEN_LIFETIME_S

        with pytest.raises(ServerError, match="POST /auth"):
            get(transport)


def test_credentials_that_are_refused_at_an_early_renewal_are_an_error(connect, clock):
    with ScriptedServer(token("one"), FOUND, ScriptedResponse(401)) as server:
        transport = connect(server, **CREDENTIALS)
        get(transport)
        clock.now += RENEWED_AFTER_S

        with pytest.raises(AuthenticationError):
            get(transport)


# ---- many threads ----------------------------------------------------------------------------------------------------

THREADS = 12


def in_threads(work, count=THREADS):
    """Run something in many threads that begin together; give what each returned or raised."""
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
    """Wait until something is so; a test that hangs here has failed."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to that")


def waiting_for(tokens):
    """Count the threads that wait for a renewal that is under way."""
    renewal = tokens._renewal
    return len(renewal.ended._cond._waiters) if renewal else 0


def test_the_first_token_is_got_once_for_all_threads(connect):
    with ScriptedServer(answer=lambda got: token("one") if got.target == "/auth" else FOUND) as server:
        transport = connect(server, **CREDENTIALS)
        in_threads(lambda: get(transport))

        assert asked_for_tokens(server) == 1
        assert tokens_sent(server) == ["one"] * THREADS


def test_of_many_threads_that_are_refused_at_once_one_authenticates(connect):
    together = threading.Barrier(THREADS)

    def answer(received):
        if received.target == "/auth":
            return token("new")
        if received.headers["x-auth-token"] == "old":
            together.wait(20)  # all are refused before the first can renew
            return REFUSED
        return ISSUED

    with ScriptedServer(answer=answer) as server:
        transport = connect(server, token="old", **CREDENTIALS)
        replies = in_threads(lambda: issue(transport))

        assert asked_for_tokens(server) == 1
        assert [reply.status for reply in replies] == [201] * THREADS
        assert sorted(tokens_sent(server)) == ["new"] * THREADS + ["old"] * THREADS


def test_a_renewal_that_fails_fails_for_all_who_waited_and_is_not_repeated_by_each(connect):
    def answer(_received):
        until(lambda: waiting_for(tokens) == THREADS - 1)
        return ScriptedResponse(401, {"error": "Invalid credentials"})

    with ScriptedServer(answer=answer) as server:
        tokens = connect(server, **CREDENTIALS).tokens
        errors = in_threads(lambda: tokens.renew(0))

        assert asked_for_tokens(server) == 1
        assert [type(error) for error in errors] == [AuthenticationError] * THREADS
        assert len({id(error) for error in errors}) == THREADS


def test_a_thread_that_comes_late_with_an_old_generation_gets_the_new_token(connect):
    with ScriptedServer(token("one"), token("two")) as server:
        tokens = connect(server, **CREDENTIALS).tokens
        _, old = tokens.current()
        newer = tokens.renew(old)

        assert tokens.renew(old) == newer
        assert newer[0].reveal() == "two"


def test_when_the_renewing_thread_is_interrupted_another_takes_over(connect, clock):
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


def test_threads_do_not_mix_up_answers(connect):
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
