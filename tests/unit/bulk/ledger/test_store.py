"""Rows in the ledger: outcomes, readbacks and resends, on SQLite and on PostgreSQL."""

from __future__ import annotations

import re

import pytest
from ledger_world import ISSUED, a_run, at_work, kept, made, overwrite, shards_of

from sparkfly_nb.bulk.ledger.tables import rows, shards
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.records import Outcome, PlannedRow, Row
from sparkfly_nb.errors import LedgerError


def test_end_records_every_field_of_an_outcome(book):
    run = made(book, rows_=1)

    book.end(run.run_no, [ISSUED])

    names = ["answered_member_id" if name == "member_id" else name for name in Outcome._fields]
    assert kept(book, run, *names) == [tuple(ISSUED)]
    assert kept(book, run, "member_id", "external_ref_id") == [(1000, "r-0")], "the requested values stay"


def test_end_adds_attempts_and_keeps_requested_offer_state_id(book):
    run = book.create(a_run(1, operation="void"), [[PlannedRow(0, 1000, None, 7, None, {})]], [(0, 0)])

    book.end(run.run_no, [Outcome(0, "unknown", attempts=2)])
    book.end(run.run_no, [Outcome(0, "voided", attempts=3)])

    assert kept(book, run, "attempts", "offer_state_id", "outcome") == [(5, 7, "voided")]


@pytest.mark.parametrize("ended", ["issued", "rejected", "kept"])
def test_ended_row_is_never_overwritten(book, ended):
    run = made(book, rows_=2)
    book.end(run.run_no, [Outcome(0, ended, 200, attempts=1)])

    book.end(run.run_no, [Outcome(0, "unknown", 500, attempts=1), Outcome(1, "issued")])

    assert kept(book, run, "outcome", "http_status", "attempts") == [(ended, 200, 1), ("issued", None, 0)]


def test_end_unclaimed_skips_rows_of_claimed_shards(book):
    run, other = made(book, rows_=10, rows_per_shard=2), made(book, rows_=10, rows_per_shard=2)
    claimant = at_work(book, run)
    assert [claimant.claim().shard for _ in range(4)] == [0, 1, 2, 3]
    claimant.record(1, [])  # without outcomes: planned again
    claimant.record(3, [Outcome(6, "unknown"), Outcome(7, "unknown")])

    ended = book.end_unclaimed(run.run_no, [Outcome(at, "rejected", error="not sent") for at in (9, *range(8))])

    assert ended == 3
    assert kept(book, run, "outcome") == [(outcome,) for outcome in (
        "planned", "planned", "rejected", "rejected", "planned", "planned", "unknown", "unknown", "planned", "rejected",
    )]  # fmt: skip
    assert kept(book, other, "outcome") == [("planned",)] * 10
    assert shards_of(book, run, "state") == [("sent",), ("planned",), ("sent",), ("settled",), ("planned",)]


@pytest.fixture
def lost(book):
    """A run with six rows: 0 to 4 are unknown, and 1 and 4 of them were planned again and lost again."""
    run = made(book, rows_=6)
    book.end(run.run_no, [Outcome(at, "unknown", error="no response") for at in range(5)])
    book.reopen(run.run_no, [Row(1, {}), Row(4, {})])
    book.end(run.run_no, [Outcome(at, "unknown", error="no response") for at in (1, 4)])
    return run


def test_end_lost_ends_rows_unchanged_since_readback(book, lost):
    read_back = book.rows_of(lost, outcome="unknown")
    given_up = [Outcome(1, "rejected", error="not found"), Outcome(3, "unknown", error="not settled")]

    assert book.end_lost(lost.run_no, read_back, given_up) == 0

    assert kept(book, lost, "outcome", "error") == [
        ("unknown", "no response"), ("rejected", "not found"), ("unknown", "no response"), ("unknown", "not settled"),
        ("unknown", "no response"), ("planned", None),
    ]  # fmt: skip


def test_end_lost_counts_rows_changed_since_readback(book, lost):
    other = made(book, rows_=6)
    book.end(other.run_no, [Outcome(at, "unknown") for at in range(6)])
    read_back = book.rows_of(lost, outcome="unknown")
    book.reopen(lost.run_no, [Row(0, {}), Row(1, {}, 1), Row(2, {})])
    book.end(lost.run_no, [Outcome(1, "unknown", error="lost again"), Outcome(2, "issued"), Outcome(3, "issued")])

    left = book.end_lost(lost.run_no, read_back, [Outcome(at, "rejected", error="gone") for at in (4, 2, 0, 3, 1)])

    assert left == 4, "planned again, lost again, issued, and found by a readback"
    assert kept(book, lost, "outcome", "error", "resends") == [
        ("planned", "no response", 1), ("unknown", "lost again", 2), ("issued", None, 1), ("issued", None, 0),
        ("rejected", "gone", 1), ("planned", None, 0),
    ]  # fmt: skip
    assert kept(book, other, "outcome", "error") == [("unknown", None)] * 6


def test_end_lost_skips_rows_that_were_not_read_back(book, lost):
    assert book.end_lost(lost.run_no, [Row(0, {}), Row(1, {}, 0)], [Outcome(at, "rejected") for at in (0, 1, 2)]) == 2

    assert kept(book, lost, "outcome")[:3] == [("rejected",), ("unknown",), ("unknown",)]


def test_end_lost_without_outcomes_opens_no_transaction(book, lost, monkeypatch):
    monkeypatch.setattr(book, "transaction", None)

    assert book.end_lost(lost.run_no, [Row(0, {})], []) == 0


def test_reopen_plans_a_row_once_for_each_loss(book):
    run = made(book, rows_=4, rows_per_shard=1)
    overwrite(book, run, shards, state="settled")
    book.end(run.run_no, [Outcome(at, "unknown") for at in (0, 1, 2)])

    book.reopen(run.run_no, [])
    assert book.counts(run.run_no) == {"unknown": 3, "planned": 1}
    book.reopen(run.run_no, [Row(0, {}, 0), Row(1, {}, 1)])
    book.reopen(run.run_no, [Row(0, {}, 0)])

    assert kept(book, run, "outcome", "resends") == [("planned", 1), ("unknown", 0), ("unknown", 0), ("planned", 0)]
    assert shards_of(book, run, "state") == [("planned",), ("settled",), ("settled",), ("settled",)]


def test_reopen_touches_only_shards_of_its_rows_and_run(book):
    run, other = made(book, rows_=6, rows_per_shard=2), made(book, rows_=6, rows_per_shard=2)
    for one in (run, other):
        overwrite(book, one, shards, state="settled")
    book.end(run.run_no, [Outcome(at, "unknown") for at in range(6)])

    book.reopen(run.run_no, [Row(5, {}), Row(0, {})])

    assert shards_of(book, run, "state") == [("planned",), ("settled",), ("planned",)]
    assert kept(book, run, "outcome") == [(outcome,) for outcome in ("planned", *["unknown"] * 4, "planned")]
    assert shards_of(book, other, "state") == [("settled",)] * 3
    assert kept(book, other, "outcome", "resends") == [("planned", 0)] * 6


def test_reopen_leaves_claimed_shard_with_its_claimant(book):
    run = made(book, rows_=2, rows_per_shard=2)
    assert at_work(book, run).claim()
    book.end(run.run_no, [Outcome(0, "unknown")])

    book.reopen(run.run_no, [Row(0, {})])

    assert shards_of(book, run, "state") == [("sent",)]


def test_rows_of_returns_rows_as_they_are_sent(book):
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
def test_rows_of_change_contain_ids_and_all_set_values(book, operation, payload):
    frame = [PlannedRow(0, 1009, "M-9", 7, "r-0", payload), PlannedRow(1, None, "M-9", 7, "r-0", payload)]
    run = book.create(a_run(2, operation=operation, campaign_id=None), [frame], [(0, 1)])
    what = {"external_ref_id": "r-0"} if operation == "issue" else {"offerstate_id": 7}

    assert book.rows_of(run) == [
        Row(0, {"member_id": 1009, **what, **payload}),
        Row(1, {"member_identifier": "M-9", **what, **payload}),
    ]


@pytest.mark.parametrize("payload", [{"value": 2}, {"member_id": 5}, {"expires_at": "2030-02-01", "path": "x"}])
def test_payload_with_unknown_column_is_refused(book, payload):
    run = book.create(a_run(1), [[PlannedRow(0, 1009, None, None, "r-0", payload)]], [(0, 0)])

    with pytest.raises(LedgerError, match=f"changed by hand: row 0 of run '{run.run}'$"):
        book.rows_of(run)


@pytest.mark.parametrize("payload", ["[]", "7", "{", "", f"[{10**99}]"], ids=lambda payload: payload[:9] or "nothing")
def test_payload_that_is_not_a_json_object_is_refused(book, payload):
    run = made(book)
    overwrite(book, run, rows, payload=payload)

    shown = re.escape(repr(payload[:60]))
    with pytest.raises(LedgerError, match=f"changed by hand: {shown} is not what a row carries$"):
        book.rows_of(run)
