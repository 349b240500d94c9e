"""The manifest of a folder that was handed over: read only where it is what this package writes.

Whoever changes a folder can write its checksums anew, so nothing in a manifest is believed before its shape is known.
"""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any, Final

from ...errors import AuditFileError
from ...frames.output_columns import FRACTION
from ...schema import DTYPES, OFFER_STATE, UNREAD
from ..schema import PLAN
from .folder_writer import FILES, FORMAT, FORMAT_VERSION, MANIFEST, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["open_plain", "read_manifest"]

MAX_BYTES: Final = 2**24
FACTS: Final = ("taken_at", "finished_at", "tz", "user", "environment", "address")
NOTHING: Final = type(None)
SCOPE: Final[dict[str, tuple[type, ...]]] = {
    "campaign": (str, NOTHING),
    "by_number": (bool,),
    "offer_id": (int, NOTHING),
    "since": (str, NOTHING),
    "until": (str, NOTHING),
    "run": (str, NOTHING),
    "members": (str,),
}
NEEDED: Final[dict[str, Mapping[str, str]]] = {"states.csv": OFFER_STATE, "plan.csv": PLAN, "unread.csv": UNREAD}
"""The columns without which the files that are read back are none."""


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading that is one: a pipe would never end, and a link leads out of the folder.

    Raises
    ------
    OSError
        It is something else, or cannot be read.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(None, "it is a link or no file at all")
    return path.open("rb")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder.

    Raises
    ------
    AuditFileError
        There is none, it was changed, or it is not what this version writes.
    """
    path = folder / MANIFEST
    try:
        with open_plain(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise AuditFileError(f"{path} is damaged: it is longer than {MAX_BYTES:,} bytes")
        manifest = json.loads(content.decode("utf-8"))
        digest = digest_of(manifest) if isinstance(manifest, dict) else None
    except FileNotFoundError:
        raise AuditFileError(
            f"{folder} is no audit, or one that was not written to its end: there is no {MANIFEST}"
        ) from None
    except OSError as error:
        raise AuditFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise AuditFileError(f"{path} is damaged: it is not JSON, or nested too deeply") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise AuditFileError(f"{path} is not the manifest of an audit")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise AuditFileError(
            f"{path} has format version {manifest.get('format_version')}, and this version of the tool reads "
            f"{FORMAT_VERSION}; update sparkfly-nb"
        )
    if manifest.get("manifest_sha256") != digest:
        raise AuditFileError(f"{path} was changed after it was written")
    strange = _strange(manifest)
    if strange:
        raise AuditFileError(f"{path} was not written by this package: {strange} is not what it writes")
    return manifest


def _strange(manifest: Mapping[str, Any]) -> str | None:
    """Name the first part of a manifest that this package would not have written."""
    for name in FACTS:
        if not isinstance(manifest.get(name), str):
            return name
    scope, files = manifest.get("scope"), manifest.get("files")
    if not isinstance(scope, dict) or scope.keys() != SCOPE.keys():
        return "scope"
    for name, kinds in SCOPE.items():
        if type(scope[name]) not in kinds:
            return f"scope.{name}"
    if not isinstance(files, dict):
        return "files"
    return next((f"files.{name}" for name in FILES if name in files and not _is_entry(name, files[name])), None)


def _is_entry(name: str, entry: Any) -> bool:
    """Say whether this is what a manifest says of a file."""
    if not isinstance(entry, dict) or type(entry.get("rows")) is not int or not isinstance(entry.get("sha256"), str):
        return False
    columns = entry.get("columns")
    return (
        isinstance(columns, dict)
        and all(dtype in READABLE for dtype in map(str, columns.values()))
        and NEEDED.get(name, {}).items() <= columns.items()
    )


READABLE: Final = DTYPES | {FRACTION}
"""The dtypes that a file can be read back with."""
