"""Helpers that fill a ledger call by call and read its contents, for the tests of the ledger."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from itertools import count

import psycopg
import pytest
import sqlalchemy as sa

from sparkfly_nb.bulk.ledger.claims import Claimant
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.ledger.tables import claimants, shards
from sparkfly_nb.bulk.records import Outcome, PlannedRow, Run

ADDRESS = "http://127.0.0.1/v1.0"
#: A process number above the highest one on Linux.
GONE = 2**22 + 1
_NUMBERS = count(1)


@pytest.fixture
def book(ledger):
    opened = Ledger(ledger)
    yield opened
    opened.close()


def a_run(rows_=3, **changes):
    number = next(_NUMBERS)
    values = {
        "run": f"run {number}", "operation": "issue", "digest": f"{number:064}", "environment": "sandbox",
        "address": ADDRESS, "campaign_id": "SUMMER26", "reason": "spring", "row_count": rows_, "user_name": "me",
        "host": "here", "version": "1", "started_at": "2026-01-01T00:00:00+00:00", "undoes": None,
    }  # fmt: skip
    return Run(**{**values, **changes})


def planned(rows_, first_member=1000, **payload):
    return [PlannedRow(at, first_member + at, None, None, f"r-{at}", payload) for at in range(rows_)]


def made(book, rows_=3, rows_per_shard=3, first_member=1000, **changes):
    """Record a run of some rows in shards of some rows."""
    bounds = [(at, min(at + rows_per_shard, rows_) - 1) for at in range(0, rows_, rows_per_shard)]
    return book.create(a_run(rows_, **changes), [planned(rows_, first_member)], bounds)


def kept(book, run, *names):
    """Return some columns of all rows of a run."""
    return [tuple(row[name] for name in names) for chunk in book.chunks(run.run_no) for row in chunk]


def shards_of(book, run, *names):
    with book.transaction(writing=False) as connection:
        query = sa.select(*(shards.c[name] for name in names)).where(shards.c.run_no == run.run_no)
        return [tuple(found) for found in connection.execute(query.order_by(shards.c.shard))]


def overwrite(book, run, table, **values):
    """Change records of a run behind the package's back."""
    with book.transaction() as connection:
        connection.execute(sa.update(table).where(table.c.run_no == run.run_no).values(values))


def set_claimant(book, claimant, *, silent_s=0.0, **values):
    """Change the record of a claimant, with its last heartbeat `silent_s` seconds ago."""
    values["seen_at"] = time.time() - silent_s
    with book.transaction() as connection:
        connection.execute(sa.update(claimants).where(claimants.c.claimant == claimant.name).values(values))


def elsewhere(book, *, address=ADDRESS, campaign="SUMMER26", run_no=0):
    return book.issued_elsewhere(address, campaign, run_no)


def known_claimants(book):
    with book.transaction(writing=False) as connection:
        return [tuple(found) for found in connection.execute(sa.select(claimants))]


def at_work(book, run, **arguments):
    claimant = Claimant(book, run, **arguments)
    claimant.beat()
    return claimant


#: An outcome with a value in every field.
ISSUED = Outcome(0, "issued", 201, "odd", "t-1", 2, "response", 71, 1009, 301, "VK32", "2030-01-01", "2030-02-01")


def recorded(address):
    """Read the runs and rows of a ledger without the package, in a separate connection."""
    queries = ("SELECT * FROM runs ORDER BY run_no", "SELECT * FROM rows ORDER BY run_no, position")
    if address.startswith("postgresql"):
        with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
            return [connection.execute(query).fetchall() for query in queries]
    with contextlib.closing(sqlite3.connect(address)) as connection:
        connection.row_factory = sqlite3.Row
        return [[dict(row) for row in connection.execute(query)] for query in queries]


def recorded_shards(address):
    query = "SELECT shard, state, claimant FROM shards ORDER BY shard"
    if address.startswith("postgresql"):
        with psycopg.connect(address) as connection:
            return connection.execute(query).fetchall()
    with contextlib.closing(sqlite3.connect(address)) as connection:
        return connection.execute(query).fetchall()
