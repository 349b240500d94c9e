"""Files that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import contextlib
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import AuditFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside the real one to write to; the file takes its name when the block ends well.

    Raises
    ------
    AuditFileError
        The file system refused; nothing is left behind.
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
        with contextlib.suppress(OSError):  # it has its name by now, or is thrown away
            aside.unlink(missing_ok=True)
