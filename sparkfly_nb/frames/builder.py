"""Build typed frames from the service's records, page by page.

Pages become numpy columns soon after they arrive, so that the parsed dicts can be freed. Values that cannot be read
become missing and are counted for a `DataWarning`.
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import DataWarning
from ..schema import FLAG, INTEGER, LIST, OFFER_STATE, TEXT, TIME
from .output_columns import (
    NOT_A_TIME,
    NOTHING,
    UnreadValues,
    empty_arrays,
    flags_of,
    inferred_array,
    integers_of,
    lists_of,
    object_array,
    parse_times,
    texts_among,
    texts_of,
    times_of,
    typed_arrays,
    without_deep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .output_columns import Arrays

__all__ = ["NEW_FIELDS", "FrameBuilder", "FramePart", "empty_frame", "frame_of", "holdable", "join_parts"]

#: Number of records to collect before they become arrays. Enough to be worth the overhead of numpy, and few enough to
#: stay in the processor's cache.
CHUNK_ROWS: Final = 256
TEXT_OR_NOTHING: Final = {str, NOTHING}
NESTED: Final = frozenset({list, dict})
#: How many fields that no table lists become columns. The others are counted in a warning.
NEW_FIELDS: Final = 1_000
#: How many distinct texts to remember per column, so that equal texts are one object.
SHARED_TEXTS: Final = 16384
#: After this many distinct texts, a column in which few texts repeat is no longer deduplicated.
TRIAL_TEXTS: Final = 1024


# ---- frames ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """Some rows, as numpy arrays by column."""

    rows: int
    #: The columns of the table.
    known: dict[str, Arrays]
    #: Fields that the table does not list.
    extra: dict[str, Arrays]


@dataclass(slots=True)
class FramePart:
    """Rows that a worker sends to the main process. Picklable and small."""

    chunks: list[Chunk] = field(default_factory=list)
    unread: dict[str, UnreadValues] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)


class _Shared:
    """The texts of one column that were seen before, so that equal texts become one object."""

    __slots__ = ("_seen", "_texts", "_worthwhile")

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}
        self._seen = 0
        self._worthwhile = True

    def known(self, cells: Sequence[Any], rows: int) -> NDArray[Any] | None:
        """Return the cells as an array if all are missing or texts seen before; otherwise None."""
        # The lookup also checks the type: only texts and None are keys, and nothing else is equal to them.
        try:
            found = np.fromiter(map(self._texts.__getitem__, cells), dtype=object, count=rows)
        except (KeyError, TypeError):  # a new value, or an unhashable list or dict
            return None
        self._seen += rows
        return found

    def of(self, cells: Sequence[str | None]) -> Sequence[str | None]:
        """Return equal cells, with each text replaced by the first object of the same value."""
        if not self._worthwhile:
            return cells
        texts = self._texts
        # A column of unique references would cost time and memory and share nothing.
        if len(texts) > TRIAL_TEXTS:
            self._worthwhile = len(texts) * 2 < self._seen
            if not self._worthwhile or len(texts) > SHARED_TEXTS:
                texts.clear()
                self._seen = 0
        self._seen += len(cells)
        return list(map(texts.setdefault, cells, cells))


class FrameBuilder:
    """Collect records page by page and build a frame from them.

    Do not change lists in the frame in place: all empty lists are the same object.

    Parameters
    ----------
    columns : Mapping of str to str
        Names and dtypes, a table of `schema`. Fields that it does not list become columns at the end.
    where : str
        The name of the call, for the warnings.
    """

    def __init__(self, columns: Mapping[str, str] = OFFER_STATE, *, where: str) -> None:
        self._columns = dict(columns)
        self._times = {name for name, dtype in columns.items() if dtype == TIME}
        self._where = where
        self._shared: defaultdict[str, _Shared] = defaultdict(_Shared)
        self.clear()

    def __len__(self) -> int:
        return len(self._part) + len(self._records)

    def clear(self) -> None:
        """Discard all rows."""
        self._part = FramePart()
        self._records: list[Mapping[str, Any]] = []
        self._empty: list[Any] = []

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the records of one response.

        Parameters
        ----------
        records : sequence of mappings
            Offer states as parsed from JSON, with any fields. Do not change them afterwards.
        """
        self._records += records
        if len(self._records) >= CHUNK_ROWS:
            self._settle()

    def _settle(self) -> None:
        """Convert the collected records to columns."""
        records, self._records = self._records, []
        if not records:
            return
        names = list(records[0])
        cells_of: Iterable[Sequence[Any]]
        # Usually all records have the same fields in the same order. Then no field has to be looked up by name.
        if len(names) <= NEW_FIELDS and all(map(names.__eq__, map(list, records))):
            cells_of = zip(*[record.values() for record in records], strict=True)
        else:
            names, left_out = _kept(dict.fromkeys(chain.from_iterable(records)), self._columns)
            _join_unread(self._part.unread, left_out)
            cells_of = ([record.get(name) for record in records] for name in names)
        self._add_chunk(dict(zip(names, cells_of, strict=True)), len(records))

    def add_columns(self, columns: Iterable[tuple[str, Sequence[Any]]], rows: int) -> None:
        """Add rows that are in columns already.

        Parameters
        ----------
        columns : iterable of tuple
            Names and cells. Each column has one cell per row.
        rows : int
            The number of rows.
        """
        self._settle()  # keeps the order of the rows
        if rows:
            self._add_chunk(dict(columns), rows)

    def _add_chunk(self, cells_of: dict[str, Sequence[Any]], rows: int) -> None:
        """Convert cells to arrays."""
        chunk = Chunk(rows, {}, {})
        unread = {name: UnreadValues() for name in self._columns}
        # Most times repeat within a column and between columns, so each text is parsed once per chunk.
        times = [cells_of[name] for name in cells_of.keys() & self._times]
        parsed, bad = parse_times(texts_among(times))
        lookup: dict[Any, int] = {None: NOT_A_TIME, **parsed}
        for name, dtype in self._columns.items():
            if name not in cells_of:
                chunk.known[name] = empty_arrays(dtype, rows)
            elif dtype == TIME:
                chunk.known[name] = times_of(cells_of[name], lookup, bad, unread[name])
            elif dtype == TEXT:
                chunk.known[name] = (self._texts(name, cells_of[name], unread[name], rows),)
            elif dtype == LIST:
                lists = lists_of(cells_of[name], unread[name])
                chunk.known[name] = (object_array(self._with_one_empty(lists), rows),)
            else:
                chunk.known[name] = _READ[dtype](name, cells_of[name], unread[name])
        for name, cells in cells_of.items():
            if name not in self._columns:
                chunk.extra[name] = (object_array(self._new_field(name, cells, unread), rows),)
        self._part.chunks.append(chunk)
        _join_unread(self._part.unread, unread)

    def part(self) -> FramePart:
        """Return the rows for `join_parts` and empty the builder."""
        self._settle()
        part = self._part
        self.clear()
        return part

    def frame(self) -> pd.DataFrame:
        """Return the rows as one frame and empty the builder.

        Returns
        -------
        pandas.DataFrame
            The columns with their dtypes, then fields that the table does not list in the order of appearance.

        Warns
        -----
        DataWarning
            Once per column with values that could not be read.
        """
        return join_parts([self.part()], self._columns, where=self._where)

    def _texts(self, name: str, cells: Sequence[Any], unread: UnreadValues, rows: int) -> NDArray[Any]:
        shared = self._shared[name]
        known = shared.known(cells, rows)
        if known is not None:
            return known
        return np.fromiter(shared.of(texts_of(cells, unread)), dtype=object, count=rows)

    def _new_field(self, name: str, cells: Sequence[Any], unread: dict[str, UnreadValues]) -> Sequence[Any]:
        """Return the cells of a field that no table lists, without values that are nested too deeply."""
        kinds = set(map(type, cells))
        if kinds <= TEXT_OR_NOTHING:
            return self._shared[name].of(cells)
        return cells if NESTED.isdisjoint(kinds) else without_deep(cells, unread.setdefault(name, UnreadValues()))

    def _with_one_empty(self, cells: Sequence[Any]) -> Sequence[Any]:
        """Return the cells with every empty list replaced by the same object."""
        # Three million separate empty lists would cost 170 MB, and a quarter of the time would be garbage collection.
        empty = self._empty
        return [empty if cell == empty else cell for cell in cells]


#: How to convert cells to arrays. Times, texts and lists need the state of the builder and are not listed here.
_READ: Final[dict[str, Callable[[str, Sequence[Any], UnreadValues], Arrays]]] = {INTEGER: integers_of, FLAG: flags_of}


def _kept(names: Iterable[str], columns: Mapping[str, str]) -> tuple[list[str], dict[str, UnreadValues]]:
    """Limit the number of fields that no table lists.

    Returns
    -------
    tuple
        The names to keep, and the others as unread values.
    """
    # Every new field costs a cell in every row, so records with unique field names could use up all memory.
    known: list[str] = []
    new: list[str] = []
    for name in names:
        (known if name in columns else new).append(name)
    left_out = UnreadValues()
    for name in new[NEW_FIELDS:]:
        left_out.add(name, f"beyond the limit of {NEW_FIELDS:,} per frame")
    return known + new[:NEW_FIELDS], {"new fields": left_out}


def _join_unread(into: dict[str, UnreadValues], more: Mapping[str, UnreadValues]) -> None:
    for name, problems in more.items():
        if problems.count:
            into.setdefault(name, UnreadValues()).join(problems)


def join_parts(parts: Sequence[FramePart], columns: Mapping[str, str] = OFFER_STATE, *, where: str) -> pd.DataFrame:
    """Build one frame from many parts, in order. The parts are empty afterwards.

    Parameters
    ----------
    parts : sequence of FramePart
        Parts from builders with the same columns.
    columns : Mapping of str to str
        Names and dtypes, the same table that the builders used.
    where : str
        The name of the call, for the warnings.

    Returns
    -------
    pandas.DataFrame
        The columns with their dtypes, then fields that the table does not list in the order of appearance.

    Warns
    -----
    DataWarning
        Once per column with values that could not be read, over all parts.
    """
    chunks = [chunk for part in parts for chunk in part.chunks]
    unread: dict[str, UnreadValues] = {}
    for part in parts:
        _join_unread(unread, part.unread)
        part.chunks = []  # with the pops below, frees each array as soon as it is copied
    known: dict[str, Arrays] = {}
    for name, dtype in columns.items():
        pieces = [chunk.known.pop(name) for chunk in chunks] or [empty_arrays(dtype, 0)]
        known[name] = _concatenated(pieces)
    series = {holdable(name): array for name, array in typed_arrays(columns, known).items()}
    new_names, left_out = _kept(dict.fromkeys(chain.from_iterable(chunk.extra for chunk in chunks)), {})
    _join_unread(unread, left_out)
    for name in new_names:
        pieces = [chunk.extra.pop(name, ()) or empty_arrays(LIST, chunk.rows) for chunk in chunks]
        series[holdable(name)] = inferred_array(_concatenated(pieces)[0])
    frame = pd.DataFrame(series, index=pd.RangeIndex(sum(chunk.rows for chunk in chunks)), copy=False)
    _warn(unread, where)
    return frame


def holdable(name: str) -> str:
    """Return a column name without unpaired surrogates, which pandas cannot store if pyarrow is installed."""
    return name.encode(errors="backslashreplace").decode()


def _concatenated(pieces: Sequence[Arrays]) -> Arrays:
    return pieces[0] if len(pieces) == 1 else tuple(map(np.concatenate, zip(*pieces, strict=True)))


def frame_of(
    records: Sequence[Mapping[str, Any]], columns: Mapping[str, str] = OFFER_STATE, *, where: str
) -> pd.DataFrame:
    """Build a typed frame from the records of one response. See `FrameBuilder` and `join_parts`."""
    builder = FrameBuilder(columns, where=where)
    builder.add(records)
    return builder.frame()


def empty_frame(columns: Mapping[str, str] = OFFER_STATE) -> pd.DataFrame:
    """Return a frame without rows, with the columns and dtypes of a full one."""
    return join_parts([], columns, where="")


def _warn(unread: Mapping[str, UnreadValues], where: str) -> None:
    """Warn once per column, at the line of code outside this package that made the call."""
    if not unread:
        return
    # Calls have different depths, so the right stacklevel is found by walking up the stack.
    package = str(Path(__file__).parents[1]) + os.sep
    level, caller = 1, inspect.currentframe()
    while caller is not None and caller.f_code.co_filename.startswith(package):
        level, caller = level + 1, caller.f_back
    for column, problems in unread.items():
        warnings.warn(problems.describe(column, where), DataWarning, stacklevel=level)
