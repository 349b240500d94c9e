"""The ledger's database: a SQLite file or a PostgreSQL server."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from ledger_world import at_work, elsewhere, kept, made

from sparkfly_nb.bulk.ledger import database as database_module
from sparkfly_nb.bulk.ledger.database import make_engine
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.ledger.tables import rows, runs, shards
from sparkfly_nb.bulk.records import Outcome
from sparkfly_nb.errors import ConfigurationError, LedgerError


def test_database_error_becomes_ledger_error_with_consequence(book, ledger):
    with (
        pytest.raises(LedgerError, match=r"cannot be used: .*(no such table|does not exist)") as caught,
        book.transaction() as connection,
    ):
        connection.execute(sa.text("SELECT * FROM no_table"))

    assert str(caught.value).startswith(f"the ledger {book} cannot be used: ")
    assert str(caught.value).endswith(
        ". Rows that are not recorded were not sent, or are checked against the service when the run is continued"
    )
    assert caught.value.__cause__ is None


def test_ledger_name_hides_passwords():
    book = Ledger("postgresql://me:secret@127.0.0.1:5/offers?password=secret")

    assert str(book) == "postgresql+psycopg://me:***@127.0.0.1:5/offers"
    book.close()


def test_failed_transaction_records_nothing(book):
    run = made(book)

    def work():
        with book.transaction() as connection:
            connection.execute(sa.update(rows).values(outcome="issued"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()

    assert kept(book, run, "outcome") == [("planned",)] * 3


def test_reading_transactions_do_not_wait_for_a_writer(tmp_path):
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db?timeout=0.05")
    run = made(book)
    claimant = at_work(book, run)
    with book.transaction():
        assert book.counts(run.run_no) == {"planned": 3}
        assert book.find(run=run.run) == run
        assert book.all_runs() == [(run, {"planned": 3})]
        assert len(book.rows_of(run)) == len(kept(book, run)) == 3
        assert elsewhere(book) == {}
        assert book.safe_in_s(run.run_no) == 0.0
        assert claimant.finds_planned()
        with pytest.raises(LedgerError, match="database is locked"):
            book.end(run.run_no, [Outcome(0, "issued")])
    book.close()


def test_transactions_write_by_default(tmp_path):
    address = f"sqlite:///{tmp_path}/ledger.db?timeout=0.05"
    book, other = Ledger(address), make_engine(address)
    with (
        book.transaction(),
        pytest.raises(sa.exc.OperationalError, match="database is locked"),
        other.begin(),
    ):
        pass
    other.dispose()
    book.close()


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_runs_shards_and_rows_are_ordered_whatever_the_server_returns(ledger):
    no_indexes = "".join(f"-cenable_{way}%3Doff " for way in ("indexscan", "indexonlyscan", "bitmapscan")).strip()
    book = Ledger(f"{ledger}?options={no_indexes.replace(' ', '%20')}")
    run, newer = (made(book, rows_=6, rows_per_shard=2, digest="f" * 64) for _ in range(2))
    with book.transaction() as connection:  # the server stores updated rows after the others
        connection.execute(sa.update(runs).where(runs.c.run_no == run.run_no).values(host="there"))
        connection.execute(sa.update(shards).where(shards.c.shard == 0).values(claims=1))
        connection.execute(sa.update(rows).where(rows.c.position < 2).values(attempts=1))

    assert book.find(digest="f" * 64) == run._replace(host="there")
    assert kept(book, run, "position") == [(at,) for at in range(6)]
    assert [row.position for row in book.rows_of(run, first=3)] == [0, 1, 2]
    assert book.end_unclaimed(newer.run_no, [Outcome(at, "rejected") for at in range(6)]) == 6
    assert [at_work(book, run).claim().shard for _ in range(3)] == [0, 1, 2]
    book.close()


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_second_process_waits_while_first_creates_tables(ledger):
    first, second = make_engine(ledger), Ledger(f"{ledger}?options=-clock_timeout%3D50")
    with first.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(database_module.MAKING_LOCK)))
        with pytest.raises(LedgerError, match="lock timeout"):
            second.all_runs()

    assert second.all_runs() == []
    first.dispose()
    second.close()


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_connection_closed_by_server_is_reopened(ledger):
    book, other = Ledger(ledger), make_engine(ledger)
    assert book.all_runs() == []
    with other.begin() as connection:
        mine = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND pid <> pg_backend_pid()")  # fmt: skip
        assert connection.execute(mine).scalars().all() == [True]

    assert book.all_runs() == []
    other.dispose()
    book.close()


def test_unusable_path_is_named_in_the_error(tmp_path):
    (tmp_path / "taken").write_text("")
    path = tmp_path / "taken" / "ledger.db"

    with pytest.raises(LedgerError) as caught:
        Ledger(str(path))

    assert re.fullmatch(f"the ledger {path} cannot be used: [A-Z][a-z ]+; use another path", str(caught.value))


def test_default_ledger_is_in_user_data_directory(tmp_path):
    book = Ledger(None)

    assert str(book) == str(tmp_path / "data_home" / "sparkfly_nb" / "ledger.db")
    book.close()


def test_ledger_file_has_durable_and_patient_settings(tmp_path):
    book = Ledger(str(tmp_path / "ledger.db"))
    with book.transaction() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in (
            "journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check",
            "busy_timeout")}  # fmt: skip
    book.close()

    full = 2
    assert found == {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "trusted_schema": 0,
                    "cell_size_check": 1, "busy_timeout": 30_000}  # fmt: skip


def test_timeout_in_address_overrides_the_default(tmp_path):
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db?timeout=2")
    with book.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 2000
    book.close()


class BusyFile:
    """A file that is locked until `free_at`, and whose journal cannot be switched before `switched_at`."""

    def __init__(self, monkeypatch, free_at, switched_at=0.0):
        self.now, self.free_at, self.switched_at = 100.0, free_at, switched_at
        monkeypatch.setattr(database_module, "BUSY_LOOK_S", 1.0)
        monkeypatch.setattr(database_module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.wait))

    def wait(self, seconds):
        self.now += seconds

    def execute(self, sql):
        if sql == "PRAGMA busy_timeout":
            return SimpleNamespace(fetchone=lambda: (5000,))
        assert sql == "PRAGMA journal_mode=WAL"
        if self.now < self.free_at:
            raise sqlite3.OperationalError("database is locked")
        return SimpleNamespace(fetchone=lambda: ("wal" if self.now >= self.switched_at else "delete",))


@pytest.mark.parametrize(
    "times", [{"free_at": 103.0}, {"free_at": 0.0, "switched_at": 103.0}], ids=["locked", "not switched"]
)
def test_write_ahead_waits_for_file_that_is_being_created(monkeypatch, times):
    file = BusyFile(monkeypatch, **times)

    database_module._write_ahead(file)

    assert file.now == 103.0


def test_write_ahead_fails_when_file_stays_busy(monkeypatch):
    file = BusyFile(monkeypatch, free_at=1e9)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database_module._write_ahead(file)

    assert file.now == 106.0, "five seconds, and one more attempt"


def test_write_ahead_fails_where_no_log_is_possible(monkeypatch):
    file = BusyFile(monkeypatch, free_at=0.0, switched_at=1e9)

    with pytest.raises(sqlite3.OperationalError) as caught:
        database_module._write_ahead(file)

    assert str(caught.value) == "SQLite cannot keep a write-ahead log in this folder; use another path"
    assert file.now == 106.0


def test_connection_that_cannot_be_prepared_is_closed(monkeypatch):
    file = BusyFile(monkeypatch, free_at=1e9)
    closed = []
    file.close = lambda: closed.append(file)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database_module._prepare_sqlite(file, None)

    assert closed == [file]


def test_ledger_file_with_trigger_is_refused(tmp_path):
    path = str(tmp_path / "ledger.db")
    book = Ledger(path)
    made(book)
    with book.transaction() as connection:
        connection.exec_driver_sql("CREATE TRIGGER again AFTER UPDATE ON rows BEGIN SELECT 1; END")
    book.close()

    with (
        closing(Ledger(path)) as again,
        pytest.raises(LedgerError, match="table rows was made by another version of sparkfly-nb, or was changed since"),
    ):
        again.all_runs()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:"])
def test_ledger_in_memory_is_refused(address):
    with pytest.raises(ConfigurationError) as caught:
        Ledger(address)

    assert str(caught.value) == "a ledger in memory would be lost with the kernel; use the path of a file"


@pytest.mark.parametrize("address", ["file:x.db?uri=true", "file:x.db", "{}/x.db?uri=true"])
def test_sqlite_file_uri_is_refused(address, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        Ledger("sqlite:///" + address.format(tmp_path))

    assert str(caught.value) == "the ledger cannot be a file: address of SQLite; use the path of the file"


@pytest.mark.parametrize("address", ["nonsense://x", "://", "postgresql://host:port/ledger", "~nobody-has-this-home/x"])
def test_unreadable_address_is_refused(address):
    with pytest.raises(ConfigurationError, match="neither a path nor an address"):
        Ledger(address)


def test_missing_driver_error_names_the_extra_to_install():
    with pytest.raises(ConfigurationError, match=r"driver \w+ is missing; pip install 'sparkfly-nb\[postgres\]'"):
        Ledger("oracle+cx_oracle://host/ledger")


def test_tilde_in_ledger_path_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    book = Ledger("~/mine/ledger.db")
    book.all_runs()
    book.close()

    assert (tmp_path / "mine" / "ledger.db").exists()
    assert str(book) == str(tmp_path / "mine" / "ledger.db")
