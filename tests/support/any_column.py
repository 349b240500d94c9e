"""Columns as users have them, for property tests: each cell is drawn with its meaning and then written in some way.

A cell means a value, nothing (`MISSING`), or something that no row may contain (`BAD`). A `Writer` is one dtype, or one
habit of filling an object column, with the cells that it can store. Tests derive what they expect from the meanings
alone, and so share no code with the reader of the column.
"""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import assume
from hypothesis import strategies as st

from sparkfly_nb.frames.scalars import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MISSING = "(missing)"
BAD = "(bad)"
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (dt.timezone.utc, BERLIN, ZoneInfo("America/New_York"), dt.timezone(dt.timedelta(hours=5, minutes=30)))
INT64 = (-(2**63), 2**63 - 1)


class Word(str, enum.Enum):
    """A text enumeration, as a user's own code may have."""

    GOLD = "gold"


# ---- cells -----------------------------------------------------------------------------------------------------------

#: Every missing value that an object column can contain.
NOTHINGS = st.sampled_from(
    (None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "s"), Decimal("NaN"), Decimal("sNaN"))
)
SURROGATES = st.text(st.characters(codec=None, categories=("Cs",)), min_size=1, max_size=2)
CONTROLS = st.text(st.sampled_from("\x00\t\n\r\x1b\x7f"), min_size=1, max_size=2)
SHOWN_TEXTS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters=[chr(code) for code in (*range(32), 127)])
    | st.sampled_from("\u202e\u2066\u0301\u200d\ufeff\u2028\U0001f469\U000e0001\U0010ffffÅﬀ'\"=,;&?#/%"),
    min_size=1,
    max_size=12,
).filter(str.strip)
NO_TEXTS = SURROGATES | CONTROLS | st.sampled_from(("", "  ", "\u2003"))
#: Cells that are not a whole number, a text, a flag or a time.
NO_VALUES = st.sampled_from(
    (
        b"1009", 1j, pd.Timedelta("1s"), np.timedelta64(5, "s"), pd.Period("2026-01"), pd.Interval(0, 1), dt.time(12),
        [1009], (1009,), {"id": 1009}, {1009}, np.array([1, 2]), object(), 1009.5, Decimal("0.5"), float("inf"),
        Decimal("Infinity"), 2.0**60, slice(3), range(2),
    )
)  # fmt: skip
#: Numbers with too many digits for repr(). They are created when drawn, because Hypothesis cannot print them either.
LONG = st.integers(5000, 5001).map(lambda digits: 10**digits)
HUGE = LONG | st.sampled_from((2**63, -(2**63) - 1, 2**64, 10**30, Decimal(2**63), "9" * 25, np.uint64(2**63)))


@dataclass(frozen=True)
class Writer:
    """One way to write a column: cells with their meanings, and a function that builds the column."""

    name: str
    good: st.SearchStrategy[tuple[Any, Any]]
    make: Callable[[list[Any]], pd.Series]
    nothing: st.SearchStrategy[Any] | None = None
    bad: st.SearchStrategy[Any] | None = None

    def cells(self, kind: str) -> st.SearchStrategy[tuple[Any, Any]]:
        if kind == MISSING and self.nothing is not None:
            return st.tuples(self.nothing, st.just(MISSING))
        if kind == BAD and self.bad is not None:
            return st.tuples(self.bad, st.just(BAD))
        return self.good


@dataclass(frozen=True)
class Column:
    """A column with the meaning of each cell."""

    series: pd.Series
    meanings: list[Any]
    writer: str

    def __repr__(self) -> str:  # pandas cannot print some of the cells
        return f"Column({self.writer}, {self.series.dtype}, {list(map(shown, self.series))}, {self.meanings})"


def _dtype(dtype: Any) -> Callable[[list[Any]], pd.Series]:
    return lambda cells: pd.Series(cells, dtype=dtype)


def _masked(dtype: str) -> Callable[[list[Any]], pd.Series]:
    """Build the column from numpy arrays, because pandas converts lists of very large numbers to floats."""

    def make(cells: list[Any]) -> pd.Series:
        numbers = np.array([cell or 0 for cell in cells], dtype=dtype)
        return pd.Series(pd.arrays.IntegerArray(numbers, np.array([cell is None for cell in cells], dtype=bool)))

    return make


def _read_only(dtype: str) -> Callable[[list[Any]], pd.Series]:
    def make(cells: list[Any]) -> pd.Series:
        array = np.array(cells, dtype=dtype)
        array.flags.writeable = False
        return pd.Series(array, copy=False)

    return make


def _arrow(kind: pa.DataType) -> Callable[[list[Any]], pd.Series]:
    return lambda cells: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(cells, type=kind)])))


def _categories(dtype: Any) -> Callable[[list[Any]], pd.Series]:
    def make(cells: list[Any]) -> pd.Series:
        known = pd.Index(list(dict.fromkeys(cell for cell in cells if cell is not None)), dtype=dtype)
        return pd.Series(
            pd.Categorical.from_codes([known.get_loc(cell) if cell is not None else -1 for cell in cells], known)
        )

    return make


def _same(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return strategy.map(lambda value: (value, value))


def _junk_column(name: str, values: Sequence[Any], dtype: Any) -> Writer:
    """Return a writer for a dtype whose values are all bad."""
    nothing = None if dtype in ("bool", "int64", "float64", "complex128") else st.none()
    return Writer(name, st.sampled_from([(value, BAD) for value in values]), _dtype(dtype), nothing)


# ---- whole numbers ---------------------------------------------------------------------------------------------------

Pool = "Callable[[int, int], st.SearchStrategy[int] | None]"


def any_number(low: int, high: int) -> st.SearchStrategy[int]:
    """Draw any number of a range, and often one of a few, so that columns have duplicates."""
    edges = [edge for edge in (low, high, 2**53, 2**53 + 1, -(2**53) - 1) if low <= edge <= high]
    return st.integers(max(low, 0), min(high, 9)) | st.integers(low, high) | st.sampled_from(edges)


def numbers_among(ids: Sequence[int]) -> Callable[[int, int], st.SearchStrategy[int] | None]:
    """Draw only these numbers, in the dtypes that can store all of them."""
    return lambda low, high: st.sampled_from(list(ids)) if low <= min(ids) and max(ids) <= high else None


def number_writers(pool: Any = any_number) -> list[Writer]:
    """Return every way to write a column of whole numbers."""
    writers = []

    def add(
        name: str, bounds: tuple[int, int], make: Any, spell: Any = int, nothing: Any = None, bad: Any = None
    ) -> None:
        numbers = pool(max(bounds[0], INT64[0]), min(bounds[1], INT64[1]))
        if numbers is not None:
            good = st.tuples(numbers, st.integers(0, 9)).map(lambda pair: (spell(pair[0]), pair[0]))
            writers.append(Writer(name, good, make, nothing, bad))

    for size in (8, 16, 32, 64):
        signed, unsigned = (-(2 ** (size - 1)), 2 ** (size - 1) - 1), (0, 2**size - 1)
        over = st.integers(2**63, 2**64 - 1) if size == 64 else None
        add(f"int{size}", signed, _dtype(f"int{size}"))
        add(f"uint{size}", unsigned, _dtype(f"uint{size}"), bad=over)
        add(f"Int{size}", signed, _dtype(f"Int{size}"), nothing=st.none())
        add(f"UInt{size}", unsigned, _masked(f"uint{size}"), nothing=st.none(), bad=over)
        add(f"arrow int{size}", signed, _arrow(getattr(pa, f"int{size}")()), nothing=st.none())
        add(f"arrow uint{size}", unsigned, _arrow(getattr(pa, f"uint{size}")()), nothing=st.none(), bad=over)
    for name, bits, arrow in (("float16", 11, None), ("float32", 24, pa.float32()), ("float64", 53, pa.float64())):
        exact = (-(2**bits) + 1, 2**bits - 1)
        bad = st.sampled_from((0.5, -1.5, float("inf"), float("-inf"), 2.0**bits, 2.0 ** (bits + 1)))
        add(name, exact, _dtype(name), float, st.just(float("nan")), bad)
        if arrow is not None:
            add(name.title(), exact, _dtype(name.title()), float, st.none(), bad)
            add(f"arrow {name}", exact, _arrow(arrow), float, st.none(), bad)
    add("longdouble", (-(2**53) + 1, 2**53 - 1), _dtype(np.longdouble), float, st.just(float("nan")), st.just(0.5))
    add("read-only int64", INT64, _read_only("int64"))
    add("read-only float64", (0, 2**53 - 1), _read_only("float64"), float, st.just(float("nan")), st.just(1.5))
    add("Sparse[int64]", INT64, _dtype(pd.SparseDtype("int64", 0)))
    add(
        "Sparse[float64]", (0, 2**53 - 1), _dtype(pd.SparseDtype("float64")), float, st.just(float("nan")), st.just(1.5)
    )
    add(
        "arrow decimal",
        INT64,
        _arrow(pa.decimal128(25, 1)),
        Decimal,
        st.none(),
        st.sampled_from((Decimal("0.5"), Decimal(2**63))),
    )
    add("category of numbers", INT64, _categories("int64"), nothing=st.none())
    no_digits = st.sampled_from(
        ("", " ", "x", "1.5", "1e3", "0x1F", "1,000", "1_000", "٣", "\u00b2", "9" * 19, "True", "nan")
    )
    for name, make in TEXT_COLUMNS:
        add(f"{name} of digits", INT64, make, str, st.none(), no_digits)
    add("category of digits", INT64, _categories(object), str, st.none(), no_digits)
    spellings = (
        int, str, Decimal, np.int64, np.str_, lambda n: f" {n} ", lambda n: f"{n}.0", lambda n: f"{n}.00",
        lambda n: float(n) if abs(n) < 2**53 else n, lambda n: f"+{n}" if n >= 0 else str(n),
        lambda n: Decimal(f"{n}.0"),
        lambda n: f"00{n}" if 0 <= n < 10**9 else n,
    )  # fmt: skip
    mixed = pool(*INT64)
    if mixed is not None:
        good = st.tuples(mixed, st.sampled_from(spellings)).map(lambda pair: (pair[1](pair[0]), pair[0]))
        bad = (
            NO_VALUES
            | HUGE
            | SURROGATES
            | no_digits
            | st.booleans()
            | st.sampled_from((np.True_, pd.Timestamp(0), dt.date(2026, 1, 1)))
        )
        writers.append(Writer("object, mixed numbers", good, _dtype(object), NOTHINGS, bad))
    writers += [
        _junk_column("bool as a number", (True, False), "bool"),
        _junk_column("boolean as a number", (True, False), "boolean"),
        _junk_column("datetime64 as a number", (pd.Timestamp(0), pd.Timestamp("2026-01-01")), "datetime64[ns]"),
        _junk_column("timedelta64 as a number", (pd.Timedelta("1s"),), "timedelta64[ns]"),
        _junk_column("period as a number", (pd.Period("2026-01", "M"),), "period[M]"),
        _junk_column("complex as a number", (1 + 0j, 2j), "complex128"),
        Writer("arrow duration as a number", st.just((5, BAD)), _arrow(pa.duration("s")), st.none()),
        Writer("arrow struct as a number", st.just(({"a": 1}, BAD)), _arrow(pa.struct([("a", pa.int64())])), st.none()),
        Writer("arrow list as a number", st.just(([1], BAD)), _arrow(pa.list_(pa.int64())), st.none()),
    ]
    return writers


# ---- texts -----------------------------------------------------------------------------------------------------------

TEXT_COLUMNS: tuple[tuple[str, Callable[[list[Any]], pd.Series]], ...] = (
    ("string[python]", _dtype(pd.StringDtype("python"))),
    ("string[pyarrow]", _dtype(pd.StringDtype("pyarrow"))),
    ("str", _dtype("str") if pd.Series(["x"]).dtype == "str" else _dtype(object)),
    ("arrow string", _arrow(pa.string())),
    ("arrow large_string", _arrow(pa.large_string())),
    ("arrow dictionary", _arrow(pa.dictionary(pa.int32(), pa.string()))),
)


AS_TEXT = {
    "int64", "Int64", "float64", "Float32", "uint64", "arrow int64", "Sparse[int64]", "complex as a number",
    "bool as a number", "category of numbers", "period as a number",
}  # fmt: skip


def text_writers(texts: st.SearchStrategy[str] = SHOWN_TEXTS, numbers: Any = any_number) -> list[Writer]:
    """Return every way to write a column of texts, including whole numbers for their digits."""
    writable = CONTROLS | st.sampled_from(("", "  ", "\u2003"))
    writers = [Writer(name, _same(texts), make, st.none(), writable) for name, make in TEXT_COLUMNS]
    writers.append(Writer("category of texts", _same(texts), _categories(object), st.none(), NO_TEXTS))
    writers.append(
        Writer("string[python], any text", _same(texts), _dtype(pd.StringDtype("python")), st.none(), NO_TEXTS)
    )
    spelled = texts.map(np.str_).map(lambda text: (text, str(text)))
    mixed = _same(texts) | spelled
    if numbers is any_number:
        mixed |= st.just((Word.GOLD, "gold"))
    whole = numbers(*INT64)
    if whole is not None:
        mixed |= whole.map(lambda n: (n, str(n))) | whole.map(lambda n: (Decimal(n), str(n)))
    bad = NO_VALUES | NO_TEXTS | LONG | st.booleans() | st.sampled_from((pd.Timestamp(0), dt.date(2026, 1, 1)))
    writers.append(Writer("object, mixed texts", mixed, _dtype(object), NOTHINGS, bad))
    for writer in number_writers(numbers):
        if writer.name in AS_TEXT:
            as_digits = writer.good.map(lambda cell: (cell[0], cell[1] if cell[1] is BAD else str(cell[1])))
            writers.append(Writer(f"{writer.name} as text", as_digits, writer.make, writer.nothing, writer.bad))
    return writers


# ---- flags -----------------------------------------------------------------------------------------------------------


def flag_writers() -> list[Writer]:
    """Return every way to write a column of flags. 0, 1 and texts are bad."""
    flags = _same(st.booleans())
    other = NO_VALUES | SURROGATES | LONG | st.sampled_from((0, 1, 1.0, "true", "False", "", pd.Timestamp(0)))
    return [
        Writer("bool", flags, _dtype("bool")),
        Writer("read-only bool", flags, _read_only("bool")),
        Writer("boolean", flags, _dtype("boolean"), st.none()),
        Writer("arrow bool", flags, _arrow(pa.bool_()), st.none()),
        Writer("Sparse[bool]", flags, _dtype(pd.SparseDtype("bool", False))),
        Writer("category of flags", flags, _categories(object), st.none()),
        Writer(
            "object, mixed flags",
            flags | flags.map(lambda pair: (np.bool_(pair[0]), pair[1])),
            _dtype(object),
            NOTHINGS,
            other,
        ),
        _junk_column("int64 as a flag", (0, 1), "int64"),
        _junk_column("Float64 as a flag", (0.0, 1.0), "Float64"),
        _junk_column("texts as a flag", ("true", "no"), pd.StringDtype("python")),
    ]


# ---- times -----------------------------------------------------------------------------------------------------------

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
            Writer(f"datetime64[{unit}, {zone}]", _same(instants(unit)), _aware(unit, zone), st.just(MISSING))
            for zone in ZONES
        ]
        naive = instants(unit).map(lambda ns: (ns, wall_meaning(ns, tz)))
        writers.append(Writer(f"datetime64[{unit}]", naive, _naive(unit), st.just(MISSING)))
    writers.append(Writer("datetime64[s], far away", st.just(("9999-01-01", BAD)), _dtype("datetime64[s]"), st.none()))
    aware_arrow = [(pa.timestamp(unit, "UTC"), unit) for unit in ("s", "us", "ns")]
    for kind, unit in aware_arrow:
        writers.append(
            Writer(
                f"arrow {kind}",
                instants(unit).map(lambda ns, unit=unit: (_counted(ns, unit), ns)),
                _arrow(kind),
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
    writers.append(Writer("object, mixed times", objects, _dtype(object), NOTHINGS, bad))
    twice = st.sampled_from((CLOSE_S + 1800, CLOSE_S + 5400)).map(
        lambda s: (_datetime_of(s * 10**9, BERLIN), s * 10**9)
    )
    writers.append(Writer("object, the repeated hour", twice, _dtype(object), NOTHINGS, bad))
    texts = instants("ns").map(lambda ns: (iso_of(ns), ns)) | st.tuples(instants("us"), st.sampled_from(ZONES)).map(
        lambda pair: (_offset_text(*pair), pair[0])
    )
    no_times = st.sampled_from(
        ("31.12.2026", "now", "", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T24:00:01Z", "x; y")
    )
    for name, make in TEXT_COLUMNS:
        writers.append(Writer(f"{name} of times", texts, make, st.none(), no_times))
    writers.append(Writer("category of time texts", texts, _categories(object), st.none(), no_times))
    stamps = instants("ns").map(lambda ns: (pd.Timestamp(ns, tz="UTC"), ns))
    writers.append(Writer("category of times", stamps, _categories("datetime64[ns, UTC]"), st.none()))
    writers += [
        _junk_column("int64 as a time", (0, 1798761599), "int64"),
        _junk_column("float64 as a time", (1.5,), "float64"),
        _junk_column("period as a time", (pd.Period("2026-01", "M"),), "period[M]"),
        _junk_column("timedelta64 as a time", (pd.Timedelta("1D"),), "timedelta64[ns]"),
        _junk_column("bool as a time", (True,), "bool"),
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


# ---- drawing a column ------------------------------------------------------------------------------------------------


@st.composite
def columns_of(draw: Any, writers: Sequence[Writer], rows: int, kinds: st.SearchStrategy[str]) -> Column:
    """Draw a column with this number of rows."""
    writer = draw(st.sampled_from(writers))
    cells = [draw(writer.cells(draw(kinds))) for _ in range(rows)]
    try:
        series = writer.make([raw for raw, _ in cells])
    except (UnicodeEncodeError, pa.ArrowInvalid):  # no user can have such a column
        assume(False)
        raise
    return Column(series, [meaning for _, meaning in cells], writer.name)
