"""Read a CSV file that this package wrote back into the same frame."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pandas as pd

from ..errors import AuditFileError
from ..files import as_path
from ..schema import FLAG, INTEGER, LIST, TEXT, TIME
from .builder import Chunk, FramePart, join_parts
from .csv_cells import Memo, edited_blocks, text_of
from .output_columns import (
    FRACTION,
    NOT_A_TIME,
    UnreadValues,
    flags_of,
    fractions_of,
    integers_of,
    lists_of,
    object_array,
    parse_times,
    times_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .output_columns import Arrays

__all__ = ["read_csv"]

#: Number of rows to read at once.
READ_ROWS: Final = 16384
BUFFER_BYTES: Final = 1 << 20
# The pattern starts with the plain quotes, because the regex engine searches fast for a literal prefix.
EMPTY_CELL: Final = re.compile(rb'""(?<=[,\n]"")(?=[,\r\n])')
#: Stands for an empty text while the file is read. The writer never writes a single apostrophe as a cell.
EMPTY_MARK: Final = b'"\'"'
WHOLE_NUMBERS: Final = re.compile(r"[-0-9]*", re.ASCII)
FLAG_WORDS: Final = {"true": True, "false": False}


class _MarkedEmpties(io.RawIOBase):
    """A CSV file in which cells written as ``""`` are marked, because pandas cannot tell them from missing cells."""

    def __init__(self, file: BinaryIO) -> None:
        self._blocks = edited_blocks(file.read, EMPTY_CELL, EMPTY_MARK)
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ready:
            self._ready = memoryview(next(self._blocks, b""))
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken


def read_csv(path: str | Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a file that `write_csv` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    columns : Mapping of str to str
        Dtypes by column: those of `schema`, or ``Float64``. Other columns of the file are read as ``string``.

    Returns
    -------
    pandas.DataFrame
        The columns of the file in its order, with their dtypes.

    Raises
    ------
    AuditFileError
        The file does not exist, lacks a column, or has a cell that does not match the dtype of its column.
    """
    path = as_path(path)
    parts: list[FramePart] = []
    try:
        with path.open("rb") as file, io.BufferedReader(_MarkedEmpties(file), BUFFER_BYTES) as marked:
            reader = pd.read_csv(
                marked,
                dtype=object,
                header=None,  # names are escaped like other cells, and pandas would rename duplicates
                keep_default_na=False,
                na_filter=False,
                skip_blank_lines=False,
                chunksize=READ_ROWS,
                encoding="utf-8",
            )
            names: list[str] = []
            for cells in reader:
                if not names:
                    names = _names_in(cells.iloc[0].tolist())
                    cells = cells.iloc[1:]  # noqa: PLW2901 - the first row names the columns
                dtypes = {name: columns.get(name, TEXT) for name in names}
                parts.append(_part_of(cells, dtypes))
    except AuditFileError as error:
        raise AuditFileError(f"{path}: {error}") from None
    except OSError as error:
        raise AuditFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise AuditFileError(f"{path} is not a CSV file of this package: {str(error).strip()}") from None
    absent = [name for name in columns if name not in dtypes]
    if absent:
        raise AuditFileError(f"{path} has no column named {' or '.join(absent)}")
    for part in parts:
        for name, unread in part.unread.items():
            # Elsewhere such values become missing with a warning, but an audit must come back exactly or not at all.
            found = unread.describe(name, path.name).replace(" and became missing", "")
            raise AuditFileError(f"{found}; the file was changed after it was written")
    return join_parts(parts, dtypes, where=path.name)


def _names_in(header: list[str]) -> list[str]:
    names = list(map(text_of, header))
    if len(set(names)) < len(names):
        raise AuditFileError("two columns have the same name")
    return names


def _part_of(cells: pd.DataFrame, dtypes: Mapping[str, str]) -> FramePart:
    """Convert one block of cells to arrays."""
    chunk = Chunk(len(cells), {}, {})
    part = FramePart([chunk])
    for position, (name, dtype) in enumerate(dtypes.items()):
        unread = UnreadValues()
        chunk.known[name] = _TYPED[dtype](cells.iloc[:, position].tolist(), unread)
        if unread.count:
            part.unread[name] = unread
    return part


def _integers(cells: list[str], unread: UnreadValues) -> Arrays:
    # One match for all cells, and int() on each, is faster than `as_integer` on each.
    if WHOLE_NUMBERS.fullmatch("".join(cells)):
        try:
            return integers_of("", [int(cell) if cell else None for cell in cells], unread)
        except ValueError:
            pass  # a minus sign in the wrong place: read the cells one by one to find the bad ones
    return integers_of("", [cell or None for cell in cells], unread)


def _flags(cells: list[str], unread: UnreadValues) -> Arrays:
    return flags_of("", [FLAG_WORDS.get(cell, cell) if cell else None for cell in cells], unread)


def _fractions(cells: list[str], unread: UnreadValues) -> Arrays:
    return fractions_of("", [_parsed(float, cell) if cell else None for cell in cells], unread)


def _lists(cells: list[str], unread: UnreadValues) -> Arrays:
    empty: list[Any] = []  # one object for all empty lists, as in `FrameBuilder`
    parsed = [(empty if cell == "[]" else _parsed(json.loads, cell)) if cell else None for cell in cells]
    return (object_array(lists_of(parsed, unread), len(parsed)),)


def _parsed(parse: Callable[[str], Any], cell: str) -> Any:
    """Parse a cell, or return the text unchanged. The reader of the column then reports the text as unread."""
    try:
        return parse(cell)
    except (ValueError, RecursionError):
        return cell


def _times(cells: list[str], unread: UnreadValues) -> Arrays:
    parsed, bad = parse_times(set(cells) - {""})
    return times_of(cells, {"": NOT_A_TIME, **parsed}, bad, unread)


def _texts(cells: list[str], _unread: UnreadValues) -> Arrays:
    memo = Memo(text_of)
    memo[""] = None  # an empty text was replaced by EMPTY_MARK, so an empty cell is a missing value
    return (object_array(map(memo.__getitem__, cells), len(cells)),)


#: How to convert cells to arrays, by dtype.
_TYPED: Final[dict[str, Callable[[list[str], UnreadValues], Arrays]]] = {
    INTEGER: _integers,
    FLAG: _flags,
    FRACTION: _fractions,
    LIST: _lists,
    TEXT: _texts,
    TIME: _times,
}
