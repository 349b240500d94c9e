"""Read one column of a response: values, missing values, and the text of the warning."""

from __future__ import annotations

import numpy as np
import pytest

from sparkfly_nb.errors import InvalidInput
from sparkfly_nb.frames.output_columns import (
    NOT_A_TIME,
    OUT_OF_RANGE,
    UNREADABLE,
    UnreadValues,
    fractions_of,
    integers_of,
    json_text,
    parse_times,
    texts_of,
    times_of,
)
from sparkfly_nb.schema import TIME

LONG = "x" * 200


def described(*values, reason="not text"):
    unread = UnreadValues()
    for value in values:
        unread.add(value, reason)
    return unread.describe("status", "list_offer_states")


def test_unread_values_are_described_in_one_sentence():
    start = "list_offer_states: 2 values of status could not be read and became missing: "

    assert described(7, 1.5) == start + "7 is not text; 1.5 is not text"
    assert described({"a": 1}, [1]) == start + "an object is not text; a list is not text"
    assert described(*range(1500)).startswith("list_offer_states: 1,500 values of status could")
    assert (
        described(True) == "list_offer_states: 1 value of status could not be read and became missing: True is not text"
    )


def test_description_shows_three_distinct_examples():
    assert described(1, 1, 2, 3, 4).endswith("missing: 1 is not text; 2 is not text; 3 is not text")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("y" * 58, f"'{'y' * 58}'"),
        ("y" * 59, f"'{'y' * 56}..."),
        (LONG, f"'{'x' * 56}..."),
        (10**59, "1" + "0" * 59),
        (10**60, "1" + "0" * 56 + "..."),
        ("ü", r"'\xfc'"),
    ],
)
def test_example_is_short_and_ascii(value, shown):
    assert described(value).endswith(f"missing: {shown} is not text")


def test_long_text_is_truncated_before_repr():
    class Counted(str):
        longest = 0

        def __getitem__(self, part):
            return Counted(super().__getitem__(part))

        def __repr__(self):
            Counted.longest = max(Counted.longest, len(self))
            return super().__repr__()

    described(Counted("x" * 10**6))

    assert Counted.longest == 60


def test_joined_counts_add_up_and_share_three_examples():
    first, second = UnreadValues(), UnreadValues()
    first.add("a", "odd", times=5)
    first.add("b", "odd")
    for value in ("b", "c", "d"):
        second.add(value, "odd")

    first.join(second)

    assert first.count == 9
    assert list(first.examples) == ["'a'", "'b'", "'c'"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}'),
        ({"a": ["\ud800", 1]}, r'{"a":["\ud800",1]}'),
        ([2**70, 1], f"[{2**70},1]"),
    ],
)
def test_lists_and_objects_are_written_as_compact_json(value, text):
    assert json_text(value) == text


def test_value_that_json_cannot_represent_is_named_by_type():
    with pytest.raises(InvalidInput, match=r"^set cannot be written as JSON$"):
        json_text({1})


def test_numbers_flags_and_digits_are_read_as_integers():
    unread = UnreadValues()
    values, missing = integers_of("offer_value_required", [True, "48.0", 1.5, None, False], unread)

    assert values.tolist() == [1, 48, 0, 0, 0]
    assert missing.tolist() == [False, False, True, True, False]
    assert unread.count == 1


def test_texts_are_unchanged_and_numbers_become_digits():
    unread = UnreadValues()

    assert texts_of(["", " a ", 7, None, False], unread) == ["", " a ", "7", None, None]
    assert list(unread.examples.items()) == [("False", "not text")]


def test_fractions_accept_only_floats():
    unread = UnreadValues()
    values, missing = fractions_of("new", [0.5, None, "0.5", 1, -2.0], unread)

    assert values.dtype == np.float64
    assert np.isnan(values).tolist() == missing.tolist() == [False, True, True, True, False]
    assert values[[0, 4]].tolist() == [0.5, -2.0]
    assert unread.describe("new", "test").endswith("missing: '0.5' is not a number; 1 is not a number")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1677-09-21T00:12:44Z", "outside the years 1677 to 2262, the range of a DataFrame's times"),
        ("1677-01-01T00:00:00Z", "outside the years 1677 to 2262, the range of a DataFrame's times"),
        ("2262-04-11T23:47:16Z", "outside the years 1677 to 2262, the range of a DataFrame's times"),
        ("2262-12-31T00:00:00Z", "outside the years 1677 to 2262, the range of a DataFrame's times"),
        ("2262-13-31T00:00:00Z", "outside the years 1677 to 2262, the range of a DataFrame's times"),
        ("2261-13-31T00:00:00Z", "not a time with an offset, for example 2026-12-31T23:59:59Z"),
        ("1678-13-31T00:00:00Z", "not a time with an offset, for example 2026-12-31T23:59:59Z"),
        ("1500", "not a time with an offset, for example 2026-12-31T23:59:59Z"),
    ],
)
def test_time_out_of_range_has_other_reason_than_invalid_time(text, reason):
    assert parse_times({text, "2026-01-01T00:00:00Z"}) == (
        {"2026-01-01T00:00:00Z": 1_767_225_600 * 10**9},
        {text: reason},
    )


def test_times_that_are_all_out_of_range_are_reported():
    texts = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]

    assert parse_times(texts) == ({}, dict.fromkeys(texts, OUT_OF_RANGE))


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1677-09-21T00:12:45Z", -9_223_372_035 * 10**9), ("2262-04-11T23:47:15Z", 9_223_372_035 * 10**9)],
)
def test_first_and_last_second_in_range_are_read(text, nanoseconds):
    assert parse_times({text}) == ({text: nanoseconds}, {})


def test_invalid_time_is_shown_as_received():
    unread = UnreadValues()
    (times,) = times_of(["soon", None, [1], 7], {None: NOT_A_TIME}, {"soon": "odd"}, unread)

    assert times.tolist() == [NOT_A_TIME] * 4
    assert unread.examples == {"'soon'": "odd", "a list": UNREADABLE[TIME], "7": UNREADABLE[TIME]}
