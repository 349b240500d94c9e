"""The ledger's states against a simple model: claimed, recorded, lost, crashed, recovered and settled in any order."""

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
    """Several runners work on one run; the service is a count of what it made for each row."""

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
        self.held = {}  # (claimant's name, shard) to the positions that it may send
        self.dead = set()

    def teardown(self):
        if self.outcomes:
            self.work_off()
        self.ledger.close()
        self.place.cleanup()

    # ---- what can happen

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
        """Another process that starts the same run finds it."""
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
        """Let the service get some rows of a claim; give what the worker can tell of them."""
        told = []
        for position, fate in zip(positions, fates, strict=True):
            if fate in ("issued", "committed and lost"):
                self.made[position] += 1
            if fate == "issued":
                told.append(Outcome(position, "issued", 201, attempts=1, offer_state_id=position))
            elif fate == "rejected":
                told.append(Outcome(position, "rejected", 403, "no", attempts=1))
            elif fate != "not sent":
                told.append(Outcome(position, "unknown", None, "lost", attempts=1))
        return told

    @rule(claimed=consumes(claims), chance=st.data())
    def send_and_record(self, claimed, chance):
        worker, claim = claimed
        positions = self.held.get((worker.name, claim.shard))
        if worker.name in self.dead or positions is None:
            return
        fates = chance.draw(st.lists(FATES, min_size=len(positions), max_size=len(positions)))
        told = self.send(positions, fates)
        worker.record(claim.shard, told)
        for outcome in told:
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
        """Nothing was heard of it for a long time."""
        with self.ledger.transaction() as connection:
            connection.execute(sa.update(claimants).where(claimants.c.claimant == worker.name).values(seen_at=0.0))
        self.dead.add(worker.name)

    @rule(worker=workers)
    def beat(self, worker):
        if worker.name not in self.dead:
            worker.beat()

    def lose(self, name):
        """Of all that is planned in a shard it may have sent any: also what was planned again after the claim."""
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
        """It lost sight of its own workers."""
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
        """Read back what is unknown: the service is asked, and tells the truth."""
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
        self.ledger.reopen(self.run.run_no, again)  # another process read the same, and comes later
        self.outcomes.update({row.position: "issued" for row in found})
        self.outcomes.update({row.position: "rejected" for row in given_up})
        self.outcomes.update({row.position: "planned" for row in again})
        self.resends.update(row.position for row in again)

    def ended(self):
        return [position for position, end in self.outcomes.items() if end in ("issued", "rejected")]

    @precondition(lambda self: self.ended())
    @rule(chance=st.data(), word=st.sampled_from(["issued", "rejected", "unknown"]))
    def a_late_word_changes_no_end(self, chance, word):
        position = chance.draw(st.sampled_from(self.ended()))
        self.ledger.end(self.run.run_no, [Outcome(position, word, error="late")])
        self.ledger.reopen(self.run.run_no, [Row(position, {}, self.resends[position])])

    @precondition(lambda self: self.outcomes)
    @rule()
    def reopen_the_ledger(self):
        self.ledger.close()
        address = str(self.ledger)
        self.ledger.__init__(address)
        assert self.ledger.find(run="a run") == self.run

    # ---- what always holds

    @invariant()
    def nothing_is_made_twice(self):
        assert not [position for position, number in self.made.items() if number > 1]

    @invariant()
    def the_ledger_says_what_the_model_says(self):
        if not self.outcomes:
            return
        rows = [row for chunk in self.ledger.chunks(self.run.run_no) for row in chunk]
        assert {row["position"]: row["outcome"] for row in rows} == self.outcomes
        assert {row["position"]: row["resends"] for row in rows if row["resends"]} == +self.resends
        assert self.ledger.counts(self.run.run_no) == Counter(self.outcomes.values())

    @invariant()
    def what_is_recorded_as_issued_was_made(self):
        assert all(self.made[position] == 1 for position, end in self.outcomes.items() if end == "issued")

    def work_off(self):
        """Whatever happened before, one runner that works in peace ends every row."""
        for name in {name for name, _shard in self.held}:
            self.dead.add(name)
            with self.ledger.transaction() as connection:
                connection.execute(sa.update(claimants).where(claimants.c.claimant == name).values(seen_at=0.0))
        worker = self.come_alone()
        for _round in range(3):
            self.recover(worker)
            self.settle()
            while (claim := worker.claim()) is not None:
                positions = [row.position for row in claim.rows]
                worker.record(claim.shard, self.send(positions, ["issued"] * len(positions)))
                self.outcomes.update(dict.fromkeys(positions, "issued"))
        self.nothing_is_made_twice()
        self.the_ledger_says_what_the_model_says()
        self.what_is_recorded_as_issued_was_made()
        assert set(self.outcomes.values()) <= {"issued", "rejected"}
        worker.leave()

    def come_alone(self):
        worker = Claimant(self.ledger, self.run)
        worker.beat()
        return worker


TestLedgerStates = LedgerStates.TestCase
TestLedgerStates.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("word", ["rejected", "unknown"])
def test_an_ended_row_keeps_its_end(ledger, word):
    opened = Ledger(ledger)
    run = opened.create(a_run(2), [[PlannedRow(at, 1000 + at, None, None, f"r-{at}", {}) for at in (0, 1)]], [(0, 1)])
    worker = Claimant(opened, run)
    worker.beat()
    claim = worker.claim()
    worker.record(claim.shard, [Outcome(at, "issued", 201, offer_state_id=7 + at) for at in (0, 1)])
    opened.end(run.run_no, [Outcome(0, word, 500, error="late")])
    worker.record(claim.shard, [Outcome(1, word, 500, error="late")])
    opened.reopen(run.run_no, claim.rows)
    (rows,) = opened.chunks(run.run_no)
    assert [(row["outcome"], row["offer_state_id"], row["error"]) for row in rows] == [
        ("issued", at, None) for at in (7, 8)
    ]
    assert worker.claim() is None
    worker.leave()
    opened.close()
