"""The chaos matrix: one bulk operation under one fault, killed twice and run again, held against what really happened.

A cell costs well under a second: processes are forked from one that has loaded everything, they kill themselves at a
step that the seed names, and a sandbox serves many cells before a fresh one takes its place.
"""

from __future__ import annotations

import itertools
import os
import queue
import random
import signal
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import joblib
import pandas as pd
from bulk_world import CAMPAIGN, LATER, QUICK, way_to
from chaos_truth import Tally, hold_changes, hold_issues, hold_listing, hold_undone
from forker import Forker
from postgres import fresh_database
from sandbox_client import SandboxClient

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.bulk.engine import executor
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.errors import LedgerError, RunHalted
from sparkfly_nb.http.async_client import AsyncClient
from sparkfly_nb.sandbox.faults import FAULTS
from sparkfly_nb.sandbox.process import SandboxProcess

ROWS = 30
NOBODY = 1
"""No member of the sandbox has this id."""
KILLS = 2
LANES = 4
CELLS_PER_SANDBOX = 40
MEMBERS = 400
TIMEOUT = (2, 0.3)
TIMES = {"retry_after_s": 0, "slow_s": 0.02, "refuse_s": 0.1}
CALM = {"progress": False, "settle_pause": 0.02, "concurrency": 8, "halt_above": 1.0}
EVERYTHING = "all of them"
"""The column in which every fault happens, each to its part of the calls."""
RATE, CONTENT_RATE = 0.25, 0.75
"""Of all calls, reads included, and for faults that lose no answer."""
SLOW_RATES = {"commit_then_hang": 0.05, "connection_refused": 0.03}
BEHIND_LOST_ANSWERS = 0.15
"""Faults of reading need something to be read back: so many answers to changes are lost then as well."""
SEEDS = int(os.environ.get("SPARKFLY_NB_CHAOS_SEEDS", "20"))


GOOD_REASONS = ("No usable response after", "could not be read", "duplicate")
"""Why a row that nothing speaks against may be rejected after all."""


# ---- which faults can happen to what ---------------------------------------------------------------------------------


class Operation(NamedTuple):
    """A bulk operation: the single calls that it makes, the change first, and its word for done."""

    calls: tuple[str, ...]
    done: str = ""
    steps: int = 100  # about as many as a run without faults takes: requests, answers, parts of transactions


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
    # What an undo undoes is issued under the same fault.
    calls = (*OPERATIONS[operation].calls, *(("issue_offer",) if operation == "void_run" else ()))
    return only is None or not only.isdisjoint(calls)


def rates_of(fault, operation):
    """Give the rates for a cell."""
    change = OPERATIONS[operation].calls[0]
    if fault == EVERYTHING:
        by_stage = Counter(known.stage for known in FAULTS.values())
        return {name: 0.01 if name in SLOW_RATES else RATE / by_stage[known.stage] for name, known in FAULTS.items()}
    stage = FAULTS[fault].stage
    rates = {fault: SLOW_RATES.get(fault, CONTENT_RATE if stage == "content" else RATE)}
    if stage not in ("before", "response") and ENDPOINTS[change].effect != "read":
        rates[f"{change}:commit_then_drop"] = BEHIND_LOST_ANSWERS
    return rates


# ---- in a process that may be killed ---------------------------------------------------------------------------------


class Task(NamedTuple):
    """One call in a process of its own."""

    way: dict
    ledger: str
    call: str
    arguments: tuple
    options: dict
    threads: int
    dies_at: int | None = None


def work(task):
    """Make one bulk call; gives its frame, or None where there is none yet."""
    warnings.simplefilter("ignore")  # values that cannot be read are told in warnings
    executor.SHARD_ROUNDS = 1  # several shards, though there are few rows
    if task.dies_at is not None:
        die_at(task.dies_at)
    with (
        joblib.parallel_config("threading", n_jobs=task.threads),
        Session("sandbox", **task.way, ledger=task.ledger, timeout=TIMEOUT, retry=QUICK) as session,
    ):
        try:
            return getattr(session, task.call)(*task.arguments, **task.options)
        except RunHalted as halt:
            return halt.result if task.call != "void_run" else None
        except LedgerError as error:
            if "has no run" in str(error):
                return None
            raise


def die_at(step):
    """Kill this process at its n-th step: around each request, and around and within each transaction."""
    steps = itertools.count(1)

    def pass_by():
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    ask, transaction = AsyncClient.send, Ledger.transaction

    async def asked(self, request):
        pass_by()
        try:
            return await ask(self, request)
        finally:
            pass_by()

    @contextmanager
    def recorded(self, **how):
        pass_by()
        with transaction(self, **how) as connection:
            yield connection
            pass_by()  # written, not committed
        pass_by()

    AsyncClient.send, Ledger.transaction = asked, recorded


# ---- cells -----------------------------------------------------------------------------------------------------------


class Lane:
    """Where cells run one after the other: a process that forks, and a sandbox with ledgers, new from time to time."""

    def __init__(self, postgres):
        self._postgres = postgres
        self._forker = Forker("chaos_cells")
        self._stack = ExitStack()
        self._cells = itertools.count()
        self.service = None

    def begin(self):
        """Prepare for a cell."""
        if next(self._cells) % CELLS_PER_SANDBOX == 0:
            self._stack.close()
            self.service = self._stack.enter_context(SandboxProcess.start(members=MEMBERS, seed=3))
            self.client = self._stack.enter_context(SandboxClient(self.service))
            self._members = self.service.members()
            self._ledgers = {}
            self.truth(generated=True)

    def ledger(self, database):
        """Give the address of a ledger, and a Session on it in this process, for what is there before a cell begins."""
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
        told = self.service.truth(generated=generated)
        self.last = max((state["offer_state_id"] for state in told["offer_states"]), default=0)
        return told

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
        """Run until it is killed, or through where its end comes first."""
        result = self.lane.run(self.task(**changes, dies_at=self.chance.randint(1, self.kind.steps)))
        self.tally.counts["kills"] += result is None

    def to_the_end(self):
        """Run until it is neither killed nor halted."""
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
            self.tally.counts["unknown_then"] += self.hold(under)
        self.faults({})
        after = self.lane.truth()["faults"]
        self.tally.counts["faults"] += sum(after.get(name, 0) - before.get(name, 0) for name in FAULTS)
        if self.operation == "settle":
            self.call, self.arguments, self.options = "issue_many", (self.frame, CAMPAIGN), self.issuing
        last = self.to_the_end()
        if last is None:
            self.tally.note("untrue", "end", "without faults it does not come to an end")
            return self.tally
        self.tally.counts["unknown"] += self.hold(last)
        self.tally.counts["rows"] += len(last)
        if under is not None and self.operation != "list_many":
            self.hold_to_its_word(under, last)
        return self.tally

    def prepare(self):
        """Make what is there before, and say which call is made."""
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
            self.options["allow_duplicates"] = True  # cells before it issued to the same members
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
        """Give a frame with every fourth member known by identifier only, two who are not there, and its own labels."""
        frame = frame.astype("object")
        if "member_identifier" in frame:
            frame.loc[frame.index % 4 != 3, "member_identifier"] = None
        if self.operation not in ("update_many", "redeem_many"):
            frame.loc[frame.index % 4 == 3, "member_id"] = None
        strangers = pd.DataFrame({"member_id": [NOBODY, NOBODY + 1], "offer_state_id": [1, 2]}, dtype="object")
        frame = pd.concat([frame, strangers[strangers.columns.intersection(frame.columns)]], ignore_index=True)
        return frame.sample(frac=1, random_state=self.seed)

    def leave_unknown(self):
        """Kill an issue, so that there is something to settle."""
        self.issuing = {**self.options}
        while self.lane.run(self.task(call="runs", arguments=(), options={})).run.ne(self.name).all():
            self.lane.run(self.task(dies_at=self.chance.randint(20, 90)))
        self.call, self.arguments = "settle", (self.name,)
        self.options = {"progress": False, "settle_pause": CALM["settle_pause"]}
        self.issued_before = self.lane.truth()["requests"].get("issue_offer", 0)

    # ---- judgement

    def hold(self, result):
        """Hold a result against the store; gives the number of rows that are unknown."""
        told = self.lane.truth(generated=self.operation == "list_many")
        if self.operation == "list_many":
            return hold_listing(result, told["offer_states"], self.member_ids, self.tally)
        states = [state for state in told["offer_states"] if state["offer_state_id"] >= self.first]
        if self.operation in ("issue_many", "settle"):
            hold_issues(result, states, self.tally)
            if self.call == "settle" and told["requests"].get("issue_offer", 0) != self.issued_before:
                self.tally.note("untrue", "settle", "settling sent something")
        else:
            hold_changes(result, {state["offer_state_id"]: state for state in states}, self.kind.done, self.tally)
            if self.operation == "void_run":
                hold_undone(result, states, self.tally)
        self.hold_shape(result)
        return int(result.outcome.eq("unknown").sum())

    def hold_shape(self, result):
        """Hold the rows of a result against those that were asked for."""
        if self.call == "settle":
            return
        if len(result) != len(self.frame):
            self.tally.note("lost", "rows", f"{len(result)} rows came for {len(self.frame)}")
        elif not result.index.equals(self.frame.index):
            self.tally.note("untrue", "index", "the result has another index")
        for row in result.itertuples():
            if row.outcome == "kept" and row.offer_state_id not in self.used:
                self.tally.note("untrue", row.offer_state_id, row)
            if row.outcome != "rejected":
                continue
            is_stranger = str(row.member_id) in (str(NOBODY), str(NOBODY + 1))
            if not is_stranger and not any(why in row.error for why in GOOD_REASONS):
                self.tally.note("untrue", row.Index, f"it was refused for no reason: {row}")

    def hold_to_its_word(self, then, now):
        """What has ended stays as it ended."""
        if len(then) != len(now):
            return
        for earlier, later in zip(then.itertuples(), now.itertuples(), strict=True):
            if earlier.outcome in ("unknown", "planned"):
                continue
            if (earlier.outcome, str(earlier.offer_state_id)) != (later.outcome, str(later.offer_state_id)):
                self.tally.note("untrue", earlier.Index, f"it had ended otherwise: {earlier} is now {later}")


class Matrix:
    """Runs some cells at a time: most of a cell is waiting."""

    def __init__(self, postgres):
        self._lanes = queue.Queue()
        for _ in range(LANES):
            self._lanes.put(Lane(postgres))
        self._pool = ThreadPoolExecutor(LANES)

    def run(self, cells):
        """Run cells, each given as operation, fault, seed and database."""
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
            except Exception as error:  # noqa: BLE001 - the other cells are still worth running
                cell.tally.note("untrue", "error", f"it ended with an error: {error}")
            return cell.name, cell.tally
        finally:
            self._lanes.put(lane)

    def close(self):
        self._pool.shutdown(cancel_futures=True)
        while not self._lanes.empty():
            self._lanes.get().close()
