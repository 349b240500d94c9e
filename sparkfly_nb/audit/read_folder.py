"""Verify an exported audit folder offline, and read an audit from it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from ..errors import AuditFileError
from ..files import as_path
from ..frames.csv_writer import read_csv
from ..frames.lifecycle import with_lifecycle
from ..frames.scalars import as_time
from ..schema import INTEGER, TEXT
from .audit import Audit
from .audit_data import AuditMetadata
from .findings import AuditEvidence
from .output.folder_writer import FILES, MANIFEST, zone_of
from .output.manifest import open_plain, read_manifest
from .schema import typed
from .scope import Scope
from .state_store import StateStore

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

__all__ = ["read_audit", "verify"]

BLOCK_BYTES: Final = 1 << 20


def verify(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Check that an exported audit folder is complete and unchanged. No requests are sent.

    Parameters
    ----------
    folder : path
        What `Audit.to_csv` wrote.

    Returns
    -------
    pandas.DataFrame
        One row per file: ``file``, ``rows``, ``sha256``. All match the manifest.

    Raises
    ------
    AuditFileError
        A file is missing, was changed, has a different number of rows than in the manifest, or does not belong to the
        audit. The message lists every problem.
    """
    path = as_path(folder)
    manifest = read_manifest(path)
    problems = list(_problems(path, manifest))
    if problems:
        raise AuditFileError(f"{path} is not the audit that was exported. Ask for a new copy.\n" + "\n".join(problems))
    files = manifest["files"]
    return typed(
        {
            "file": list(FILES),
            "rows": [files[name]["rows"] for name in FILES],
            "sha256": [files[name]["sha256"] for name in FILES],
        },
        {"file": TEXT, "rows": INTEGER, "sha256": TEXT},
    )


def read_audit(folder: str | os.PathLike[str]) -> Audit:
    """Verify an exported audit folder and return its audit.

    Parameters
    ----------
    folder : path
        What `Audit.to_csv` wrote.

    Returns
    -------
    Audit
        Its tables equal those of the exported audit, and it has the same time.

    Raises
    ------
    AuditFileError
        The folder is incomplete or was changed; see `verify`.
    """
    path = as_path(folder)
    verify(path)
    manifest = read_manifest(path)
    states, plan, unread = (
        read_csv(path / name, manifest["files"][name]["columns"]) for name in ("states.csv", "plan.csv", "unread.csv")
    )
    try:
        metadata = _metadata_of(manifest)
    except (ValueError, OverflowError) as error:
        raise AuditFileError(f"cannot read {path / MANIFEST}: {error}") from None
    # Only the inputs of the audit are read. The other tables are computed again and not taken from their files.
    store = StateStore()
    store.add(states)
    evidence = AuditEvidence(
        plan=plan,
        states=with_lifecycle(store.narrow(), metadata.taken_at),
        unread_ids=frozenset(unread["member_id"].dropna().tolist()),
        narrowed=metadata.scope.is_narrowed,
    )
    return Audit(metadata, evidence, unread, store)


def _metadata_of(manifest: dict[str, Any]) -> AuditMetadata:
    scope: dict[str, Any] = dict(manifest["scope"])
    for name in ("since", "until"):
        if scope[name] is not None:
            scope[name] = as_time(scope[name])
    return AuditMetadata(
        scope=Scope(**scope),
        environment=manifest["environment"],
        address=manifest["address"],
        user=manifest["user"],
        tz=zone_of(manifest["tz"]),
        taken_at=as_time(manifest["taken_at"]).as_unit("ns"),
        finished_at=as_time(manifest["finished_at"]).as_unit("ns"),
    )


def _problems(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    for name in FILES:
        written = manifest["files"].get(name)
        if written is None:
            yield f"{name}: not in the manifest"
            continue
        try:
            rows, digest = _rows_and_digest(folder / name)
        except FileNotFoundError:
            yield f"{name}: missing"
            continue
        except OSError as error:
            yield f"{name}: cannot be read: {error.strerror or error}"
            continue
        if digest != written["sha256"]:
            yield f"{name}: changed after the export ({_row_counts(rows, written['rows'])})"
        elif rows != written["rows"]:
            yield f"{name}: {_row_counts(rows, written['rows'])}"
    allowed = {*FILES, MANIFEST}
    for entry in sorted(folder.iterdir()):
        # File managers add hidden files such as .DS_Store. A hidden ".part" file is the rest of an interrupted write.
        if entry.name not in allowed and (not entry.name.startswith(".") or ".part" in entry.name):
            yield f"{entry.name}: does not belong to the audit"


def _row_counts(found: int, written: int) -> str:
    return f"{found:,} {'row' if found == 1 else 'rows'}, but {written:,} in the manifest"


def _rows_and_digest(path: Path) -> tuple[int, str]:
    """Return the number of rows in a CSV file, without its header, and its SHA-256."""
    digest, lines, quoted = hashlib.sha256(), 0, False
    with open_plain(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            # Line breaks between quotes belong to a cell, so only every other piece counts. A quote inside a cell is
            # doubled. It ends and begins a quoted piece, which does not change the count.
            pieces = block.split(b'"')
            lines += sum(piece.count(b"\n") for piece in pieces[quoted::2])
            quoted ^= len(pieces) % 2 == 0
    return lines - 1, digest.hexdigest()
