"""Paths from users, atomic writes, and private files."""

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
#: Suffixes of the files that SQLite keeps beside a database. SQLite trusts their content, so they are checked too.
BESIDE: Final = ("-wal", "-shm", "-journal")


def as_path(value: str | os.PathLike[str]) -> Path:
    """Return the path of a file or folder that the user named.

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
        raise InvalidInput(
            f"{ascii(value)[:60]} is not a valid path; use a path without NUL characters and unpaired surrogates"
        )
    return path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename the file to `path` if the block ends without an error.

    Raises
    ------
    AuditFileError
        The file system rejected the write. Nothing is left behind.
    """
    # The temporary file is in the same folder, because a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.stem[:80]}.{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise AuditFileError(
            f"{path} was not written, and nothing was left behind: {error.strerror or error}"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # after a successful rename there is nothing to delete
            temporary.unlink(missing_ok=True)


def make_private_file(path: Path, *, with_folder: bool = False) -> None:
    """Create a file that only its owner can read and change, or check that an existing file is safe.

    Parameters
    ----------
    path : Path
        The file, a SQLite database.
    with_folder : bool
        Whether to create the folder if it is missing.

    Raises
    ------
    OSError
        The file cannot be created, is a link, belongs to another user, or is in a folder where anybody can replace it.
        ``strerror`` has the reason.
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
        raise OSError(errno.EINVAL, "its name contains characters that no file name can contain", str(path)) from None


def _make(path: Path) -> None:
    # Never open an existing file here. POSIX locks belong to the process, so closing it would release the locks that
    # SQLite holds for another connection of this process, and the database could be corrupted.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))


def _check(path: Path, found: os.stat_result) -> None:
    """Raise if another user could read or change the data through this file, now or later."""
    folder = path.parent.stat()
    if stat.S_ISLNK(found.st_mode):
        problem = "it is a link; use the path of the file itself"
    elif not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        problem = "it is not a regular file that you own"
    elif found.st_nlink > 1:  # SQLite can lose data when a database is opened under two names
        problem = "it has another name (a hard link)"
    # With the sticky bit, as on /tmp, other users cannot replace the file even though they can write to the folder.
    elif folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        problem = f"anybody can replace files in {path.parent}"
    elif strange := next((name for name in map(path.name.__add__, BESIDE) if _is_foreign(path.with_name(name))), None):
        problem = f"{strange} beside it is not a regular file that you own"
    else:
        return
    raise OSError(errno.EPERM, problem, str(path))


def _is_foreign(path: Path) -> bool:
    """Return whether `path` exists and was not created by this user's SQLite."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_nlink > 1
