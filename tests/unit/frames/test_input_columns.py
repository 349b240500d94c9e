# ruff: noqa: PD011 - values is a field of ReadColumn
"""Read columns of a user's frame of any dtype, with problem and fix for each bad cell."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.errors import InvalidInput
from sparkfly_nb.frames.input_columns import read_flags, read_integers, read_texts, read_times
from sparkfly_nb.frames.scalars import as_flag, as_integer, as_text, as_time, is_missing

BERLIN = ZoneInfo("Europe/Berlin")
INDEX = ["c", "a", "b"]
UTC = "datetime64[ns, UTC]"


def messages(column):
    """Return the message for each bad cell, by position."""
    return {problem.position: f"{problem.problem}; {problem.fix}" for problem in column.problems}


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1009, 2, 3], index=INDEX),
        pd.Series([1009, 2, 3], index=INDEX, dtype="int32"),
        pd.Series([1009, 2, 3], index=INDEX, dtype="uint64"),
        pd.Series([1009, 2, 3], index=INDEX, dtype="Int64"),
        pd.Series([1009.0, 2.0, 3.0], index=INDEX),
        pd.Series([1009, 2, 3], index=INDEX, dtype="Float64"),
        pd.Series([1009, 2, 3], index=INDEX, dtype="float32"),
        pd.Series(["1009", "2", "3"], index=INDEX),
        pd.Series(["1009", " 2 ", "3.0"], index=INDEX, dtype=object),
        pd.Series([1009, "2", 3.0], index=INDEX, dtype=object),
        pd.Series([1009, np.int64(2), np.float64(3)], index=INDEX, dtype=object),
        pd.Series([1009, 2, 3], index=INDEX).astype("category"),
        pd.Series(["1009", "2", "3"], index=INDEX).astype("category"),
        pd.Series([1009, 2, 3], index=INDEX, dtype=pd.SparseDtype("int64", 0)),
    ],
    ids=lambda series: str(series.dtype),
)
def test_whole_numbers_of_any_dtype_become_int64_with_same_index(series):
    values, problems = read_integers(series.rename("member_id"))

    pd.testing.assert_series_equal(values, pd.Series([1009, 2, 3], index=INDEX, dtype="Int64", name="member_id"))
    assert problems == []


@pytest.mark.parametrize("dtype", ["int64", "uint32", "double", "string"])
def test_arrow_columns_are_read(dtype):
    arrow = pytest.importorskip("pyarrow")
    kinds = {"int64": arrow.int64(), "uint32": arrow.uint32(), "double": arrow.float64(), "string": arrow.string()}
    series = pd.Series([1009, None], dtype="Int64").astype(str if dtype == "string" else "Int64")
    series[1] = None
    values, problems = read_integers(series.astype(pd.ArrowDtype(kinds[dtype])))

    assert values.tolist() == [1009, pd.NA]
    assert problems == []


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, np.nan]),
        pd.Series(["1", None], dtype=object),
        pd.Series([1, pd.NaT], dtype=object),
        pd.Series([1, pd.NA], dtype=object),
        pd.Series([1, None]).astype("category"),
    ],
    ids=lambda series: str(series.dtype),
)
def test_missing_cells_are_no_problem(series):
    values, problems = read_integers(series)

    assert values.isna().tolist() == [False, True]
    assert problems == []


def test_database_decimals_are_read_and_decimal_nan_is_missing():
    values, problems = read_integers(pd.Series([Decimal(1009), Decimal("7.00"), Decimal("NaN"), None], dtype=object))

    assert values.tolist() == [1009, 7, pd.NA, pd.NA]
    assert problems == []


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (pd.Series([1.0, 1009.5]), "1009.5 is not a whole number"),
        (pd.Series([1.0, np.inf]), "inf is not a whole number"),
        (pd.Series([1.0, 2.0**53]), "too large to be exact; read the column as Int64 or text"),
        (pd.Series([1.0, 2.0**24], dtype="float32"), "too large to be exact; read the column as Int64 or text"),
        (pd.Series([1, 2**64 - 1], dtype="uint64"), "does not fit in 64 bits"),
        (pd.Series([1, True], dtype=object), "True is a flag, not a whole number; enter the number"),
        (pd.Series([1, 2**63], dtype=object), "does not fit in 64 bits"),
        (pd.Series(["1", "12a"]), "'12a' is not a whole number; use digits only"),
        (pd.Series(["1", ""]), "'' is not a whole number"),
        (pd.Series(["1", "١٢"]), "is not a whole number"),
        (pd.Series([1, Decimal("2.5")], dtype=object), "is not a whole number"),
        (pd.Series([1, [2]], dtype=object), "is not a whole number"),
    ],
    ids=repr,
)
def test_bad_whole_number_is_reported_and_missing(series, words):
    column = read_integers(series)

    assert list(messages(column)) == [1]
    assert words in messages(column)[1]
    assert column.values.tolist() == [1, pd.NA]


def test_column_of_flags_is_rejected_as_ids():
    assert list(messages(read_integers(pd.Series([True, None, False], dtype="boolean")))) == [0, 2]


def test_texts_are_kept_and_whole_numbers_become_digits():
    values, problems = read_texts(pd.Series(["ä", None, 1009, 7.0, "a b"], dtype=object, index=list("vwxyz")))

    assert values.dtype == "string"
    assert values.tolist() == ["ä", pd.NA, "1009", "7", "a b"]
    assert list(values.index) == list("vwxyz")
    assert problems == []


@pytest.mark.parametrize("dtype", ["int64", "float64", "Int64"])
def test_identifiers_that_pandas_read_as_numbers_become_text(dtype):
    assert read_texts(pd.Series([1009, 7], dtype=dtype)).values.tolist() == ["1009", "7"]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "the text is empty"),
        ("  ", "the text is empty"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("\ud800", "unpaired surrogate"),
        (1.5, "1.5 is not a whole number"),
        (True, "True is not text"),
        (["a"], "is not text"),
        (pd.Timestamp("2024-01-01"), "is not text"),
    ],
)
def test_bad_text_is_reported_and_missing(cell, words):
    column = read_texts(pd.Series(["fine", cell], dtype=object))

    assert words in messages(column)[1]
    assert column.values.tolist() == ["fine", pd.NA]


def test_flags_are_read_and_other_values_are_reported():
    column = read_flags(pd.Series([True, np.False_, None, 1, "true"], dtype=object))

    assert column.values.dtype == "boolean"
    assert column.values.tolist() == [True, False, pd.NA, pd.NA, pd.NA]
    assert messages(column) == {3: "1 is not a flag; use True or False", 4: "'true' is not a flag; use True or False"}


@pytest.mark.parametrize("dtype", ["bool", "boolean"])
def test_flag_columns_are_read(dtype):
    assert read_flags(pd.Series([True, False], dtype=dtype)).values.tolist() == [True, False]


def test_times_of_different_types_and_zones_can_be_mixed():
    cells = [
        "2024-01-01T12:00:00Z",
        "2024-01-01T14:00:00.000000001+02:00",
        dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc),
        dt.datetime(2024, 1, 1, 13, tzinfo=BERLIN),
        pd.Timestamp("2024-01-01T21:00", tz="Asia/Tokyo"),
        None,
        pd.NaT,
    ]

    values, problems = read_times(pd.Series(cells, dtype=object))

    noon = pd.Timestamp("2024-01-01T12:00Z")
    assert values.dtype == UTC
    assert values.tolist() == [noon, noon + pd.Timedelta(1), noon, noon, noon, pd.NaT, pd.NaT]
    assert problems == []


NAIVE = [
    "2024-07-01T12:00:00", "2024-07-01 12:00", "2024-07-01", "20240701T1200", dt.datetime(2024, 7, 1, 12),
    dt.date(2024, 7, 1), np.datetime64("2024-07-01T12:00"), pd.Timestamp("2024-07-01T12:00"),
]  # fmt: skip


@pytest.mark.parametrize("cell", NAIVE, ids=repr)
def test_time_without_offset_is_rejected_without_zone(cell):
    column = read_times(pd.Series([cell], dtype=object))

    assert "has no time zone; add an offset" in messages(column)[0]
    assert column.values.isna().all()


@pytest.mark.parametrize("cell", NAIVE, ids=repr)
def test_time_without_offset_is_read_in_given_zone(cell):
    values, problems = read_times(pd.Series([cell], dtype=object), tz=BERLIN)

    assert values[0] in (pd.Timestamp("2024-07-01T10:00Z"), pd.Timestamp("2024-06-30T22:00Z"))
    assert problems == []


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_datetime_columns_are_read_with_and_without_zone(unit):
    naive = pd.Series(["2024-07-01T12:00:00", None]).astype(f"datetime64[{unit}]")

    of_berlin = read_times(naive, tz=BERLIN)
    aware = read_times(naive.dt.tz_localize("Asia/Tokyo"))
    rejected = read_times(naive)

    assert of_berlin.values.tolist() == [pd.Timestamp("2024-07-01T10:00Z"), pd.NaT]
    assert aware.values.tolist() == [pd.Timestamp("2024-07-01T03:00Z"), pd.NaT]
    assert {str(of_berlin.values.dtype), str(aware.values.dtype), str(rejected.values.dtype)} == {UTC}
    assert list(messages(rejected)) == [0]


@pytest.mark.parametrize("local", ["2024-10-27T02:30:00", "2024-03-31T02:30:00"], ids=["twice", "skipped"])
@pytest.mark.parametrize("as_texts", [True, False])
def test_skipped_or_repeated_hour_is_reported(local, as_texts):
    series = pd.Series([local, "2024-01-01T00:00:00"])

    column = read_times(series if as_texts else series.astype("datetime64[ns]"), tz=BERLIN)

    assert list(messages(column)) == [0]
    assert "does not exist or occurs twice in Europe/Berlin" in messages(column)[0]
    assert column.values[1] == pd.Timestamp("2023-12-31T23:00Z")


def test_repeated_hour_with_fold_gives_two_times():
    first = dt.datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN)
    column = read_times(pd.Series([first, first.replace(fold=1)], dtype=object))
    assert column.values.tolist() == [pd.Timestamp("2027-10-31T00:30Z"), pd.Timestamp("2027-10-31T01:30Z")]


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("9999-12-31T23:59:59Z", "outside the years 1677 to 2262"),
        ("9999-12-31", "outside the years 1677 to 2262"),
        (dt.datetime(9999, 12, 31, tzinfo=dt.timezone.utc), "outside the years|Out of bounds|out of bounds"),
        ("31.12.2026", "is not ISO 8601"),
        ("2026-02-30T00:00:00Z", "is not a time"),
        ("x; y", "'x; y' is not ISO 8601; write it as"),
        (20261231, "20261231 is not a time; use ISO 8601"),
        (True, "True is not a time"),
        (dt.time(12), "is not a time"),
    ],
)
def test_bad_time_is_reported_and_missing(cell, words):
    column = read_times(pd.Series([cell, "2024-01-01T00:00:00Z"], dtype=object), tz=BERLIN)

    assert list(messages(column)) == [0]
    assert any(word in messages(column)[0] for word in words.split("|"))
    assert "You might want" not in messages(column)[0]
    assert column.values.isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("read", "dtype"), [(read_integers, "Int64"), (read_texts, "string"), (read_flags, "boolean"), (read_times, UTC)]
)
def test_empty_column_is_read_as_empty_column(read, dtype):
    values, problems = read(pd.Series([], dtype=object))

    assert values.dtype == dtype
    assert (len(values), problems) == (0, [])


CELLS = (
    st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.floats() | st.text(max_size=6) | st.datetimes()
    | st.datetimes(timezones=st.just(dt.timezone.utc)) | st.dates() | st.integers(0, 2**70).map(str)
    | st.datetimes().map(dt.datetime.isoformat) | st.datetimes().map(lambda time: time.isoformat() + "+01:00")
)  # fmt: skip


@pytest.mark.parametrize(
    ("read", "read_one"),
    [(read_integers, as_integer), (read_texts, as_text), (read_flags, as_flag), (read_times, as_time)],
)
@given(st.lists(CELLS, max_size=8))
def test_column_reads_each_cell_like_single_value(read, read_one, cells):
    values, problems = read(pd.Series(cells, dtype=object))

    bad = {problem.position for problem in problems}
    for position, (cell, value) in enumerate(zip(cells, values, strict=True)):
        if is_missing(cell):
            assert position not in bad
            continue
        try:
            single = read_one(cell)
        except InvalidInput:
            assert position in bad
        else:
            assert value == single or (read is read_times and not 1678 <= single.year <= 2261)
