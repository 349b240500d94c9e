"""Ways to write a column of times, in UTC, with offsets, or in the local time of a zone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from any_column import (
    BAD,
    BERLIN,
    LONG,
    MISSING,
    NO_VALUES,
    NOTHINGS,
    SURROGATES,
    ZONES,
    Writer,
    arrow_column,
    category_column,
    dtype_column,
    junk_writer,
    unchanged,
)
from column_writers import TEXT_COLUMNS
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FIRST_S, LAST_S = (
    int((dt.datetime(year, 1, 1, tzinfo=dt.timezone.utc) - EPOCH).total_seconds()) for year in (1678, 2262)
)
#: Near the hour that occurs twice in Berlin.
CLOSE_S = int((dt.datetime(2027, 10, 31, tzinfo=dt.timezone.utc) - EPOCH).total_seconds())


def instants(unit: str) -> st.SearchStrategy[int]:
    """Draw nanoseconds since 1970 that a unit can represent.

    One of two fixed times is frequent, so that dates are often equal or in the wrong order.
    """
    per = PER_SECOND[unit]
    seconds = st.integers(CLOSE_S - 7200, CLOSE_S + 4 * 3600) | st.integers(FIRST_S, LAST_S - 1)
    fractions = st.sampled_from((0, per - 1)) | st.integers(0, per - 1)
    drawn = st.tuples(seconds, fractions).map(lambda pair: (pair[0] * per + pair[1]) * (10**9 // per))
    return st.sampled_from((4102444800 * 10**9, 4102444801 * 10**9)) | drawn


def _datetime_of(ns: int, zone: dt.tzinfo = dt.timezone.utc) -> dt.datetime:
    return (EPOCH + dt.timedelta(microseconds=ns // 1000)).astimezone(zone)


def _offset_text(ns: int, zone: dt.tzinfo) -> str:
    moment = _datetime_of(ns, zone)
    offset = moment.utcoffset() or dt.timedelta()
    return (moment if offset.total_seconds() % 60 == 0 else _datetime_of(ns)).isoformat()  # old offsets have seconds


def iso_of(ns: int) -> str:
    """Return an instant in the format that is sent."""
    text = f"{_datetime_of(ns):%Y-%m-%dT%H:%M:%S}".rjust(19, "0")
    fraction = ns % 10**9
    if fraction:
        text += f".{fraction:09d}" if fraction % 1000 else f".{fraction // 1000:06d}"
    return text + "Z"


def wall_meaning(wall_ns: int, tz: dt.tzinfo | None) -> Any:
    """Return the instant of a time without offset by Python's own rules, or BAD if the zone does not determine it."""
    if tz is None:
        return BAD
    wall = _datetime_of(wall_ns).replace(tzinfo=tz)
    first, second = (wall.replace(fold=fold).utcoffset() for fold in (0, 1))
    if first != second or first is None:
        return BAD
    return wall_ns - int(first.total_seconds()) * 10**9


def _at(ns: int, unit: str) -> np.datetime64:
    return np.datetime64(ns // (10**9 // PER_SECOND[unit]), unit)


def time_writers(tz: dt.tzinfo | None) -> list[Writer]:
    """Return every way to write a column of times, for a Session with this zone or none."""
    writers = []
    for unit in PER_SECOND:
        writers += [
            Writer(f"datetime64[{unit}, {zone}]", unchanged(instants(unit)), _aware(unit, zone), st.just(MISSING))
            for zone in ZONES
        ]
        naive = instants(unit).map(lambda ns: (ns, wall_meaning(ns, tz)))
        writers.append(Writer(f"datetime64[{unit}]", naive, _naive(unit), st.just(MISSING)))
    writers.append(
        Writer("datetime64[s], far away", st.just(("9999-01-01", BAD)), dtype_column("datetime64[s]"), st.none())
    )
    aware_arrow = [(pa.timestamp(unit, "UTC"), unit) for unit in ("s", "us", "ns")]
    for kind, unit in aware_arrow:
        writers.append(
            Writer(
                f"arrow {kind}",
                instants(unit).map(lambda ns, unit=unit: (_counted(ns, unit), ns)),
                arrow_column(kind),
                st.none(),
            )
        )
    objects = (
        instants("ns").map(lambda ns: (pd.Timestamp(ns, tz="UTC"), ns))
        | st.tuples(instants("ns"), st.sampled_from(ZONES)).map(
            lambda pair: (pd.Timestamp(pair[0], tz="UTC").tz_convert(pair[1]), pair[0])
        )
        | st.tuples(instants("us"), st.sampled_from(ZONES)).map(lambda pair: (_datetime_of(*pair), pair[0]))
        | st.tuples(instants("us"), st.sampled_from(ZONES)).map(lambda pair: (_offset_text(*pair), pair[0]))
        | instants("ns").map(lambda ns: (iso_of(ns), ns))
        | instants("s").map(lambda ns: (f" {_datetime_of(ns):%Y-%m-%d %H:%M:%S}z ", ns))
        | instants("us").map(lambda ns: (_datetime_of(ns).replace(tzinfo=None), wall_meaning(ns, tz)))
        | instants("us").map(lambda ns: (_datetime_of(ns).replace(tzinfo=None).isoformat(), wall_meaning(ns, tz)))
        | instants("ns").map(lambda ns: (_at(ns, "ns"), wall_meaning(ns, tz)))
        | st.dates(dt.date(1680, 1, 1), dt.date(2260, 1, 1)).map(lambda day: (day, wall_meaning(_midnight(day), tz)))
    )
    bad = (
        NO_VALUES | SURROGATES | LONG | st.booleans()
        | st.sampled_from(("31.12.2026", "now", "", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", 0, "2026-13",
                           "2026-01-01T00:00:00+99:99", "2026-01-01T25:00:00Z",
                           dt.datetime(9999, 12, 31, tzinfo=dt.timezone.utc)))
    )  # fmt: skip
    writers.append(Writer("object, mixed times", objects, dtype_column(object), NOTHINGS, bad))
    twice = st.sampled_from((CLOSE_S + 1800, CLOSE_S + 5400)).map(
        lambda s: (_datetime_of(s * 10**9, BERLIN), s * 10**9)
    )
    writers.append(Writer("object, the repeated hour", twice, dtype_column(object), NOTHINGS, bad))
    texts = instants("ns").map(lambda ns: (iso_of(ns), ns)) | st.tuples(instants("us"), st.sampled_from(ZONES)).map(
        lambda pair: (_offset_text(*pair), pair[0])
    )
    no_times = st.sampled_from(
        ("31.12.2026", "now", "", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T24:00:01Z", "x; y")
    )
    for name, make in TEXT_COLUMNS:
        writers.append(Writer(f"{name} of times", texts, make, st.none(), no_times))
    writers.append(Writer("category of time texts", texts, category_column(object), st.none(), no_times))
    stamps = instants("ns").map(lambda ns: (pd.Timestamp(ns, tz="UTC"), ns))
    writers.append(Writer("category of times", stamps, category_column("datetime64[ns, UTC]"), st.none()))
    writers += [
        junk_writer("int64 as a time", (0, 1798761599), "int64"),
        junk_writer("float64 as a time", (1.5,), "float64"),
        junk_writer("period as a time", (pd.Period("2026-01", "M"),), "period[M]"),
        junk_writer("timedelta64 as a time", (pd.Timedelta("1D"),), "timedelta64[ns]"),
        junk_writer("bool as a time", (True,), "bool"),
    ]
    return writers


def _midnight(day: dt.date) -> int:
    return int((dt.datetime(day.year, day.month, day.day, tzinfo=dt.timezone.utc) - EPOCH).total_seconds()) * 10**9


def _counted(ns: int, unit: str) -> int:
    return ns // (10**9 // PER_SECOND[unit])


def _naive(unit: str) -> Callable[[list[Any]], pd.Series]:
    def make(cells: list[Any]) -> pd.Series:
        stamps = [np.datetime64("NaT", unit) if cell is MISSING else _at(cell, unit) for cell in cells]
        return pd.Series(np.array(stamps, dtype=f"datetime64[{unit}]"))

    return make


def _aware(unit: str, zone: dt.tzinfo) -> Callable[[list[Any]], pd.Series]:
    return lambda cells: _naive(unit)(cells).dt.tz_localize("UTC").dt.tz_convert(zone)
