"""One column of an answer, cell by cell: what is read, what is missing, and how that is said."""

from __future__ import annotations

import numpy as np
import pytest

from sparkfly_nb.cells import Unread, fractions_of, integers_of, json_text, texts_of
from sparkfly_nb.errors import InvalidInput

LONG = "x" * 200


def told(*values, reason="not text"):
    unread = Unread()
    for value in values:
        unread.add(value, reason)
    return unread.describe("status", "list_offer_states")


def test_what_could_not_be_read_is_counted_and_shown_in_one_sentence():
    start = "list_offer_states: 2 values of status could not be read and became missing: "

    assert told(7, 1.5) == start + "7 is not text; 1.5 is not text"
    assert told({"a": 1}, [1]) == start + "an object is not text; a list is not text"
    assert told(*range(1500)).startswith("list_offer_states: 1,500 values of status could")
    assert told(True) == "list_offer_states: 1 value of status could not be read and became missing: True is not text"


def test_three_examples_are_shown_and_equal_ones_once():
    assert told(1, 1, 2, 3, 4).endswith("missing: 1 is not text; 2 is not text; 3 is not text")


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
def test_an_example_is_short_and_plain(value, shown):
    assert told(value).endswith(f"missing: {shown} is not text")


def test_a_long_text_is_cut_before_it_is_shown():
    class Counted(str):
        longest = 0

        def __getitem__(self, part):
            return Counted(super().__getitem__(part))

        def __repr__(self):
            Counted.longest = max(Counted.longest, len(self))
            return super().__repr__()

    told(Counted("x" * 10**6))

    assert Counted.longest == 60


def test_parts_of_a_column_add_up_and_show_three_examples_together():
    first, second = Unread(), Unread()
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
def test_lists_and_objects_are_written_compactly_whatever_they_hold(value, text):
    assert json_text(value) == text


def test_what_is_no_json_is_named_by_its_kind():
    with pytest.raises(InvalidInput, match=r"^set cannot be written as JSON$"):
        json_text({1})


def test_numbers_as_text_are_read_beside_flags():
    unread = Unread()
    values, missing = integers_of("offer_value_required", [True, "48.0", 1.5, None, False], unread)

    assert values.tolist() == [1, 48, 0, 0, 0]
    assert missing.tolist() == [False, False, True, True, False]
    assert unread.count == 1


def test_texts_are_kept_as_they_are_beside_numbers():
    unread = Unread()
    (texts,) = texts_of("status", ["", " a ", 7, None, False], unread)

    assert texts.tolist() == ["", " a ", "7", None, None]
    assert list(unread.examples.items()) == [("False", "not text")]


def test_fractions_are_floats_and_nothing_else():
    unread = Unread()
    values, missing = fractions_of("new", [0.5, None, "0.5", 1, -2.0], unread)

    assert values.dtype == np.float64
    assert np.isnan(values).tolist() == missing.tolist() == [False, True, True, True, False]
    assert values[[0, 4]].tolist() == [0.5, -2.0]
    assert unread.describe("new", "test").endswith("missing: '0.5' is not a number; 1 is not a number")
