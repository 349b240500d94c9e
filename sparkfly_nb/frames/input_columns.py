"""One column of a person's frame: ids, texts, times or flags of any dtype, read at once; each bad cell is named."""

from __future__ import annotations

import datetime as dt
import re
from decimal import InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from ..schema import CONTROL, FLAG, INTEGER, TEXT, TIME
from .output_columns import NOT_A_TIME, OUT_OF_RANGE, nanoseconds_of, object_array, parse_times, typed_array
from .scalars import as_flag, as_integer, as_text, as_time, is_missing, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "CellProblem",
    "ReadColumn",
    "kind_of",
    "missing_in",
    "read_flags",
    "read_integers",
    "read_texts",
    "read_times",
]

DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
YEAR: Final = re.compile(r"\s*(\d{4})", re.ASCII)
NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?", re.ASCII)
SLICE_ROWS: Final = 8192
"""Texts of times read at once: few enough to stay in the processor's cache."""
EXACT_BITS: Final = {2: 11, 4: 24, 8: 53}
"""Whole numbers up to two to this power are exact in a float, by its size in bytes."""
FIXES: Final = {
    INTEGER: "give digits only, as in 1009",
    TEXT: "give a text without line breaks",
    FLAG: "give True or False",
    TIME: "give ISO 8601 between 1678 and 2261, as in 2026-12-31T23:59:59Z",
}
"""What to do, where the problem does not say it itself."""


class CellProblem(NamedTuple):
    """One cell that cannot be read."""

    position: int  # from 0, whatever the index says
    value: object
    problem: str
    fix: str


class ReadColumn(NamedTuple):
    """A column as the package uses it, and the cells that could not be read: they are missing in `values`."""

    values: pd.Series
    problems: list[CellProblem]


def read_integers(series: pd.Series) -> ReadColumn:
    """Read whole numbers of 64 bits.

    Parameters
    ----------
    series : pandas.Series
        Any dtype: integers, floats with gaps (``1009.0`` is 1009), texts of digits, categories, Arrow. Floats that
        are not whole or too large to be exact, flags, and other texts are problems; missing cells are not.

    Returns
    -------
    ReadColumn
        ``Int64`` with the index of `series`, and the problems in the order of the rows.
    """
    missing = missing_in(series)
    numbers = np.zeros(len(series), dtype=np.int64)
    kind, cells = kind_of(series), None
    read_one: Callable[[Any], int] = as_integer
    if kind == "i":
        numbers = series.to_numpy(dtype=np.int64, na_value=0)
        left = np.zeros(len(series), dtype=bool)
    elif kind == "u":
        naturals = series.to_numpy(dtype=np.uint64, na_value=0)
        left = naturals > np.uint64(2**63 - 1)
        numbers[~left] = naturals[~left]
    elif kind == "f":
        reals = series.to_numpy(dtype=np.float64, na_value=np.nan)
        exact_below = 2.0 ** EXACT_BITS.get(_bytes_of(series), 53)
        whole = (np.abs(reals) < exact_below) & (np.floor(reals) == reals)
        numbers[whole] = reals[whole]
        left = ~whole & ~missing
        cells, read_one = reals, _integer_below(exact_below)
    else:
        cells = _cells_of(series)
        easy = _digits_in(cells, missing)
        numbers[easy] = np.fromiter(map(int, cells[easy]), dtype=np.int64, count=int(easy.sum()))
        left = ~easy & ~missing
    read, problems = _read_left(series if cells is None else cells, left, read_one, INTEGER)
    for position, number in read.items():
        numbers[position] = number
    return _column(series, INTEGER, (numbers, missing), problems)


def read_texts(series: pd.Series) -> ReadColumn:
    """Read texts; whole numbers are taken as their digits.

    Parameters
    ----------
    series : pandas.Series
        Any dtype. Empty texts, texts with control characters or half surrogates, flags, and numbers that are not
        whole are problems; missing cells are not.

    Returns
    -------
    ReadColumn
        ``string`` with the index of `series`, and the problems in the order of the rows.
    """
    missing = missing_in(series)
    if kind_of(series) in "iuf":
        integers, problems = read_integers(series)
        missing = integers.isna().to_numpy(dtype=bool)
        texts = object_array(map(str, integers.array.to_numpy(dtype=np.int64, na_value=0).tolist()), len(series))
    else:
        cells = _cells_of(series)
        easy = _plain_texts_in(cells, missing)
        texts = cells.copy()
        read, problems = _read_left(cells, ~easy & ~missing, as_text, TEXT)
        for position, text in read.items():
            texts[position] = text
    texts[missing] = None
    return _column(series, TEXT, (texts,), problems)


def read_flags(series: pd.Series) -> ReadColumn:
    """Read flags.

    Parameters
    ----------
    series : pandas.Series
        Flags of any dtype; numbers and texts are problems, missing cells are not.

    Returns
    -------
    ReadColumn
        ``boolean`` with the index of `series`, and the problems in the order of the rows.
    """
    missing = missing_in(series)
    flags = np.zeros(len(series), dtype=bool)
    problems: list[CellProblem] = []
    if kind_of(series) == "b":
        flags = series.to_numpy(dtype=bool, na_value=False)
    else:
        read, problems = _read_left(_cells_of(series), ~missing, as_flag, FLAG)
        for position, flag in read.items():
            flags[position] = flag
    return _column(series, FLAG, (flags, missing), problems)


def read_times(series: pd.Series, *, tz: dt.tzinfo | None = None) -> ReadColumn:
    """Read points in time.

    Parameters
    ----------
    series : pandas.Series
        Texts in ISO 8601, datetimes, Timestamps, numpy times, also mixed and of different zones.
    tz : tzinfo, optional
        The zone of times that carry no offset. Without it they are problems; with it, so are those that the zone's
        clocks skip or show twice. Times outside the years 1677 to 2262 are problems; missing cells are not.

    Returns
    -------
    ReadColumn
        ``datetime64[ns, UTC]`` with the index of `series`, and the problems in the order of the rows.
    """
    missing = missing_in(series)
    cells: Any = series
    if kind_of(series) == "M":
        moments = _moments_of(pd.DatetimeIndex(series), tz)
    else:
        cells = _cells_of(series)
        moments = _moments_in_text(cells, tz)
    left = (moments == NOT_A_TIME) & ~missing
    read, problems = _read_left(cells, left, _moment_reader(tz), TIME)
    for position, moment in read.items():
        moments[position] = moment
    moments[missing] = NOT_A_TIME
    return _column(series, TIME, (moments,), problems)


# ---- what a column is made of ----------------------------------------------------------------------------------------


def kind_of(series: pd.Series) -> str:
    """Say what the cells are by the dtype: i, u, f, b, M as numpy says it, O where only the cells themselves tell."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if isinstance(dtype, pd.SparseDtype) or (isinstance(dtype, pd.ArrowDtype) and kind == "M"):
        return "O"
    return kind if kind in "iufbM" else "O"


def _bytes_of(series: pd.Series) -> int:
    numpy_dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    return int(getattr(numpy_dtype, "itemsize", 8))


def missing_in(series: pd.Series) -> NDArray[np.bool_]:
    """Mark the missing cells, in an array of one's own."""
    try:
        return np.asarray(series.isna(), dtype=bool).copy()
    except InvalidOperation:  # pandas compares each Decimal with itself, which a signalling NaN refuses
        return np.fromiter(map(is_missing, series.tolist()), dtype=bool, count=len(series))


def _cells_of(series: pd.Series) -> NDArray[Any]:
    return object_array(series.tolist(), len(series))


def _column(series: pd.Series, dtype: str, arrays: tuple[Any, ...], problems: list[CellProblem]) -> ReadColumn:
    """Put the values under the index of the column that was given; cells with a problem become missing."""
    if problems and dtype != TIME:  # a time that could not be read is missing already
        arrays[-1][[problem.position for problem in problems]] = None if dtype == TEXT else True
    return ReadColumn(pd.Series(typed_array(dtype, arrays), index=series.index, name=series.name), problems)


# ---- the fast way, for cells that are what most are ------------------------------------------------------------------


def _texts_at(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the cells that are texts."""
    if set(map(type, cells[~missing])) <= {str}:
        return ~missing
    # A text that is a member of an enumeration is taken the careful way, which makes a plain one of it.
    return np.fromiter((type(cell) is str for cell in cells), dtype=bool, count=len(cells))


def _marked(cells: NDArray[Any], at: NDArray[np.bool_], test: Callable[[str], object]) -> NDArray[np.bool_]:
    """Mark the texts that pass a test, among those that are marked."""
    marks = at.copy()
    marks[at] = np.fromiter(map(bool, map(test, cells[at])), dtype=bool, count=int(at.sum()))
    return marks


def _digits_in(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kinds = set(map(type, cells[~missing]))
    if kinds == {int} and all(-(2**63) <= edge < 2**63 for edge in (min(cells[~missing]), max(cells[~missing]))):
        return ~missing
    return _marked(cells, _texts_at(cells, missing), DIGITS.fullmatch)


def _plain_texts_in(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the texts that need no second look: some sign in them, no control characters, no half surrogates."""
    at = _marked(cells, _texts_at(cells, missing), str.strip)
    together = "".join(cells[at])
    if together.isascii() and not CONTROL.search(together):
        return at
    return _marked(cells, at, lambda text: not CONTROL.search(text) and text.isprintable())


def _moments_of(stamps: pd.DatetimeIndex, tz: dt.tzinfo | None) -> NDArray[np.int64]:
    """Give nanoseconds in UTC, and missing where the zone does not tell or the frame cannot hold the time."""
    try:
        if stamps.tz is None:
            if tz is None:
                return np.full(len(stamps), NOT_A_TIME, dtype=np.int64)
            stamps = stamps.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
        return nanoseconds_of(stamps.tz_convert("UTC").tz_localize(None).to_numpy()).copy()
    except (ValueError, OverflowError):  # times at the very end of what fits: one by one
        return np.full(len(stamps), NOT_A_TIME, dtype=np.int64)


def _moments_in_text(cells: NDArray[Any], tz: dt.tzinfo | None) -> NDArray[np.int64]:
    """Read the texts among the cells, each different one once per slice; what is left is missing."""
    moments = np.full(len(cells), NOT_A_TIME, dtype=np.int64)
    for start in range(0, len(cells), SLICE_ROWS):
        slice_ = cells[start : start + SLICE_ROWS]
        texts = {cell for cell in slice_ if isinstance(cell, str)}
        found, unread = parse_times(texts)
        if unread and tz is not None:
            naive = [text for text in unread if NAIVE.fullmatch(text)]
            stamps = pd.to_datetime(naive, format="ISO8601", errors="coerce")
            found.update(zip(naive, _moments_of(stamps, tz).tolist(), strict=True))
        moments[start : start + SLICE_ROWS] = [
            found.get(cell, NOT_A_TIME) if isinstance(cell, str) else NOT_A_TIME for cell in slice_
        ]
    return moments


# ---- the careful way, for the others ---------------------------------------------------------------------------------


def _integer_below(exact_below: float) -> Callable[[Any], int]:
    """Give a function that reads one whole number from floats of a certain size."""

    def read(cell: float) -> int:
        if cell.is_integer() and abs(cell) >= exact_below:
            raise InvalidInput(f"{cell} is a float too large to be exact; read the column as Int64 or text")
        return as_integer(cell)

    return read


def _moment_reader(tz: dt.tzinfo | None) -> Callable[[Any], int]:
    """Give a function that reads one time, in nanoseconds; most columns repeat a few."""
    known: dict[tuple[type, Any, int], int] = {}

    def read(cell: Any) -> int:
        # Python calls the two hours equal that a zone's clocks show twice, but for their fold.
        key = (type(cell), cell, getattr(cell, "fold", 0)) if isinstance(cell, (dt.date, np.datetime64)) else None
        if key in known:
            return known[key]
        year = YEAR.match(cell) if isinstance(cell, str) else None
        if year and not 1677 <= int(year[1]) <= 2262:
            raise InvalidInput(f"{shown(cell)} is {OUT_OF_RANGE}")
        stamp = as_time(cell, tz)
        moment = int(nanoseconds_of(np.array([stamp.tz_localize(None).to_datetime64()]))[0])
        if moment == NOT_A_TIME:
            raise InvalidInput(f"{stamp} is {OUT_OF_RANGE}")
        if key:
            known[key] = moment
        return moment

    return read


def _read_left(
    cells: Any, left: NDArray[np.bool_], read: Callable[[Any], Any], dtype: str
) -> tuple[dict[int, Any], list[CellProblem]]:
    """Read the marked cells one by one."""
    values: dict[int, Any] = {}
    problems = []
    positions = np.flatnonzero(left).tolist()
    for position, cell in zip(positions, cells[left].tolist(), strict=True):
        try:
            values[position] = read(cell)
        except InvalidInput as error:
            problems.append(CellProblem(position, cell, *_in_two(str(error), FIXES[dtype])))
    return values, problems


def _in_two(message: str, standard_fix: str) -> tuple[str, str]:
    """Part a message into what is wrong and what to do."""
    problem, _, fix = message.rpartition("; ")
    if not problem or " is not a time: " in message:  # a message of pandas, or a value, may hold a semicolon itself
        return message, standard_fix
    return problem, fix
