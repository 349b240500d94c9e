"""Tests of the exported folder: CSV files for other programs, the manifest, and failed exports."""

from __future__ import annotations

import csv
import json
import traceback
import zoneinfo

import pandas as pd
import pytest
from audit_world import HOSTILE, World, assert_same, rich_audit, state

from sparkfly_nb import read_audit, verify
from sparkfly_nb.errors import AuditFileError


def test_pandas_reads_numbers_times_and_text_correctly(tmp_path):
    audit = rich_audit()
    audit.to_csv(tmp_path)

    frame = pd.read_csv(
        tmp_path / "states.csv", dtype={"value": "Int64"}, parse_dates=["created_at"], date_format="ISO8601"
    )

    assert frame["member_id"].tolist() == audit.states["member_id"].tolist()
    assert frame["value"].iloc[0] == 9_007_199_254_740_993
    assert frame["created_at"].tolist() == audit.states["created_at"].tolist()


def test_csv_contains_no_cell_that_a_spreadsheet_would_run(tmp_path):
    states = [state(1, offer_description=text, offer_activities=[{"type": text}]) for text in HOSTILE]
    World(states).audit(pd.DataFrame({"member_id": [1], "segment": ["=1+1"]})).to_csv(tmp_path)

    for file in tmp_path.glob("*.csv"):
        with file.open(newline="", encoding="utf-8") as lines:
            for cells in csv.reader(lines):
                assert not [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "@") or cell[:1] in ("\t", "\r")]
                assert not [cell for cell in cells if cell.startswith("-") and not cell[1:].replace(".", "").isdigit()]


def test_times_are_written_in_utc_for_any_time_zone(tmp_path):
    audit = World([state(1)]).audit([1], tz=zoneinfo.ZoneInfo("America/New_York"))
    audit.to_csv(tmp_path)

    assert "2026-05-31T04:00:00Z" in (tmp_path / "timeline.csv").read_text()


def test_csv_file_contains_only_the_offer_states(tmp_path):
    audit = rich_audit()

    path = audit.to_csv(tmp_path / "deep" / "one.csv")

    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["deep", "one.csv"]
    assert len(pd.read_csv(path)) == len(audit.states)


# ---- the manifest ----------------------------------------------------------------------------------------------------


def test_manifest_records_scope_user_time_and_completeness(tmp_path):
    rich_audit().to_csv(tmp_path)

    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))

    assert manifest["campaign"] == "SUMMER26"
    assert manifest["complete"] is False
    assert manifest["members_unread"] == 1
    assert manifest["taken_at"] == "2026-07-01T12:00:00Z"
    assert manifest["user"]
    assert manifest["files"]["states.csv"]["rows"] == 7


def test_address_in_the_manifest_has_no_password(tmp_path):
    World([]).audit([1], address="https://ann:hunter2@api.sparkfly.com/v1.0").to_csv(tmp_path)

    text = (tmp_path / "manifest.json").read_text()
    assert "hunter2" not in text
    assert "https://api.sparkfly.com/v1.0" in text


# ---- repeated and failed exports -------------------------------------------------------------------------------------


def test_second_export_replaces_the_first(tmp_path):
    rich_audit().to_csv(tmp_path)
    audit = World([state(1)]).audit([1])

    audit.to_csv(tmp_path)

    assert_same(audit, read_audit(tmp_path))


def test_failed_export_leaves_no_folder_that_verifies(tmp_path):
    audit = rich_audit()
    audit.to_csv(tmp_path)
    (tmp_path / "plan.csv").unlink()
    (tmp_path / "plan.csv").mkdir()  # the new file cannot take this name

    with pytest.raises(AuditFileError, match=r"plan.csv"):
        audit.to_csv(tmp_path)

    assert not [entry.name for entry in tmp_path.iterdir() if ".part" in entry.name]
    with pytest.raises(AuditFileError, match="is incomplete: there is no manifest"):
        verify(tmp_path)


def test_export_changes_no_file_if_the_manifest_cannot_be_replaced(tmp_path):
    rich_audit().to_csv(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.glob("*.csv")}

    with pytest.raises(AuditFileError, match=r"cannot replace .*manifest.json"):
        World([state(1)]).audit([1]).to_csv(tmp_path)

    assert {path: path.read_bytes() for path in tmp_path.glob("*.csv")} == before


@pytest.mark.parametrize("write", ["to_csv", "to_parquet", "to_excel"])
def test_unwritable_path_raises_audit_file_error(tmp_path, write):
    blocker = tmp_path / "file"
    blocker.write_text("")

    with pytest.raises(AuditFileError, match="file") as refused:
        getattr(World([state(1)]).audit([1]), write)(blocker / "audit")

    # Python 3.12.1 crashes when it collects an error whose traceback refers to the buffer of an in-memory file.
    held = [value for error in (refused.value, refused.value.__context__) if error
            for frame, _ in traceback.walk_tb(error.__traceback__) for value in frame.f_locals.values()]  # fmt: skip
    assert not [view for view in held if isinstance(view, memoryview) and not isinstance(view.obj, bytes)]
