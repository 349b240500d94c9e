"""Write an audit as a folder of CSV files with a manifest. The folder can be verified offline and read back."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import zoneinfo
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ...errors import AuditFileError, InvalidInput
from ...files import replacing
from ...frames.csv_writer import CsvWriter
from ...frames.scalars import to_rfc3339
from ...schema import OFFER_STATE, TIME
from ...version import __version__
from ..schema import KINDS
from ..summary import count_members

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from ..audit_data import AuditData

__all__ = ["FILES", "MANIFEST", "described", "write_folder", "write_states", "zone_of"]

MANIFEST: Final = "manifest.json"
#: Identifies a manifest of this package.
FORMAT: Final = "sparkfly_nb audit"
FORMAT_VERSION: Final = 1
#: The files of a folder besides the manifest.
FILES: Final = (
    "states.csv",
    "summary.csv",
    "exceptions.csv",
    "timeline.csv",
    "activities.csv",
    "plan.csv",
    "unread.csv",
)


def _dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """Return the dtype with which each column is read back."""
    # The writer converts times to UTC, whatever their time zone.
    return {
        str(name): TIME if str(dtype).startswith("datetime64") else str(dtype) for name, dtype in frame.dtypes.items()
    }


def _entry(writer: CsvWriter, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the manifest entry of a written file."""
    return {"rows": writer.rows, "sha256": writer.sha256, "columns": dict(columns)}


def _write(path: Path, frame: pd.DataFrame) -> dict[str, Any]:
    with CsvWriter(path, list(frame.columns)) as writer:
        writer.append(frame)
    return _entry(writer, _dtypes(frame))


def _write_states_and_activities(audit: AuditData, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the two long files chunk by chunk, in one pass over the offer states."""
    states, events = OFFER_STATE | audit.store.extra, audit.store.event_columns()
    with (
        CsvWriter(folder / "states.csv", list(states)) as state_writer,
        CsvWriter(folder / "activities.csv", list(events)) as event_writer,
    ):
        for chunk in audit.store.chunks():
            state_writer.append(chunk)
            event_writer.append(audit.store.events_in(chunk))
    return {"states.csv": _entry(state_writer, states), "activities.csv": _entry(event_writer, events)}


def write_states(audit: AuditData, path: Path) -> Path:
    """Write only the offer states, as one CSV file."""
    _make_folder(path.parent)
    with CsvWriter(path, list(OFFER_STATE | audit.store.extra)) as writer:
        for chunk in audit.store.chunks():
            writer.append(chunk)
    return path


def write_folder(audit: AuditData, folder: Path) -> Path:
    """Write the folder; see `Audit.to_csv`."""
    _make_folder(folder)
    # The old manifest is deleted first and the new one is written last. Without a manifest, an interrupted write cannot
    # be mistaken for a complete audit.
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise AuditFileError(f"cannot replace {folder / MANIFEST}: {error.strerror or error}") from None
    files = _write_states_and_activities(audit, folder)
    for name, frame in (
        ("summary.csv", audit.summary()),
        ("exceptions.csv", audit.exceptions()),
        ("timeline.csv", audit.timeline()),
        ("plan.csv", audit.plan),
        ("unread.csv", audit.unread),
    ):
        files[name] = _write(folder / name, frame)
    manifest = described(audit) | {"files": {name: files[name] for name in FILES}}
    manifest["manifest_sha256"] = digest_of(manifest)
    with replacing(folder / MANIFEST) as aside:
        aside.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In a shared folder such as /tmp, another user could redirect the members' data with a link.
        if os.name == "posix" and folder.is_symlink() and folder.lstat().st_uid != os.getuid():
            raise AuditFileError(f"{folder} is a link that another user created. Pass the folder that it points to.")
    except OSError as error:
        raise AuditFileError(f"cannot create the folder {folder}: {error.strerror or error}") from None


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest without its own digest. Shows whether the manifest was edited."""
    lines = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()


def described(audit: AuditData) -> dict[str, Any]:
    """Return the description of an audit for the manifest. Contains no secrets."""
    metadata, scope = audit.metadata, audit.metadata.scope
    kinds = audit.exceptions()["kind"].value_counts(sort=False)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "tool": "sparkfly-nb",
        "tool_version": __version__,
        "campaign": scope.campaign,
        "complete": audit.complete,
        "members": count_members(audit.evidence.plan),
        "members_unread": len(audit.unread),
        "offer_states": len(audit.store),
        "exceptions": {kind: int(kinds[kind]) for kind in KINDS if kind in kinds.index},
        "scope": {
            name: to_rfc3339(value) if name in ("since", "until") and value is not None else value
            for name, value in asdict(scope).items()
        },
        "taken_at": to_rfc3339(metadata.taken_at),
        "finished_at": to_rfc3339(metadata.finished_at),
        "tz": _zone_name(metadata.tz, metadata.taken_at),
        "user": metadata.user,
        "environment": metadata.environment,
        "address": without_credentials(metadata.address),
    }


def without_credentials(address: str) -> str:
    """Remove user and password from an address."""
    # Settings reject such an address. `audit_campaign` accepts any.
    scheme, mark, rest = address.partition("://")
    return scheme + mark + rest.rpartition("@")[2] if mark else rest or address


def _zone_name(tz: dt.tzinfo, moment: pd.Timestamp) -> str:
    """Return the name of a time zone for `zone_of`, or its offset if it has no name."""
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    offset = tz.utcoffset(moment.to_pydatetime(warn=False)) or dt.timedelta(0)
    return str(name or dt.timezone(offset))


def zone_of(name: str) -> dt.tzinfo:
    """Return the time zone for a name in a manifest.

    Raises
    ------
    InvalidInput
        There is no such zone.
    """
    if name.startswith("UTC"):
        sign, clock = name[3:4], name[4:]
        hours, _, minutes = clock.partition(":")
        if not clock:
            return dt.timezone.utc
        if hours.isdecimal() and minutes.isdecimal():
            offset = dt.timedelta(hours=int(hours), minutes=int(minutes))
            return dt.timezone(-offset if sign == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"tz {name!r} is not a time zone") from None
