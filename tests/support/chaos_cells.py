"""The cells of the chaos matrix: one bulk operation under one fault, killed twice, run again, and verified.

A cell takes well under a second. Its processes are forked from one with all imports, they kill themselves at a step
that the seed determines, and many cells share a sandbox.
"""

from __future__ import annotations

import itertools
import os
import queue
import random
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from bulk_world import CAMPAIGN, LATER, QUICK, way_to
from chaos_truth import Tally, check_changes, check_issues, check_listing, check_undone
from chaos_worker import Task, work
from forker import Forker
from postgres import fresh_database
from sandbox_client import SandboxClient

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.sandbox.faults import FAULTS
from sparkfly_nb.sandbox.process import SandboxProcess

ROWS = 30
#: An ID that no member of the sandbox has.
NOBODY = 1
KILLS = 2
LANES = 4
CELLS_PER_SANDBOX = 40
MEMBERS = 400
TIMES = {"retry_after_s": 0, "slow_s": 0.02, "refuse_s": 0.1}
CALM = {"progress": False, "settle_pause": 0.02, "concurrency": 8, "halt_above": 1.0}
#: The row of the tables with all faults at once.
EVERYTHING = "all of them"
#: The rates of all calls, including reads. Faults of the content lose no response, so they can be more frequent.
RATE, CONTENT_RATE = 0.25, 0.75
SLOW_RATES = {"commit_then_hang": 0.05, "connection_refused": 0.03}
#: The rate of lost responses to changes under faults of reading. Without them, nothing would be read back.
LOST_RESPONSES_RATE = 0.15
SEEDS = int(os.environ.get("SPARKFLY_NB_CHAOS_SEEDS", "20"))

#: Parts of the errors with which a valid row may be rejected.
GOOD_REASONS = ("No usable response after", "could not be read", "duplicate")


# ---- the faults of each operation ------------------------------------------------------------------------------------


class Operation(NamedTuple):
    """A bulk operation."""

    #: The single calls that the operation makes, the change first.
    calls: tuple[str, ...]
    #: The outcome of a successful row.
    done: str = ""
    #: The approximate number of steps of a run without faults: requests, responses, parts of transactions.
    steps: int = 100


READS_MEMBER = ("list_offer_states", "query_offer_states")
OPERATIONS = {
    "issue_many": Operation(("issue_offer", *READS_MEMBER), "issued"),
    "void_many": Operation(("void_offer_state", "void_offer_state_by_identifier", "get_offer_state"), "voided"),
    "update_many": Operation(("update_offer_state", "get_offer_state"), "updated"),
    "redeem_many": Operation(("redeem_offer_state", "get_offer_state"), "redeemed"),
    "list_many": Operation(("list_offer_states",), steps=50),
    "void_run": Operation(("void_offer_state", *READS_MEMBER), "voided", steps=140),
    "settle": Operation((*READS_MEMBER, "issue_offer"), "issued", steps=60),
}
FAULT_NAMES = (*FAULTS, EVERYTHING)


def can_happen(fault, operation):
    only = None if fault == EVERYTHING else FAULTS[fault].operations
    # The offers that an undo voids are issued under the same fault.
    calls = (*OPERATIONS[operation].calls, *(("issue_offer",) if operation == "void_run" else ()))
    return only is None or not only.isdisjoint(calls)


def rates_of(fault, operation):
    """Return the fault rates of a cell."""
    change = OPERATIONS[operation].calls[0]
    if fault == EVERYTHING:
        by_stage = Counter(known.stage for known in FAULTS.values())
        return {name: 0.01 if name in SLOW_RATES else RATE / by_stage[known.stage] for name, known in FAULTS.items()}
    stage = FAULTS[fault].stage
    rates = {fault: SLOW_RATES.get(fault, CONTENT_RATE if stage == "content" else RATE)}
    if stage not in ("before", "response") and ENDPOINTS[change].effect != "read":
        rates[f"{change}:commit_then_drop"] = LOST_RESPONSES_RATE
    return rates


# ---- cells -----------------------------------------------------------------------------------------------------------


class Lane:
    """Runs cells one after the other, with one forking process, and with a sandbox and ledgers that are replaced."""

    def __init__(self, postgres):
        self._postgres = postgres
        self._forker = Forker("chaos_worker")
        self._stack = ExitStack()
        self._cells = itertools.count()
        self.service = None

    def begin(self):
        """Prepare for a cell, with a new sandbox if the old one has served enough cells."""
        if next(self._cells) % CELLS_PER_SANDBOX == 0:
            self._stack.close()
            self.service = self._stack.enter_context(SandboxProcess.start(members=MEMBERS, seed=3))
            self.client = self._stack.enter_context(SandboxClient(self.service))
            self._members = self.service.members()
            self._ledgers = {}
            self.truth(generated=True)

    def ledger(self, database):
        """Return the address of a ledger and a Session on it in this process, which prepares the cells."""
        if database not in self._ledgers:
            if database == "sqlite":
                place = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sparkfly_nb-chaos-"))
                address = str(Path(place) / "ledger.db")
            else:
                address = self._stack.enter_context(fresh_database(self._postgres()))
            session = Session("sandbox", **way_to(self.service), ledger=address, retry=QUICK)
            self._ledgers[database] = address, self._stack.enter_context(session)
        return self._ledgers[database]

    def members(self, seed):
        first = seed * ROWS % (MEMBERS - ROWS)
        return self._members[first : first + ROWS]

    def truth(self, *, generated=False):
        truth = self.service.truth(generated=generated)
        self.last = max((state["offer_state_id"] for state in truth["offer_states"]), default=0)
        return truth

    def run(self, task):
        return self._forker.run(work, task)

    def close(self):
        self._stack.close()
        self._forker.close()


class Cell:
    """One operation under one fault with one seed on one database."""

    def __init__(self, lane, operation, fault, seed, database):
        self.name = f"{operation}, {fault}, seed {seed}, {database}"
        self.operation, self.kind, self.fault, self.seed = operation, OPERATIONS[operation], fault, seed
        self.chance = random.Random(self.name)
        self.tally = Tally(Counter(cells=1))
        lane.begin()
        self.lane = lane
        self.first = lane.last + 1
        self.address, self.session = lane.ledger(database)
        self.frame = self.call = None
        self.options = {**CALM, "run": self.name}

    # ---- steps

    def task(self, call=None, arguments=None, options=None, dies_at=None):
        return Task(
            way_to(self.lane.service), self.address, call or self.call,
            self.arguments if arguments is None else arguments, self.options if options is None else options,
            threads=2 if self.seed % 3 == 1 else 1, dies_at=dies_at,
        )  # fmt: skip

    def faults(self, rates):
        self.lane.service.set_faults(rates, seed=self.seed, times=TIMES)

    def killed(self, **changes):
        """Run a process that is killed, unless it ends first."""
        result = self.lane.run(self.task(**changes, dies_at=self.chance.randint(1, self.kind.steps)))
        self.tally.counts["kills"] += result is None

    def to_the_end(self):
        """Run until the result has no planned rows, at most five times."""
        for _ in range(5):
            result = self.lane.run(self.task())
            if result is not None and "planned" not in set(result.get("outcome", ())):
                break
        return result

    def run(self):
        before = self.lane.truth()["faults"]
        self.prepare()
        rates = rates_of(self.fault, self.operation)
        self.faults(rates)
        if self.operation == "settle":
            self.leave_unknown()
        for _ in range(KILLS):
            self.killed()
        under = self.to_the_end()
        if under is not None:
            self.tally.counts["unknown_then"] += self.check(under)
        self.faults({})
        after = self.lane.truth()["faults"]
        self.tally.counts["faults"] += sum(after.get(name, 0) - before.get(name, 0) for name in FAULTS)
        if self.operation == "settle":
            self.call, self.arguments, self.options = "issue_many", (self.frame, CAMPAIGN), self.issuing
        last = self.to_the_end()
        if last is None:
            self.tally.note("untrue", "end", "the run does not end without faults")
            return self.tally
        self.tally.counts["unknown"] += self.check(last)
        self.tally.counts["rows"] += len(last)
        if under is not None and self.operation != "list_many":
            self.check_final_outcomes(under, last)
        return self.tally

    def prepare(self):
        """Create the offer states that the cell needs, and choose the call."""
        members = pd.DataFrame(self.lane.members(self.seed))
        if self.operation == "list_many":
            self.member_ids = set(members.member_id)
            self.call, self.arguments = "list_many", (members,)
            self.options = {"errors": "collect", "progress": False, "concurrency": 8}
            return
        if self.operation in ("issue_many", "settle"):
            self.frame = self.with_nobody(members[["member_id", "member_identifier"]])
            if self.seed % 2:
                self.frame["expires_at"] = LATER
            self.call, self.arguments = "issue_many", (self.frame, CAMPAIGN)
            self.options["allow_duplicates"] = True  # earlier cells issued to the same members
            return
        self.faults({"duplicate": RATE} if self.fault == "duplicate" else {})
        before = {**CALM, "run": f"before {self.name}", "allow_duplicates": True}
        issued = self.session.issue_many(members[["member_id"]], CAMPAIGN, **before)
        assert issued.outcome.eq("issued").all(), issued.outcome.value_counts()
        self.call = self.operation
        if self.operation == "void_run":
            self.arguments = (before["run"],)
            self.options = dict(CALM)
            self.used = set(issued.offer_state_id[:3])
            for row in issued[:3].itertuples():
                self.lane.client.call("POST", f"/members/{row.member_id}/offer_states/{row.offer_state_id}")
            self.frame = issued
            return
        self.frame = self.with_nobody(issued[["member_id", "offer_state_id"]].assign(
            member_identifier=members.member_identifier))  # fmt: skip
        if self.operation != "void_many":
            self.frame = self.frame.drop(columns="member_identifier")
            if self.operation == "update_many":
                self.frame["expires_at"] = LATER
            if self.seed % 2:
                self.frame["value"] = 7
                self.options["columns"] = [*self.frame.columns[2:]]
            if self.seed % 4 == 3 and self.operation == "update_many":
                self.frame["locked"] = True
                self.options["columns"] += ["locked"]
        self.arguments = (self.frame,)

    def with_nobody(self, frame):
        """Return the frame with every fourth member by identifier only, two unknown members, and a shuffled index."""
        frame = frame.astype("object")
        if "member_identifier" in frame:
            frame.loc[frame.index % 4 != 3, "member_identifier"] = None
        if self.operation not in ("update_many", "redeem_many"):
            frame.loc[frame.index % 4 == 3, "member_id"] = None
        strangers = pd.DataFrame({"member_id": [NOBODY, NOBODY + 1], "offer_state_id": [1, 2]}, dtype="object")
        frame = pd.concat([frame, strangers[strangers.columns.intersection(frame.columns)]], ignore_index=True)
        return frame.sample(frac=1, random_state=self.seed)

    def leave_unknown(self):
        """Kill an issue run, so that its ledger has rows to settle."""
        self.issuing = {**self.options}
        while self.lane.run(self.task(call="runs", arguments=(), options={})).run.ne(self.name).all():
            self.lane.run(self.task(dies_at=self.chance.randint(20, 90)))
        self.call, self.arguments = "settle", (self.name,)
        self.options = {"progress": False, "settle_pause": CALM["settle_pause"]}
        self.issued_before = self.lane.truth()["requests"].get("issue_offer", 0)

    # ---- verification

    def check(self, result):
        """Compare a result with the store. Return the number of unknown rows."""
        truth = self.lane.truth(generated=self.operation == "list_many")
        if self.operation == "list_many":
            return check_listing(result, truth["offer_states"], self.member_ids, self.tally)
        states = [state for state in truth["offer_states"] if state["offer_state_id"] >= self.first]
        if self.operation in ("issue_many", "settle"):
            check_issues(result, states, self.tally)
            if self.call == "settle" and truth["requests"].get("issue_offer", 0) != self.issued_before:
                self.tally.note("untrue", "settle", "settling sent something")
        else:
            check_changes(result, {state["offer_state_id"]: state for state in states}, self.kind.done, self.tally)
            if self.operation == "void_run":
                check_undone(result, states, self.tally)
        self.check_shape(result)
        return int(result.outcome.eq("unknown").sum())

    def check_shape(self, result):
        """Compare the rows of a result with the rows of the call."""
        if self.call == "settle":
            return
        if len(result) != len(self.frame):
            self.tally.note("lost", "rows", f"{len(result)} rows returned for {len(self.frame)}")
        elif not result.index.equals(self.frame.index):
            self.tally.note("untrue", "index", "the result has a different index")
        for row in result.itertuples():
            if row.outcome == "kept" and row.offer_state_id not in self.used:
                self.tally.note("untrue", row.offer_state_id, row)
            if row.outcome != "rejected":
                continue
            is_stranger = str(row.member_id) in (str(NOBODY), str(NOBODY + 1))
            if not is_stranger and not any(why in row.error for why in GOOD_REASONS):
                self.tally.note("untrue", row.Index, f"rejected without a reason: {row}")

    def check_final_outcomes(self, then, now):
        """Check that rows with a final outcome keep it."""
        if len(then) != len(now):
            return
        for earlier, later in zip(then.itertuples(), now.itertuples(), strict=True):
            if earlier.outcome in ("unknown", "planned"):
                continue
            if (earlier.outcome, str(earlier.offer_state_id)) != (later.outcome, str(later.offer_state_id)):
                self.tally.note("untrue", earlier.Index, f"a final outcome changed: {earlier} is now {later}")


class Matrix:
    """Runs several cells at a time, because a cell mostly waits."""

    def __init__(self, postgres):
        self._lanes = queue.Queue()
        for _ in range(LANES):
            self._lanes.put(Lane(postgres))
        self._pool = ThreadPoolExecutor(LANES)

    def run(self, cells):
        """Run cells, each a tuple of operation, fault, seed and database."""
        total = Tally()
        for name, tally in self._pool.map(self._cell, cells):
            total.add(tally, name)
        return total

    def _cell(self, asked):
        lane = self._lanes.get()
        try:
            cell = Cell(lane, *asked)
            try:
                cell.run()
            except Exception as error:  # noqa: BLE001 - go on with the other cells
                cell.tally.note("untrue", "error", f"the cell failed: {error}")
            return cell.name, cell.tally
        finally:
            self._lanes.put(lane)

    def close(self):
        self._pool.shutdown(cancel_futures=True)
        while not self._lanes.empty():
            self._lanes.get().close()
