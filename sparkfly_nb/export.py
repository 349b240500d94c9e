"""Frames to CSV files that are whole or absent, and CSV files to the same frames again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import numpy as np
import pandas as pd

from .cells import (
    FRACTION,
    NOT_A_TIME,
    Unread,
    flags_of,
    fractions_of,
    integers_of,
    lists_of,
    object_array,
    parse_times,
    times_of,
)
from .csv_cells import Memo, cells_of, text_cell, text_of
from .errors import AuditFileError, InvalidInput
from .frames import Chunk, FramePart, join_parts
from .schema import FLAG, INTEGER, LIST, TEXT, TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from .cells import Arrays

__all__ = ["CsvWriter", "WrittenFile", "read_csv", "write_csv"]

BLOCK_ROWS: Final = 8192
"""Rows written at once."""
READ_ROWS: Final = 16384
"""Rows read at once."""
READ_BYTES: Final = 1 << 20
ROW_END: Final = "\r\n"

EMPTY_CELL: Final = re.compile(rb'""(?<=[,\n]"")(?=[,\r\n]|\Z)')  # the plain sign first: it is what can be found fast
EMPTY_MARK: Final = "'"
"""What an empty text is while it is read: no text is written as a lone apostrophe."""
WHOLE_NUMBERS: Final = re.compile(r"[-0-9]*", re.ASCII)
FLAG_WORDS: Final = {"true": True, "false": False}


class WrittenFile(NamedTuple):
    """A file that is there, whole."""

    rows: int
    sha256: str


# ---- writing ---------------------------------------------------------------------------------------------------------


class CsvWriter:
    """Write a CSV file frame by frame; it appears under its name when all went well, and not at all otherwise.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; a file there is replaced in one step.
    columns : sequence of str
        The columns, in order; each frame must have them all and no others. The index is not written.

    Attributes
    ----------
    rows : int
        Rows written so far.
    sha256 : str
        The SHA-256 of what was written so far, of the whole file once the block is left.

    Raises
    ------
    InvalidInput
        A frame has other columns, or a value cannot be written.
    AuditFileError
        The file system refused; nothing is left behind.
    """

    def __init__(self, path: str | Path, columns: Sequence[str]) -> None:
        self.path = Path(path)
        self.columns = list(columns)
        self.rows = 0
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._aside = self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(8)}.part")
        if len(set(map(str, self.columns))) < len(self.columns):
            raise InvalidInput(f"{self.path.name}: two columns have the same name")

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written so far."""
        return self._hash.hexdigest()

    def __enter__(self) -> CsvWriter:
        try:
            self._file = self._aside.open("xb")  # fails where anything is, a link too
        except OSError as error:
            raise self._refused(error) from None
        try:
            self._write(",".join(text_cell(str(name)) for name in self.columns) + ROW_END)
        except BaseException:
            self._abort()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is None:
            return
        if kind is not None:
            self._abort()
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._aside.replace(self.path)
        except OSError as refusal:
            self._abort()
            raise self._refused(refusal) from None
        self._file = None
        _settle_folder(self.path.parent)

    def append(self, frame: pd.DataFrame) -> None:
        """Write the rows of a frame; the memory for it is bounded, however many there are."""
        if list(frame.columns) != self.columns:
            other = set(map(str, frame.columns)) ^ set(map(str, self.columns))
            names = ", ".join(sorted(other)) or "in another order"
            raise InvalidInput(f"{self.path.name}: the columns are not those announced: {names}")
        for start in range(0, len(frame), BLOCK_ROWS):
            block = frame.iloc[start : start + BLOCK_ROWS]
            cells = []
            for position, name in enumerate(self.columns):
                try:
                    cells.append(cells_of(block.iloc[:, position]))
                except InvalidInput as error:
                    raise InvalidInput(f"{self.path.name}: column {name}: {error}") from None
            self._write("".join([row + ROW_END for row in map(",".join, zip(*cells, strict=True))]))
            self.rows += len(block)

    def _write(self, text: str) -> None:
        if self._file is None:
            raise InvalidInput(f"{self.path.name} is not open; write inside of a with block")
        encoded = text.encode()
        try:
            self._file.write(encoded)
        except OSError as error:
            raise self._refused(error) from None
        self._hash.update(encoded)

    def _abort(self) -> None:
        file, self._file = self._file, None
        with contextlib.suppress(OSError):  # what could not be written is thrown away in any case
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> AuditFileError:
        return AuditFileError(f"{self.path} was not written, and nothing was left behind: {error.strerror or error}")


def _settle_folder(folder: Path) -> None:
    """Make the new name of a file survive a power cut, where the system can."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # the file is there; some file systems cannot promise more
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_csv(frame: pd.DataFrame, path: str | Path) -> WrittenFile:
    """Write a frame as a CSV file that appears whole or not at all; the index is not written.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame; times must carry a time zone.
    path : str or Path
        Where the file shall be; a file there is replaced in one step.

    Returns
    -------
    WrittenFile
        The number of rows and the SHA-256.

    Raises
    ------
    InvalidInput
        A value cannot be written.
    AuditFileError
        The file system refused; nothing is left behind.
    """
    with CsvWriter(path, list(frame.columns)) as writer:
        writer.append(frame)
    return WrittenFile(writer.rows, writer.sha256)


# ---- reading ---------------------------------------------------------------------------------------------------------


class _MarkedEmpties(io.RawIOBase):
    """A CSV file in which cells written as ``""`` carry a mark, because readers take them for missing ones."""

    def __init__(self, file: BinaryIO) -> None:
        self._source = file
        self._rest = b""
        self._ready = memoryview(b"")
        self._quoted = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            read = self._source.read(READ_BYTES)
            block = self._rest + read
            cut = block.rfind(b"\n") + 1 if read else len(block)
            self._rest = block[cut:]
            self._ready = memoryview(self._marked(block[:cut]))
            if not read:
                break
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken

    def _marked(self, block: bytes) -> bytes:
        """Mark the empty cells of whole lines; within quotes the same signs are part of a text."""
        mark = b'"' + EMPTY_MARK.encode() + b'"'
        block = b"\n" + block  # so that the first cell has something in front of it as well
        found = np.array([match.start() for match in EMPTY_CELL.finditer(block)], dtype=np.int64)
        quotes = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord('"'))
        outside = (np.searchsorted(quotes, found) + self._quoted) % 2 == 0
        self._quoted = bool((len(quotes) + self._quoted) % 2)
        pieces, last = [], 1
        for start in found[outside].tolist():
            pieces += [block[last:start], mark]
            last = start + 2
        return b"".join([*pieces, block[last:]])


def read_csv(path: str | Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a file of `write_csv` back as the frame that it was.

    Parameters
    ----------
    path : str or Path
        The file.
    columns : Mapping of str to str
        Dtypes by column: those of `schema`, or ``Float64``; other columns of the file are read as ``string``.

    Returns
    -------
    pandas.DataFrame
        The columns of the file in its order, with their dtypes.

    Raises
    ------
    AuditFileError
        There is no such file, it lacks a column, or a cell is not what its column promises.
    """
    path = Path(path)
    parts: list[FramePart] = []
    try:
        with path.open("rb") as file, io.BufferedReader(_MarkedEmpties(file), READ_BYTES) as marked:
            reader = pd.read_csv(
                marked,
                dtype=object,
                header=None,
                keep_default_na=False,
                na_filter=False,
                skip_blank_lines=False,
                chunksize=READ_ROWS,
                encoding="utf-8",
            )
            names: list[str] = []
            for cells in reader:
                if not names:
                    names = [text_of(name) for name in cells.iloc[0]]
                    cells = cells.iloc[1:]  # noqa: PLW2901 - the first row names the columns
                dtypes = {name: columns.get(name, TEXT) for name in names}
                parts.append(_part_of(cells, dtypes))
    except OSError as error:
        raise AuditFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise AuditFileError(f"{path} is not a CSV file of this package: {error}") from None
    absent = [name for name in columns if name not in dtypes]
    if absent:
        raise AuditFileError(f"{path} lacks the columns {', '.join(absent)}")
    for part in parts:
        for name, unread in part.unread.items():
            raise AuditFileError(
                unread.describe(name, path.name).replace("and became missing", "so the file was changed")
            )
    return join_parts(parts, dtypes, where=path.name)


def _part_of(cells: pd.DataFrame, dtypes: Mapping[str, str]) -> FramePart:
    """Type one block of cells."""
    chunk = Chunk(len(cells), {}, {})
    part = FramePart([chunk])
    for position, (name, dtype) in enumerate(dtypes.items()):
        unread = Unread()
        chunk.known[name] = _TYPED[dtype](cells.iloc[:, position].tolist(), unread)
        if unread.count:
            part.unread[name] = unread
    return part


def _integers(cells: list[str], unread: Unread) -> Arrays:
    if WHOLE_NUMBERS.fullmatch("".join(cells)):
        try:
            return integers_of("", [int(cell) if cell else None for cell in cells], unread)
        except ValueError:
            pass  # a sign in the wrong place: cell by cell
    return integers_of("", [cell or None for cell in cells], unread)


def _flags(cells: list[str], unread: Unread) -> Arrays:
    return flags_of("", [FLAG_WORDS.get(cell, cell) if cell else None for cell in cells], unread)


def _fractions(cells: list[str], unread: Unread) -> Arrays:
    return fractions_of("", [_parsed(float, cell) if cell else None for cell in cells], unread)


def _lists(cells: list[str], unread: Unread) -> Arrays:
    empty: list[Any] = []
    parsed = [(empty if cell == "[]" else _parsed(json.loads, cell)) if cell else None for cell in cells]
    return lists_of("", parsed, unread)


def _parsed(parse: Callable[[str], Any], cell: str) -> Any:
    """Parse a cell; what cannot be parsed stays a text, which its column will not take."""
    try:
        return parse(cell)
    except (ValueError, RecursionError):
        return cell


def _times(cells: list[str], unread: Unread) -> Arrays:
    parsed, bad = parse_times(set(cells) - {""})
    return times_of(cells, {"": NOT_A_TIME, **parsed}, bad, unread)


def _texts(cells: list[str], _unread: Unread) -> Arrays:
    memo = Memo(text_of)
    memo[""] = None
    return (object_array(map(memo.__getitem__, cells), len(cells)),)


_TYPED: Final[dict[str, Callable[[list[str], Unread], Arrays]]] = {
    INTEGER: _integers,
    FLAG: _flags,
    FRACTION: _fractions,
    LIST: _lists,
    TEXT: _texts,
    TIME: _times,
}
"""How the cells of a block become arrays, by dtype."""
