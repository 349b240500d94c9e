"""Who sends which shard, and what becomes of it when he dies, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from ledger_world import GONE, at_work, kept, known_claimants, made, overwrite, set_claimant, shards_of

from sparkfly_nb.bulk.ledger import claims as claims_module
from sparkfly_nb.bulk.ledger.claims import LEASE_S, this_host
from sparkfly_nb.bulk.ledger.store import LONGEST_WAIT_S, Ledger
from sparkfly_nb.bulk.ledger.tables import claimants, shards
from sparkfly_nb.bulk.records import Outcome, Row
from sparkfly_nb.errors import LedgerError


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
    overwrite(book, run, shards, settle_after=time.time() - 100)

    assert book.safe_in_s(run.run_no) == 0.0


@pytest.mark.parametrize(("more_s", "refused"), [(-1000, False), (1000, True)])
def test_a_wait_that_no_worker_needs_is_refused(book, more_s, refused):
    run = made(book)
    overwrite(book, run, shards, settle_after=time.time() + LONGEST_WAIT_S + more_s)

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
