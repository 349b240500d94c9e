"""From the service's records to typed frames: each page becomes columns at once; what cannot be read is counted."""

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
    typed_array,
    without_deep,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from .output_columns import Arrays

__all__ = ["NEW_FIELDS", "FrameBuilder", "FramePart", "empty_frame", "frame_of", "holdable", "join_parts"]

CHUNK_ROWS: Final = 256
"""Records that wait before they become arrays: enough to be worth it, few enough to stay in the processor's cache."""
TEXT_OR_NOTHING: Final = {str, NOTHING}
NESTED: Final = frozenset({list, dict})
NEW_FIELDS: Final = 1_000
"""Fields of an answer that no table knows and that become columns; further ones are counted in a warning."""
SHARED_TEXTS: Final = 16384
"""Different texts remembered per column, so that equal ones are one object."""
TRIAL_TEXTS: Final = 1024
"""After so many different texts a column in which few repeat is left as it is."""


# ---- frames ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chunk:
    """Some rows, as numpy arrays by column."""

    rows: int
    known: dict[str, Arrays]
    extra: dict[str, Arrays]


@dataclass(slots=True)
class FramePart:
    """Rows of a frame on their way from a worker: small arrays and what could not be read; it can be pickled."""

    chunks: list[Chunk] = field(default_factory=list)
    unread: dict[str, UnreadValues] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(chunk.rows for chunk in self.chunks)


class _Shared:
    """The texts of a column that were seen, so that equal ones become one object."""

    __slots__ = ("_seen", "_texts", "_worthwhile")

    def __init__(self) -> None:
        self._texts: dict[str | None, str | None] = {}
        self._seen = 0
        self._worthwhile = True

    def known(self, cells: Sequence[Any], rows: int) -> NDArray[Any] | None:
        """Give cells that are all texts seen before, or missing, as an array; None where one is not.

        One look at each: what is found among texts is a text.
        """
        try:
            found = np.fromiter(map(self._texts.__getitem__, cells), dtype=object, count=rows)
        except (KeyError, TypeError):  # something new, or a list or an object
            return None
        self._seen += rows
        return found

    def of(self, cells: Sequence[str | None]) -> Sequence[str | None]:
        """Give the same cells, each the object that was seen first."""
        if not self._worthwhile:
            return cells
        texts = self._texts
        if len(texts) > TRIAL_TEXTS:
            self._worthwhile = len(texts) * 2 < self._seen
            if not self._worthwhile or len(texts) > SHARED_TEXTS:
                texts.clear()
                self._seen = 0
        self._seen += len(cells)
        return list(map(texts.setdefault, cells, cells))


class FrameBuilder:
    """Collect records page by page as columns; the parsed dicts are forgotten soon.

    Lists in the frame are to be read, not changed in place: empty ones are one object.

    Parameters
    ----------
    columns : Mapping of str to str
        Names and dtypes, a table of `schema`. Fields that it does not name become columns at the end.
    where : str
        What was called, for the warnings.
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
        """Forget what was added."""
        self._part = FramePart()
        self._records: list[Mapping[str, Any]] = []
        self._empty: list[Any] = []

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take the records of one answer; do not change them afterwards.

        Parameters
        ----------
        records : sequence of mappings
            Offer states as parsed from JSON, with any fields.
        """
        self._records += records
        if len(self._records) >= CHUNK_ROWS:
            self._settle()

    def _settle(self) -> None:
        """Turn the records that wait into columns."""
        records, self._records = self._records, []
        if not records:
            return
        names = list(records[0])
        cells_of: Iterable[Sequence[Any]]
        if len(names) <= NEW_FIELDS and all(map(names.__eq__, map(list, records))):
            cells_of = zip(*[record.values() for record in records], strict=True)
        else:
            names, left_out = _kept(dict.fromkeys(chain.from_iterable(records)), self._columns)
            _join_unread(self._part.unread, left_out)
            cells_of = ([record.get(name) for record in records] for name in names)
        self._add_chunk(dict(zip(names, cells_of, strict=True)), len(records))

    def add_columns(self, columns: Iterable[tuple[str, Sequence[Any]]], rows: int) -> None:
        """Take rows that are columns already.

        Parameters
        ----------
        columns : iterable of tuple
            Names and cells, as many in each as there are rows.
        rows : int
            How many.
        """
        self._settle()
        if rows:
            self._add_chunk(dict(columns), rows)

    def _add_chunk(self, cells_of: dict[str, Sequence[Any]], rows: int) -> None:
        """Turn cells into arrays."""
        chunk = Chunk(rows, {}, {})
        unread = {name: UnreadValues() for name in self._columns}
        # Most times repeat, within a column and between columns: each text is parsed once per chunk.
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
        """Hand over what was added, for `join_parts`; the builder is empty afterwards."""
        self._settle()
        part = self._part
        self.clear()
        return part

    def frame(self) -> pd.DataFrame:
        """Hand over what was added as one frame; the builder is empty afterwards.

        Returns
        -------
        pandas.DataFrame
            The columns with their dtypes, then fields that the table does not name in the order of appearance.

        Warns
        -----
        DataWarning
            Once per column with values that could not be read.
        """
        return join_parts([self.part()], self._columns, where=self._where)

    def _texts(self, name: str, cells: Sequence[Any], unread: UnreadValues, rows: int) -> NDArray[Any]:
        shared = self._shared[name]
        known = shared.known(cells, rows)
        return object_array(shared.of(texts_of(cells, unread)), rows) if known is None else known

    def _new_field(self, name: str, cells: Sequence[Any], unread: dict[str, UnreadValues]) -> Sequence[Any]:
        """Take cells that no table knows, but what is nested too deeply; equal texts are one object."""
        kinds = set(map(type, cells))
        if kinds <= TEXT_OR_NOTHING:
            return self._shared[name].of(cells)
        return cells if NESTED.isdisjoint(kinds) else without_deep(cells, unread.setdefault(name, UnreadValues()))

    def _with_one_empty(self, cells: Sequence[Any]) -> Sequence[Any]:
        """Let empty lists be one object: three million would cost 170 MB, and the collector a quarter of the time."""
        empty = self._empty
        return [empty if cell == empty else cell for cell in cells]


_READ: Final[dict[str, Callable[[str, Sequence[Any], UnreadValues], Arrays]]] = {INTEGER: integers_of, FLAG: flags_of}
"""How the cells of a chunk become arrays; times are looked up, and texts and lists shared."""


def _kept(names: Iterable[str], columns: Mapping[str, str]) -> tuple[list[str], dict[str, UnreadValues]]:
    """Leave out what would make a frame explode: each new field costs a cell in every row of it.

    Returns
    -------
    tuple
        The names of the table and the first others, and what is told of the rest.
    """
    known: list[str] = []
    new: list[str] = []
    for name in names:
        (known if name in columns else new).append(name)
    left_out = UnreadValues()
    for name in new[NEW_FIELDS:]:
        left_out.add(name, f"more than the {NEW_FIELDS:,} that a frame takes")
    return known + new[:NEW_FIELDS], {"new fields": left_out}


def _join_unread(into: dict[str, UnreadValues], more: Mapping[str, UnreadValues]) -> None:
    for name, problems in more.items():
        if problems.count:
            into.setdefault(name, UnreadValues()).join(problems)


def join_parts(parts: Sequence[FramePart], columns: Mapping[str, str] = OFFER_STATE, *, where: str) -> pd.DataFrame:
    """Make one frame of many parts, in their order; the parts are used up, so that the memory is needed once.

    Parameters
    ----------
    parts : sequence of FramePart
        What builders with the same columns handed over.
    columns : Mapping of str to str
        Names and dtypes, the table that the builders were given.
    where : str
        What was called, for the warnings.

    Returns
    -------
    pandas.DataFrame
        The columns with their dtypes, then fields that the table does not name in the order of appearance.

    Warns
    -----
    DataWarning
        Once per column with values that could not be read, over all parts.
    """
    chunks = [chunk for part in parts for chunk in part.chunks]
    unread: dict[str, UnreadValues] = {}
    for part in parts:
        _join_unread(unread, part.unread)
        part.chunks = []
    series: dict[str, Any] = {}
    for name, dtype in columns.items():
        pieces = [chunk.known.pop(name) for chunk in chunks] or [empty_arrays(dtype, 0)]
        series[holdable(name)] = typed_array(dtype, _concatenated(pieces))
    new_names, left_out = _kept(dict.fromkeys(chain.from_iterable(chunk.extra for chunk in chunks)), {})
    _join_unread(unread, left_out)
    for name in new_names:
        pieces = [chunk.extra.pop(name, ()) or empty_arrays(LIST, chunk.rows) for chunk in chunks]
        series[holdable(name)] = inferred_array(_concatenated(pieces)[0])
    frame = pd.DataFrame(series, index=pd.RangeIndex(sum(chunk.rows for chunk in chunks)), copy=False)
    _warn(unread, where)
    return frame


def holdable(name: str) -> str:
    """Give a column's name that pandas can hold with pyarrow, too: without half surrogates."""
    return name.encode(errors="backslashreplace").decode()


def _concatenated(pieces: Sequence[Arrays]) -> Arrays:
    return pieces[0] if len(pieces) == 1 else tuple(map(np.concatenate, zip(*pieces, strict=True)))


def frame_of(
    records: Sequence[Mapping[str, Any]], columns: Mapping[str, str] = OFFER_STATE, *, where: str
) -> pd.DataFrame:
    """Make a typed frame of the records of one answer; see `FrameBuilder` and `join_parts`."""
    builder = FrameBuilder(columns, where=where)
    builder.add(records)
    return builder.frame()


def empty_frame(columns: Mapping[str, str] = OFFER_STATE) -> pd.DataFrame:
    """Give a frame without rows that has the same columns and dtypes as a full one."""
    return join_parts([], columns, where="")


def _warn(unread: Mapping[str, UnreadValues], where: str) -> None:
    """Warn once per column, at the line of the caller that is not part of this package."""
    if not unread:
        return
    package = str(Path(__file__).parents[1]) + os.sep
    level, caller = 1, inspect.currentframe()
    while caller is not None and caller.f_code.co_filename.startswith(package):
        level, caller = level + 1, caller.f_back
    for column, problems in unread.items():
        warnings.warn(problems.describe(column, where), DataWarning, stacklevel=level)
