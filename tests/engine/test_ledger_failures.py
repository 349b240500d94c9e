"""A ledger that cannot be used stops a run before anything is sent."""

from __future__ import annotations

import contextlib
import resource
import socket
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from bulk_world import CALM, CAMPAIGN, assert_true, members, tiny_service
from ledger_world import recorded

from sparkfly_nb import Session
from sparkfly_nb.bulk.ledger import database
from sparkfly_nb.errors import ConfigurationError, LedgerError


def test_locked_ledger_stops_run_before_sending(tmp_path):
    path = tmp_path / "ledger.db"
    with tiny_service(f"sqlite:///{path}?timeout=0.1") as (session, service):
        session.issue_many(members([11]), CAMPAIGN, **CALM)
        requests = len(service.asked)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerError, match=r"ledger\.db cannot be used: database is locked"):
                session.issue_many(members([12]), CAMPAIGN, **CALM)
            assert len(service.asked) == requests
            other.execute("ROLLBACK")
        assert session.issue_many(members([12]), CAMPAIGN, **CALM).outcome.tolist() == ["issued"]


def test_unreachable_ledger_stops_run_before_sending():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"postgresql://team:hush@127.0.0.1:{closed.getsockname()[1]}/ledger"
        with tiny_service(address) as (session, service), pytest.raises(LedgerError) as refusal:
            session.issue_many(members([11]), CAMPAIGN, **CALM)
    assert not service.asked
    assert "hush" not in str(refusal.value)


def test_full_disk_stops_run_before_sending(tmp_path):
    path = tmp_path / "ledger.db"
    with tiny_service(path) as (session, service):
        session.issue_many(members([11]), CAMPAIGN, **CALM)
        requests = len(service.asked)
        _limit_pages(session)
        with pytest.raises(LedgerError, match="full"):
            session.issue_many(members(range(100, 3100)), CAMPAIGN, **CALM)
        assert len(service.asked) == requests
    assert len(recorded(str(path))[0]) == 1, "a run is recorded completely or not at all"


def test_disk_full_mid_run_stops_it_and_sent_rows_are_read_back(tmp_path):
    path = tmp_path / "ledger.db"
    frame = members(range(100, 2100))
    with tiny_service(path) as (session, service):
        service.on_issue = lambda number, _record: _limit_pages(session) if number == 100 else None
        with pytest.raises(LedgerError, match="full"):
            session.issue_many(frame, CAMPAIGN, concurrency=4, **CALM)
        stopped_at = len(service.states)
        assert 100 <= stopped_at < 2000
        _limit_pages(session, 1_000_000)
        result = session.issue_many(frame, CAMPAIGN, **CALM)
    assert_true(result, service.states)
    assert len(service.states) == 2000
    assert result.settled_by.value_counts()["readback"] >= 1


def _limit_pages(session, pages=None):
    """Simulate a full disk: limit every connection of the session to the existing pages."""
    engine = session._runs.ledger._engine
    engine.dispose()
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def limit(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages or 1}")  # SQLite raises the limit to the size of the file


def test_file_size_limit_stops_run_before_sending(tmp_path, world):
    """The operating system limits the size of files in a process."""
    code = textwrap.dedent("""
        import resource, signal, sys, pandas as pd, sparkfly_nb as sf
        from sparkfly_nb.errors import LedgerError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with sf.Session("sandbox", base_url=sys.argv[1], token="t", ledger=sys.argv[2]) as session:
            session.runs()
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
            try:
                session.issue_many(pd.DataFrame({"member_id": range(1, 5001)}), "SUMMER26", progress=False)
            except LedgerError as refusal:
                print("refused:", refusal)
    """)
    path = tmp_path / "ledger.db"
    arguments = [world.service.base_url, str(path), str(200_000)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"refused: the ledger {path} cannot be used"), done.stdout
    assert world.requests("issue_offer") == 0
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("nosuchdatabase://x/y", "neither a path nor an address"),
        ("postgresql://x:y/z", "neither a path nor an address"),
    ],
)
def test_unusable_ledger_address_is_refused(world, address, why):
    with pytest.raises(ConfigurationError, match=why), world.session(address) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
    assert world.requests("issue_offer") == 0


@pytest.mark.parametrize("what", ["a directory", "not a database", "a link"])
def test_file_that_is_not_a_ledger_is_refused(world, tmp_path, what):
    path = tmp_path / "ledger.db"
    if what == "a directory":
        path.mkdir()
    elif what == "a link":
        path.symlink_to(tmp_path / "elsewhere.db")
    else:
        path.write_bytes(b"member_id,campaign\n" * 1000)
    with pytest.raises(LedgerError, match=r"ledger\.db"), world.session(str(path)) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
    assert world.requests("issue_offer") == 0


def test_closed_session_is_refused(world, ledger):
    session = world.session(ledger)
    session.close()
    with pytest.raises(ConfigurationError, match="closed"):
        session.issue_many(members([1]), CAMPAIGN, **world.calm)
    assert isinstance(session, Session)


def test_file_system_without_write_ahead_log_raises_an_error(tmp_path):
    address = f"file:{tmp_path / 'ledger.db'}?vfs=unix-none"  # no locks and no shared memory, as on some network drives
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=0.05)) as connection,
        pytest.raises(sqlite3.OperationalError, match="cannot keep a write-ahead log"),
    ):
        database._write_ahead(connection)
