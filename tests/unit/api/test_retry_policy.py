"""Delays between attempts grow, vary, have a limit, and are never shorter than `Retry-After`."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.api.retry_policy import RETRY_AFTER_CAP_S, RetryPolicy, parse_retry_after
from sparkfly_nb.errors import ConfigurationError

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("86400", RETRY_AFTER_CAP_S),
        ("9" * 20, RETRY_AFTER_CAP_S),
        (formatdate(NOW + 12, usegmt=True), 12.0),
        (formatdate(NOW - 12, usegmt=True), 0.0),
        (formatdate(NOW + 86400, usegmt=True), RETRY_AFTER_CAP_S),
        (format_datetime(dt.datetime.fromtimestamp(NOW + 9, dt.timezone(dt.timedelta(hours=2)))), 9.0),
        (formatdate(NOW + 12), 12.0),
    ],
)
def test_parse_retry_after_reads_seconds_and_dates(header, seconds):
    assert parse_retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    "header", [None, "", " ", "-5", "soon", "1e3", "inf", "nan", "9" * 400, "Mon, 99 Foo 2026", "٣", "1,2", "\x00"]
)
def test_parse_retry_after_returns_none_for_invalid_headers(header):
    assert parse_retry_after(header, NOW) is None


@given(st.text(max_size=60))
def test_parse_retry_after_accepts_any_text(header):
    delay_s = parse_retry_after(header, NOW)

    assert delay_s is None or 0 <= delay_s <= RETRY_AFTER_CAP_S


@given(attempts=st.integers(1, 4), chance=st.floats(0, 1))
def test_delay_is_between_half_and_all_of_the_doubled_base(attempts, chance):
    delay_s = RetryPolicy(attempts=5, base_delay=1, max_delay=100).backoff_s(attempts, chance=chance)

    assert 2 ** (attempts - 1) / 2 <= delay_s <= 2 ** (attempts - 1)


def test_delay_stops_growing_at_max_delay():
    assert RetryPolicy(attempts=2000, max_delay=3).backoff_s(1500, chance=1) == 3


@given(retry_after_s=st.floats(0, 60), chance=st.floats(0, 1))
def test_delay_is_never_shorter_than_retry_after(retry_after_s, chance):
    assert RetryPolicy().backoff_s(1, retry_after_s, chance=chance) >= retry_after_s


def test_jitter_on_retry_after_is_at_most_max_delay():
    assert RetryPolicy(base_delay=100, max_delay=1).backoff_s(1, 7, chance=1) == 8


def test_no_attempt_is_allowed_after_the_last_one():
    policy = RetryPolicy(attempts=3)

    assert policy.allows(2, 0)
    assert not policy.allows(3, 0)


def test_no_attempt_is_allowed_beyond_total_time():
    policy = RetryPolicy(total_time=10)

    assert policy.allows(1, 10)
    assert not policy.allows(1, 10.5)


def test_delays_are_random():
    assert len({RetryPolicy().backoff_s(3) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    "values",
    [
        {"attempts": 0}, {"attempts": True}, {"attempts": 2.0}, {"base_delay": -1}, {"max_delay": 86_401},
        {"total_time": 10**400}, {"total_time": float("nan")}, {"base_delay": "1"}, {"base_delay": False},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(values):
    with pytest.raises(ConfigurationError, match=f"retry: {next(iter(values))} is"):
        RetryPolicy(**values)
