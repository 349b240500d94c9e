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


def dtype_column(dtype: Any) -> Callable[[list[Any]], pd.Series]:
    return lambda cells: pd.Series(cells, dtype=dtype)


def masked_column(dtype: str) -> Callable[[list[Any]], pd.Series]:
    """Build the column from numpy arrays, because pandas converts lists of very large numbers to floats."""

    def make(cells: list[Any]) -> pd.Series:
        numbers = np.array([cell or 0 for cell in cells], dtype=dtype)
        return pd.Series(pd.arrays.IntegerArray(numbers, np.array([cell is None for cell in cells], dtype=bool)))

    return make


def read_only_column(dtype: str) -> Callable[[list[Any]], pd.Series]:
    def make(cells: list[Any]) -> pd.Series:
        array = np.array(cells, dtype=dtype)
        array.flags.writeable = False
        return pd.Series(array, copy=False)

    return make


def arrow_column(kind: pa.DataType) -> Callable[[list[Any]], pd.Series]:
    return lambda cells: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(cells, type=kind)])))


def category_column(dtype: Any) -> Callable[[list[Any]], pd.Series]:
    def make(cells: list[Any]) -> pd.Series:
        known = pd.Index(list(dict.fromkeys(cell for cell in cells if cell is not None)), dtype=dtype)
        return pd.Series(
            pd.Categorical.from_codes([known.get_loc(cell) if cell is not None else -1 for cell in cells], known)
        )

    return make


def unchanged(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return strategy.map(lambda value: (value, value))


def junk_writer(name: str, values: Sequence[Any], dtype: Any) -> Writer:
    """Return a writer for a dtype whose values are all bad."""
    nothing = None if dtype in ("bool", "int64", "float64", "complex128") else st.none()
    return Writer(name, st.sampled_from([(value, BAD) for value in values]), dtype_column(dtype), nothing)


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
