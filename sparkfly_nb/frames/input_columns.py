"""Columns of a user's frame: read IDs, texts, times or flags of any dtype, with a problem for each bad cell.

Most cells take a fast path that reads the whole column with numpy. The others are read one by one with `scalars`.
"""

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

DIGITS: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)  # numbers of 18 digits always fit in 64 bits
YEAR: Final = re.compile(r"\s*(\d{4})", re.ASCII)
NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?", re.ASCII)
#: Number of time texts to parse at once. Small enough for the processor's cache.
SLICE_ROWS: Final = 8192
#: By the size of a float in bytes: the exponent of two up to which every whole number is exact.
EXACT_BITS: Final = {2: 11, 4: 24, 8: 53}
#: The fix for problems whose message has none, by dtype.
FIXES: Final = {
    INTEGER: "use digits only, for example 1009",
    TEXT: "use text without line breaks",
    FLAG: "use True or False",
    TIME: "use ISO 8601 between 1678 and 2261, for example 2026-12-31T23:59:59Z",
}


class CellProblem(NamedTuple):
    """One cell that cannot be read."""

    #: The row number from 0, not the index label.
    position: int
    value: object
    problem: str
    fix: str


class ReadColumn(NamedTuple):
    """A column with the package's dtype, and the cells that could not be read."""

    #: Cells with a problem are missing here.
    values: pd.Series
    problems: list[CellProblem]


def read_integers(series: pd.Series) -> ReadColumn:
    """Read 64-bit whole numbers.

    Parameters
    ----------
    series : pandas.Series
        Any dtype: integers, floats (``1009.0`` is 1009), digits as text, categories, Arrow. Problems are floats that
        have a fraction or are too large to be exact, flags, and other texts. Missing cells are no problem.

    Returns
    -------
    ReadColumn
        ``Int64`` with the index of `series`, and the problems in row order.
    """
    missing = missing_in(series)
    numbers = np.zeros(len(series), dtype=np.int64)
    kind, cells = kind_of(series), None
    read_one: Callable[[Any], int] = as_integer
    # `left` marks the cells that the fast path cannot read.
    if kind == "i":
        numbers = series.to_numpy(dtype=np.int64, na_value=0)
        left = np.zeros(len(series), dtype=bool)
    elif kind == "u":
        naturals = series.to_numpy(dtype=np.uint64, na_value=0)
        left = naturals > np.uint64(2**63 - 1)
        numbers[~left] = naturals[~left]
    elif kind == "f":
        reals = series.to_numpy(dtype=np.float64, na_value=np.nan)
        # Checked by the column's own size: an ID of 9 digits in a float32 column was rounded before it came here.
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
    """Read texts. Whole numbers become their digits.

    Parameters
    ----------
    series : pandas.Series
        Any dtype. Problems are empty texts, texts with control characters or unpaired surrogates, flags, and numbers
        with a fraction. Missing cells are no problem.

    Returns
    -------
    ReadColumn
        ``string`` with the index of `series`, and the problems in row order.
    """
    missing = missing_in(series)
    if kind_of(series) in "iuf":  # pandas.read_csv turns loyalty identifiers of digits into numbers
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
        Flags of any dtype. Numbers and texts are problems, missing cells are not.

    Returns
    -------
    ReadColumn
        ``boolean`` with the index of `series`, and the problems in row order.
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
        ISO 8601 texts, datetimes, Timestamps and numpy times, also mixed and with different time zones. Times outside
        the years 1677 to 2262 are problems. Missing cells are no problem.
    tz : tzinfo, optional
        The time zone of times that have no offset. Without it, such times are problems. With it, times that do not
        exist or occur twice when the zone's clocks change are problems.

    Returns
    -------
    ReadColumn
        ``datetime64[ns, UTC]`` with the index of `series`, and the problems in row order.
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


# ---- dtypes and missing cells ----------------------------------------------------------------------------------------


def kind_of(series: pd.Series) -> str:
    """Return numpy's kind for the dtype: i, u, f, b or M. O means that each cell must be looked at."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    # Sparse columns and Arrow times report a numpy kind too, but they are read cell by cell to be safe.
    if isinstance(dtype, pd.SparseDtype) or (isinstance(dtype, pd.ArrowDtype) and kind == "M"):
        return "O"
    return kind if kind in "iufbM" else "O"


def _bytes_of(series: pd.Series) -> int:
    numpy_dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    return int(getattr(numpy_dtype, "itemsize", 8))


def missing_in(series: pd.Series) -> NDArray[np.bool_]:
    """Return a mask of the missing cells, in a new array that the caller may change."""
    try:
        return np.asarray(series.isna(), dtype=bool).copy()
    except InvalidOperation:  # pandas compares each Decimal with itself, which raises for a signaling NaN
        return np.fromiter(map(is_missing, series.tolist()), dtype=bool, count=len(series))


def _cells_of(series: pd.Series) -> NDArray[Any]:
    return object_array(series.tolist(), len(series))


def _column(series: pd.Series, dtype: str, arrays: tuple[Any, ...], problems: list[CellProblem]) -> ReadColumn:
    """Build the result with the index of `series`. Cells with a problem become missing."""
    if problems and dtype != TIME:  # times that could not be read are missing already
        arrays[-1][[problem.position for problem in problems]] = None if dtype == TEXT else True
    return ReadColumn(pd.Series(typed_array(dtype, arrays), index=series.index, name=series.name), problems)


# ---- the fast path: many cells at once -------------------------------------------------------------------------------


def _texts_at(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of the cells that are texts."""
    if set(map(type, cells[~missing])) <= {str}:
        return ~missing
    # Subclasses of str, such as enumeration members, are left to `as_text`, which converts them to plain texts.
    return np.fromiter((type(cell) is str for cell in cells), dtype=bool, count=len(cells))


def _marked(cells: NDArray[Any], at: NDArray[np.bool_], test: Callable[[str], object]) -> NDArray[np.bool_]:
    """Return the mask `at` without the texts that fail the test."""
    marks = at.copy()
    marks[at] = np.fromiter(map(bool, map(test, cells[at])), dtype=bool, count=int(at.sum()))
    return marks


def _digits_in(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kinds = set(map(type, cells[~missing]))
    # If the smallest and the largest number fit in 64 bits, all of them do.
    if kinds == {int} and all(-(2**63) <= edge < 2**63 for edge in (min(cells[~missing]), max(cells[~missing]))):
        return ~missing
    return _marked(cells, _texts_at(cells, missing), DIGITS.fullmatch)


def _plain_texts_in(cells: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of the texts that are certainly valid: not empty, no control characters, no surrogates."""
    at = _marked(cells, _texts_at(cells, missing), str.strip)
    # One search through all texts is much faster than one search per cell.
    together = "".join(cells[at])
    if together.isascii() and not CONTROL.search(together):
        return at
    return _marked(cells, at, lambda text: not CONTROL.search(text) and text.isprintable())


def _moments_of(stamps: pd.DatetimeIndex, tz: dt.tzinfo | None) -> NDArray[np.int64]:
    """Return nanoseconds in UTC. Times that the zone does not determine or that are out of range are missing."""
    try:
        if stamps.tz is None:
            if tz is None:
                return np.full(len(stamps), NOT_A_TIME, dtype=np.int64)
            stamps = stamps.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
        return nanoseconds_of(stamps.tz_convert("UTC").tz_localize(None).to_numpy()).copy()
    except (ValueError, OverflowError):  # a time at the limit of the range: read all cells one by one
        return np.full(len(stamps), NOT_A_TIME, dtype=np.int64)


def _moments_in_text(cells: NDArray[Any], tz: dt.tzinfo | None) -> NDArray[np.int64]:
    """Return nanoseconds in UTC for the cells that are texts. All other cells are missing."""
    # Times repeat, so each distinct text is parsed once per slice.
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


# ---- the slow path: cell by cell -------------------------------------------------------------------------------------


def _integer_below(exact_below: float) -> Callable[[Any], int]:
    """Return a function that reads one whole number from a float, given the limit below which floats are exact."""

    def read(cell: float) -> int:
        if cell.is_integer() and abs(cell) >= exact_below:
            raise InvalidInput(f"{cell} is a float too large to be exact; read the column as Int64 or text")
        return as_integer(cell)

    return read


def _moment_reader(tz: dt.tzinfo | None) -> Callable[[Any], int]:
    """Return a function that reads one time in nanoseconds and caches the results."""
    known: dict[tuple[type, Any, int], int] = {}

    def read(cell: Any) -> int:
        # The key contains fold, because datetimes that differ only in fold are equal but mean different times.
        key = (type(cell), cell, getattr(cell, "fold", 0)) if isinstance(cell, (dt.date, np.datetime64)) else None
        if key in known:
            return known[key]
        # as_time() accepts the years 1 to 9999, but a column holds nanoseconds of 64 bits.
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
    """Read the marked cells one by one. Return values by position, and the problems."""
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
    """Split an error message into problem and fix."""
    problem, _, fix = message.rpartition("; ")
    # "is not a time: " is followed by a message of pandas, which may contain a semicolon of its own.
    if not problem or " is not a time: " in message:
        return message, standard_fix
    return problem, fix
