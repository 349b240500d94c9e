"""Read the manifest of an exported audit folder, and reject a manifest that this package did not write.

Anyone who changes a folder can also update its checksums. The structure of a manifest is therefore checked before use.
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

#: The size limit of a manifest. A larger file is not read into memory.
MAX_BYTES: Final = 2**24
#: The fields of a manifest that must contain text.
TEXT_FIELDS: Final = ("taken_at", "finished_at", "tz", "user", "environment", "address")
NOTHING: Final = type(None)
#: The fields of the scope with their allowed types.
SCOPE: Final[dict[str, tuple[type, ...]]] = {
    "campaign": (str, NOTHING),
    "by_number": (bool,),
    "offer_id": (int, NOTHING),
    "since": (str, NOTHING),
    "until": (str, NOTHING),
    "run": (str, NOTHING),
    "members": (str,),
}
#: The columns that must be present in the files that `read_audit` reads.
REQUIRED: Final[dict[str, Mapping[str, str]]] = {"states.csv": OFFER_STATE, "plan.csv": PLAN, "unread.csv": UNREAD}


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file for reading. Reject links, pipes and devices.

    Raises
    ------
    OSError
        The path is not a regular file, or cannot be read.
    """
    # Reading a pipe may never end, and a link may lead out of the folder.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(None, "the path is a link or not a file")
    return path.open("rb")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder.

    Raises
    ------
    AuditFileError
        The manifest is missing, was changed, or was not written by this version.
    """
    path = folder / MANIFEST
    try:
        with open_plain(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise AuditFileError(f"{path} is damaged: the file is larger than {MAX_BYTES:,} bytes")
        manifest = json.loads(content.decode("utf-8"))
        digest = digest_of(manifest) if isinstance(manifest, dict) else None
    except FileNotFoundError:
        raise AuditFileError(
            f"{folder} is not an audit or is incomplete: there is no {MANIFEST}. Export the audit again."
        ) from None
    except OSError as error:
        raise AuditFileError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise AuditFileError(f"{path} is damaged: the content is not JSON or is nested too deeply") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise AuditFileError(f"{path} is not the manifest of an audit")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise AuditFileError(
            f"{path} has format version {manifest.get('format_version')}, but this version of sparkfly-nb reads "
            f"{FORMAT_VERSION}. Update sparkfly-nb."
        )
    if manifest.get("manifest_sha256") != digest:
        raise AuditFileError(f"{path} was changed after the export")
    invalid = _first_invalid(manifest)
    if invalid:
        raise AuditFileError(f"{path} was not written by sparkfly-nb: {invalid} is invalid")
    return manifest


def _first_invalid(manifest: Mapping[str, Any]) -> str | None:
    """Return the name of the first invalid field of a manifest, or None if the manifest is valid."""
    for name in TEXT_FIELDS:
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
    """Return True if this is a valid manifest entry of a file."""
    if not isinstance(entry, dict) or type(entry.get("rows")) is not int or not isinstance(entry.get("sha256"), str):
        return False
    columns = entry.get("columns")
    return (
        isinstance(columns, dict)
        and all(dtype in READABLE for dtype in map(str, columns.values()))
        and REQUIRED.get(name, {}).items() <= columns.items()
    )


#: The dtypes with which a column can be read back.
READABLE: Final = DTYPES | {FRACTION}
