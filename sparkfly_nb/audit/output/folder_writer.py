"""An audit as a folder that is handed over: CSV files with a manifest, checked offline, and read back as they were."""

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
FORMAT: Final = "sparkfly_nb audit"
FORMAT_VERSION: Final = 1
FILES: Final = (
    "states.csv",
    "summary.csv",
    "exceptions.csv",
    "timeline.csv",
    "activities.csv",
    "plan.csv",
    "unread.csv",
)
"""The files of a folder besides the manifest."""


def _dtypes(frame: pd.DataFrame) -> dict[str, str]:
    """Name the dtype of each column as it is read back; times are written in UTC, whatever their zone."""
    return {
        str(name): TIME if str(dtype).startswith("datetime64") else str(dtype) for name, dtype in frame.dtypes.items()
    }


def _entry(writer: CsvWriter, columns: Mapping[str, str]) -> dict[str, Any]:
    """Say what the manifest says of a file."""
    return {"rows": writer.rows, "sha256": writer.sha256, "columns": dict(columns)}


def _write(path: Path, frame: pd.DataFrame) -> dict[str, Any]:
    with CsvWriter(path, list(frame.columns)) as writer:
        writer.append(frame)
    return _entry(writer, _dtypes(frame))


def _write_states_and_activities(audit: AuditData, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the two long files in one go through the offer states, some thousand at a time."""
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
    """Write the offer states alone as one CSV file."""
    _make_folder(path.parent)
    with CsvWriter(path, list(OFFER_STATE | audit.store.extra)) as writer:
        for chunk in audit.store.chunks():
            writer.append(chunk)
    return path


def write_folder(audit: AuditData, folder: Path) -> Path:
    """Write the folder; the manifest goes first and comes last, so that half an audit never passes for one."""
    _make_folder(folder)
    try:
        (folder / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise AuditFileError(f"{folder / MANIFEST} cannot be replaced: {error.strerror or error}") from None
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
        if os.name == "posix" and folder.is_symlink() and folder.lstat().st_uid != os.getuid():
            raise AuditFileError(f"{folder} is a link that somebody else made; give the folder that is meant")
    except OSError as error:
        raise AuditFileError(f"{folder} cannot be a folder: {error.strerror or error}") from None


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Give the SHA-256 of a manifest without this line, to notice that it was edited."""
    lines = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(lines, sort_keys=True).encode()).hexdigest()


def described(audit: AuditData) -> dict[str, Any]:
    """Say what an audit is, for the manifest: no secret is in it, and an address has none by construction."""
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
    """Take user and password out of an address; settings refuse them anyway."""
    scheme, mark, rest = address.partition("://")
    return scheme + mark + rest.rpartition("@")[2] if mark else rest or address


def _zone_name(tz: dt.tzinfo, moment: pd.Timestamp) -> str:
    """Name a time zone so that it can be found again: by its name, or by its offset."""
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    offset = tz.utcoffset(moment.to_pydatetime(warn=False)) or dt.timedelta(0)
    return str(name or dt.timezone(offset))


def zone_of(name: str) -> dt.tzinfo:
    """Find a time zone by the name in a manifest.

    Raises
    ------
    InvalidInput
        There is no such zone.
    """
    if name.startswith("UTC"):
        sign, _, clock = name[3:4], None, name[4:]
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
