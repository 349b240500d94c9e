"""Claims on shards, and shards of dead claimants, on SQLite and on PostgreSQL."""

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


def test_each_shard_is_claimed_by_one_claimant_only(book):
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
def test_claim_skips_shard_that_another_process_is_claiming(ledger):
    book = Ledger(f"{ledger}?options=-clock_timeout%3D2000")
    run = made(book, rows_=2, rows_per_shard=1)
    with book.transaction() as connection:
        connection.execute(sa.select(shards).where(shards.c.shard == 0).with_for_update())
        assert at_work(book, run).claim().shard == 1
    book.close()


def test_claim_below_limit_leaves_later_shards(book):
    run = made(book, rows_=3, rows_per_shard=1)
    claimant = at_work(book, run)

    assert not claimant.finds_planned(0)
    assert claimant.claim(0) is None
    assert claimant.finds_planned(1)
    assert claimant.claim(1).shard == 0
    assert claimant.claim(1) is None
    assert not claimant.finds_planned(1)


def test_claim_skips_shard_whose_rows_all_ended(book):
    run = made(book, rows_=3, rows_per_shard=1)
    book.end(run.run_no, [Outcome(0, "issued")])
    claimant = at_work(book, run)

    assert claimant.claim().shard == 1
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("sent", claimant.name), ("planned", None)]


def test_unsent_rows_of_recorded_shard_are_claimed_again(book):
    made(book, rows_=1)  # another run with a shard of the same number
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


def test_late_report_ends_rows_but_leaves_shard_of_new_claimant(book):
    run = made(book, rows_=2, rows_per_shard=2)
    slow, quick = at_work(book, run), at_work(book, run)
    slow.claim()
    slow.abandon("workers died")
    book.reopen(run.run_no, book.rows_of(run, outcome="unknown"))
    quick.claim()

    slow.record(0, [Outcome(0, "issued")])

    assert shards_of(book, run, "state", "claimant") == [("sent", quick.name)]
    assert kept(book, run, "outcome") == [("issued",), ("planned",)]


def test_lingering_worker_delays_settling(book):
    run = made(book, rows_=2, rows_per_shard=1)
    claimant = at_work(book, run, after_loss_s=50, after_death_s=70)
    claimant.claim()
    claimant.claim()

    claimant.record(0, [Outcome(0, "unknown")])
    assert book.safe_in_s(run.run_no) == 0.0
    claimant.record(1, [Outcome(1, "unknown")], lingers=True)

    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert book.safe_in_s(made(book).run_no) == 0.0


def test_past_settle_time_needs_no_wait(book):
    run = made(book)
    overwrite(book, run, shards, settle_after=time.time() - 100)

    assert book.safe_in_s(run.run_no) == 0.0


@pytest.mark.parametrize(("more_s", "refused"), [(-1000, False), (1000, True)])
def test_implausibly_long_wait_raises_ledger_error(book, more_s, refused):
    run = made(book)
    overwrite(book, run, shards, settle_after=time.time() + LONGEST_WAIT_S + more_s)

    if refused:
        with pytest.raises(LedgerError) as caught:
            book.safe_in_s(run.run_no)
        assert str(caught.value) == (
            "the ledger says that rows may still be sent for days: a clock was wrong, or the ledger was "
            "changed by hand. The unknown rows stay unknown; check them against the service by hand"
        )
    else:
        assert book.safe_in_s(run.run_no) > LONGEST_WAIT_S - 2000


@pytest.mark.parametrize("end", ["leave", "abandon"])
def test_claimed_rows_without_record_become_unknown(book, end):
    run = made(book, rows_=4, rows_per_shard=2)
    claimant, other = at_work(book, run, after_loss_s=50, after_death_s=7000), at_work(book, run)
    claimant.claim()
    other.claim()
    book.end(run.run_no, [Outcome(0, "issued", attempts=1)])

    claimant.leave() if end == "leave" else claimant.abandon("workers died")

    why = "the run ended before the response was recorded" if end == "leave" else "workers died"
    assert kept(book, run, "outcome", "error", "attempts") == [
        ("issued", None, 1), ("unknown", why, 1), ("planned", None, 0), ("planned", None, 0),
    ]  # fmt: skip
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("sent", other.name)]
    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert (claimant.name in {name for name, *_ in known_claimants(book)}) == (end == "abandon")


def test_beat_records_host_pid_and_time(book):
    run = made(book)
    claimant = at_work(book, run, after_death_s=7.5)
    set_claimant(book, claimant, silent_s=10_000)
    claimant.beat()

    ((name, host, pid, seen_at, linger_s),) = known_claimants(book)
    assert (name, host, pid, linger_s) == (claimant.name, this_host(), os.getpid(), 7.5)
    assert abs(seen_at - time.time()) < 60


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not name the container")
def test_host_name_includes_container():
    assert this_host() == f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"


DEATHS = {
    "no heartbeat, on another host": {"silent_s": LEASE_S + 5, "host": "elsewhere"},
    "no heartbeat, on this host": {"silent_s": LEASE_S + 5},
    "process is gone": {"pid": GONE},
    "process number is impossible": {"pid": 2**62},
}
LIVES = {
    "recent heartbeat": {},
    "old heartbeat within the lease": {"silent_s": LEASE_S / 2, "host": "elsewhere"},
    "process number is unused here, on another host": {"pid": GONE, "host": "elsewhere"},
    "process number 1": {"pid": 1},
}


@pytest.mark.parametrize("death", DEATHS)
def test_rows_of_dead_claimant_become_unknown_after_a_wait(book, death):
    run, other_run = made(book, rows_=2, rows_per_shard=1), made(book, rows_=1)
    dead, finder = at_work(book, run, after_death_s=50, after_loss_s=7000), at_work(book, run)
    dead.claim()
    on_another_run = at_work(book, other_run)
    on_another_run.claim()
    set_claimant(book, dead, **DEATHS[death])

    assert finder.recover() == 0

    why = "the process that sent this row ended before the response arrived"
    assert kept(book, run, "outcome", "error", "attempts") == [("unknown", why, 1), ("planned", None, 0)]
    assert shards_of(book, run, "state", "claimant") == [("settled", None), ("planned", None)]
    assert shards_of(book, other_run, "state") == [("sent",)]
    assert 40 < book.safe_in_s(run.run_no) <= 50
    assert {name for name, *_ in known_claimants(book)} == {finder.name, on_another_run.name}


@pytest.mark.parametrize("life", LIVES)
def test_claimant_that_may_be_alive_keeps_its_shards(book, life):
    run = made(book, rows_=4, rows_per_shard=1)
    alive, finder = at_work(book, run), at_work(book, run)
    assert [alive.claim().shard, finder.claim().shard, alive.claim().shard] == [0, 1, 2]
    set_claimant(book, alive, **LIVES[life])

    assert finder.recover() == 1, "one claimant, however many shards it has; the finder does not count"
    assert finder.recover(below=0) == 0
    assert finder.recover(below=1) == 1
    assert alive.recover(below=1) == 0
    assert shards_of(book, run, "state") == [("sent",)] * 3 + [("planned",)]


def test_recover_counts_two_living_claimants(book):
    run = made(book, rows_=2, rows_per_shard=1)
    one, two, finder = (at_work(book, run) for _ in range(3))
    assert one.claim()
    assert two.claim()

    assert finder.recover() == 2
    assert one.recover() == 1


def test_process_of_another_user_counts_as_alive(book, monkeypatch):
    run = made(book)
    alive, finder = at_work(book, run), at_work(book, run)
    alive.claim()

    signals = []

    def refuses(pid, signal):
        signals.append((pid, signal))
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuses)
    assert finder.recover() == 1
    assert signals == [(os.getpid(), 0)], "signal 0 only checks that the process exists"


def test_without_posix_only_a_missed_lease_counts_as_death(book, monkeypatch):
    run = made(book)
    alive, finder = at_work(book, run), at_work(book, run)
    alive.claim()
    set_claimant(book, alive, pid=GONE)
    monkeypatch.setattr(claims_module, "os", SimpleNamespace(name="nt"))

    assert finder.recover() == 1
    set_claimant(book, alive, pid=GONE, silent_s=LEASE_S + 5)
    assert finder.recover() == 0


def test_claimant_without_record_is_dead_and_needs_no_wait(book):
    run = made(book)
    dead, finder = at_work(book, run, after_death_s=50), at_work(book, run)
    dead.claim()
    with book.transaction() as connection:
        connection.execute(sa.delete(claimants).where(claimants.c.claimant == dead.name))

    assert finder.recover() == 0
    assert kept(book, run, "outcome") == [("unknown",)] * 3
    assert book.safe_in_s(run.run_no) == 0.0


def test_claimant_that_failed_to_leave_is_dead_within_its_process(book, monkeypatch):
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
