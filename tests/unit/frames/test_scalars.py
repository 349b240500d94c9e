"""Read single values from a user, and write them for the service."""

from __future__ import annotations

import datetime as dt
import enum
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.errors import InvalidInput, SparkflyError
from sparkfly_nb.frames.scalars import READERS, as_flag, as_integer, as_text, as_time, is_missing, to_rfc3339

UTC = dt.timezone.utc


@pytest.mark.parametrize("value", [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT,
                                   np.datetime64("NaT", "s"), np.timedelta64("NaT", "s"), Decimal("NaN")])  # fmt: skip
def test_missing_values_are_recognized(value):
    assert is_missing(value)


@pytest.mark.parametrize("value", [0, False, "", "nan", [], np.int64(0), pd.Timestamp(0)])
def test_falsy_values_are_not_missing(value):
    assert not is_missing(value)


@pytest.mark.parametrize(
    "value",
    [1009, 1009.0, "1009", " 1009 ", "1009.0", "+1009", np.int32(1009), np.float64(1009), np.uint16(1009),
     Decimal(1009), Decimal("1009.00"), Decimal("1.009E3")],
)  # fmt: skip
def test_whole_number_is_read_from_any_notation(value):
    assert as_integer(value) == 1009
    assert type(as_integer(value)) is int


@pytest.mark.parametrize("value", [2**63 - 1, str(2**63 - 1), -(2**63)])
def test_largest_and_smallest_64_bit_numbers_are_exact(value):
    assert as_integer(value) == int(value)


@pytest.mark.parametrize(
    "value",
    [1009.5, "1009.5", float("nan"), float("inf"), 2.0**53, 2**63, -(2**63) - 1, str(2**63), True, np.True_, "", "x",
     "0x10", "1e3", "1_000", "1,009", "١٠٠٩", None, pd.NA, [], {}, b"1009", "1" * 5000, 1 + 0j,
     np.timedelta64(5, "D"), np.timedelta64("NaT", "s"), pd.Timedelta(5), pd.Timestamp(5),
     Decimal("1009.5"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E999999"), Decimal(2**63)],
)  # fmt: skip
def test_invalid_whole_number_is_rejected(value):
    with pytest.raises(InvalidInput):
        as_integer(value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_64_bit_number_is_read_from_its_digits(number):
    assert as_integer(number) == as_integer(str(number)) == number


@pytest.mark.parametrize(("value", "text"), [("SUMMER26", "SUMMER26"), (" a ", " a "), (1009, "1009"), (1009.0, "1009"),
                                            (np.int64(5), "5"), (Decimal("5.0"), "5"),
                                            ("Ünïcödé 😀", "Ünïcödé 😀")])  # fmt: skip
def test_text_is_unchanged_and_number_becomes_digits(value, text):
    assert as_text(value) == text


@pytest.mark.parametrize(
    "value",
    ["", "  ", "a\nb", "a\r\nb", "\x00", "\x7f", "\t", "\ud800", True, None, pd.NA, 1.5, [], b"x", float("nan")],
)
def test_invalid_text_is_rejected(value):
    with pytest.raises(InvalidInput):
        as_text(value)


class Campaign(str, enum.Enum):
    SUMMER = "SUMMER26"


@pytest.mark.parametrize("kind", ["id", "text"])
def test_str_enum_member_is_sent_as_its_value(kind):
    read = READERS[kind](Campaign.SUMMER, None)

    assert type(read) is str
    assert read == "SUMMER26"


@pytest.mark.parametrize("value", [1009, 1009.0, "1009", " 1009\u00a0", "1009.0", np.int64(1009)])
def test_id_in_url_is_the_same_for_every_notation(value):
    assert READERS["id"](value, None) == "1009"


@pytest.mark.parametrize(
    "moment", [dt.datetime(1, 1, 1, tzinfo=UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
)
def test_first_and_last_year_of_rfc_3339_are_written(moment):
    assert to_rfc3339(as_time(moment)) == moment.replace(tzinfo=None).isoformat() + "Z"


@pytest.mark.parametrize("year", [12_000, -44])
def test_year_outside_rfc_3339_is_rejected(year):
    moment = np.datetime64(year - 1970, "Y").astype("datetime64[s]")

    with pytest.raises(InvalidInput):
        as_time(moment, UTC)


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flags_are_read(value):
    assert as_flag(value) is bool(value)


@pytest.mark.parametrize("value", [1, 0, "true", "False", None, pd.NA, 1.0])
def test_value_that_resembles_a_flag_is_rejected(value):
    with pytest.raises(InvalidInput):
        as_flag(value)


NOON = pd.Timestamp("2026-07-01T12:00:00Z")


@pytest.mark.parametrize(
    "value",
    [
        "2026-07-01T12:00:00Z",
        "2026-07-01T14:00:00+02:00",
        "2026-07-01 12:00Z",
        "20260701T120000Z",
        " 2026-07-01T12:00:00.000000000Z ",
        "2026-07-01t12:00:00z",
        dt.datetime(2026, 7, 1, 12, tzinfo=UTC),
        dt.datetime(2026, 7, 1, 8, tzinfo=zoneinfo.ZoneInfo("America/New_York")),
        pd.Timestamp("2026-07-01T08:00", tz="America/New_York"),
    ],
)
def test_times_with_offset_are_read_as_the_same_instant(value):
    assert as_time(value) == NOON


@pytest.mark.parametrize(
    "value",
    ["2026-07-01T12:00", dt.datetime(2026, 7, 1, 12), np.datetime64("2026-07-01T12:00"),
     pd.Timestamp("2026-07-01T12:00")],
)  # fmt: skip
def test_time_without_offset_needs_zone(value):
    with pytest.raises(InvalidInput, match="no time zone"):
        as_time(value)

    assert as_time(value, dt.timezone(dt.timedelta(hours=2))) == pd.Timestamp("2026-07-01T10:00:00Z")


@pytest.mark.parametrize("wall", ["2026-03-08T02:30", "2026-11-01T01:30"])
def test_time_skipped_or_repeated_by_daylight_saving_is_rejected(wall):
    with pytest.raises(InvalidInput):
        as_time(wall, zoneinfo.ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    "value",
    ["", "now", "tomorrow", "12:00", "07/01/2026", "2026-13-01T00:00Z", "2026-02-30T00:00Z", "99999-01-01T00:00Z",
     dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
     dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))), dt.datetime(2026, 1, 1, tzinfo=dt.tzinfo()), 0,
     1_800_000_000, 1.5, True, None, pd.NaT, np.datetime64("NaT", "s"), [], "2026-07-01T12:00:00+99:00",
     "2026-07-01T12:00ZZ", "2026", "2026-W27-3"],
)  # fmt: skip
@pytest.mark.parametrize("tz", [None, UTC])
def test_invalid_time_is_rejected(value, tz):
    with pytest.raises(InvalidInput):
        as_time(value, tz)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-12-31T23:59:59Z", "2026-12-31T23:59:59Z"),
        ("2023-06-22T18:36:32.271393505Z", "2023-06-22T18:36:32.271393505Z"),
        ("2026-07-01T14:00:00+02:00", "2026-07-01T12:00:00Z"),
        ("2026-07-01T12:00:00.5Z", "2026-07-01T12:00:00.500000Z"),
    ],
)
def test_time_is_written_in_utc_as_rfc_3339(text, written):
    assert to_rfc3339(as_time(text)) == written


@given(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1), timezones=st.timezones()))
def test_time_round_trips(moment):
    moment = moment.astimezone(UTC)

    assert as_time(to_rfc3339(as_time(moment))) == pd.Timestamp(moment)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes(), st.dates(),
    st.timedeltas(), st.complex_numbers(), st.lists(st.integers()), st.dictionaries(st.text(), st.none()),
    st.just(object()), st.just(pd.NA), st.just(pd.NaT), st.decimals(),
)  # fmt: skip


@pytest.mark.parametrize("kind", list(READERS))
@given(value=ANYTHING)
def test_any_value_is_read_or_raises_sparkfly_error(kind, value):
    try:
        read = READERS[kind](value, UTC)
    except SparkflyError:
        return

    assert type(read) in (int, str, bool)


@pytest.mark.parametrize("text", ["9999-12-31T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_time_as_text_may_be_of_any_year_as_a_datetime_may(text):
    assert to_rfc3339(as_time(text)) == to_rfc3339(as_time(dt.datetime.fromisoformat(text[:-1] + "+00:00"))) == text
