"""What the ledger keeps of runs, rows and shards, call by call, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import sys
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from sparkfly_nb.bulk import claims as claims_module
from sparkfly_nb.bulk import ledger as ledger_module
from sparkfly_nb.bulk import tables as tables_module
from sparkfly_nb.bulk.claims import LEASE_S, Claimant, this_host
from sparkfly_nb.bulk.job import Outcome, Row
from sparkfly_nb.bulk.ledger import LONGEST_WAIT_S, Ledger
from sparkfly_nb.bulk.many_rows import GROUP_PARAMETERS, rows_at_once
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.recorded import PlannedRow, Run
from sparkfly_nb.bulk.tables import claimants, make_engine, rows, runs, shards
from sparkfly_nb.errors import ConfigurationError, LedgerError

ADDRESS = "http://127.0.0.1/v1.0"
GONE = 2**22 + 1
"""Above the highest number that Linux gives to a process."""
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
    """Give some columns of all rows of a run."""
    return [tuple(row[name] for name in names) for chunk in book.chunks(run.run_no) for row in chunk]


def shards_of(book, run, *names):
    with book.transaction(writing=False) as connection:
        query = sa.select(*(shards.c[name] for name in names)).where(shards.c.run_no == run.run_no)
        return [tuple(found) for found in connection.execute(query.order_by(shards.c.shard))]


def set_shards(book, run, **values):
    with book.transaction() as connection:
        connection.execute(sa.update(shards).where(shards.c.run_no == run.run_no).values(values))


def set_claimant(book, claimant, *, silent_s=0.0, **values):
    """Let the ledger say something else of a claimant, and that it was last heard of so long ago."""
    values["seen_at"] = time.time() - silent_s
    with book.transaction() as connection:
        connection.execute(sa.update(claimants).where(claimants.c.claimant == claimant.name).values(values))


def known_claimants(book):
    with book.transaction(writing=False) as connection:
        return [tuple(found) for found in connection.execute(sa.select(claimants))]


def at_work(book, run, **arguments):
    claimant = Claimant(book, run, **arguments)
    claimant.beat()
    return claimant


ISSUED = Outcome(0, "issued", 201, "odd", "t-1", 2, "response", 71, 1009, 301, "VK32", "2030-01-01", "2030-02-01")
"""Every field says something."""


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_recorded_with_its_number(book):
    asked = a_run(0)

    run = book.create(asked, [], [])

    assert run == asked._replace(run_no=run.run_no)
    assert run.run_no > 0
    assert book.find(run=asked.run) == run
    assert book.find(digest=asked.digest) == run
    assert book.find(run="another") is None
    assert book.find(digest="another") is None
    assert shards_of(book, run, "shard") == []


def test_of_two_runs_that_ask_for_the_same_the_older_one_is_found(book):
    older = made(book, digest="f" * 64)
    newer = made(book, digest="f" * 64)

    assert book.find(digest="f" * 64) == older
    assert book.find(run=newer.run, digest="f" * 64) == newer


def test_rows_are_planned_with_what_else_is_sent_as_json(book):
    frame = [planned(1)[0], PlannedRow(1, None, "M-1", 7, None, {"expires_at": "2030-01-01", "value": 2})]

    run = book.create(a_run(2), [[frame[0]], [frame[1]]], [(0, 0), (1, 1)])

    names = ("position", "member_id", "member_identifier", "offer_state_id", "external_ref_id", "payload")
    assert kept(book, run, *names) == [
        (0, 1000, None, None, "r-0", None),
        (1, None, "M-1", 7, None, '{"expires_at":"2030-01-01","value":2}'),
    ]
    assert kept(book, run, "outcome", "attempts", "resends", "undone") == [("planned", 0, 0, False)] * 2
    assert shards_of(book, run, "shard", "first", "last", "state", "claims", "claimant", "settle_after") == [
        (0, 0, 0, "planned", 0, None, None),
        (1, 1, 1, "planned", 0, None, None),
    ]


def test_a_name_that_is_taken_gives_the_run_that_has_it_and_changes_nothing(book):
    run = made(book, rows_=2)

    again = book.create(run._replace(reason="another", run_no=0), [planned(5)], [(0, 4)])

    assert again == run
    assert kept(book, run, "position") == [(0,), (1,)]
    assert shards_of(book, run, "shard") == [(0,)]


def test_a_name_that_is_taken_by_a_damaged_run_is_refused(book):
    run = made(book, rows_=4, rows_per_shard=2)
    damage(book, run, shards, last=3)

    with pytest.raises(LedgerError, match=rf"shards of run '{run.run}' overlap"):
        book.create(run._replace(run_no=0), [planned(4)], [(0, 3)])


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_a_name_that_another_process_takes_in_the_same_moment_gives_its_run(book, ledger):
    other, asked, theirs = Ledger(ledger), a_run(2), []
    made(book)

    @sa.event.listens_for(book._engine, "before_cursor_execute")
    def take_the_name(_connection, _cursor, sql, *_rest):
        if sql.startswith("INSERT INTO runs") and not theirs:
            theirs.append(other.create(asked._replace(reason="another"), [planned(2)], [(0, 1)]))

    assert [book.create(asked, [planned(2)], [(0, 0), (1, 1)])] == theirs
    assert kept(book, theirs[0], "position") == [(0,), (1,)]
    assert shards_of(book, theirs[0], "shard") == [(0,)]
    other.close()


def test_runs_are_listed_newest_first_with_their_rows_counted_by_outcome(book):
    empty, full, new = made(book, rows_=0), made(book, rows_=3), made(book, rows_=2)
    book.end(full.run_no, [Outcome(1, "issued"), Outcome(2, "rejected")])

    listed = book.all_runs()

    assert listed == [(new, {"planned": 2}), (full, {"planned": 1, "issued": 1, "rejected": 1}), (empty, {})]
    assert book.counts(full.run_no) == listed[1][1]
    assert book.counts(empty.run_no) == {}


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_rows_are_given_in_order_some_at_a_time(book, monkeypatch, at_once):
    monkeypatch.setattr(ledger_module, "READ_CHUNK_ROWS", at_once)
    run, other = made(book, rows_=7), made(book, rows_=3)
    book.end(run.run_no, [Outcome(at, "issued", offer_state_id=70 + at) for at in (1, 2, 5)])

    sizes = [len(chunk) for chunk in book.chunks(run.run_no)]
    columns = list(book.columns(run.run_no, ["member_id", "offer_state_id"]))

    assert max(sizes) <= at_once
    assert kept(book, run, "position") == [(at,) for at in range(7)]
    assert [row["position"] for chunk in book.chunks(run.run_no, only="issued") for row in chunk] == [1, 2, 5]
    assert [at for chunk in columns for at in chunk["position"]] == list(range(7))
    assert [at for chunk in columns for at in chunk["member_id"]] == list(range(1000, 1007))
    assert [at for chunk in columns for at in chunk["offer_state_id"]] == [None, 71, 72, None, None, 75, None]
    assert kept(book, other, "position") == [(0,), (1,), (2,)]


def test_more_rows_than_one_statement_takes_are_all_written_as_they_are(book):
    size = GROUP_PARAMETERS  # of parameters: some groups, and some rows that fill none
    run = made(book, rows_=size, rows_per_shard=size)
    book.end(run.run_no, [ISSUED._replace(position=at, offer_state_id=at) for at in reversed(range(size))])

    assert kept(book, run, "position", "member_id", "external_ref_id", "outcome", "offer_state_id") == [
        (at, 1000 + at, f"r-{at}", "issued", at) for at in range(size)
    ]


def test_rows_of_a_query_are_given_by_their_first_column_with_every_kind_of_value(book):
    run = made(book, rows_=0)
    odd = [PlannedRow(at, 2**63 - 1 - at, "ü\n\"'\\", None, None, {}) for at in (5, 3, 4)]
    book.create(a_run(3), [odd], [])
    with book.transaction(writing=False) as connection:
        query = sa.select(rows.c.position, rows.c.member_id, rows.c.member_identifier, rows.c.offer_state_id)
        found = rows_at_once(connection, query.where(rows.c.run_no == run.run_no + 1))

    assert [tuple(row) for row in found] == [(at, 2**63 - 1 - at, "ü\n\"'\\", None) for at in (3, 4, 5)]


def damage(book, run, table, **values):
    with book.transaction() as connection:
        connection.execute(sa.update(table).where(table.c.run_no == run.run_no).values(values))


def test_a_run_of_an_operation_that_is_not_known_is_refused_by_its_name(book):
    run = made(book, operation="gift")

    with pytest.raises(LedgerError, match=rf"has run '{run.run}' of an operation that this version does not know"):
        book.find(run=run.run)


def test_a_run_whose_shards_overlap_is_refused_and_others_are_not(book):
    run, other = made(book, rows_=4, rows_per_shard=2), made(book, rows_=4, rows_per_shard=2)
    damage(book, run, shards, last=3)

    with pytest.raises(LedgerError, match=rf"shards of run '{run.run}' overlap"):
        book.find(run=run.run)
    assert book.find(run=other.run) == other


def test_what_is_damaged_in_one_run_keeps_nobody_from_another(tmp_path):
    book = Ledger(str(tmp_path / "ledger.db"))
    run, other = made(book), made(book)
    damage(book, run, rows, member_id="not a number")

    with pytest.raises(LedgerError, match=r"damaged, or was changed by hand: rows, run_no '1', position '0' holds"):
        book.find(run=run.run)
    assert book.find(run=other.run) == other
    book.close()


# ---- who was issued what ---------------------------------------------------------------------------------------------


def elsewhere(book, *, address=ADDRESS, campaign="SUMMER26", run_no=0):
    return book.issued_elsewhere(address, campaign, run_no)


@pytest.mark.parametrize("outcome", ["issued", "unknown"])
def test_a_member_that_was_or_may_have_been_issued_to_is_known_with_the_run(book, outcome):
    run = made(book, rows_=3)
    book.end(run.run_no, [Outcome(1, outcome)])

    assert elsewhere(book) == {("member_id", 1001): run.run}
    assert elsewhere(book, run_no=run.run_no) == {}, "the run itself is no other"


def test_a_member_known_by_identifier_is_known_by_the_answer_as_well(book):
    run = book.create(a_run(1), [[PlannedRow(0, None, "M-9", None, "r-0", {})]], [(0, 0)])
    book.end(run.run_no, [ISSUED])

    assert elsewhere(book) == {("member_id", 1009): run.run, ("member_identifier", "M-9"): run.run}


@pytest.mark.parametrize(
    "other",
    [{"operation": "void"}, {"address": "http://127.0.0.1:1/v1.0"}, {"campaign_id": "VIP26"}],
    ids=["another operation", "another service", "another campaign"],
)
def test_runs_of_something_else_are_not_looked_at(book, other):
    run = made(book, rows_=2, rows_per_shard=1, **other)
    book.end(run.run_no, [Outcome(0, "issued")])
    assert at_work(book, run).claim(), "the rest may have been sent"

    assert elsewhere(book) == {}


@pytest.mark.parametrize("outcome", ["rejected", "kept", "planned"])
def test_rows_that_surely_made_nothing_are_not_known(book, outcome):
    run = made(book)
    if outcome != "planned":
        book.end(run.run_no, [Outcome(at, outcome) for at in range(3)])

    assert elsewhere(book) == {}


def test_what_was_undone_may_be_issued_again(book):
    run, other = made(book), made(book, first_member=2000)
    for issued in (run, other):
        book.end(issued.run_no, [Outcome(at, "issued") for at in range(3)])

    book.mark_undone(run.run_no, [])
    assert len(elsewhere(book)) == 6
    book.mark_undone(run.run_no, [0, 2])

    assert elsewhere(book, run_no=other.run_no) == {("member_id", 1001): run.run}
    assert kept(book, run, "undone") == [(True,), (False,), (True,)]
    assert kept(book, other, "undone") == [(False,)] * 3


def test_planned_rows_of_a_shard_that_somebody_claimed_may_have_been_sent(book):
    run = made(book, rows_=4, rows_per_shard=2)
    made(book, rows_=4, rows_per_shard=2, first_member=2000)  # planned as well, and claimed by nobody
    claimant = at_work(book, run)
    assert claimant.claim().shard == 0

    assert elsewhere(book) == {("member_id", 1000): run.run, ("member_id", 1001): run.run}
    book.end(run.run_no, [Outcome(0, "rejected")])
    assert elsewhere(book) == {("member_id", 1001): run.run}
    claimant.record(0, [Outcome(1, "rejected")])
    assert elsewhere(book) == {}


# ---- rows ------------------------------------------------------------------------------------------------------------


def test_every_field_of_an_outcome_is_kept(book):
    run = made(book, rows_=1)

    book.end(run.run_no, [ISSUED])

    names = ["answered_member_id" if name == "member_id" else name for name in Outcome._fields]
    assert kept(book, run, *names) == [tuple(ISSUED)]
    assert kept(book, run, "member_id", "external_ref_id") == [(1000, "r-0")], "what was asked for stays"


def test_attempts_add_up_and_an_answer_that_is_silent_keeps_the_offer_state_that_was_asked_for(book):
    run = book.create(a_run(1, operation="void"), [[PlannedRow(0, 1000, None, 7, None, {})]], [(0, 0)])

    book.end(run.run_no, [Outcome(0, "unknown", attempts=2)])
    book.end(run.run_no, [Outcome(0, "voided", attempts=3)])

    assert kept(book, run, "attempts", "offer_state_id", "outcome") == [(5, 7, "voided")]


@pytest.mark.parametrize("ended", ["issued", "rejected", "kept"])
def test_an_end_is_an_end(book, ended):
    run = made(book, rows_=2)
    book.end(run.run_no, [Outcome(0, ended, 200, attempts=1)])

    book.end(run.run_no, [Outcome(0, "unknown", 500, attempts=1), Outcome(1, "issued")])

    assert kept(book, run, "outcome", "http_status", "attempts") == [(ended, 200, 1), ("issued", None, 0)]


def test_a_row_that_is_not_to_be_sent_is_ended_unless_somebody_has_claimed_it(book):
    run, other = made(book, rows_=10, rows_per_shard=2), made(book, rows_=10, rows_per_shard=2)
    claimant = at_work(book, run)
    assert [claimant.claim().shard for _ in range(4)] == [0, 1, 2, 3]
    claimant.record(1, [])  # planned again
    claimant.record(3, [Outcome(6, "unknown"), Outcome(7, "unknown")])

    ended = book.end_unclaimed(run.run_no, [Outcome(at, "rejected", error="held") for at in (9, *range(8))])

    assert ended == 3
    assert kept(book, run, "outcome") == [(word,) for word in (
        "planned", "planned", "rejected", "rejected", "planned", "planned", "unknown", "unknown", "planned", "rejected",
    )]  # fmt: skip
    assert kept(book, other, "outcome") == [("planned",)] * 10
    assert shards_of(book, run, "state") == [("sent",), ("planned",), ("sent",), ("settled",), ("planned",)]


@pytest.fixture
def lost(book):
    """A run of which rows 0 to 4 are unknown, and rows 1 and 4 were planned again and lost again."""
    run = made(book, rows_=6)
    book.end(run.run_no, [Outcome(at, "unknown", error="no answer") for at in range(5)])
    book.reopen(run.run_no, [Row(1, {}), Row(4, {})])
    book.end(run.run_no, [Outcome(at, "unknown", error="no answer") for at in (1, 4)])
    return run


def test_rows_that_are_as_they_were_when_they_were_read_back_are_ended(book, lost):
    read_back = book.rows_of(lost, outcome="unknown")
    given_up = [Outcome(1, "rejected", error="not found"), Outcome(3, "unknown", error="not settled")]

    assert book.end_lost(lost.run_no, read_back, given_up) == 0

    assert kept(book, lost, "outcome", "error") == [
        ("unknown", "no answer"), ("rejected", "not found"), ("unknown", "no answer"), ("unknown", "not settled"),
        ("unknown", "no answer"), ("planned", None),
    ]  # fmt: skip


def test_a_row_that_another_process_took_on_since_it_was_read_back_is_left_as_it_is_and_counted(book, lost):
    other = made(book, rows_=6)
    book.end(other.run_no, [Outcome(at, "unknown") for at in range(6)])
    read_back = book.rows_of(lost, outcome="unknown")
    book.reopen(lost.run_no, [Row(0, {}), Row(1, {}, 1), Row(2, {})])
    book.end(lost.run_no, [Outcome(1, "unknown", error="lost again"), Outcome(2, "issued"), Outcome(3, "issued")])

    left = book.end_lost(lost.run_no, read_back, [Outcome(at, "rejected", error="gone") for at in (4, 2, 0, 3, 1)])

    assert left == 4, "one that is planned again, one that was lost again, one that was issued, one that was found"
    assert kept(book, lost, "outcome", "error", "resends") == [
        ("planned", "no answer", 1), ("unknown", "lost again", 2), ("issued", None, 1), ("issued", None, 0),
        ("rejected", "gone", 1), ("planned", None, 0),
    ]  # fmt: skip
    assert kept(book, other, "outcome", "error") == [("unknown", None)] * 6


def test_a_row_that_nobody_read_back_is_not_ended(book, lost):
    assert book.end_lost(lost.run_no, [Row(0, {}), Row(1, {}, 0)], [Outcome(at, "rejected") for at in (0, 1, 2)]) == 2

    assert kept(book, lost, "outcome")[:3] == [("rejected",), ("unknown",), ("unknown",)]


def test_where_nothing_is_to_be_ended_nobody_is_asked(book, lost, monkeypatch):
    monkeypatch.setattr(book, "transaction", None)

    assert book.end_lost(lost.run_no, [Row(0, {})], []) == 0


def test_what_surely_did_not_happen_is_planned_again_once_per_loss(book):
    run = made(book, rows_=4, rows_per_shard=1)
    set_shards(book, run, state="settled")
    book.end(run.run_no, [Outcome(at, "unknown") for at in (0, 1, 2)])

    book.reopen(run.run_no, [])
    assert book.counts(run.run_no) == {"unknown": 3, "planned": 1}
    book.reopen(run.run_no, [Row(0, {}, 0), Row(1, {}, 1)])
    book.reopen(run.run_no, [Row(0, {}, 0)])

    assert kept(book, run, "outcome", "resends") == [("planned", 1), ("unknown", 0), ("unknown", 0), ("planned", 0)]
    assert shards_of(book, run, "state") == [("planned",), ("settled",), ("settled",), ("settled",)]


def test_rows_far_apart_are_planned_again_in_their_shards_and_no_other_run_is_touched(book):
    run, other = made(book, rows_=6, rows_per_shard=2), made(book, rows_=6, rows_per_shard=2)
    for one in (run, other):
        set_shards(book, one, state="settled")
    book.end(run.run_no, [Outcome(at, "unknown") for at in range(6)])

    book.reopen(run.run_no, [Row(5, {}), Row(0, {})])

    assert shards_of(book, run, "state") == [("planned",), ("settled",), ("planned",)]
    assert kept(book, run, "outcome") == [(word,) for word in ("planned", *["unknown"] * 4, "planned")]
    assert shards_of(book, other, "state") == [("settled",)] * 3
    assert kept(book, other, "outcome", "resends") == [("planned", 0)] * 6


def test_a_shard_that_somebody_is_sending_is_not_taken_from_him(book):
    run = made(book, rows_=2, rows_per_shard=2)
    assert at_work(book, run).claim()
    book.end(run.run_no, [Outcome(0, "unknown")])

    book.reopen(run.run_no, [Row(0, {})])

    assert shards_of(book, run, "state") == [("sent",)]


def test_rows_are_given_as_they_are_sent(book):
    run, other = made(book, rows_=4), made(book, rows_=1)
    book.end(run.run_no, [Outcome(at, "unknown") for at in (2, 3)])
    book.reopen(run.run_no, [Row(3, {})])
    sent = [{"campaign_id": "SUMMER26", "member_id": 1000 + at, "external_ref_id": f"r-{at}"} for at in range(4)]

    assert book.rows_of(run) == [Row(at, sent[at], int(at == 3)) for at in range(4)]
    assert book.rows_of(run, outcome="unknown") == [Row(2, sent[2])]
    assert book.rows_of(run, outcome="planned", first=2) == [Row(0, sent[0]), Row(1, sent[1])]
    assert book.rows_of(run, first=1) == [Row(0, sent[0])]
    assert len(book.rows_of(other)) == 1


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("issue", {"activates_at": "2030-01-01", "expires_at": "2030-02-01"}),
        ("void", {}),
        ("update", {"value": 2, "locked": True}),
        ("update", dict.fromkeys(OPERATIONS["update"].columns, 1)),
        ("redeem", {"status": "parked"}),
    ],
)
def test_a_change_is_given_with_the_keys_of_its_call_and_all_that_it_sets(book, operation, payload):
    frame = [PlannedRow(0, 1009, "M-9", 7, "r-0", payload), PlannedRow(1, None, "M-9", 7, "r-0", payload)]
    run = book.create(a_run(2, operation=operation, campaign_id=None), [frame], [(0, 1)])
    what = {"external_ref_id": "r-0"} if operation == "issue" else {"offerstate_id": 7}

    assert book.rows_of(run) == [
        Row(0, {"member_id": 1009, **what, **payload}),
        Row(1, {"member_identifier": "M-9", **what, **payload}),
    ]


@pytest.mark.parametrize("payload", [{"value": 2}, {"member_id": 5}, {"expires_at": "2030-02-01", "path": "x"}])
def test_a_row_that_would_set_what_its_operation_does_not_is_refused(book, payload):
    run = book.create(a_run(1), [[PlannedRow(0, 1009, None, None, "r-0", payload)]], [(0, 0)])

    with pytest.raises(LedgerError, match=f"changed by hand: row 0 of run '{run.run}'$"):
        book.rows_of(run)


@pytest.mark.parametrize("payload", ["[]", "7", "{", "", f"[{10**99}]"], ids=lambda payload: payload[:9] or "nothing")
def test_a_payload_that_is_no_object_is_refused(book, payload):
    run = made(book)
    damage(book, run, rows, payload=payload)

    shown = re.escape(repr(payload[:60]))
    with pytest.raises(LedgerError, match=f"changed by hand: {shown} is not what a row carries$"):
        book.rows_of(run)


# ---- claims ----------------------------------------------------------------------------------------------------------


def test_a_shard_is_claimed_by_one_from_before_it_is_sent(book):
    run, other = made(book, rows_=5, rows_per_shard=2), made(book)
    one, two = at_work(book, run), at_work(book, run)

    assert [row.position for row in one.claim().rows] == [0, 1]
    assert [row.position for row in two.claim().rows] == [2, 3]
    assert one.finds_planned()
    assert two.claim() == (2, 1, [Row(4, {"campaign_id": "SUMMER26", "member_id": 1004, "external_ref_id": "r-4"})])
    assert one.claim() is None
    assert not one.finds_planned()
    assert shards_of(book, run, "state", "claimant", "claims") == [
        ("sent", one.name, 1), ("sent", two.name, 1), ("sent", two.name, 1),
    ]  # fmt: skip
    assert shards_of(book, other, "state", "claimant", "claims") == [("planned", None, 0)]


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_a_shard_that_another_process_is_just_claiming_is_passed_over(ledger):
    book = Ledger(f"{ledger}?options=-clock_timeout%3D2000")
    run = made(book, rows_=2, rows_per_shard=1)
    with book.transaction() as connection:
        connection.execute(sa.select(shards).where(shards.c.shard == 0).with_for_update())
        assert at_work(book, run).claim().shard == 1
    book.close()


def test_a_canary_claims_only_what_lies_below(book):
    run = made(book, rows_=3, rows_per_shard=1)
    claimant = at_work(book, run)

    assert not claimant.finds_planned(0)
    assert claimant.claim(0) is None
    assert claimant.finds_planned(1)
    assert claimant.claim(1).shard == 0
    assert claimant.claim(1) is None
    assert not claimant.finds_planned(1)


def test_a_shard_whose_rows_have_all_ended_is_passed_over(book):
    run = made(book, rows_=3, rows_per_shard=1)
    book.end(run.run_no, [Outcome(0, "issued")])
    claimant = at_work(book, run)

    assert claimant.claim().shard == 1
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("sent", claimant.name), ("planned", None)]


def test_what_was_not_sent_is_given_back_and_claimed_again(book):
    made(book, rows_=1)  # a shard of the same number
    run = made(book, rows_=3, rows_per_shard=3)
    claimant = at_work(book, run)
    claimant.claim()

    claimant.record(0, [Outcome(1, "issued", attempts=1)])

    assert shards_of(book, run, "state", "claimant", "settle_after") == [("planned", None, None)]
    claim = claimant.claim()
    assert (claim.claims, [row.position for row in claim.rows]) == (2, [0, 2])
    claimant.record(0, [Outcome(0, "rejected"), Outcome(2, "unknown")])
    assert shards_of(book, run, "state", "claimant", "claims") == [("settled", None, 2)]
    assert kept(book, run, "outcome") == [("rejected",), ("issued",), ("unknown",)]


def test_a_report_that_comes_after_the_shard_was_given_to_another_ends_rows_and_leaves_the_shard_alone(book):
    run = made(book, rows_=2, rows_per_shard=2)
    slow, quick = at_work(book, run), at_work(book, run)
    slow.claim()
    slow.abandon("workers died")
    book.reopen(run.run_no, book.rows_of(run, outcome="unknown"))
    quick.claim()

    slow.record(0, [Outcome(0, "issued")])

    assert shards_of(book, run, "state", "claimant") == [("sent", quick.name)]
    assert kept(book, run, "outcome") == [("issued",), ("planned",)]


def test_a_worker_that_may_still_be_sending_is_waited_for(book):
    run = made(book, rows_=2, rows_per_shard=1)
    claimant = at_work(book, run, after_loss_s=50, after_death_s=70)
    claimant.claim()
    claimant.claim()

    claimant.record(0, [Outcome(0, "unknown")])
    assert book.safe_in_s(run.run_no) == 0.0
    claimant.record(1, [Outcome(1, "unknown")], lingers=True)

    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert book.safe_in_s(made(book).run_no) == 0.0


def test_a_wait_that_is_over_is_no_wait(book):
    run = made(book)
    set_shards(book, run, settle_after=time.time() - 100)

    assert book.safe_in_s(run.run_no) == 0.0


@pytest.mark.parametrize(("more_s", "refused"), [(-1000, False), (1000, True)])
def test_a_wait_that_no_worker_needs_is_refused(book, more_s, refused):
    run = made(book)
    set_shards(book, run, settle_after=time.time() + LONGEST_WAIT_S + more_s)

    if refused:
        with pytest.raises(LedgerError) as told:
            book.safe_in_s(run.run_no)
        assert str(told.value) == (
            "the ledger says that something is still being sent, days from now: a clock was wrong, or it was "
            "changed by hand. What is unknown stays unknown; settle it by hand"
        )
    else:
        assert book.safe_in_s(run.run_no) > LONGEST_WAIT_S - 2000


@pytest.mark.parametrize("end", ["leave", "abandon"])
def test_what_was_claimed_and_never_recorded_may_have_happened(book, end):
    run = made(book, rows_=4, rows_per_shard=2)
    claimant, other = at_work(book, run, after_loss_s=50, after_death_s=7000), at_work(book, run)
    claimant.claim()
    other.claim()
    book.end(run.run_no, [Outcome(0, "issued", attempts=1)])

    claimant.leave() if end == "leave" else claimant.abandon("workers died")

    why = "the run ended before the answer was recorded" if end == "leave" else "workers died"
    assert kept(book, run, "outcome", "error", "attempts") == [
        ("issued", None, 1), ("unknown", why, 1), ("planned", None, 0), ("planned", None, 0),
    ]  # fmt: skip
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("sent", other.name)]
    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert (claimant.name in {name for name, *_ in known_claimants(book)}) == (end == "abandon")


def test_a_beat_says_who_lives_where_and_since_when(book):
    run = made(book)
    claimant = at_work(book, run, after_death_s=7.5)
    set_claimant(book, claimant, silent_s=10_000)
    claimant.beat()

    ((name, host, pid, seen_at, linger_s),) = known_claimants(book)
    assert (name, host, pid, linger_s) == (claimant.name, this_host(), os.getpid(), 7.5)
    assert abs(seen_at - time.time()) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells one container from another")
def test_two_containers_of_one_name_are_two_hosts():
    assert this_host() == f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"


DEATHS = {
    "was not heard of for long": {"silent_s": LEASE_S + 5, "host": "elsewhere"},
    "was not heard of for long, here": {"silent_s": LEASE_S + 5},
    "its process is gone": {"pid": GONE},
    "its process has a number that none can have": {"pid": 2**62},
}
LIVES = {
    "was heard of": {},
    "was heard of a while ago": {"silent_s": LEASE_S / 2, "host": "elsewhere"},
    "its number is of no process here, but it lives elsewhere": {"pid": GONE, "host": "elsewhere"},
    "its process is the first of the machine": {"pid": 1},
}


@pytest.mark.parametrize("sign", DEATHS)
def test_what_a_dead_claimant_had_sent_is_unknown_and_waited_for(book, sign):
    run, other_run = made(book, rows_=2, rows_per_shard=1), made(book, rows_=1)
    dead, finder = at_work(book, run, after_death_s=50, after_loss_s=7000), at_work(book, run)
    dead.claim()
    on_another_run = at_work(book, other_run)
    on_another_run.claim()
    set_claimant(book, dead, **DEATHS[sign])

    assert finder.recover() == 0

    why = "the process that sent it ended before the answer came"
    assert kept(book, run, "outcome", "error", "attempts") == [("unknown", why, 1), ("planned", None, 0)]
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("planned", None)]
    assert shards_of(book, other_run, "state") == [("sent",)]
    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert {name for name, *_ in known_claimants(book)} == {finder.name, on_another_run.name}


@pytest.mark.parametrize("sign", LIVES)
def test_a_claimant_that_may_live_keeps_what_it_holds_and_is_counted(book, sign):
    run = made(book, rows_=4, rows_per_shard=1)
    alive, finder = at_work(book, run), at_work(book, run)
    assert [alive.claim().shard, finder.claim().shard, alive.claim().shard] == [0, 1, 2]
    set_claimant(book, alive, **LIVES[sign])

    assert finder.recover() == 1, "it is one, however much it holds; the finder itself is no other"
    assert finder.recover(below=0) == 0
    assert finder.recover(below=1) == 1
    assert alive.recover(below=1) == 0
    assert shards_of(book, run, "state") == [("sent",)] * 3 + [("planned",)]


def test_two_claimants_at_work_are_counted_as_two(book):
    run = made(book, rows_=2, rows_per_shard=1)
    one, two, finder = (at_work(book, run) for _ in range(3))
    assert one.claim()
    assert two.claim()

    assert finder.recover() == 2
    assert one.recover() == 1


def test_a_process_of_somebody_else_is_a_process(book, monkeypatch):
    run = made(book)
    alive, finder = at_work(book, run), at_work(book, run)
    alive.claim()

    asked = []

    def refuses(pid, signal):
        asked.append((pid, signal))
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuses)
    assert finder.recover() == 1
    assert asked == [(os.getpid(), 0)], "asking harms nobody"


def test_where_asking_for_a_process_may_end_it_only_silence_is_death(book, monkeypatch):
    run = made(book)
    alive, finder = at_work(book, run), at_work(book, run)
    alive.claim()
    set_claimant(book, alive, pid=GONE)
    monkeypatch.setattr(claims_module, "os", SimpleNamespace(name="nt"))

    assert finder.recover() == 1
    set_claimant(book, alive, pid=GONE, silent_s=LEASE_S + 5)
    assert finder.recover() == 0


def test_a_claimant_that_left_no_trace_is_dead_and_not_waited_for(book):
    run = made(book)
    dead, finder = at_work(book, run, after_death_s=50), at_work(book, run)
    dead.claim()
    with book.transaction() as connection:
        connection.execute(sa.delete(claimants).where(claimants.c.claimant == dead.name))

    assert finder.recover() == 0
    assert kept(book, run, "outcome") == [("unknown",)] * 3
    assert book.safe_in_s(run.run_no) == 0.0


def test_a_claimant_that_could_not_say_that_it_left_is_known_to_be_gone_in_its_own_process(book, monkeypatch):
    run = made(book)
    gone, finder = at_work(book, run), at_work(book, run)
    gone.claim()

    def fails(**_options):
        raise LedgerError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(book, "transaction", fails)
        gone.leave()

    assert gone.name in claims_module._LEFT
    assert finder.recover() == 0
    assert kept(book, run, "outcome") == [("unknown",)] * 3


# ---- the database ----------------------------------------------------------------------------------------------------


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
