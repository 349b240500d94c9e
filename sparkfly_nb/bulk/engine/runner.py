"""One run from the ledger to its end: claim, send, record, read back, send again only what surely did not happen."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ...errors import RequestFailed, RunHalted
from ..circuit_breaker import CircuitBreaker
from ..ledger.claims import Claimant
from ..operations import OPERATIONS
from ..result_frames import result_frame
from ..worker.dask_once import forget
from ..worker.messages import Outcome, Row, RowEvidence, SendJob, SendReport
from ..worker.send_shard import send_shard
from .executor import Backoff, Executor, WorkersLost, beating
from .reconcile import MAX_RESENDS, Proof, mismatch_of, prove
from .recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..ledger.claims import Claim
    from ..ledger.store import Ledger
    from ..records import Run

__all__ = ["Runner"]

BEAT_S: Final = 5.0
OTHERS_LOOK_S: Final = 0.5
PROOF_ROWS: Final = 3
READBACK_SHARD_ROWS: Final = 2_000


class Runner:
    """Carries out one recorded run.

    Parameters
    ----------
    executor : Executor
        Where shards are worked on.
    ledger : Ledger
        Where the run is recorded.
    run : Run
        The run.
    judge : callable, optional
        Asked, with what is read back, before a row that did not happen is sent again: an outcome ends it instead.
    """

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        run: Run,
        judge: Callable[[Row, RowEvidence], Outcome | None] | None = None,
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._run = run
        self._operation = OPERATIONS[run.operation]
        self._judge = judge
        self._may_repeat = self._operation.by_id.effect == "void" and judge is None  # whatever came of the first one
        self._claimant = Claimant(ledger, run, after_death_s=executor.after_death_s, after_loss_s=executor.after_loss_s)
        self._sent_again: Counter[int] = Counter()
        self._breaker = CircuitBreaker(self._operation.done, executor.options.halt_above)

    # ---- the whole

    def carry_out(self) -> None:
        """Send what is planned and settle what is unknown, until nothing more can be done.

        Raises
        ------
        RunHalted
            Most rows fail, the canary does not hold, or the service lets nothing through.
        """
        with self._at_work():
            if self._executor.options.canary:
                self._work_off(below=1)
                if not self._executor.stop.is_set():
                    self._check_canary()
            self._work_off()

    def recover(self) -> None:
        """Turn what dead processes had sent into unknown rows."""
        self._claimant.recover()

    def settle(self) -> None:
        """Read back what is unknown; send nothing. Rows that surely did not happen are planned again."""
        with self._at_work():
            self._settle_unknown()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        try:
            with beating(self._claimant.beat, BEAT_S):
                self._claimant.recover()
                yield
        finally:
            self._claimant.leave()

    def _work_off(self, below: int | None = None) -> None:
        """Send and settle, as long as there are rows, of shards with a lower number where one is given."""
        while not self._executor.stop.is_set():
            self._send_planned(below)
            # in this order: what another process is just claiming is still planned here, or at work there
            planned = self._claimant.finds_planned(below)
            others = self._claimant.recover(below)
            reopened = 0 if self._executor.stop.is_set() else self._settle_unknown()
            if others:
                self._executor.sleep(OTHERS_LOOK_S)
            elif not reopened and not planned:
                return

    # ---- sending

    def _send_planned(self, below: int | None = None) -> None:
        backoff = Backoff(self._executor)
        while not self._executor.stop.is_set():
            config, generation = self._executor.worker_config()
            round_ = _Round(self._executor, self._claimant, self._breaker, self._run, below)
            try:
                round_.go(config)
            except WorkersLost as fault:
                self._claimant.abandon(str(fault))
                round_.hindrance = str(fault)
            if round_.tripped:
                raise self._halted(f"most rows fail: {round_.tripped}")
            if round_.claims == 0:
                return
            try:
                backoff.after_round(
                    moved=round_.moved,
                    generation=generation,
                    unauthenticated=round_.unauthenticated,
                    hindrance=round_.hindrance,
                    pause_s=round_.pause_s,
                )
            except RequestFailed as fault:
                raise self._halted(str(fault)) from None

    def _halted(self, why: str) -> RunHalted:
        counts = self._ledger.counts(self._run.run_no)
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        return RunHalted(
            f"run {self._run.run} was halted: {why}\n  so far: {told}. Nothing more is sent until you run it again; "
            f"rows that ended are not sent again. session.run({self._run.run!r}) shows them, "
            f"session.settle({self._run.run!r}) reads back what is unknown",
            result_frame(self._ledger, self._run),
        )

    # ---- settling

    def _settle_unknown(self) -> int:
        """Read unknown rows back; give the number of rows that are planned again, here or by another process."""
        unknown = self._ledger.rows_of(self._run, outcome="unknown")
        if not unknown:
            return 0
        self._executor.sleep(self._ledger.safe_in_s(self._run.run_no))
        absent, elsewhere = self._read_and_record(unknown)
        absent, more = self._read_and_record([row for row, _ in absent])
        elsewhere += more
        if self._executor.stop.is_set():
            return 0
        again, ended = [], []
        blind = {row.position for row, _ in absent if self._operation.issues and "member_id" not in row.sent}
        if blind and not self._finds_by_reference():
            why = "not settled: no row that the service confirmed is found by its reference alone; settle it by hand"
            ended += [Outcome(position, "unknown", error=why) for position in sorted(blind)]
            absent = [(row, proof) for row, proof in absent if row.position not in blind]
        for row, proof in absent:
            # Each call tries anew: a process that was killed may have claimed rows that it never came to send.
            if self._sent_again[row.position] < MAX_RESENDS:
                again.append(row)
            else:
                ended.append(_given_up(row, proof))
        elsewhere += self._ledger.end_lost(self._run.run_no, unknown, ended)
        self._executor.rows_done += sum(outcome.outcome != "unknown" for outcome in ended)
        self._ledger.reopen(self._run.run_no, again)
        self._sent_again.update(row.position for row in again)
        return len(again) + elsewhere

    def _finds_by_reference(self) -> bool:
        """Say whether a confirmed row is found by its reference alone: only then does absence prove anything.

        One description of the query wants the member's key as well, which rows by identifier do not have.
        """
        confirmed = self._ledger.rows_of(self._run, outcome=self._operation.done, first=PROOF_ROWS)
        nameless = [row._replace(sent={**row.sent, "member_id": None}) for row in confirmed]
        return any(evidence.found for _, evidence in self.read_back(nameless))

    def _read_and_record(self, rows: Sequence[Row]) -> tuple[list[tuple[Row, Proof]], int]:
        """Pause, read back, and record what was done.

        Returns
        -------
        tuple
            The rows that may be sent again, with what was shown; how many others another process has taken on since.
        """
        if not rows:
            return [], 0
        self._executor.sleep(self._executor.options.settle_pause)
        absent, ended = [], []
        for row, evidence in self.read_back(rows):
            proof = prove(self._operation, row, evidence)
            if proof is Proof.ABSENT and self._judge is not None:
                proof = self._judge(row, evidence) or proof
            if isinstance(proof, Outcome):
                ended.append(proof)
                self._executor.rows_done += 1
            elif proof is Proof.ABSENT or self._may_repeat:
                absent.append((row, proof))
            else:
                why = evidence.error or "what is read back cannot be compared with what was asked for"
                ended.append(
                    Outcome(row.position, "unknown", evidence.http_status, f"not settled: {why}", evidence.trace)
                )
        self._ledger.end(self._run.run_no, [end for end in ended if end.outcome == self._operation.done])
        not_done = [end for end in ended if end.outcome != self._operation.done]
        return absent, self._ledger.end_lost(self._run.run_no, rows, not_done)

    def read_back(self, rows: Sequence[Row]) -> Iterator[tuple[Row, RowEvidence]]:
        """Read back rows, through the same workers that send; what cannot be read says why."""
        waiting = {row.position: row for row in rows}
        backoff = Backoff(self._executor)
        while waiting and not self._executor.stop.is_set():
            config, generation = self._executor.worker_config()
            todo = list(waiting.values())
            jobs = (
                SendJob(
                    config, self._run.operation, number, todo[first : first + READBACK_SHARD_ROWS], purpose="readback"
                )
                for number, first in enumerate(range(0, len(todo), READBACK_SHARD_ROWS))
            )
            unauthenticated, pause_s = False, 0.0
            try:
                for report in self._executor.dispatch(send_shard, jobs):
                    unauthenticated |= report.unauthenticated
                    pause_s = max(pause_s, report.pause_s)
                    for evidence in report.evidence:
                        if evidence.position in waiting:
                            yield waiting.pop(evidence.position), evidence
            except WorkersLost:
                pass  # a read can be done again; rounds in which nothing moved are counted
            moved = len(waiting) < len(todo)
            try:
                if waiting:
                    backoff.after_round(
                        moved=moved,
                        generation=generation,
                        unauthenticated=unauthenticated,
                        hindrance="no read-back was answered",
                        pause_s=pause_s,
                    )
            except RequestFailed as fault:
                for row in waiting.values():
                    yield row, RowEvidence(row.position, None, str(fault))
                return

    def _check_canary(self) -> None:
        """Read the first rows back and compare them with what the service answered.

        Raises
        ------
        RunHalted
            They do not agree, or too many of them failed.
        """
        size = min(self._executor.options.canary, self._run.row_count)
        recorded = {row["position"]: row for row in next(self._ledger.chunks(self._run.run_no), [])[:size]}
        failed = [row for row in recorded.values() if row["outcome"] != self._operation.done]
        unknown = [row for row in failed if row["outcome"] not in ("rejected", "kept")]
        if unknown or len(failed) > self._executor.options.halt_above * len(recorded):
            example = (unknown or failed)[0]
            raise self._halted(
                f"{len(failed)} of the {len(recorded)} canary rows are not {self._operation.done}; "
                f"row {example['position']}: {example['outcome']}, {example['error']}"
            )
        done = [
            row
            for row in self._ledger.rows_of(self._run, first=size)
            if recorded[row.position]["outcome"] == self._operation.done
        ]
        readable = [row for row in done if self._operation.issues or "member_id" in row.sent]
        for row, evidence in self.read_back(readable):
            problem = mismatch_of(row, recorded[row.position], evidence)
            if problem:
                raise self._halted(f"the canary row {row.position} does not hold: {problem}")


def _given_up(row: Row, proof: Proof) -> Outcome:
    """End a row that was lost each time it was sent."""
    sent = f"sent {row.resends + 1} times and lost each time"
    if proof is Proof.ABSENT:
        return Outcome(row.position, "rejected", error=f"{sent}: the service does not show it", settled_by="readback")
    return Outcome(row.position, "unknown", error=f"not settled: {sent}, and it cannot be read back")


class _Round:
    """One pass over the planned shards: claims go to free workers, reports come back and are recorded."""

    def __init__(
        self, executor: Executor, claimant: Claimant, breaker: CircuitBreaker, run: Run, below: int | None
    ) -> None:
        self._executor = executor
        self._claimant = claimant
        self._breaker = breaker
        self._run = run
        self._below = below
        self._held: dict[int, Claim] = {}
        self.claims = 0
        self.moved = False
        self.unauthenticated = False
        self.tripped: str | None = None
        self.hindrance: str | None = None
        self.pause_s = 0.0

    def go(self, config: Any) -> None:
        """Send until nothing is planned, or something calls for a pause."""
        with Recorder(self._record) as recorder:
            for report in self._executor.dispatch(send_shard, self._jobs(config, recorder)):
                self._note(report)
                recorder.put(report)

    def _jobs(self, config: Any, recorder: Recorder) -> Iterator[SendJob]:
        while not (
            self._executor.stop.is_set()
            or self.tripped
            or self.unauthenticated
            or self.hindrance
            or self.pause_s
            or recorder.failed
        ):
            claim = self._claimant.claim(self._below)
            if claim is None:
                return
            self.claims += 1
            self._held[claim.shard] = claim
            yield SendJob(
                config,
                self._run.operation,
                claim.shard,
                claim.rows,
                halt_above=self._executor.options.halt_above,
                once_key=self._once_key(claim) if self._executor.is_dask else None,
            )

    def _once_key(self, claim: Claim) -> str:
        return f"sparkfly-nb-{self._run.digest[:16]}-{claim.shard}-{self._claimant.name}-{claim.claims}"

    def _note(self, report: SendReport) -> None:
        self.moved |= bool(report.outcomes) or report.begun_elsewhere
        self.unauthenticated |= report.unauthenticated
        self.tripped = self.tripped or report.tripped or self._breaker.count(report.outcomes)
        self.hindrance = self.hindrance or report.hindrance
        self.pause_s = max(self.pause_s, report.pause_s)

    def _record(self, report: SendReport) -> None:
        claim = self._held.pop(report.shard)
        outcomes = report.outcomes
        if report.begun_elsewhere:
            outcomes = [
                Outcome(row.position, "unknown", error="the worker that sent it died", attempts=1) for row in claim.rows
            ]
        self._claimant.record(report.shard, outcomes, lingers=report.begun_elsewhere)
        self._executor.rows_done += sum(outcome.outcome != "unknown" for outcome in outcomes)
        if self._executor.is_dask:
            forget(self._once_key(claim))
