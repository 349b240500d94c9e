"""An audit that is handed over is whole, checked, readable by others, and comes back equal whatever text was in it."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import sys
import traceback
import zoneinfo
from pathlib import Path

import pandas as pd
import pytest
from audit_world import World, assert_same, at, result_rows, state
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from sparkfly_nb import read_audit, verify
from sparkfly_nb.audit.output.folder_writer import digest_of
from sparkfly_nb.errors import AuditFileError, ConfigurationError, InvalidInput

HOSTILE = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "'=1",
    "''",
    '"',
    'a"b""c',
    "one,two;three",
    "line\nbreak\r\nand\rmore",
    "NUL\x00inside",
    "😀 emoji 👩‍👩‍👧",
    "\u202eright to left שלום",
    "\ufeffmark",
    "x" * 10_000,
    " spaces at the ends ",
    "NA",
    "null",
    "",
    "007",
    "1e5",
    "TRUE",
    "\\u0000",
    "\x1b[31m",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder with the rich audit, written once."""
    return rich_audit().to_csv(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of the rich audit's folder for tests that damage it."""
    return Path(shutil.copytree(written, tmp_path / "audit"))


def rich_audit(**scope):
    """Audit a campaign with offer states, exceptions and columns of every kind."""
    states = [
        state(1, value=9_007_199_254_740_993, custom_data='{"a": 1}', offer_tags=[{"name": "x"}], tier=[1, 2]),
        state(2, redeemed="06-10"),
        state(3, redeemed="06-20", expires_at=at("06-15"), created_at="2026-06-01T00:00:00.123456789Z"),
        state(4, voided="06-05"),
        state(5),
        state(5, offer_activities=None),
        state(7, None, locked=True, fee=1.5),
    ]
    plan = pd.DataFrame(
        {
            "member_id": [1, 2, 3, 4, 5, 6, 7, 8],
            "planned": [True] * 6 + [False, True],
            "segment": ["a", "b", None, "=a", "b", "c", "a", "b"],
            "score": [1.5, None, 2.0, 0.1, 1e300, 3.0, 4.0, 5.0],
            "since": pd.date_range("2020-01-01", periods=8, tz="Europe/Berlin"),
            "vip": [True, False] * 4,
            "expires_at": [at("12-31")] * 7 + [None],
        }
    )
    return World(states, unread={8: (500, 'a\nb, "c"')}).audit(plan, **scope)


# ---- there and back --------------------------------------------------------------------------------------------------


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
    from sparkfly_nb.audit.output.folder_writer import zone_of

    audit = World([state(1)]).audit([1], tz=zone_of(zone))

    assert_frame_equal(audit.timeline(), read_audit(audit.to_csv(tmp_path)).timeline())


# ---- for other readers -----------------------------------------------------------------------------------------------


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


def test_parquet_contains_the_offer_states_with_exact_types(tmp_path):
    pytest.importorskip("pyarrow")
    audit = rich_audit()

    frame = pd.read_parquet(audit.to_parquet(tmp_path / "audit.parquet"), dtype_backend="numpy_nullable")

    assert frame["value"].tolist() == audit.states["value"].tolist()
    assert frame["created_at"].tolist() == audit.states["created_at"].tolist()
    assert frame["offer_tags"].iloc[0] == '[{"name":"x"}]'


def test_workbook_contains_every_table_and_no_formula(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    large = 2**62 + 1
    states = [state(1, offer_state_id=large, offer_description=text) for text in HOSTILE[:1]]
    states += [state(2, offer_description=text) for text in HOSTILE]
    states.append(state(2, offer_description="y" * 40_000))
    audit = World(states).audit([1, 2])

    book = openpyxl.load_workbook(audit.to_excel(tmp_path / "audit.xlsx"))

    assert book.sheetnames == ["summary", "exceptions", "timeline", "states", "activities", "unread", "about"]
    rows = list(book["states"].iter_rows())
    column = [cell.value for cell in rows[0]].index("offer_description")
    assert rows[1][0].value == str(large)
    assert rows[1][column].value == "=1+1"
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "b", "inlineStr"}
    assert len(rows[-1][column].value) == 32_767
    assert len(rows) == len(audit.states) + 1


def test_workbook_rejects_more_rows_than_fit_on_a_sheet(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    monkeypatch.setattr("sparkfly_nb.audit.output.workbook.SHEET_ROWS", 2)

    with pytest.raises(InvalidInput, match="use to_csv"):
        World([state(1), state(2), state(3)]).audit([1, 2, 3]).to_excel(tmp_path / "audit.xlsx")
    assert list(tmp_path.iterdir()) == []


# ---- the manifest and the check --------------------------------------------------------------------------------------


def test_manifest_records_scope_user_time_and_completeness(written):
    manifest = json.loads((written / "manifest.json").read_text(encoding="utf-8"))

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
    with pytest.raises(AuditFileError, match="is incomplete: there is no manifest.json"):
        verify(tmp_path)


def test_export_changes_no_file_if_the_manifest_cannot_be_replaced(tmp_path):
    rich_audit().to_csv(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.glob("*.csv")}

    with pytest.raises(AuditFileError, match=r"cannot replace .*manifest.json"):
        World([state(1)]).audit([1]).to_csv(tmp_path)

    assert {path: path.read_bytes() for path in tmp_path.glob("*.csv")} == before


@pytest.mark.parametrize(
    ("write", "library", "extra"), [("to_parquet", "pyarrow", "parquet"), ("to_excel", "openpyxl", "excel")]
)
def test_missing_library_of_a_format_is_named_and_csv_works(
    tmp_path, monkeypatch, write, library, extra
):
    monkeypatch.setitem(sys.modules, library, None)
    audit = rich_audit()

    with pytest.raises(ConfigurationError, match=rf'pip install "sparkfly-nb\[{extra}\]"'):
        getattr(audit, write)(tmp_path / "audit")

    assert not list(tmp_path.iterdir())
    assert_same(audit, read_audit(audit.to_csv(tmp_path / "audit")))


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


# ---- two audits ------------------------------------------------------------------------------------------------------


def test_comparison_lists_appeared_gone_and_changed_offer_states():
    kept, gone, used, new = state(1), state(1), state(2), state(3)
    before = World([kept, gone, used]).audit([1, 2, 3])
    after = World([kept, {**used, "status": "redeemed", "value": 5}, new]).audit([1, 2, 3])

    changes = after.compare(before).states

    cells = changes.drop(columns="offer_state_id").astype("object")
    assert cells.where(cells.notna(), None).to_numpy().tolist() == [
        [1, "gone", "lifecycle", "open", None],
        [2, "changed", "lifecycle", "open", "redeemed"],
        [2, "changed", "status", "incomplete", "redeemed"],
        [2, "changed", "value", "0", "5"],
        [3, "appeared", "lifecycle", None, "open"],
    ]


def test_comparison_has_totals():
    before = World([state(1), state(2)]).audit([1, 2, 3])
    after = World([*before_states(before), state(3)]).audit([1, 2, 3])

    totals = after.compare(before).totals.set_index(["metric", "detail"])

    assert totals.loc[("offer_states_appeared", pd.NA), "change"].item() == 1
    assert totals.loc[("offer_states", pd.NA), ["earlier", "now", "change"]].to_numpy().ravel().tolist() == [2, 3, 1]
    assert totals.loc[("status", "incomplete"), "change"] == 1


def before_states(audit):
    return [
        state(row.member_id, offer_state_id=row.offer_state_id, external_ref_id=row.external_ref_id)
        for row in audit.states.itertuples()
    ]


def test_audit_compared_with_itself_has_no_differences():
    audit = rich_audit()

    comparison = audit.compare(audit)

    assert comparison.states.empty
    assert comparison.totals["change"].fillna(0).eq(0).all()
    assert "0 appeared, 0 gone, 0 changed" in repr(comparison)
    assert "0 appeared" in comparison._repr_html_()


def test_offer_states_of_unread_members_are_not_gone():
    states = [state(1), state(2)]
    before = World(states).audit([1, 2])
    after = World(states, unread={2: (500, "broken")}).audit([1, 2])

    assert after.compare(before).states.empty


def test_audit_read_back_compares_like_the_original(tmp_path):
    states = [state(1), state(2)]
    before = World(states).audit([1, 2])
    after = World([states[0], {**states[1], "status": "voided"}]).audit([1, 2])

    from_file = after.compare(read_audit(before.to_csv(tmp_path)))

    assert_frame_equal(from_file.states, after.compare(before).states)


@pytest.mark.parametrize("other", [{"campaign_id": "VIP26"}, {"offer_id": 7}, {"address": "http://127.0.0.1:1/v1.0"}])
def test_audits_of_different_scopes_are_not_compared(other):
    world = World([state(1)])

    with pytest.raises(InvalidInput, match="compare"):
        world.audit([1]).compare(world.audit([1], **other))
