"""Between rounds, the engine waits as its policy says, and gives up when nothing moves."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.engine.executor import IDLE_ROUNDS, Backoff
from sparkfly_nb.errors import RequestFailed


def rounds(policy, number, **changes):
    """Return the pauses after rounds in which no row moved."""
    pauses = []
    backoff = Backoff(SimpleNamespace(policy=policy, sleep=pauses.append))
    end = {"moved": False, "generation": 1, "unauthenticated": False, "hindrance": "429", "pause_s": 0.0, **changes}
    for _ in range(number):
        backoff.after_round(**end)
    return pauses


def test_pauses_double_up_to_max_delay():
    assert rounds(RetryPolicy(base_delay=1, max_delay=5), 4) == [2, 4, 5, 5]


def test_pause_that_the_service_asked_for_is_kept():
    assert rounds(RetryPolicy(base_delay=1, max_delay=5), 1, pause_s=30.0) == [30.0]


def test_rounds_that_move_rows_do_not_add_a_pause():
    assert rounds(RetryPolicy(), 2 * IDLE_ROUNDS, moved=True) == [0.0] * 2 * IDLE_ROUNDS


def test_run_ends_after_several_rounds_without_movement():
    with pytest.raises(RequestFailed, match="no request gets through to the service: 429"):
        rounds(RetryPolicy(base_delay=0), IDLE_ROUNDS)
