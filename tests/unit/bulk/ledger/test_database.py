"""What the ledger asks of its database: a file of SQLite, or a server of PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from ledger_world import at_work, elsewhere, kept, made

from sparkfly_nb.bulk.ledger import tables as tables_module
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.ledger.tables import make_engine, rows, runs, shards
from sparkfly_nb.bulk.records import Outcome
from sparkfly_nb.errors import ConfigurationError, LedgerError


def test_a_fault_of_the_database_is_an_error_of_ours_that_says_what_it_means(book, ledger):
    with (
        pytest.raises(LedgerError, match=r"cannot be used: .*(no such table|does not exist)") as told,
        book.transaction() as connection,
    ):
        connection.execute(sa.text("SELECT * FROM no_table"))

    assert str(told.value).startswith(f"the ledger {book} cannot be used: ")
    assert str(told.value).endswith(". What was not recorded was not sent, or is read back when the run is continued")
    assert told.value.__cause__ is None


def test_a_server_is_named_without_its_passwords():
    book = Ledger("postgresql://me:secret@127.0.0.1:5/offers?password=secret")

    assert str(book) == "postgresql+psycopg://me:***@127.0.0.1:5/offers"
    book.close()


def test_what_fails_half_way_is_not_recorded(book):
    run = made(book)

    def work():
        with book.transaction() as connection:
            connection.execute(sa.update(rows).values(outcome="issued"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()

    assert kept(book, run, "outcome") == [("planned",)] * 3


def test_whoever_only_reads_does_not_wait_for_a_writer(tmp_path):
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


def test_whoever_does_not_say_that_he_only_reads_is_a_writer(tmp_path):
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
def test_runs_shards_and_rows_come_in_their_order_however_the_server_keeps_them(ledger):
    plain_reading = "".join(f"-cenable_{way}%3Doff " for way in ("indexscan", "indexonlyscan", "bitmapscan")).strip()
    book = Ledger(f"{ledger}?options={plain_reading.replace(' ', '%20')}")
    run, newer = (made(book, rows_=6, rows_per_shard=2, digest="f" * 64) for _ in range(2))
    with book.transaction() as connection:  # the server puts what is written again behind the rest
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
def test_of_several_that_come_to_an_empty_server_one_makes_the_tables_and_the_others_wait(ledger):
    first, second = make_engine(ledger), Ledger(f"{ledger}?options=-clock_timeout%3D50")
    with first.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(tables_module.MAKING_LOCK)))
        with pytest.raises(LedgerError, match="lock timeout"):
            second.all_runs()

    assert second.all_runs() == []
    first.dispose()
    second.close()


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_a_connection_that_the_server_closed_in_the_meantime_is_opened_again(ledger):
    book, other = Ledger(ledger), make_engine(ledger)
    assert book.all_runs() == []
    with other.begin() as connection:
        mine = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND pid <> pg_backend_pid()")  # fmt: skip
        assert connection.execute(mine).scalars().all() == [True]

    assert book.all_runs() == []
    other.dispose()
    book.close()


def test_a_place_that_can_hold_no_ledger_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    path = tmp_path / "taken" / "ledger.db"

    with pytest.raises(LedgerError) as told:
        Ledger(str(path))

    assert re.fullmatch(f"the ledger {path} cannot be used: [A-Z][a-z ]+; give another path", str(told.value))


def test_by_default_a_ledger_is_in_the_users_data_directory(tmp_path):
    book = Ledger(None)

    assert str(book) == str(tmp_path / "data_home" / "sparkfly_nb" / "ledger.db")
    book.close()


def test_a_ledger_file_waits_for_others_and_loses_nothing_with_the_power(tmp_path):
    book = Ledger(str(tmp_path / "ledger.db"))
    with book.transaction() as connection:
        told = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in (
            "journal_mode", "synchronous", "foreign_keys", "trusted_schema", "cell_size_check",
            "busy_timeout")}  # fmt: skip
    book.close()

    full = 2
    assert told == {"journal_mode": "wal", "synchronous": full, "foreign_keys": 1, "trusted_schema": 0,
                    "cell_size_check": 1, "busy_timeout": 30_000}  # fmt: skip


def test_how_long_a_ledger_file_waits_may_stand_in_its_address(tmp_path):
    book = Ledger(f"sqlite:///{tmp_path}/ledger.db?timeout=2")
    with book.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 2000
    book.close()


class BusyFile:
    """A file that somebody else holds until a moment, and whose log cannot be switched until another."""

    def __init__(self, monkeypatch, free_at, switched_at=0.0):
        self.now, self.free_at, self.switched_at = 100.0, free_at, switched_at
        monkeypatch.setattr(tables_module, "BUSY_LOOK_S", 1.0)
        monkeypatch.setattr(tables_module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.wait))

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
    "times", [{"free_at": 103.0}, {"free_at": 0.0, "switched_at": 103.0}], ids=["held", "as before"]
)
def test_a_file_that_another_process_is_just_making_is_waited_for(monkeypatch, times):
    file = BusyFile(monkeypatch, **times)

    tables_module._write_ahead(file)

    assert file.now == 103.0


def test_a_file_that_stays_busy_is_given_up_after_its_timeout(monkeypatch):
    file = BusyFile(monkeypatch, free_at=1e9)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        tables_module._write_ahead(file)

    assert file.now == 106.0, "five seconds, and one look more"


def test_a_place_where_the_log_is_never_switched_is_named_after_the_timeout(monkeypatch):
    file = BusyFile(monkeypatch, free_at=0.0, switched_at=1e9)

    with pytest.raises(sqlite3.OperationalError) as told:
        tables_module._write_ahead(file)

    assert str(told.value) == "where it lies SQLite can keep no write-ahead log; give another path"
    assert file.now == 106.0


def test_a_connection_that_cannot_be_prepared_is_closed(monkeypatch):
    file = BusyFile(monkeypatch, free_at=1e9)
    closed = []
    file.close = lambda: closed.append(file)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        tables_module._prepare_sqlite(file, None)

    assert closed == [file]


def test_a_file_in_which_something_happens_by_itself_is_refused(tmp_path):
    path = str(tmp_path / "ledger.db")
    book = Ledger(path)
    made(book)
    with book.transaction() as connection:
        connection.exec_driver_sql("CREATE TRIGGER again AFTER UPDATE ON rows BEGIN SELECT 1; END")
    book.close()

    with (
        closing(Ledger(path)) as again,
        pytest.raises(LedgerError, match="calls rows was made by another version of sparkfly-nb, or changed since"),
    ):
        again.all_runs()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_refused(address):
    with pytest.raises(ConfigurationError) as told:
        Ledger(address)

    assert str(told.value) == "a ledger in memory would be lost with the kernel; give the path of a file"


@pytest.mark.parametrize("address", ["file:x.db?uri=true", "file:x.db", "{}/x.db?uri=true"])
def test_an_address_that_sqlite_takes_for_another_file_is_refused(address, tmp_path):
    with pytest.raises(ConfigurationError) as told:
        Ledger("sqlite:///" + address.format(tmp_path))

    assert str(told.value) == "give the ledger as a path: a file: address of SQLite names another file"


@pytest.mark.parametrize("address", ["nonsense://x", "://", "postgresql://host:port/ledger", "~nobody-has-this-home/x"])
def test_an_address_that_means_nothing_is_refused(address):
    with pytest.raises(ConfigurationError, match="neither a path nor an address"):
        Ledger(address)


def test_a_driver_that_is_missing_is_named_with_what_to_install():
    with pytest.raises(ConfigurationError, match=r"driver \w+ is missing; pip install 'sparkfly-nb\[postgres\]'"):
        Ledger("oracle+cx_oracle://host/ledger")


def test_a_ledger_in_the_home_directory_may_be_written_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    book = Ledger("~/mine/ledger.db")
    book.all_runs()
    book.close()

    assert (tmp_path / "mine" / "ledger.db").exists()
    assert str(book) == str(tmp_path / "mine" / "ledger.db")
