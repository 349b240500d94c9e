"""Frames to CSV files that finance accepts: exact, harmless in a spreadsheet, and whole or absent.

How a cell is written stands in `csv_cells`. UTF-8 without a byte order mark, because databases and scripts stumble over
one; for a double click in Excel there is the Excel export.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from ..errors import AuditFileError, InvalidInput
from ..files import as_path
from .csv_cells import ROW_END, cells_of, edited_blocks, text_cell
from .csv_reader import read_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    import pandas as pd

__all__ = ["CsvWriter", "WrittenFile", "read_csv", "write_csv"]

BLOCK_ROWS: Final = 8192
"""Rows written at once."""
ROW_END_SIGN: Final = re.compile(ROW_END.encode())


class WrittenFile(NamedTuple):
    """A file that is there, whole."""

    rows: int
    sha256: str


class CsvWriter:
    """Write a CSV file frame by frame; it appears under its name when all went well, and not at all otherwise.

    Parameters
    ----------
    path : str or Path
        Where the file shall be; a file there is replaced in one step.
    columns : iterable of str
        The columns, in order. A frame that lacks some leaves them empty; columns that a later frame brings are added
        at the end, and are empty in the rows before it. The index is not written.

    Attributes
    ----------
    columns : list of str
        The columns so far.
    rows : int
        Rows written so far.
    sha256 : str
        The SHA-256 of the whole file, once the block is left.

    Raises
    ------
    InvalidInput
        A value cannot be written, two columns have the same name, or no file can have such a name.
    AuditFileError
        The file system refused; nothing is left behind.
    """

    def __init__(self, path: str | Path, columns: Iterable[str]) -> None:
        self.path = as_path(path)
        self.columns = list(columns)
        self.rows = 0
        self.sha256 = ""
        self._announced = len(self.columns)
        self._segments: list[tuple[int, int]] = []  # bytes, and how many columns their rows have
        self._file: BinaryIO | None = None
        self._aside = self._new_name()
        self._check_names(self.columns)

    def __enter__(self) -> CsvWriter:
        try:
            self._open()
        except OSError as error:
            raise self._refused(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._abort()
            return
        try:
            if len(self.columns) > self._announced:
                self._widen()
            file = self._opened()
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._aside.replace(self.path)
        except OSError as refusal:
            self._abort()
            raise self._refused(refusal) from None
        except BaseException:
            self._abort()
            raise
        self._file = None
        self.sha256 = self._hash.hexdigest()
        _settle_folder(self.path.parent)

    def append(self, frame: pd.DataFrame) -> None:
        """Write the rows of a frame; the memory for it is bounded, however many there are."""
        self._check_names(frame.columns)
        known = set(self.columns)
        self.columns += [name for name in frame.columns if name not in known]
        positions = {name: position for position, name in enumerate(frame.columns)}
        for start in range(0, len(frame), BLOCK_ROWS):
            block = frame.iloc[start : start + BLOCK_ROWS]
            cells = []
            for name in self.columns:
                if name not in positions:
                    cells.append([""] * len(block))
                    continue
                try:
                    cells.append(cells_of(block.iloc[:, positions[name]]))
                except InvalidInput as error:
                    raise InvalidInput(f"{self.path.name}: column {name}: {error}") from None
            try:
                written = self._write("".join([row + ROW_END for row in map(",".join, zip(*cells, strict=True))]))
            except OSError as error:
                raise self._refused(error) from None
            self.rows += len(block)
            self._segments.append((written, len(self.columns)))

    def _open(self) -> None:
        """Start a file with the columns so far; it fails where anything is, a link too."""
        self._file = self._aside.open("xb")
        self._hash = hashlib.sha256()
        try:
            self._header_bytes = self._write(",".join(text_cell(str(name)) for name in self.columns) + ROW_END)
        except BaseException:
            self._abort()
            raise

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise InvalidInput(f"{self.path.name} is not open; write inside of a with block")
        return self._file

    def _write(self, cells: str | bytes) -> int:
        encoded = cells.encode() if isinstance(cells, str) else cells
        self._opened().write(encoded)
        self._hash.update(encoded)
        return len(encoded)

    def _widen(self) -> None:
        """Write the file again, with empty cells in the rows that came before the last new column."""
        self._opened().close()
        narrow, self._aside = self._aside, self._new_name()
        try:
            with narrow.open("rb") as source:
                source.seek(self._header_bytes)
                self._open()
                for length, width in self._segments:
                    end = b"," * (len(self.columns) - width) + ROW_END.encode()
                    for block in edited_blocks(_reader_of(source, length), ROW_END_SIGN, end):
                        self._write(block)
        finally:
            narrow.unlink(missing_ok=True)

    def _new_name(self) -> Path:
        return self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(8)}.part")

    def _check_names(self, names: Iterable[object]) -> None:
        texts = list(map(str, names))
        if len(set(texts)) < len(texts):
            twice = sorted({text for text in texts if texts.count(text) > 1})
            raise InvalidInput(f"{self.path.name}: more than one column is called {', '.join(twice)}; rename one")

    def _abort(self) -> None:
        """Leave nothing behind."""
        file, self._file = self._file, None
        with contextlib.suppress(OSError):  # what could not be written is thrown away in any case
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            self._aside.unlink(missing_ok=True)

    def _refused(self, error: OSError) -> AuditFileError:
        return AuditFileError(f"{self.path} was not written, and nothing was left behind: {error.strerror or error}")


def _reader_of(source: BinaryIO, length: int) -> Callable[[int], bytes]:
    """Give a function that reads the next bytes of a file, up to a length in all."""
    left = length

    def read(most: int) -> bytes:
        nonlocal left
        piece = source.read(min(most, left))
        left -= len(piece)
        return piece

    return read


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
        A value cannot be written, or two columns have the same name.
    AuditFileError
        The file system refused; nothing is left behind.
    """
    with CsvWriter(path, frame.columns) as writer:
        writer.append(frame)
    return WrittenFile(writer.rows, writer.sha256)
