"""Files in hostile places and files from hostile hands: what is kept stays its owner's, and what is read is checked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from audit_world import World, state
from bulk_world import CALM, CAMPAIGN, LATER, members, tiny_service
from paths import ROOT

from sparkfly_nb import AuditFileError, ConfigurationError, LedgerError, read_audit, verify
from sparkfly_nb.audit.output.folder_writer import digest_of
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.errors import InvalidInput, SandboxError, SparkflyError
from sparkfly_nb.files import make_private_file
from sparkfly_nb.frames.csv_writer import read_csv, write_csv
from sparkfly_nb.sandbox.clock import SandboxClock
from sparkfly_nb.sandbox.process import SandboxProcess
from sparkfly_nb.sandbox.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="other systems have no owners and modes of this kind")
IMPOSSIBLE = ["a\0b", "a\ud800b"]
FRAME = pd.DataFrame({"member_id": [1], "token": ["t"]})
as_root = pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")


def only_root(name):
    return pytest.param(name, marks=as_root)


# ---- private files: the ledger and the sandbox's ---------------------------------------------------------------------


def spoil(path, how):
    """Put something in the place of a private file, or around it, as another user could."""
    other = path.with_name("elsewhere")
    if how == "link":
        other.write_bytes(b"")
        path.symlink_to(other)
    elif how == "link to nothing":
        path.symlink_to(other)
    elif how == "hard link":
        other.write_bytes(b"")
        path.hardlink_to(other)
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "of another user":
        path.write_bytes(b"")
        os.chown(path, 12345, 12345)
    elif how == "folder for all":
        path.parent.chmod(0o777)
    elif how == "journal that is a link":
        path.with_name(path.name + "-journal").symlink_to(other)
    elif how == "log of another user":
        path.with_name(path.name + "-wal").write_bytes(b"")
        os.chown(path.with_name(path.name + "-wal"), 12345, 12345)


SPOILT = {
    "link": "it is a link",
    "link to nothing": "it is a link",
    "hard link": "another name",
    "pipe": "not a regular file that you own",
    "folder": "not a regular file that you own",
    "of another user": "not a regular file that you own",
    "folder for all": "anybody can replace",
    "journal that is a link": "-journal beside it",
    "log of another user": "-wal beside it",
}


def open_ledger(path):
    with contextlib.closing(Ledger(str(path))) as ledger:
        ledger.all_runs()


def open_store(path):
    Store(path, seed=1, members=1, clock=SandboxClock()).close()


KEPT = {"ledger": (open_ledger, LedgerError), "sandbox": (open_store, SandboxError)}


@pytest.mark.parametrize("how", [only_root(how) if "another user" in how else how for how in SPOILT])
@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_is_put_nowhere_but_in_a_file_of_ones_own(kept, how, tmp_path):
    folder = tmp_path / "place"
    folder.mkdir(mode=0o700)
    spoil(folder / "kept.db", how)
    before = {entry.name: entry.lstat().st_mtime_ns for entry in folder.iterdir()}
    use, error = KEPT[kept]

    with pytest.raises(error, match=SPOILT[how]) as refusal:
        use(folder / "kept.db")

    assert "kept.db" in str(refusal.value)
    after = {entry.name: entry.lstat().st_mtime_ns for entry in folder.iterdir() if entry.name in before}
    assert after == before, "what lay there was not written to"
    assert not (folder / "elsewhere").exists() or (folder / "elsewhere").read_bytes() == b""


@pytest.mark.parametrize("kept", KEPT)
def test_in_a_folder_like_tmp_a_file_of_ones_own_is_safe(kept, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)

    KEPT[kept][0](folder / "kept.db")

    assert stat.S_IMODE((folder / "kept.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", KEPT)
def test_a_file_that_others_could_read_is_made_private(kept, tmp_path):
    path = tmp_path / "kept.db"
    path.write_bytes(b"")
    path.chmod(0o666)

    KEPT[kept][0](path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("address", ["sqlite:///file:{}?uri=true", "sqlite:///{}?uri=true", "sqlite:///file:{}"])
def test_no_spelling_of_the_address_passes_by_the_checks_of_the_file(address, tmp_path):
    with pytest.raises(ConfigurationError, match="as a path"):
        Ledger(address.format(tmp_path / "ledger.db"))

    assert list(tmp_path.iterdir()) == []


def test_checking_a_file_takes_no_lock_away_from_who_uses_it(tmp_path):
    """Closing any descriptor of a file drops all POSIX locks that the process holds on it: SQLite's, too."""
    path = tmp_path / "ledger.db"
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("BEGIN IMMEDIATE")
        make_private_file(path)

        ended = subprocess.run([sys.executable, "-c", other, path], capture_output=True, text=True, check=False)

    assert "database is locked" in ended.stderr


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_name_that_no_file_can_have_is_refused_by_all_that_take_one(name, tmp_path):
    path = f"{tmp_path}/{name}"
    audit = World([state(1)]).audit([1])
    takers = [
        lambda: write_csv(FRAME, path), lambda: read_csv(path, {}), lambda: audit.to_csv(path), lambda: verify(path),
        lambda: audit.to_csv(path + ".csv"), lambda: audit.to_parquet(path), lambda: audit.to_excel(path),
        lambda: audit.plot(path=path + ".png"), lambda: read_audit(path), lambda: SandboxProcess.start(db=path),
        lambda: World([]).audit(path), lambda: Ledger(path),
    ]  # fmt: skip
    for take in takers:
        with pytest.raises((InvalidInput, LedgerError)):
            take()

    assert list(tmp_path.iterdir()) == []


# ---- files that are handed over --------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["symbolic", "hard"])
@pytest.mark.parametrize("write", ["to_csv", "to_parquet", "to_excel", "plot", "folder"])
def test_what_stands_behind_a_link_is_not_written_to(write, link, tmp_path):
    target, audit = tmp_path / "target", World([state(1)]).audit([1])
    target.write_text("untouched")
    name = {"to_csv": "one.csv", "plot": "page.svg", "folder": "audit/states.csv"}.get(write, "file")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target) if link == "symbolic" else path.hardlink_to(target)

    if write == "plot":
        audit.plot(path=path)
    elif write == "folder":
        audit.to_csv(path.parent)
    else:
        getattr(audit, write)(path)

    assert target.read_text() == "untouched"
    assert not path.is_symlink()
    assert path.stat().st_nlink == 1


@as_root
def test_a_folder_behind_somebody_elses_link_is_not_written_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "audit").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "audit", 12345, 12345, follow_symlinks=False)

    with pytest.raises(AuditFileError, match="another user"):
        World([state(1)]).audit([1]).to_csv(tmp_path / "audit")

    assert list((tmp_path / "mine").iterdir()) == []


def test_a_folder_behind_a_link_of_ones_own_is_written_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "audit").symlink_to(tmp_path / "mine")

    assert len(verify(World([state(1)]).audit([1]).to_csv(tmp_path / "audit")))


# ---- an audit that was handed over by somebody else ------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return World([state(1), state(2, redeemed="06-10")]).audit([1, 2]).to_csv(tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written, tmp_path):
    return Path(shutil.copytree(written, tmp_path / "audit"))


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def replace_by_link(target):
    def act(path):
        path.unlink()
        path.symlink_to(target)

    return act


@pytest.mark.parametrize("check", [verify, read_audit])
@pytest.mark.parametrize("name", ["states.csv", "manifest.json"])
@pytest.mark.parametrize(
    "act", [replace_by_pipe, replace_by_link("/dev/zero"), replace_by_link("/etc/passwd")], ids=["pipe", "zero", "link"]
)
def test_nothing_but_plain_files_is_read_from_a_folder(act, name, check, folder):
    act(folder / name)

    with pytest.raises(AuditFileError, match=f"{name}.*link or not a file"):
        check(folder)


def forged(folder, change):
    """Change a manifest and make its checksum right again, as anybody can."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    manifest["manifest_sha256"] = digest_of(manifest)
    path.write_text(json.dumps(manifest))


def put(*keys, value):
    def change(manifest):
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


def drop(*keys):
    def change(manifest):
        for key in keys[:-1]:
            manifest = manifest[key]
        del manifest[keys[-1]]

    return change


STATES = ("files", "states.csv")
FORGERIES = {
    "no files": drop("files"),
    "files of another kind": put("files", value=["states.csv"]),
    "an entry of another kind": put(*STATES, value=7),
    "rows of another kind": put(*STATES, "rows", value="2"),
    "no digest": drop(*STATES, "sha256"),
    "columns of another kind": put(*STATES, "columns", value=["a"]),
    "a dtype of another kind": put(*STATES, "columns", "member_id", value=["Int64"]),
    "a dtype that is none": put(*STATES, "columns", "member_id", value="os.system"),
    "a dtype that lies": put(*STATES, "columns", "member_id", value="string"),
    "a column left out": drop(*STATES, "columns", "status"),
    "a column of the plan left out": drop("files", "plan.csv", "columns", "member_id"),
    "no scope": drop("scope"),
    "a scope with more": put("scope", "evil", value=1),
    "a scope of another kind": put("scope", "campaign", value={"a": 1}),
    "a time that is none": put("scope", "since", value="yesterday"),
    "no zone": drop("tz"),
    "a zone of another kind": put("tz", value=5),
    "a zone that is a path": put("tz", value="../../etc/passwd"),
    "a zone out of reach": put("tz", value="UTC+99:99"),
    "a zone far out of reach": put("tz", value="UTC+" + "9" * 30 + ":00"),
    "a moment out of reach": put("taken_at", value="9999-12-31T23:59:59Z"),
    "a user of another kind": put("user", value=None),
    "an address of another kind": put("address", value=["https://"]),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_a_manifest_that_was_forged_is_refused_whatever_it_says(forgery, folder):
    forged(folder, forgery)

    with pytest.raises(AuditFileError):
        read_audit(folder)


def test_a_manifest_without_an_end_is_not_read_to_it(folder):
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(2**40)  # a sparse file

    with pytest.raises(AuditFileError, match="larger than"):
        verify(folder)


def test_a_manifest_that_is_nested_too_deeply_is_refused(folder):
    (folder / "manifest.json").write_text("[" * 100_000)

    with pytest.raises(AuditFileError, match="nested too deeply"):
        verify(folder)


def test_a_manifest_that_can_just_be_read_is_refused_however_deep_it_is(folder):
    path = folder / "manifest.json"
    written = path.read_text().rstrip().removesuffix("}")
    for levels in range(700, 1100):  # Python reads deeper nesting than it writes
        path.write_text(f'{written}, "more": {"[" * levels}{"]" * levels}}}')

        with pytest.raises(AuditFileError):
            verify(folder)


def test_markup_in_a_forged_manifest_is_shown_as_text(folder):
    forged(folder, lambda manifest: manifest.update(user="<b>", environment="<script>", address="<i>"))

    assert "<script>" not in read_audit(folder)._repr_html_()


# ---- a ledger that was handed over by somebody else ------------------------------------------------------------------

PLAN = members([11, 12, 13, 14], expires_at=LATER)
RUN = "handed over"


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A ledger with a run of which nothing was sent yet: the token had ended."""
    path = tmp_path_factory.mktemp("handed") / "ledger.db"
    with tiny_service(path) as (session, service):
        service.tokens = set()
        with pytest.raises(SparkflyError):
            session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)
        address = service.server.base_url
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT DISTINCT outcome FROM rows").fetchall() == [("planned",)]
    return path, address


REFUSED_AT_ONCE = {
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON rows BEGIN UPDATE rows SET outcome = 'planned'; END",
    "a view": "ALTER TABLE rows RENAME TO kept; CREATE VIEW rows AS SELECT * FROM kept",
    "a view in capitals": "ALTER TABLE rows RENAME TO kept; CREATE VIEW ROWS AS SELECT * FROM kept",
    "an older table": "ALTER TABLE rows DROP COLUMN undone",
    "a newer table": "ALTER TABLE rows ADD COLUMN checked BOOLEAN",
    "a computed column": "ALTER TABLE claimants ADD COLUMN x AS (pid + 1)",
    "a reference that deletes": "DROP TABLE claimants; CREATE TABLE claimants (claimant TEXT NOT NULL PRIMARY KEY "
    "REFERENCES runs (run) ON DELETE CASCADE, host TEXT NOT NULL, pid BIGINT NOT NULL, seen_at FLOAT NOT NULL, "
    "linger_s FLOAT NOT NULL)",
    "a text as a number": "UPDATE rows SET member_id = '../../auth' WHERE position = 2",
    "bytes as a text": "UPDATE rows SET external_ref_id = x'00ff'",
    "a time that is none": "UPDATE runs SET started_at = x'00'",
    "a shard that is none": "UPDATE shards SET first = 'x'",
    "a lease that is none": "INSERT INTO claimants VALUES ('c', 'h', 'pid', 'now', 0.0)",
    "an operation that is none": "UPDATE runs SET operation = 'eval'",
    "no JSON": "UPDATE rows SET payload = 'nonsense'",
    "a list as payload": "UPDATE rows SET payload = '[1]'",
    "shards that overlap": "INSERT INTO shards SELECT run_no, shard + 100, first, last, state, claimant, claims, NULL "
    "FROM shards",
}
REFUSED_FOR_THE_PLAN = {
    "a path in the payload": """UPDATE rows SET payload = '{"member_id": ".."}'""",
    "a change in the payload": """UPDATE rows SET payload = '{"status": "redeemed"}'""",
    "another member": "UPDATE rows SET member_id = 99 WHERE position = 2",
    "another reference": "UPDATE rows SET external_ref_id = 'mine'",
    "other dates": """UPDATE rows SET payload = '{"expires_at": "2099-01-01T00:00:00Z"}'""",
    "another campaign": "UPDATE runs SET campaign_id = 'EXPENSIVE'",
    "another operation": "UPDATE runs SET operation = 'void'",
    "more rows": "INSERT INTO rows (run_no, position, member_id, external_ref_id, outcome, attempts, resends, undone) "
    "SELECT run_no, 4, 99, 'more', 'planned', 0, 0, 0 FROM runs",
    "an unknown row of another member": "UPDATE rows SET member_id = 99, outcome = 'unknown' WHERE position = 2",
}  # fmt: skip


@contextlib.contextmanager
def handed_over(unfinished, tmp_path, sql):
    """A Session on a changed copy of the ledger, at the address that stands in it."""
    original, address = unfinished
    path = shutil.copy(original, tmp_path / "ledger.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(sql)
        database.commit()
    with tiny_service(path) as (session, service):
        with contextlib.closing(sqlite3.connect(path)) as database:  # it was made for a server that has ended
            database.execute("UPDATE runs SET address = ? WHERE address = ?", (service.server.base_url, address))
            database.execute("UPDATE runs SET digest = ?", (_digest(session),))
            database.commit()
        yield session, service


def _digest(session):
    return session._runs.plan("issue", PLAN, campaign_id=CAMPAIGN).digest


def test_a_ledger_that_was_handed_over_as_it_was_is_continued(unfinished, tmp_path):
    with handed_over(unfinished, tmp_path, "") as (session, service):
        result = session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert result.outcome.tolist() == ["issued"] * 4
    assert sorted(record["member_id"] for record in service.states) == [11, 12, 13, 14]


@pytest.mark.parametrize("sql", REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE)
def test_a_ledger_that_no_version_would_have_written_is_refused_by_every_call(sql, unfinished, tmp_path):
    with handed_over(unfinished, tmp_path, sql) as (session, service):
        asks = [
            lambda: session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM),
            lambda: session.settle(RUN),
            lambda: session.void_run(RUN, **CALM),
        ]
        for ask in asks:
            with pytest.raises(LedgerError):
                ask()

    assert service.asked == []


@pytest.mark.parametrize("sql", REFUSED_FOR_THE_PLAN.values(), ids=REFUSED_FOR_THE_PLAN)
def test_what_is_sent_is_what_the_frame_says_whatever_stands_in_the_ledger(sql, unfinished, tmp_path):
    with (
        handed_over(unfinished, tmp_path, sql) as (session, service),
        pytest.raises(LedgerError, match=r"other rows|damaged"),
    ):
        session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert service.asked == []


@pytest.mark.parametrize("payload", ['{"member_id": ".."}', '{"offerstate_id": 1}', '{"campaign_id": "X"}'])
def test_a_read_back_asks_for_nothing_that_a_row_of_its_kind_cannot_carry(payload, unfinished, tmp_path):
    sql = f"UPDATE rows SET outcome = 'unknown', member_id = NULL, member_identifier = 'M-1', payload = '{payload}'"
    with handed_over(unfinished, tmp_path, sql) as (session, service), pytest.raises(LedgerError, match="damaged"):
        session.settle(RUN)

    assert service.asked == []


@pytest.mark.parametrize("settle_after", ["1e18", "9e999"])
def test_a_ledger_cannot_let_a_run_wait_for_ever(settle_after, unfinished, tmp_path):
    sql = f"UPDATE shards SET state = 'settled', settle_after = {settle_after}; UPDATE rows SET outcome = 'unknown'"
    with handed_over(unfinished, tmp_path, sql) as (session, _service), pytest.raises(LedgerError, match="days from"):
        session.settle(RUN)


def test_a_process_number_that_no_process_can_have_belongs_to_a_dead_one(unfinished, tmp_path):
    from sparkfly_nb.bulk.ledger.claims import this_host

    claimant = f"INSERT INTO claimants VALUES ('c', '{this_host()}', {2**62}, 9e9, 0.0)"
    sql = f"{claimant}; UPDATE shards SET state = 'sent', claimant = 'c'"
    with handed_over(unfinished, tmp_path, sql) as (session, service):
        result = session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert result.outcome.tolist() == ["issued"] * 4
    assert len(service.states) == 4


def test_huge_values_in_a_ledger_end_in_a_frame_or_in_an_error_of_ours(unfinished, tmp_path):
    sql = "UPDATE rows SET error = hex(zeroblob(5000000)), outcome = 'rejected', http_status = 9223372036854775807"
    with handed_over(unfinished, tmp_path, sql) as (session, _service):
        result = session.run(RUN)

    assert result["error"].str.len().tolist() == [10_000_000] * 4


def test_a_session_in_which_the_ledger_is_hostile_still_makes_single_calls(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\x00" + os.urandom(5000))
    with tiny_service(tmp_path / "ledger.db") as (session, _service):
        assert session.list_offer_states(11).empty
        with pytest.raises(LedgerError):
            session.runs()


def test_nothing_is_unpickled_that_was_not_packed_by_the_same_object():
    """The one place in the package that unpickles reads what it keeps in its own memory."""
    package = ROOT / "sparkfly_nb"
    unpickling = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(word in path.read_text() for word in ("pickle.load", "Unpickler", "read_pickle", "joblib.load"))
    ]

    assert unpickling == ["audit/state_store.py"]
