"""What follows each attempt of a request, for reads, voids and changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.api.attempts import Action, Attempts, Step
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy

READ, VOID, CHANGE = (ENDPOINTS[name] for name in ("get_offer_state", "void_offer_state", "issue_offer"))
#: With chance = 1, the delays are 2, 4, 8, 10 and 10 seconds.
POLICY = RetryPolicy(attempts=6, base_delay=2, max_delay=10, total_time=100)

DONE, ALREADY, REFUSED = Step(Action.DONE), Step(Action.ALREADY), Step(Action.REFUSED)
AUTHENTICATE, UNKNOWN = Step(Action.AUTHENTICATE), Step(Action.UNKNOWN)
RESEND = Step(Action.RESEND, 2.0)


def slow_down(delay_s):
    return Step(Action.RESEND, delay_s, slow_down=True)


class Clock:
    """A clock that the test advances."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(clock):
    """Return a function that begins a request, with the longest delay of the jitter unless `chance` is set."""
    return lambda endpoint, policy=POLICY, chance=1.0: Attempts(endpoint, policy, now=clock, chance=lambda: chance)


# ---- the first attempt -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retry_after_s", "read", "void", "change"),
    [
        (200, None, DONE, DONE, DONE),
        (201, None, DONE, DONE, DONE),
        (204, None, REFUSED, DONE, UNKNOWN),
        (401, None, AUTHENTICATE, AUTHENTICATE, AUTHENTICATE),
        (404, None, REFUSED, REFUSED, REFUSED),
        (422, None, REFUSED, ALREADY, REFUSED),
        (302, None, REFUSED, RESEND, UNKNOWN),
        (408, None, RESEND, RESEND, UNKNOWN),
        (500, None, RESEND, RESEND, UNKNOWN),
        (524, None, REFUSED, RESEND, UNKNOWN),
        # A 503 without Retry-After slows other requests down only if it is the response to a change.
        (503, None, RESEND, RESEND, Step(Action.UNKNOWN, 2.0, slow_down=True)),
        # The jitter of a Retry-After adds up to base_delay, and is never subtracted.
        (503, 7.0, slow_down(9.0), slow_down(9.0), slow_down(9.0)),
        (429, 7.0, slow_down(9.0), slow_down(9.0), slow_down(9.0)),
        (429, None, slow_down(2.0), slow_down(2.0), slow_down(2.0)),
        (503, 0.0, slow_down(2.0), slow_down(2.0), slow_down(2.0)),
        (429, 0.0, slow_down(2.0), slow_down(2.0), slow_down(2.0)),
        # Retry-After does not make any other 5xx safe to resend. It only sets the delay.
        (500, 7.0, Step(Action.RESEND, 9.0), Step(Action.RESEND, 9.0), UNKNOWN),
    ],
)
def test_response_returns_the_step_for_its_status(status, retry_after_s, read, void, change, start):
    steps = [start(endpoint).response(status, retry_after_s) for endpoint in (READ, VOID, CHANGE)]

    assert steps == [read, void, change]


@pytest.mark.parametrize(
    ("status", "retry_after_s", "read", "void", "change"),
    [
        (200, None, False, False, False),
        (401, None, False, False, False),
        (404, None, False, False, False),
        (422, None, False, False, False),
        (429, None, False, False, False),
        (503, 1.0, False, False, False),
        (302, None, False, True, True),
        (500, None, True, True, True),
        (503, None, True, True, True),
    ],
)
def test_response_records_whether_the_request_may_have_happened(status, retry_after_s, read, void, change, start):
    recorded = []
    for endpoint in (READ, VOID, CHANGE):
        attempts = start(endpoint)
        attempts.response(status, retry_after_s)
        recorded.append(attempts.may_have_happened)

    assert recorded == [read, void, change]


@pytest.mark.parametrize(
    ("endpoint", "sent", "step", "may_have_happened"),
    [
        (READ, True, RESEND, True),
        (VOID, True, RESEND, True),
        (CHANGE, True, UNKNOWN, True),
        (READ, False, RESEND, False),
        (VOID, False, RESEND, False),
        (CHANGE, False, RESEND, False),
    ],
)
def test_no_response_is_unknown_only_for_a_change_that_was_sent(endpoint, sent, step, may_have_happened, start):
    attempts = start(endpoint)

    assert attempts.no_response(sent=sent) == step
    assert attempts.may_have_happened is may_have_happened


@pytest.mark.parametrize(("endpoint", "step"), [(READ, RESEND), (VOID, RESEND), (CHANGE, UNKNOWN)])
def test_unreadable_success_is_resent_except_for_a_change(endpoint, step, start):
    attempts = start(endpoint)
    assert attempts.response(200, None) == DONE

    assert attempts.unreadable() == step
    assert attempts.may_have_happened
    assert attempts.count == 1, "the response was counted already"


# ---- later attempts --------------------------------------------------------------------------------------------------


def test_every_attempt_is_counted_once(start):
    attempts = start(READ)
    attempts.response(500, None)
    attempts.no_response(sent=True)
    attempts.no_response(sent=False)
    attempts.response(200, None)

    assert attempts.count == 4


def test_may_have_happened_is_not_cleared_by_later_attempts(start):
    attempts = start(VOID)
    attempts.no_response(sent=True)
    attempts.response(429, None)
    attempts.no_response(sent=False)
    attempts.response(401, None)

    assert attempts.may_have_happened


def test_change_that_was_only_delayed_is_unknown_after_a_lost_response(start):
    attempts = start(CHANGE)

    assert attempts.response(429, 3.0).action is Action.RESEND
    assert attempts.no_response(sent=True) == UNKNOWN


def test_delays_double_up_to_max_delay_and_then_the_request_is_given_up(start):
    attempts = start(READ)

    steps = [attempts.response(500, None) for _ in range(POLICY.attempts)]

    assert steps == [*(Step(Action.RESEND, delay_s) for delay_s in (2.0, 4.0, 8.0, 10.0, 10.0)), Step(Action.GIVE_UP)]


@pytest.mark.parametrize(
    ("chance", "delay_s", "retry_after_delay_s"), [(0.0, 1.0, 7.0), (0.5, 1.5, 8.0), (1.0, 2.0, 9.0)]
)
def test_chance_spreads_the_delays(chance, delay_s, retry_after_delay_s, start):
    assert start(READ, chance=chance).response(500, None).delay_s == delay_s
    assert start(READ, chance=chance).response(429, 7.0).delay_s == retry_after_delay_s


def test_chance_is_drawn_for_each_delay(clock):
    drawn = iter([0.0, 1.0])
    attempts = Attempts(READ, POLICY, now=clock, chance=lambda: next(drawn))

    assert [attempts.response(500, None).delay_s for _ in range(2)] == [1.0, 4.0]


def test_delay_of_zero_seconds_is_not_a_reason_to_give_up(start):
    attempts = start(READ, RetryPolicy(base_delay=0))

    assert attempts.response(500, None) == Step(Action.RESEND, 0.0)
    assert attempts.response(429, 0.0) == Step(Action.RESEND, 0.0, slow_down=True)


@pytest.mark.parametrize(("elapsed_s", "action"), [(0, Action.RESEND), (98, Action.RESEND), (98.5, Action.GIVE_UP)])
def test_total_time_counts_from_the_start_of_the_request(elapsed_s, action, start, clock):
    attempts = start(READ)
    clock.now_s += elapsed_s

    assert attempts.response(500, None).action is action


# ---- giving up -------------------------------------------------------------------------------------------------------

ONCE = RetryPolicy(attempts=1)


@pytest.mark.parametrize("endpoint", [READ, VOID, CHANGE], ids=["read", "void", "change"])
@pytest.mark.parametrize(
    ("status", "retry_after_s", "step"),
    [
        # The delay still concerns the requests of other rows, however few attempts this one has.
        (429, 7.0, Step(Action.GIVE_UP, 7.5, slow_down=True)),
        (503, 7.0, Step(Action.GIVE_UP, 7.5, slow_down=True)),
        (429, None, Step(Action.GIVE_UP, 0.5, slow_down=True)),
    ],
)
def test_give_up_after_slow_down_keeps_the_delay(endpoint, status, retry_after_s, step, start):
    attempts = start(endpoint, ONCE)

    assert attempts.response(status, retry_after_s) == step
    assert not attempts.may_have_happened


@pytest.mark.parametrize("endpoint", [READ, VOID], ids=["read", "void"])
@pytest.mark.parametrize("failure", ["status", "lost", "unreadable"])
def test_give_up_after_a_possibly_processed_request_says_so(endpoint, failure, start):
    attempts = start(endpoint, ONCE)

    if failure == "status":
        step = attempts.response(500, None)
    elif failure == "lost":
        step = attempts.no_response(sent=True)
    else:
        attempts.response(200, None)
        step = attempts.unreadable()

    assert step == Step(Action.GIVE_UP)
    assert attempts.may_have_happened


def test_give_up_without_a_sent_request_means_that_nothing_happened(start):
    attempts = start(CHANGE, ONCE)

    assert attempts.no_response(sent=False) == Step(Action.GIVE_UP)
    assert not attempts.may_have_happened


@pytest.mark.parametrize("status", [500, 503, 504])
def test_change_that_may_have_happened_is_unknown_even_without_attempts_left(status, start):
    step = start(CHANGE, ONCE).response(status, None)

    assert step == Step(Action.UNKNOWN, 0.5 if status == 503 else 0.0, slow_down=status == 503)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 403, 404, 409])
@pytest.mark.parametrize(("endpoint", "step"), [(READ, REFUSED), (VOID, UNKNOWN)], ids=["read", "void"])
def test_refusal_after_a_possibly_processed_attempt_proves_nothing(endpoint, step, status, start):
    attempts = start(endpoint)
    attempts.no_response(sent=True)

    assert attempts.response(status, None) == step


def test_refusal_after_attempts_that_were_not_processed_is_a_refusal(start):
    attempts = start(VOID)
    attempts.no_response(sent=False)
    attempts.response(429, None)

    assert attempts.response(404, None) == REFUSED


# ---- any sequence ----------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([200, 202, 204, 302, 401, 404, 408, 422, 429, 500, 503, 999]), st.none() | st.floats(0, 60)
    )
    | st.booleans(),
    min_size=1,
    max_size=8,
)


@given(events=EVENTS, sizes=st.sampled_from([(1, 120), (5, 120), (5, 0)]))
def test_change_is_never_resent_once_it_may_have_happened(events, sizes):
    attempts = Attempts(
        CHANGE, RetryPolicy(attempts=sizes[0], total_time=sizes[1]), now=lambda: 0.0, chance=lambda: 1.0
    )
    for event in events:
        step = attempts.response(*event) if isinstance(event, tuple) else attempts.no_response(sent=event)
        if attempts.may_have_happened:
            assert step.action is Action.UNKNOWN
            return
        assert step.action is not Action.UNKNOWN
        if step.action not in (Action.RESEND, Action.AUTHENTICATE):
            return
