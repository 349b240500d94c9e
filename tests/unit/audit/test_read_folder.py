"""Tests of exported folders: audits that are read back are equal, and damage is reported."""

from __future__ import annotations

import json
import pickle
import shutil
import zoneinfo
from pathlib import Path

import pandas as pd
import pytest
from audit_world import HOSTILE, World, assert_same, at, result_rows, rich_audit, state
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from sparkfly_nb import read_audit, verify
from sparkfly_nb.audit.output.folder_writer import digest_of, zone_of
from sparkfly_nb.errors import AuditFileError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder with the rich audit, written once."""
    return rich_audit().to_csv(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of the rich audit's folder for tests that damage it."""
    return Path(shutil.copytree(written, tmp_path / "audit"))


# ---- read_audit ------------------------------------------------------------------------------------------------------


def test_audit_read_back_has_equal_tables(tmp_path):
    audit = rich_audit(tz=zoneinfo.ZoneInfo("America/New_York"))

    other = read_audit(audit.to_csv(tmp_path / "audit"))

    assert_same(audit, other)
    assert_frame_equal(audit.summary(by="segment"), other.summary(by="segment"))
    assert other.metadata == audit.metadata
    assert repr(other) == repr(audit)


def test_empty_audit_is_read_back(tmp_path):
    audit = World([]).audit([1])

    assert_same(audit, read_audit(audit.to_csv(tmp_path)))


def test_audit_of_a_run_is_read_back_with_ledger_outcomes(tmp_path):
    rows = result_rows(
        {"member_id": 1, "outcome": "issued", "offer_state_id": 5}, {"member_identifier": "LOY-2", "outcome": "unknown"}
    )
    audit = World([state(1)], runs={"june": rows}).audit(run="june", since=at("06-01"), until=at("07-01"))

    other = read_audit(audit.to_csv(tmp_path))

    assert_same(audit, other)
    assert other.metadata.scope == audit.metadata.scope


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_read_back_unchanged(tmp_path, text):
    held = state(
        1, offer_description=text, status=text, custom_data=text, offer_activities=[{"type": text, "n": [text]}]
    )
    plan = pd.DataFrame({"member_id": [1], "segment": [text]})
    audit = World([held]).audit(plan)

    other = read_audit(audit.to_csv(tmp_path))

    assert other.states["offer_description"].tolist() == [text]
    assert_same(audit, other)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(HOSTILE)


EVENTS = st.dictionaries(
    TEXTS, st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXTS | st.lists(TEXTS, max_size=2), max_size=4
)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.lists(st.tuples(TEXTS, TEXTS, st.lists(EVENTS | TEXTS, max_size=3)), min_size=1, max_size=4),
    st.lists(st.none() | TEXTS, min_size=4, max_size=4),
)
def test_any_text_and_event_is_read_back_unchanged(tmp_path_factory, cells, segments):
    states = [
        state(1 + number % 3, offer_name=name, custom_data=note, offer_activities=events)
        for number, (name, note, events) in enumerate(cells)
    ]
    audit = World(states).audit(pd.DataFrame({"member_id": [1, 2, 3, 4], "segment": segments}))

    other = read_audit(audit.to_csv(tmp_path_factory.mktemp("audit")))

    assert_same(audit, other)


def test_audit_of_many_chunks_is_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr("sparkfly_nb.audit.state_store.CHUNK_ROWS", 20)
    audit = World([state(1 + n // 4, **({"fee": 0.5} if n > 90 else {})) for n in range(100)]).audit(range(1, 26))

    assert_same(audit, read_audit(audit.to_csv(tmp_path)))


def test_audit_can_be_pickled():
    audit = rich_audit()

    assert_same(audit, pickle.loads(pickle.dumps(audit)))


@pytest.mark.parametrize("zone", ["UTC", "UTC+05:30", "UTC-03:00", "Europe/Berlin"])
def test_time_zone_is_read_back(tmp_path, zone):

    audit = World([state(1)]).audit([1], tz=zone_of(zone))

    assert_frame_equal(audit.timeline(), read_audit(audit.to_csv(tmp_path)).timeline())


# ---- verify ----------------------------------------------------------------------------------------------------------


def test_unchanged_folder_is_verified(written):
    files = verify(written)

    assert files["file"].tolist()[:2] == ["states.csv", "summary.csv"]
    assert files["rows"].iloc[0] == 7


def append_line(folder):
    with (folder / "states.csv").open("ab") as file:
        file.write((folder / "states.csv").read_bytes().splitlines(keepends=True)[1])


def rewrite_manifest(change):
    """Change the manifest and update its checksum."""

    def act(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        change(manifest)
        manifest["manifest_sha256"] = digest_of(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return act


DAMAGES = {
    "missing": (lambda folder: (folder / "timeline.csv").unlink(), "timeline.csv: missing"),
    "one byte": (
        lambda folder: (folder / "plan.csv").write_bytes((folder / "plan.csv").read_bytes().replace(b"1.5", b"2.5")),
        "plan.csv: changed",
    ),
    "cut": (
        lambda folder: (folder / "states.csv").write_bytes((folder / "states.csv").read_bytes()[:-200]),
        "states.csv: changed",
    ),
    "a row more": (append_line, "8 rows, but 7 in the manifest"),
    "other rows": (
        rewrite_manifest(lambda manifest: manifest["files"]["states.csv"].update(rows=6)),
        "7 rows, but 6 in the manifest",
    ),
    "a file less": (rewrite_manifest(lambda manifest: manifest["files"].pop("plan.csv")), "plan.csv: not in the"),
    "a newer format": (
        rewrite_manifest(lambda manifest: manifest.update(format_version=2)),
        "format version 2, but this version of sparkfly-nb reads 1. Update sparkfly-nb.",
    ),
    "extra": (lambda folder: (folder / "notes.txt").write_text("hello"), "notes.txt: does not belong"),
    "a rest": (lambda folder: (folder / ".states.csv.ab12.part").write_text(""), "does not belong"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json"),
    "an edited manifest": (
        lambda folder: (folder / "manifest.json").write_text(
            (folder / "manifest.json").read_text().replace("SUMMER26", "WINTER25")
        ),
        "manifest.json was changed",
    ),
    "no json": (lambda folder: (folder / "manifest.json").write_text("{"), "not JSON"),
    "other json": (lambda folder: (folder / "manifest.json").write_text("[1]"), "not the manifest of an audit"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("check", [verify, read_audit])
def test_damage_to_a_folder_is_reported(folder, damage, check):
    act, words = DAMAGES[damage]
    act(folder)

    with pytest.raises(AuditFileError, match=words):
        check(folder)


def test_all_damage_is_reported_at_once(folder):
    for name in ("missing", "extra", "cut"):
        DAMAGES[name][0](folder)

    with pytest.raises(AuditFileError, match=r"(?s)states.csv: changed.*timeline.csv: missing.*notes.txt"):
        verify(folder)


def test_missing_folder_is_rejected(tmp_path):
    with pytest.raises(AuditFileError, match="not an audit"):
        verify(tmp_path / "none")
