"""Runs in the ledger, and the members that they issued to, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from ledger_world import ISSUED, a_run, at_work, elsewhere, kept, made, overwrite, planned, shards_of

from sparkfly_nb.bulk.ledger import store as ledger_module
from sparkfly_nb.bulk.ledger.bulk_sql import GROUP_PARAMETERS, rows_at_once
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.ledger.tables import rows, shards
from sparkfly_nb.bulk.records import Outcome, PlannedRow
from sparkfly_nb.errors import LedgerError

# ---- runs ------------------------------------------------------------------------------------------------------------


def test_created_run_is_found_with_its_number(book):
    asked = a_run(0)

    run = book.create(asked, [], [])

    assert run == asked._replace(run_no=run.run_no)
    assert run.run_no > 0
    assert book.find(run=asked.run) == run
    assert book.find(digest=asked.digest) == run
    assert book.find(run="another") is None
    assert book.find(digest="another") is None
    assert shards_of(book, run, "shard") == []


def test_find_by_digest_returns_the_oldest_run(book):
    older = made(book, digest="f" * 64)
    newer = made(book, digest="f" * 64)

    assert book.find(digest="f" * 64) == older
    assert book.find(run=newer.run, digest="f" * 64) == newer


def test_create_records_payload_as_json(book):
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


def test_create_with_taken_name_returns_existing_run(book):
    run = made(book, rows_=2)

    again = book.create(run._replace(reason="another", run_no=0), [planned(5)], [(0, 4)])

    assert again == run
    assert kept(book, run, "position") == [(0,), (1,)]
    assert shards_of(book, run, "shard") == [(0,)]


def test_create_with_name_of_damaged_run_is_refused(book):
    run = made(book, rows_=4, rows_per_shard=2)
    overwrite(book, run, shards, last=3)

    with pytest.raises(LedgerError, match=rf"shards of run '{run.run}' overlap"):
        book.create(run._replace(run_no=0), [planned(4)], [(0, 3)])


@pytest.mark.parametrize("ledger", ["postgresql"], indirect=True)
def test_create_returns_run_that_another_process_just_created(book, ledger):
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


def test_all_runs_lists_newest_first_with_outcome_counts(book):
    empty, full, new = made(book, rows_=0), made(book, rows_=3), made(book, rows_=2)
    book.end(full.run_no, [Outcome(1, "issued"), Outcome(2, "rejected")])

    listed = book.all_runs()

    assert listed == [(new, {"planned": 2}), (full, {"planned": 1, "issued": 1, "rejected": 1}), (empty, {})]
    assert book.counts(full.run_no) == listed[1][1]
    assert book.counts(empty.run_no) == {}


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_chunks_and_columns_return_rows_in_order(book, monkeypatch, at_once):
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


def test_more_rows_than_one_statement_takes_are_all_written(book):
    size = GROUP_PARAMETERS  # full groups of parameters, and an incomplete one
    run = made(book, rows_=size, rows_per_shard=size)
    book.end(run.run_no, [ISSUED._replace(position=at, offer_state_id=at) for at in reversed(range(size))])

    assert kept(book, run, "position", "member_id", "external_ref_id", "outcome", "offer_state_id") == [
        (at, 1000 + at, f"r-{at}", "issued", at) for at in range(size)
    ]


def test_rows_at_once_sorts_by_first_column_and_keeps_values(book):
    run = made(book, rows_=0)
    odd = [PlannedRow(at, 2**63 - 1 - at, "ü\n\"'\\", None, None, {}) for at in (5, 3, 4)]
    book.create(a_run(3), [odd], [])
    with book.transaction(writing=False) as connection:
        query = sa.select(rows.c.position, rows.c.member_id, rows.c.member_identifier, rows.c.offer_state_id)
        found = rows_at_once(connection, query.where(rows.c.run_no == run.run_no + 1))

    assert [tuple(row) for row in found] == [(at, 2**63 - 1 - at, "ü\n\"'\\", None) for at in (3, 4, 5)]


def test_run_with_unknown_operation_is_refused(book):
    run = made(book, operation="gift")

    with pytest.raises(LedgerError, match=rf"run '{run.run}' has an operation that this version does not know"):
        book.find(run=run.run)


def test_run_with_overlapping_shards_is_refused(book):
    run, other = made(book, rows_=4, rows_per_shard=2), made(book, rows_=4, rows_per_shard=2)
    overwrite(book, run, shards, last=3)

    with pytest.raises(LedgerError, match=rf"shards of run '{run.run}' overlap"):
        book.find(run=run.run)
    assert book.find(run=other.run) == other


def test_damage_in_one_run_does_not_block_another(tmp_path):
    book = Ledger(str(tmp_path / "ledger.db"))
    run, other = made(book), made(book)
    overwrite(book, run, rows, member_id="not a number")

    with pytest.raises(LedgerError, match=r"damaged, or was changed by hand: rows, run_no '1', position '0' contains"):
        book.find(run=run.run)
    assert book.find(run=other.run) == other
    book.close()


# ---- issued elsewhere ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["issued", "unknown"])
def test_issued_elsewhere_finds_issued_and_unknown_rows(book, outcome):
    run = made(book, rows_=3)
    book.end(run.run_no, [Outcome(1, outcome)])

    assert elsewhere(book) == {("member_id", 1001): run.run}
    assert elsewhere(book, run_no=run.run_no) == {}, "the run itself does not count"


def test_issued_elsewhere_finds_identifier_and_confirmed_member_id(book):
    run = book.create(a_run(1), [[PlannedRow(0, None, "M-9", None, "r-0", {})]], [(0, 0)])
    book.end(run.run_no, [ISSUED])

    assert elsewhere(book) == {("member_id", 1009): run.run, ("member_identifier", "M-9"): run.run}


@pytest.mark.parametrize(
    "other",
    [{"operation": "void"}, {"address": "http://127.0.0.1:1/v1.0"}, {"campaign_id": "VIP26"}],
    ids=["another operation", "another service", "another campaign"],
)
def test_issued_elsewhere_ignores_other_operations_services_campaigns(book, other):
    run = made(book, rows_=2, rows_per_shard=1, **other)
    book.end(run.run_no, [Outcome(0, "issued")])
    assert at_work(book, run).claim(), "the other row may have been sent"

    assert elsewhere(book) == {}


@pytest.mark.parametrize("outcome", ["rejected", "kept", "planned"])
def test_issued_elsewhere_ignores_rows_that_made_nothing(book, outcome):
    run = made(book)
    if outcome != "planned":
        book.end(run.run_no, [Outcome(at, outcome) for at in range(3)])

    assert elsewhere(book) == {}


def test_issued_elsewhere_ignores_undone_rows(book):
    run, other = made(book), made(book, first_member=2000)
    for issued in (run, other):
        book.end(issued.run_no, [Outcome(at, "issued") for at in range(3)])

    book.mark_undone(run.run_no, [])
    assert len(elsewhere(book)) == 6
    book.mark_undone(run.run_no, [0, 2])

    assert elsewhere(book, run_no=other.run_no) == {("member_id", 1001): run.run}
    assert kept(book, run, "undone") == [(True,), (False,), (True,)]
    assert kept(book, other, "undone") == [(False,)] * 3


def test_issued_elsewhere_counts_planned_rows_of_claimed_shards(book):
    run = made(book, rows_=4, rows_per_shard=2)
    made(book, rows_=4, rows_per_shard=2, first_member=2000)  # also planned, but not claimed
    claimant = at_work(book, run)
    assert claimant.claim().shard == 0

    assert elsewhere(book) == {("member_id", 1000): run.run, ("member_id", 1001): run.run}
    book.end(run.run_no, [Outcome(0, "rejected")])
    assert elsewhere(book) == {("member_id", 1001): run.run}
    claimant.record(0, [Outcome(1, "rejected")])
    assert elsewhere(book) == {}
