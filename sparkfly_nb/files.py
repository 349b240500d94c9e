"""Files: the paths that people name, files written whole or not at all, and files only their owner may read."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .errors import AuditFileError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_path", "make_private_file", "replacing"]

PRIVATE: Final = 0o600
BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file of its own, and reads back into it."""


def as_path(value: str | os.PathLike[str]) -> Path:
    """Return the path of a file or a folder that a person named.

    Raises
    ------
    InvalidInput
        No file can have this name.
    """
    try:
        path = Path(value)
        is_possible = b"\x00" not in os.fsencode(path)
    except (TypeError, UnicodeEncodeError):
        is_possible = False
    if not is_possible:
        raise InvalidInput(f"{ascii(value)[:60]} can be no name of a file; give a path without NUL and half surrogates")
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside the real one to write to; the file gets its name when the block ends without an error.

    Raises
    ------
    AuditFileError
        The file system refused the write. Nothing is left behind.
    """
    aside = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        raise AuditFileError(
            f"{path} was not written, and nothing was left behind: {error.strerror or error}"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # the file has its name by now, or is discarded
            aside.unlink(missing_ok=True)


def make_private_file(path: Path, *, with_folder: bool = False) -> None:
    """Make a file that only its owner can read and change, or make sure that it is one.

    Parameters
    ----------
    path : Path
        The file, for SQLite.
    with_folder : bool
        Whether its folder is made where it is missing.

    Raises
    ------
    OSError
        The file cannot be made, is a link, belongs to somebody else, or lies where anybody can replace it;
        ``strerror`` says which.
    """
    try:
        if with_folder:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        if os.name == "posix":
            found = path.lstat()
            _check(path, found)
            if stat.S_IMODE(found.st_mode) != PRIVATE:
                path.chmod(PRIVATE)
    except ValueError:
        raise OSError(errno.EINVAL, "its name holds what no name of a file can hold", str(path)) from None


def _make(path: Path) -> None:
    # A file that is there is not opened: closing it again would take away the locks that SQLite holds on it for
    # another connection of this process, and with them what keeps the file whole.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))


def _check(path: Path, found: os.stat_result) -> None:
    """Refuse a file through which somebody else could read or change what is kept, now or later."""
    folder = path.parent.stat()
    if stat.S_ISLNK(found.st_mode):
        problem = "it is a link, and only the file itself is safe"
    elif not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        problem = "it is not a file of your own"
    elif found.st_nlink > 1:  # SQLite itself loses data where a file is opened by two names
        problem = "it has another name as well (a hard link)"
    elif folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        problem = f"anybody can replace files in {path.parent}"
    elif strange := next((name for name in map(path.name.__add__, BESIDE) if _is_foreign(path.with_name(name))), None):
        problem = f"{strange} beside it is not a file of your own"
    else:
        return
    raise OSError(errno.EPERM, problem, str(path))


def _is_foreign(path: Path) -> bool:
    """Say whether there is something that was not made by this user's SQLite."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_nlink > 1
