"""One column of an answer: from the cells of the records to numpy, and from numpy to the dtype of the column."""

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

STRING: Final = pd.StringDtype("python")
"""The dtype of every text column, named with its storage: the same frame whether or not pyarrow is installed.

Python's own strings also take less memory here: most text columns repeat a few values, and equal texts are one object.
"""

FRACTION: Final = "Float64"
"""The dtype of numbers that are not whole; no field of the service has one by contract, a new one may."""
EXAMPLES: Final = 3
FLAG_AS_NUMBER: Final = frozenset({"offer_value_required"})
"""Integer columns that an older description of the service calls flags: true is 1."""

NOT_A_TIME: Final = np.iinfo(np.int64).min
"""How numpy's datetime64 says missing, as a whole number."""
FIRST_SECOND: Final = np.datetime64("1677-09-21T00:12:44", "s")
LAST_SECOND: Final = np.datetime64("2262-04-11T23:47:16", "s")
_RFC3339: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)"
RFC3339: Final = re.compile(_RFC3339, re.ASCII | re.IGNORECASE)
RFC3339_LINES: Final = re.compile(rf"(?:{_RFC3339}\n)*", re.ASCII | re.IGNORECASE)
OUT_OF_RANGE: Final = "outside the years 1677 to 2262, which are all that a frame can hold"

NUMPY_DTYPES: Final[dict[str, type]] = {INTEGER: np.int64, FLAG: bool, FRACTION: np.float64}
"""Columns that are held as values and a mask."""
NOTHING: Final = type(None)
UNREADABLE: Final[dict[str, str]] = {
    INTEGER: "not a whole number of 64 bits",
    FLAG: "neither true nor false",
    TEXT: "not text",
    TIME: "not a time with an offset, as in 2026-12-31T23:59:59Z",
    LIST: "not a list",
    FRACTION: "not a number",
}
"""Why a value is missing, by the dtype of its column."""
TOO_DEEP: Final = "nested more than 253 levels deep"
LEVELS: Final = 253
"""Deeper lists and objects cannot be pickled, copied or shown by Python; nobody means them."""

Arrays = tuple["NDArray[Any]", ...]
"""A column as numpy holds it: values alone, or values and where they are missing."""


# ---- what could not be read ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class UnreadValues:
    """The values of one column that became missing: how many, and the first few."""

    count: int = 0
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, value: object, reason: str, times: int = 1) -> None:
        """Count a value; keep it as an example while there are few."""
        self.count += times
        if len(self.examples) < EXAMPLES:
            self.examples.setdefault(_short(value), reason)

    def join(self, other: UnreadValues) -> None:
        """Add what another part of the same column counted."""
        self.count += other.count
        for shown, reason in other.examples.items():
            if len(self.examples) < EXAMPLES:
                self.examples.setdefault(shown, reason)

    def describe(self, column: str, where: str) -> str:
        """Say it in one sentence."""
        values = "1 value" if self.count == 1 else f"{self.count:,} values"
        examples = "; ".join(f"{shown} is {reason}" for shown, reason in self.examples.items())
        return f"{where}: {values} of {column} could not be read and became missing: {examples}"


def _short(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    shown = ascii(value[:60] if isinstance(value, str) else value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


# ---- one chunk of one column -----------------------------------------------------------------------------------------


def json_text(value: object) -> str:
    """Write a list or an object as compact JSON; an `InvalidInput` says that it cannot be written."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # half surrogates, numbers over 64 bits, more than 254 levels
        try:
            return json.dumps(value, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            raise InvalidInput(f"{type(value).__name__} cannot be written as JSON") from None


def texts_among(columns: Iterable[Iterable[Any]]) -> set[str]:
    """Give each text of some columns once."""
    try:
        cells = set().union(*columns)
    except TypeError:  # a list or an object among them
        cells = {cell for cells in columns for cell in cells if isinstance(cell, str)}
    return {cell for cell in cells if isinstance(cell, str)}


def parse_times(texts: Collection[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Read many different RFC 3339 texts at once.

    Parameters
    ----------
    texts : collection of str
        Each text once; a time without an offset is not read, since nothing says what it means.

    Returns
    -------
    tuple of dict
        Nanoseconds since 1970 in UTC by text; and, by text, why it could not be read.
    """
    lines = "\n".join(texts) + "\n"
    if RFC3339_LINES.fullmatch(lines) and lines.count("\n") == len(texts):  # the rule: one match for all is much faster
        likely = list(texts)
    else:
        likely = [text for text in texts if RFC3339.fullmatch(text)]
    given = likely if lines.isupper() else [text.upper() for text in likely]  # RFC 3339 allows t and z, pandas does not
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
    """Bring datetime64 of any unit to nanoseconds; what does not fit becomes missing.

    pandas 3 takes the unit that the values need, and knows the year 9999; numpy would wrap it around.
    """
    seconds = stamps.astype("datetime64[s]")
    fits = (seconds > FIRST_SECOND) & (seconds < LAST_SECOND)
    return np.where(fits, stamps, np.datetime64("NaT", "s")).astype("datetime64[ns]").view(np.int64)


def object_array(cells: Iterable[Any], rows: int) -> NDArray[Any]:
    """Make an array of objects, without numpy looking into lists."""
    return np.fromiter(cells, dtype=object, count=rows)


def _missing_mask(cells: Sequence[Any], kinds: set[type]) -> NDArray[np.bool_]:
    if NOTHING not in kinds:
        return np.zeros(len(cells), dtype=bool)
    return np.fromiter((cell is None for cell in cells), dtype=bool, count=len(cells))


def _read_cells(cells: Sequence[Any], read: Callable[[Any], Any], unread: UnreadValues, reason: str) -> list[Any]:
    """Read cell by cell what is not all of the expected type; what cannot be read becomes None and is counted."""
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
        return json_text(cell)  # custom_data is text by contract; an object there is kept as its JSON
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
    """Take whole numbers; digits in text and 1009.0 count, and a flag where an older description has one."""
    arrays = _whole_numbers(cells)
    if arrays is None:
        read = _flag_as_number if name in FLAG_AS_NUMBER else as_integer
        arrays = _whole_numbers(_read_cells(cells, read, unread, UNREADABLE[INTEGER]))
    return cast("Arrays", arrays)


def _whole_numbers(cells: Sequence[Any]) -> Arrays | None:
    """Take cells that are all whole numbers of 64 bits or missing; None if one is something else."""
    kinds = set(map(type, cells))
    if not kinds <= {int, NOTHING}:
        return None
    missing = _missing_mask(cells, kinds)
    filled = [0 if cell is None else cell for cell in cells] if NOTHING in kinds else cells
    try:
        return np.array(filled, dtype=np.int64), missing
    except OverflowError:
        return None


def flags_of(_name: str, cells: Sequence[Any], unread: UnreadValues) -> Arrays:
    """Take flags; 0, 1 and texts are none."""
    kinds = set(map(type, cells))
    if not kinds <= {bool, NOTHING}:
        cells = _read_cells(cells, _flag_of, unread, UNREADABLE[FLAG])
        kinds.add(NOTHING)
    missing = _missing_mask(cells, kinds)
    return np.array(cells, dtype=bool), missing  # None counts as False below the mask


def fractions_of(_name: str, cells: Sequence[Any], unread: UnreadValues) -> Arrays:
    """Take floats."""
    if not set(map(type, cells)) <= {float, NOTHING}:
        cells = _read_cells(cells, _float_of, unread, UNREADABLE[FRACTION])
    missing = _missing_mask(cells, {NOTHING})
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64), missing


def lists_of(cells: Sequence[Any], unread: UnreadValues) -> Sequence[Any]:
    """Take lists as they are; a missing one stays missing, for the service did not say that there are none."""
    if not set(map(type, cells)) <= {list, NOTHING}:
        cells = _read_cells(cells, _list_of, unread, UNREADABLE[LIST])
    return without_deep(cells, unread)


def without_deep(cells: Sequence[Any], unread: UnreadValues) -> Sequence[Any]:
    """Leave out lists and objects that are nested too deeply, and count them."""
    try:
        orjson.dumps(cells)  # the quickest way to know: it gives up at 254 levels
    except orjson.JSONEncodeError:
        return _read_cells(cells, _shallow, unread, TOO_DEEP)
    return cells


def _shallow(cell: Any) -> Any:
    if _is_deep(cell):
        raise InvalidInput
    return cell


def _is_deep(cell: Any) -> bool:
    held = [cell]
    for _ in range(LEVELS):
        nested = [value for value in held if isinstance(value, (list, dict))]
        held = [inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)]
    return any(isinstance(value, (list, dict)) for value in held)


def texts_of(cells: Sequence[Any], unread: UnreadValues) -> Sequence[str | None]:
    """Take texts, whole numbers as their digits, and lists and objects as their JSON."""
    if not set(map(type, cells)) <= {str, NOTHING}:
        cells = _read_cells(cells, _text_of, unread, UNREADABLE[TEXT])
    return cells


def times_of(cells: Sequence[Any], parsed: Mapping[Any, int], bad: Mapping[str, str], unread: UnreadValues) -> Arrays:
    """Look the times up; `parsed` knows None as well, and no bad text."""
    try:
        return (np.fromiter(map(parsed.__getitem__, cells), dtype=np.int64, count=len(cells)),)
    except (KeyError, TypeError):  # a bad text, or a cell that cannot be looked up at all
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
    """Make the pandas array of a column from what numpy holds.

    Parameters
    ----------
    dtype : str
        One of `schema.DTYPES`, or `FRACTION`.
    arrays : tuple of numpy arrays
        Numbers and flags: values, and where they are missing. Times: nanoseconds since 1970. Others: objects.
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


def empty_arrays(dtype: str, rows: int) -> Arrays:
    """Give a column of nothing but missing values."""
    if dtype in NUMPY_DTYPES:
        return np.zeros(rows, dtype=NUMPY_DTYPES[dtype]), np.ones(rows, dtype=bool)
    if dtype == TIME:
        return (np.full(rows, NOT_A_TIME, dtype=np.int64),)
    return (np.full(rows, None, dtype=object),)


def inferred_array(objects: NDArray[Any]) -> Any:
    """Type a column that no table knows, by all its values: one kind of scalar, or objects as they came."""
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
