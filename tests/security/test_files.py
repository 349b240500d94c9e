"""Private and exported files are written only to their own place, whatever another user put there."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys

import pandas as pd
import pytest
from audit_world import World, state

from sparkfly_nb import AuditFileError, ConfigurationError, LedgerError, read_audit, verify
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.errors import InvalidInput, SandboxError
from sparkfly_nb.files import make_private_file
from sparkfly_nb.frames.csv_writer import read_csv, write_csv
from sparkfly_nb.sandbox.clock import SandboxClock
from sparkfly_nb.sandbox.process import SandboxProcess
from sparkfly_nb.sandbox.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no owners and modes of this kind")
IMPOSSIBLE_NAMES = ["a\0b", "a\ud800b"]
FRAME = pd.DataFrame({"member_id": [1], "token": ["t"]})
as_root = pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")


def only_root(name):
    return pytest.param(name, marks=as_root)


# ---- private files: the ledger and the sandbox -----------------------------------------------------------------------


def spoil(path, how):
    """Put something in the place of a private file, or beside it, as another user could."""
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


PRIVATE = {"ledger": (open_ledger, LedgerError), "sandbox": (open_store, SandboxError)}


@pytest.mark.parametrize("how", [only_root(how) if "another user" in how else how for how in SPOILT])
@pytest.mark.parametrize("kept", PRIVATE)
def test_unsafe_private_files_are_refused(kept, how, tmp_path):
    folder = tmp_path / "place"
    folder.mkdir(mode=0o700)
    spoil(folder / "kept.db", how)
    before = {entry.name: entry.lstat().st_mtime_ns for entry in folder.iterdir()}
    use, error = PRIVATE[kept]

    with pytest.raises(error, match=SPOILT[how]) as refusal:
        use(folder / "kept.db")

    assert "kept.db" in str(refusal.value)
    after = {entry.name: entry.lstat().st_mtime_ns for entry in folder.iterdir() if entry.name in before}
    assert after == before, "the existing file was not written"
    assert not (folder / "elsewhere").exists() or (folder / "elsewhere").read_bytes() == b""


@pytest.mark.parametrize("kept", PRIVATE)
def test_own_files_in_a_sticky_folder_are_accepted(kept, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)

    PRIVATE[kept][0](folder / "kept.db")

    assert stat.S_IMODE((folder / "kept.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", PRIVATE)
def test_a_file_that_others_can_read_is_made_private(kept, tmp_path):
    path = tmp_path / "kept.db"
    path.write_bytes(b"")
    path.chmod(0o666)

    PRIVATE[kept][0](path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("address", ["sqlite:///file:{}?uri=true", "sqlite:///{}?uri=true", "sqlite:///file:{}"])
def test_no_sqlite_url_bypasses_the_file_checks(address, tmp_path):
    with pytest.raises(ConfigurationError, match="use the path of the file"):
        Ledger(address.format(tmp_path / "ledger.db"))

    assert list(tmp_path.iterdir()) == []


def test_checking_a_file_keeps_its_locks(tmp_path):
    """Closing a descriptor of a file drops all POSIX locks of the process on it, including SQLite's."""
    path = tmp_path / "ledger.db"
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("BEGIN IMMEDIATE")
        make_private_file(path)

        ended = subprocess.run([sys.executable, "-c", other, path], capture_output=True, text=True, check=False)

    assert "database is locked" in ended.stderr


@pytest.mark.parametrize("name", IMPOSSIBLE_NAMES)
def test_invalid_file_names_are_refused_everywhere(name, tmp_path):
    path = f"{tmp_path}/{name}"
    audit = World([state(1)]).audit([1])
    calls = [
        lambda: write_csv(FRAME, path), lambda: read_csv(path, {}), lambda: audit.to_csv(path), lambda: verify(path),
        lambda: audit.to_csv(path + ".csv"), lambda: audit.to_parquet(path), lambda: audit.to_excel(path),
        lambda: audit.plot(path=path + ".png"), lambda: read_audit(path), lambda: SandboxProcess.start(db=path),
        lambda: World([]).audit(path), lambda: Ledger(path),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises((InvalidInput, LedgerError)):
            call()

    assert list(tmp_path.iterdir()) == []


# ---- exported files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["symbolic", "hard"])
@pytest.mark.parametrize("write", ["to_csv", "to_parquet", "to_excel", "plot", "folder"])
def test_the_target_of_a_link_is_not_overwritten(write, link, tmp_path):
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
def test_a_folder_behind_another_users_link_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "audit").symlink_to(tmp_path / "mine")
    os.chown(tmp_path / "audit", 12345, 12345, follow_symlinks=False)

    with pytest.raises(AuditFileError, match="another user"):
        World([state(1)]).audit([1]).to_csv(tmp_path / "audit")

    assert list((tmp_path / "mine").iterdir()) == []


def test_a_folder_behind_an_own_link_is_accepted(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "audit").symlink_to(tmp_path / "mine")

    assert len(verify(World([state(1)]).audit([1]).to_csv(tmp_path / "audit")))
