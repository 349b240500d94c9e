"""The ledger against a simple model: rows are claimed, recorded, lost, recovered and settled in any order."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from sparkfly_nb.bulk.engine.reconcile import MAX_RESENDS
from sparkfly_nb.bulk.ledger.claims import Claimant
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.ledger.tables import claimants
from sparkfly_nb.bulk.records import Outcome, PlannedRow, Row, Run

FATES = st.sampled_from(["issued", "rejected", "committed and lost", "lost", "not sent"])


def a_run(rows):
    return Run("a run", "issue", "0" * 64, "sandbox", "http://127.0.0.1/v1.0", "SUMMER26", None, rows, "me", "here",
               "1", "2026-01-01T00:00:00+00:00", None)  # fmt: skip


class LedgerStates(RuleBasedStateMachine):
    """Several runners work on one run. The service is a counter of the offers it made for each row."""

    workers = Bundle("workers")
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.ledger = Ledger(str(Path(self.place.name) / "ledger.db"))
        self.outcomes = {}
        self.resends = Counter()
        self.made = Counter()
        self.shards = {}
        self.held = {}  # (claimant's name, shard): the positions that it may send
        self.dead = set()

    def teardown(self):
        if self.outcomes:
            self.work_off()
        self.ledger.close()
        self.place.cleanup()

    # ---- rules

    @initialize(cuts=st.lists(st.integers(1, 4), min_size=1, max_size=5))
    def create(self, cuts):
        bounds, first = [], 0
        for size in cuts:
            bounds.append((first, first + size - 1))
            first += size
        planned = [PlannedRow(position, 1000 + position, None, None, f"r-{position}", {}) for position in range(first)]
        self.run = self.ledger.create(a_run(first), [planned[: first // 2], planned[first // 2 :]], bounds)
        self.shards = dict(enumerate(range(a, b + 1) for a, b in bounds))
        self.outcomes = dict.fromkeys(range(first), "planned")

    @rule()
    def create_again(self):
        """Another process that starts the same run gets the existing one."""
        assert self.ledger.create(a_run(len(self.outcomes)), iter([]), []) == self.run

    @rule(target=workers)
    def come(self):
        worker = Claimant(self.ledger, self.run)
        worker.beat()
        return worker

    def is_planned(self, shard):
        is_held = any(number == shard for _name, number in self.held)
        return not is_held and any(self.outcomes[position] == "planned" for position in self.shards[shard])

    @rule(target=claims, worker=workers, below=st.none() | st.integers(0, 5))
    def claim(self, worker, below):
        if worker.name in self.dead:
            return multiple()
        expected = [shard for shard in self.shards if self.is_planned(shard) and (below is None or shard < below)]
        assert worker.finds_planned(below) or not expected
        claim = worker.claim(below)
        if not expected:
            assert claim is None
            return multiple()
        shard = expected[0]
        positions = [position for position in self.shards[shard] if self.outcomes[position] == "planned"]
        assert claim.shard == shard
        assert [row.position for row in claim.rows] == positions
        assert [row.resends for row in claim.rows] == [self.resends[position] for position in positions]
        self.held[worker.name, shard] = positions
        return worker, claim

    def send(self, positions, fates):
        """Send some rows of a claim to the service, and return the outcomes that the worker can report."""
        reported = []
        for position, fate in zip(positions, fates, strict=True):
            if fate in ("issued", "committed and lost"):
                self.made[position] += 1
            if fate == "issued":
                reported.append(Outcome(position, "issued", 201, attempts=1, offer_state_id=position))
            elif fate == "rejected":
                reported.append(Outcome(position, "rejected", 403, "no", attempts=1))
            elif fate != "not sent":
                reported.append(Outcome(position, "unknown", None, "lost", attempts=1))
        return reported

    @rule(claimed=consumes(claims), chance=st.data())
    def send_and_record(self, claimed, chance):
        worker, claim = claimed
        positions = self.held.get((worker.name, claim.shard))
        if worker.name in self.dead or positions is None:
            return
        fates = chance.draw(st.lists(FATES, min_size=len(positions), max_size=len(positions)))
        reported = self.send(positions, fates)
        worker.record(claim.shard, reported)
        for outcome in reported:
            self.outcomes[outcome.position] = outcome.outcome
        del self.held[worker.name, claim.shard]

    @rule(claimed=consumes(claims), chance=st.data())
    def send_and_crash(self, claimed, chance):
        worker, claim = claimed
        positions = self.held.get((worker.name, claim.shard))
        if worker.name in self.dead or positions is None:
            return
        self.send(positions, chance.draw(st.lists(FATES, min_size=len(positions), max_size=len(positions))))
        self.die(worker)

    @rule(worker=workers)
    def die(self, worker):
        """The claimant has had no heartbeat for a long time."""
        with self.ledger.transaction() as connection:
            connection.execute(sa.update(claimants).where(claimants.c.claimant == worker.name).values(seen_at=0.0))
        self.dead.add(worker.name)

    @rule(worker=workers)
    def beat(self, worker):
        if worker.name not in self.dead:
            worker.beat()

    def lose(self, name):
        """A lost claimant may have sent any planned row of its shards, even rows planned again after the claim."""
        for holder, shard in list(self.held):
            if holder == name:
                del self.held[holder, shard]
                planned = [position for position in self.shards[shard] if self.outcomes[position] == "planned"]
                self.outcomes.update(dict.fromkeys(planned, "unknown"))

    @rule(worker=workers)
    def leave(self, worker):
        if worker.name not in self.dead:
            worker.leave()
            self.lose(worker.name)
            self.dead.add(worker.name)

    @rule(worker=workers)
    def abandon(self, worker):
        """The claimant lost contact with its own workers."""
        if worker.name not in self.dead:
            worker.abandon("workers died")
            self.lose(worker.name)

    @rule(worker=workers)
    def recover(self, worker):
        if worker.name in self.dead:
            return
        alive = {name for name, _shard in self.held if name not in self.dead | {worker.name}}
        assert worker.recover() == len(alive)
        for name in self.dead:
            self.lose(name)

    @rule()
    def settle(self):
        """Read unknown rows back from the service, which reports the truth."""
        unknown = self.ledger.rows_of(self.run, outcome="unknown")
        assert [row.position for row in unknown] == [at for at, end in self.outcomes.items() if end == "unknown"]
        found = [row for row in unknown if self.made[row.position]]
        absent = [row for row in unknown if not self.made[row.position]]
        given_up = [row for row in absent if row.resends >= MAX_RESENDS]
        again = [row for row in absent if row.resends < MAX_RESENDS]
        self.ledger.end(
            self.run.run_no,
            [
                *(Outcome(row.position, "issued", settled_by="readback", offer_state_id=row.position) for row in found),
                *(Outcome(row.position, "rejected", settled_by="readback") for row in given_up),
            ],
        )
        self.ledger.reopen(self.run.run_no, again)
        self.ledger.reopen(self.run.run_no, again)  # another process read the same rows and is late
        self.outcomes.update({row.position: "issued" for row in found})
        self.outcomes.update({row.position: "rejected" for row in given_up})
        self.outcomes.update({row.position: "planned" for row in again})
        self.resends.update(row.position for row in again)

    def ended(self):
        return [position for position, end in self.outcomes.items() if end in ("issued", "rejected")]

    @precondition(lambda self: self.ended())
    @rule(chance=st.data(), outcome=st.sampled_from(["issued", "rejected", "unknown"]))
    def a_late_outcome_changes_no_end(self, chance, outcome):
        position = chance.draw(st.sampled_from(self.ended()))
        self.ledger.end(self.run.run_no, [Outcome(position, outcome, error="late")])
        self.ledger.reopen(self.run.run_no, [Row(position, {}, self.resends[position])])

    @precondition(lambda self: self.outcomes)
    @rule()
    def reopen_the_ledger(self):
        self.ledger.close()
        address = str(self.ledger)
        self.ledger.__init__(address)
        assert self.ledger.find(run="a run") == self.run

    # ---- invariants

    @invariant()
    def nothing_is_made_twice(self):
        assert not [position for position, number in self.made.items() if number > 1]

    @invariant()
    def the_ledger_agrees_with_the_model(self):
        if not self.outcomes:
            return
        rows = [row for chunk in self.ledger.chunks(self.run.run_no) for row in chunk]
        assert {row["position"]: row["outcome"] for row in rows} == self.outcomes
        assert {row["position"]: row["resends"] for row in rows if row["resends"]} == +self.resends
        assert self.ledger.counts(self.run.run_no) == Counter(self.outcomes.values())

    @invariant()
    def every_issued_row_was_made(self):
        assert all(self.made[position] == 1 for position, end in self.outcomes.items() if end == "issued")

    def work_off(self):
        """One undisturbed runner ends every row, whatever happened before."""
        for name in {name for name, _shard in self.held}:
            self.dead.add(name)
            with self.ledger.transaction() as connection:
                connection.execute(sa.update(claimants).where(claimants.c.claimant == name).values(seen_at=0.0))
        worker = self.come_again()
        for _round in range(3):
            self.recover(worker)
            self.settle()
            while (claim := worker.claim()) is not None:
                positions = [row.position for row in claim.rows]
                worker.record(claim.shard, self.send(positions, ["issued"] * len(positions)))
                self.outcomes.update(dict.fromkeys(positions, "issued"))
        self.nothing_is_made_twice()
        self.the_ledger_agrees_with_the_model()
        self.every_issued_row_was_made()
        assert set(self.outcomes.values()) <= {"issued", "rejected"}
        worker.leave()

    def come_again(self):
        worker = Claimant(self.ledger, self.run)
        worker.beat()
        return worker


TestLedgerStates = LedgerStates.TestCase
TestLedgerStates.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("late", ["rejected", "unknown"])
def test_ended_row_keeps_its_outcome(ledger, late):
    opened = Ledger(ledger)
    run = opened.create(a_run(2), [[PlannedRow(at, 1000 + at, None, None, f"r-{at}", {}) for at in (0, 1)]], [(0, 1)])
    worker = Claimant(opened, run)
    worker.beat()
    claim = worker.claim()
    worker.record(claim.shard, [Outcome(at, "issued", 201, offer_state_id=7 + at) for at in (0, 1)])
    opened.end(run.run_no, [Outcome(0, late, 500, error="late")])
    worker.record(claim.shard, [Outcome(1, late, 500, error="late")])
    opened.reopen(run.run_no, claim.rows)
    (rows,) = opened.chunks(run.run_no)
    assert [(row["outcome"], row["offer_state_id"], row["error"]) for row in rows] == [
        ("issued", at, None) for at in (7, 8)
    ]
    assert worker.claim() is None
    worker.leave()
    opened.close()
