"""Columns of a response: convert the values of one field to numpy arrays, and the arrays to pandas dtypes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import orjson
import pandas as pd

from ..errors import InvalidInput
from ..schema import FLAG, INTEGER, LIST, TEXT, TIME
from .scalars import as_integer, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "FRACTION",
    "NOTHING",
    "NOT_A_TIME",
    "OUT_OF_RANGE",
    "STRING",
    "UNREADABLE",
    "Arrays",
    "UnreadValues",
    "empty_arrays",
    "flags_of",
    "fractions_of",
    "inferred_array",
    "integers_of",
    "json_text",
    "lists_of",
    "nanoseconds_of",
    "object_array",
    "parse_times",
    "texts_among",
    "texts_of",
    "times_of",
    "typed_array",
    "typed_arrays",
    "without_deep",
]

#: The dtype of every text column. The storage is fixed, so that frames are the same with and without pyarrow. Python's
#: own strings also take less memory here, because equal texts in a column are one object.
STRING: Final = pd.StringDtype("python")

#: The dtype of numbers with a fraction. No documented field has one, but a new field may.
FRACTION: Final = "Float64"
#: Number of unreadable values that a warning shows.
EXAMPLES: Final = 3
#: Integer columns that an older API description calls flags. True is read as 1.
FLAG_AS_NUMBER: Final = frozenset({"offer_value_required"})

#: The integer that stands for NaT in numpy's datetime64.
NOT_A_TIME: Final = np.iinfo(np.int64).min
# Nanoseconds of 64 bits can represent the times between these seconds.
FIRST_SECOND: Final = np.datetime64("1677-09-21T00:12:44", "s")
LAST_SECOND: Final = np.datetime64("2262-04-11T23:47:16", "s")
_RFC3339: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)"
RFC3339: Final = re.compile(_RFC3339, re.ASCII | re.IGNORECASE)
RFC3339_LINES: Final = re.compile(rf"(?:{_RFC3339}\n)*", re.ASCII | re.IGNORECASE)
OUT_OF_RANGE: Final = "outside the years 1677 to 2262, the range of a DataFrame's times"

#: Dtypes that pandas stores as values and a mask.
NUMPY_DTYPES: Final[dict[str, type]] = {INTEGER: np.int64, FLAG: bool, FRACTION: np.float64}
NOTHING: Final = type(None)
#: Why a value could not be read, by the dtype of its column.
UNREADABLE: Final[dict[str, str]] = {
    INTEGER: "not a whole number of 64 bits",
    FLAG: "neither true nor false",
    TEXT: "not text",
    TIME: "not a time with an offset, for example 2026-12-31T23:59:59Z",
    LIST: "not a list",
    FRACTION: "not a number",
}
TOO_DEEP: Final = "nested more than 253 levels deep"
#: Python cannot pickle, copy or print lists and objects that are nested more deeply.
LEVELS: Final = 253

#: A column in numpy: the values alone, or the values and a mask of the missing ones.
Arrays = tuple["NDArray[Any]", ...]


# ---- values that could not be read -----------------------------------------------------------------------------------


@dataclass(slots=True)
class UnreadValues:
    """The number of values in one column that could not be read, with a few examples."""

    count: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, value: object, reason: str, times: int = 1) -> None:
        """Count a value, and keep it if there are fewer than three examples."""
        self.count += times
        if len(self.examples) < EXAMPLES:
            self.examples.setdefault(_short(value), reason)

    def join(self, other: UnreadValues) -> None:
        """Add the count and the examples of another part of the same column."""
        self.count += other.count
        for shown, reason in other.examples.items():
            if len(self.examples) < EXAMPLES:
                self.examples.setdefault(shown, reason)

    def describe(self, column: str, where: str) -> str:
        """Return the text of the warning, in one sentence."""
        values = "1 value" if self.count == 1 else f"{self.count:,} values"
        examples = "; ".join(f"{shown} is {reason}" for shown, reason in self.examples.items())
        return f"{where}: {values} of {column} could not be read and became missing: {examples}"


def _short(value: object) -> str:
    # ASCII only, because the value comes from the service and could contain characters that terminals interpret.
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    shown = ascii(value[:60] if isinstance(value, str) else value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


# ---- one chunk of one column -----------------------------------------------------------------------------------------


def json_text(value: object) -> str:
    """Return a list or dict as compact JSON, or raise `InvalidInput`."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # unpaired surrogates, numbers over 64 bits, or more than 254 levels
        try:
            return json.dumps(value, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            raise InvalidInput(f"{type(value).__name__} cannot be written as JSON") from None


def texts_among(columns: Iterable[Iterable[Any]]) -> set[str]:
    """Return the distinct texts of several columns."""
    try:
        cells = set().union(*columns)
    except TypeError:  # an unhashable list or dict
        cells = {cell for cells in columns for cell in cells if isinstance(cell, str)}
    return {cell for cell in cells if isinstance(cell, str)}


def parse_times(texts: Collection[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Parse many RFC 3339 texts at once.

    Parameters
    ----------
    texts : collection of str
        Distinct texts. Times without an offset are ambiguous and are not read.

    Returns
    -------
    tuple of dict
        Nanoseconds since 1970 in UTC, by text, and the reason why a text could not be read, by text.
    """
    lines = "\n".join(texts) + "\n"
    # Usually every text matches. One match for all of them is much faster than one per text.
    if RFC3339_LINES.fullmatch(lines) and lines.count("\n") == len(texts):
        likely = list(texts)
    else:
        likely = [text for text in texts if RFC3339.fullmatch(text)]
    # RFC 3339 allows lowercase t and z, but pandas does not.
    given = likely if lines.isupper() else [text.upper() for text in likely]
    stamps = pd.to_datetime(given, format="ISO8601", utc=True, errors="coerce").tz_localize(None).to_numpy()
    nanoseconds = nanoseconds_of(stamps)
    found = dict(zip(likely, nanoseconds.tolist(), strict=True))
    if len(likely) == len(texts) and (nanoseconds != NOT_A_TIME).all():
        return found, {}
    unread = {}
    for text in [text for text in texts if found.get(text, NOT_A_TIME) == NOT_A_TIME]:
        found.pop(text, None)
        within = not RFC3339.fullmatch(text) or "1677" < text[:4] < "2262"
        unread[text] = UNREADABLE[TIME] if within else OUT_OF_RANGE
    return found, unread


def nanoseconds_of(stamps: NDArray[Any]) -> NDArray[np.int64]:
    """Convert datetime64 of any unit to nanoseconds. Times that do not fit become missing."""
    # pandas 3 chooses the unit by the values and can store the year 9999. numpy's conversion would overflow silently.
    seconds = stamps.astype("datetime64[s]")
    fits = (seconds > FIRST_SECOND) & (seconds < LAST_SECOND)
    return np.where(fits, stamps, np.datetime64("NaT", "s")).astype("datetime64[ns]").view(np.int64)


def object_array(cells: Iterable[Any], rows: int) -> NDArray[Any]:
    """Return an array of objects. Unlike ``np.array``, it never turns lists into more dimensions."""
    return np.fromiter(cells, dtype=object, count=rows)


def _missing_mask(cells: Sequence[Any], kinds: set[type]) -> NDArray[np.bool_]:
    if NOTHING not in kinds:
        return np.zeros(len(cells), dtype=bool)
    return np.fromiter((cell is None for cell in cells), dtype=bool, count=len(cells))


def _read_cells(cells: Sequence[Any], read: Callable[[Any], Any], unread: UnreadValues, reason: str) -> list[Any]:
    """Read the cells one by one. Cells that cannot be read become None and are counted."""
    values = []
    for cell in cells:
        value = None
        if cell is not None:
            try:
                value = read(cell)
            except InvalidInput:
                unread.add(cell, reason)
        values.append(value)
    return values


def _flag_as_number(cell: Any) -> int:
    return int(cell) if isinstance(cell, bool) else as_integer(cell)


def _text_of(cell: Any) -> str:
    if isinstance(cell, (dict, list)):
        return json_text(cell)  # custom_data is documented as text, but the service may send an object
    return cell if isinstance(cell, str) else as_text(cell)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(cell: Any) -> Any:
        if type(cell) is not kind:
            raise InvalidInput
        return cell

    return read


_flag_of = _exactly(bool)
_float_of = _exactly(float)
_list_of = _exactly(list)


def integers_of(name: str, cells: Sequence[Any], unread: UnreadValues) -> Arrays:
    """Read whole numbers, also from digits in text and ``1009.0``, and from flags in `FLAG_AS_NUMBER`."""
    arrays = _whole_numbers(cells)
    if arrays is None:
        read = _flag_as_number if name in FLAG_AS_NUMBER else as_integer
        arrays = _whole_numbers(_read_cells(cells, read, unread, UNREADABLE[INTEGER]))
    return cast("Arrays", arrays)


def _whole_numbers(cells: Sequence[Any]) -> Arrays | None:
    """Return the arrays if all cells are 64-bit whole numbers or missing; otherwise None."""
    kinds = set(map(type, cells))
    if not kinds <= {int, NOTHING}:
        return None
    missing = _missing_mask(cells, kinds)
    filled = [0 if cell is None else cell for cell in cells] if NOTHING in kinds else cells
    try:
        return np.array(filled, dtype=np.int64), missing
    except OverflowError:  # more than 64 bits
        return None


def flags_of(_name: str, cells: Sequence[Any], unread: UnreadValues) -> Arrays:
    """Read flags. 0, 1 and texts are not accepted."""
    kinds = set(map(type, cells))
    if not kinds <= {bool, NOTHING}:
        cells = _read_cells(cells, _flag_of, unread, UNREADABLE[FLAG])
        kinds.add(NOTHING)
    missing = _missing_mask(cells, kinds)
    return np.array(cells, dtype=bool), missing  # the mask hides the False that None becomes


def fractions_of(_name: str, cells: Sequence[Any], unread: UnreadValues) -> Arrays:
    """Read floats."""
    if not set(map(type, cells)) <= {float, NOTHING}:
        cells = _read_cells(cells, _float_of, unread, UNREADABLE[FRACTION])
    missing = _missing_mask(cells, {NOTHING})
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64), missing


def lists_of(cells: Sequence[Any], unread: UnreadValues) -> Sequence[Any]:
    """Read lists. A missing list stays missing, because it may not mean an empty list."""
    if not set(map(type, cells)) <= {list, NOTHING}:
        cells = _read_cells(cells, _list_of, unread, UNREADABLE[LIST])
    return without_deep(cells, unread)


def without_deep(cells: Sequence[Any], unread: UnreadValues) -> Sequence[Any]:
    """Return the cells without lists and objects that are nested too deeply, and count those."""
    try:
        orjson.dumps(cells)  # the fastest check: orjson raises at 254 levels
    except orjson.JSONEncodeError:
        return _read_cells(cells, _shallow, unread, TOO_DEEP)
    return cells


def _shallow(cell: Any) -> Any:
    if _is_deep(cell):
        raise InvalidInput
    return cell


def _is_deep(cell: Any) -> bool:
    held = [cell]
    # Level by level instead of recursively, which would fail on the very values to be found.
    for _ in range(LEVELS):
        nested = [value for value in held if isinstance(value, (list, dict))]
        held = [inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)]
    return any(isinstance(value, (list, dict)) for value in held)


def texts_of(cells: Sequence[Any], unread: UnreadValues) -> Sequence[str | None]:
    """Read texts. Whole numbers become their digits, lists and objects their JSON."""
    if not set(map(type, cells)) <= {str, NOTHING}:
        cells = _read_cells(cells, _text_of, unread, UNREADABLE[TEXT])
    return cells


def times_of(cells: Sequence[Any], parsed: Mapping[Any, int], bad: Mapping[str, str], unread: UnreadValues) -> Arrays:
    """Look up the times of the cells.

    Parameters
    ----------
    cells : sequence
        The values of the field.
    parsed : Mapping
        Nanoseconds by text and, for missing cells, by None.
    bad : Mapping
        The reason why a text could not be read, by text.
    unread : UnreadValues
        Counts the cells that could not be read.
    """
    try:
        return (np.fromiter(map(parsed.__getitem__, cells), dtype=np.int64, count=len(cells)),)
    except (KeyError, TypeError):  # a bad text, or something other than text
        values = []
        for cell in cells:
            known = isinstance(cell, str) or cell is None
            value = parsed.get(cell) if known else None
            if value is None:
                unread.add(cell, bad[cell] if known else UNREADABLE[TIME])
            values.append(NOT_A_TIME if value is None else value)
        return (np.array(values, dtype=np.int64),)


# ---- one column of a frame -------------------------------------------------------------------------------------------


def typed_array(dtype: str, arrays: Arrays) -> Any:
    """Build the pandas array of a column from numpy arrays.

    Parameters
    ----------
    dtype : str
        One of `schema.DTYPES`, or `FRACTION`.
    arrays : tuple of numpy arrays
        Numbers and flags: values and mask. Times: nanoseconds since 1970. Others: objects.
    """
    values = arrays[0]
    if dtype == FRACTION:
        return pd.arrays.FloatingArray(values, arrays[1])
    if dtype == INTEGER:
        return pd.arrays.IntegerArray(values, arrays[1])
    if dtype == FLAG:
        return pd.arrays.BooleanArray(values, arrays[1])
    if dtype == TIME:
        return pd.DatetimeIndex(values.view("datetime64[ns]")).tz_localize("UTC")
    if dtype == TEXT:
        return pd.array(values, dtype=STRING, copy=False)
    return pd.Series(values, dtype=object, copy=False)


def typed_arrays(columns: Mapping[str, str], arrays: Mapping[str, Arrays]) -> dict[str, Any]:
    """Build the pandas arrays of all columns of a table; see `typed_array`."""
    return {name: typed_array(dtype, arrays[name]) for name, dtype in columns.items()}


def empty_arrays(dtype: str, rows: int) -> Arrays:
    """Return the arrays of a column in which every value is missing."""
    if dtype in NUMPY_DTYPES:
        return np.zeros(rows, dtype=NUMPY_DTYPES[dtype]), np.ones(rows, dtype=bool)
    if dtype == TIME:
        return (np.full(rows, NOT_A_TIME, dtype=np.int64),)
    return (np.full(rows, None, dtype=object),)


def inferred_array(objects: NDArray[Any]) -> Any:
    """Choose the dtype of a field that no table lists: that of its scalars if all have one type, otherwise object."""
    cells = objects.tolist()
    kinds = set(map(type, cells)) - {NOTHING}
    if kinds == {str}:
        return typed_array(TEXT, (objects,))
    if kinds == {bool}:
        return typed_array(FLAG, flags_of("", cells, UnreadValues()))
    if kinds == {float}:
        return typed_array(FRACTION, fractions_of("", cells, UnreadValues()))
    numbers = _whole_numbers(cells) if kinds == {int} else None
    return typed_array(INTEGER, numbers) if numbers else typed_array(LIST, (objects,))
