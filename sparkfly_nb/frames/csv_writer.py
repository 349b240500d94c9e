"""Write frames to CSV files that are exact, safe in a spreadsheet, and complete or absent.

See `csv_cells` for the format of a cell. Files are UTF-8 without a byte order mark, because many databases and scripts
cannot read one. Use the Excel export for files to open with a double click.
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

#: Number of rows to write at once.
BLOCK_ROWS: Final = 8192
ROW_END_PATTERN: Final = re.compile(ROW_END.encode())


class WrittenFile(NamedTuple):
    """The row count and the SHA-256 of a complete file."""

    rows: int
    sha256: str


class CsvWriter:
    """Write a CSV file frame by frame. The file appears when the ``with`` block ends, and only if all went well.

    Parameters
    ----------
    path : str or Path
        The file. An existing file is replaced in one step.
    columns : iterable of str
        The columns, in order. Columns that a frame lacks are empty in its rows. Columns that a later frame adds come
        at the end, and are empty in the rows before it. The index is not written.

    Attributes
    ----------
    columns : list of str
        The columns so far.
    rows : int
        The number of rows written so far.
    sha256 : str
        The SHA-256 of the complete file. Empty before the ``with`` block ends.

    Raises
    ------
    InvalidInput
        A value cannot be written, two columns have the same name, or no file can have this name.
    AuditFileError
        The file system rejected the write. Nothing is left behind.
    """

    def __init__(self, path: str | Path, columns: Iterable[str]) -> None:
        self.path = as_path(path)
        self.columns = list(columns)
        self.rows = 0
        self.sha256 = ""
        self._initial_width = len(self.columns)
        self._segments: list[tuple[int, int]] = []  # for each block, its length in bytes and its number of columns
        self._file: BinaryIO | None = None
        self._temporary = self._temporary_path()
        self._check_names(self.columns)

    def __enter__(self) -> CsvWriter:
        try:
            self._create()
        except OSError as error:
            raise self._write_error(error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._abort()
            return
        try:
            if len(self.columns) > self._initial_width:
                self._widen()
            file = self._open_file()
            # On disk before the rename, so that a power cut cannot leave an incomplete file under the final name.
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._temporary.replace(self.path)
        except OSError as write_error:
            self._abort()
            raise self._write_error(write_error) from None
        except BaseException:
            self._abort()
            raise
        self._file = None
        self.sha256 = self._hash.hexdigest()
        _sync_folder(self.path.parent)

    def append(self, frame: pd.DataFrame) -> None:
        """Write the rows of a frame, in blocks, so that memory use does not grow with the number of rows."""
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
                raise self._write_error(error) from None
            self.rows += len(block)
            self._segments.append((written, len(self.columns)))

    def _create(self) -> None:
        """Create the temporary file and write the header."""
        self._file = self._temporary.open("xb")  # fails if the name exists, even as a link
        self._hash = hashlib.sha256()
        try:
            self._header_bytes = self._write(",".join(text_cell(str(name)) for name in self.columns) + ROW_END)
        except BaseException:
            self._abort()
            raise

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise InvalidInput(f"{self.path.name} is not open; write inside a with block")
        return self._file

    def _write(self, cells: str | bytes) -> int:
        encoded = cells.encode() if isinstance(cells, str) else cells
        self._open_file().write(encoded)
        self._hash.update(encoded)
        return len(encoded)

    def _widen(self) -> None:
        """Rewrite the file with empty cells in the rows that were written before the last new column."""
        self._open_file().close()
        narrow, self._temporary = self._temporary, self._temporary_path()
        try:
            with narrow.open("rb") as source:
                source.seek(self._header_bytes)
                self._create()
                for length, width in self._segments:
                    end = b"," * (len(self.columns) - width) + ROW_END.encode()
                    for block in edited_blocks(_reader_of(source, length), ROW_END_PATTERN, end):
                        self._write(block)
        finally:
            narrow.unlink(missing_ok=True)

    def _temporary_path(self) -> Path:
        return self.path.with_name(f".{self.path.name[:100]}.{secrets.token_hex(8)}.part")

    def _check_names(self, names: Iterable[object]) -> None:
        texts = list(map(str, names))
        if len(set(texts)) < len(texts):
            twice = sorted({text for text in texts if texts.count(text) > 1})
            raise InvalidInput(f"{self.path.name}: more than one column is named {', '.join(twice)}; rename one")

    def _abort(self) -> None:
        """Delete the temporary file."""
        file, self._file = self._file, None
        with contextlib.suppress(OSError):  # close() flushes, which can fail too, but the data is discarded anyway
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _write_error(self, error: OSError) -> AuditFileError:
        return AuditFileError(f"{self.path} was not written, and nothing was left behind: {error.strerror or error}")


def _reader_of(source: BinaryIO, length: int) -> Callable[[int], bytes]:
    """Return a function like ``source.read`` that stops after `length` bytes."""
    left = length

    def read(most: int) -> bytes:
        nonlocal left
        piece = source.read(min(most, left))
        left -= len(piece)
        return piece

    return read


def _sync_folder(folder: Path) -> None:
    """Sync a folder to disk, so that a rename in it survives a power cut."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # not every file system supports this, and the file itself is complete
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_csv(frame: pd.DataFrame, path: str | Path) -> WrittenFile:
    """Write a frame to a CSV file, completely or not at all. The index is not written.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame. Times must have a time zone.
    path : str or Path
        The file. An existing file is replaced in one step.

    Returns
    -------
    WrittenFile
        The number of rows and the SHA-256.

    Raises
    ------
    InvalidInput
        A value cannot be written, or two columns have the same name.
    AuditFileError
        The file system rejected the write. Nothing is left behind.
    """
    with CsvWriter(path, frame.columns) as writer:
        writer.append(frame)
    return WrittenFile(writer.rows, writer.sha256)
