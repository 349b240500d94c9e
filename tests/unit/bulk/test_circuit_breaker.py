"""The circuit breaker trips if too many of the recent rows failed."""

from __future__ import annotations

import pytest

from sparkfly_nb.bulk.circuit_breaker import MIN_ROWS, RECENT_ROWS, CircuitBreaker
from sparkfly_nb.bulk.records import Outcome

DONE = Outcome(0, "issued")
FAILED = Outcome(0, "rejected", error="no")


def count(breaker, *groups):
    """Count groups of (outcome, number) one after the other, and return the last answer."""
    return [breaker.count([outcome] * number) for outcome, number in groups][-1]


def test_few_failed_rows_never_trip():
    assert count(CircuitBreaker("issued", 0.0), (FAILED, MIN_ROWS - 1)) is None


@pytest.mark.parametrize(("failed", "trips"), [(25, False), (26, True)])
def test_more_than_the_allowed_share_trips(failed, trips):
    reason = count(CircuitBreaker("issued", 0.5), (DONE, MIN_ROWS - failed), (FAILED, failed))

    assert (reason is not None) == trips
    if trips:
        assert reason == f"{failed} of {MIN_ROWS} rows failed; the last one: no"


def test_done_rows_do_not_trip_after_earlier_failures():
    breaker = CircuitBreaker("issued", 0.5)
    breaker.count([FAILED] * (MIN_ROWS - 1))

    assert breaker.count([DONE]) is None


def test_a_share_of_one_never_trips():
    assert count(CircuitBreaker("issued", 1.0), (FAILED, 10 * RECENT_ROWS)) is None


def test_old_successes_do_not_hide_that_all_recent_rows_fail():
    breaker = CircuitBreaker("issued", 0.5)
    for _ in range(200):
        breaker.count([DONE] * MIN_ROWS)

    reasons = [breaker.count([FAILED] * MIN_ROWS) for _ in range(RECENT_ROWS // MIN_ROWS)]
    assert reasons[-1] is not None
