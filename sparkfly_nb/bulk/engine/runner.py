"""One run from the ledger to its end: claim, send, record, check what is unknown, resend only what did not happen."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ...errors import RequestFailed, RunHalted
from ..circuit_breaker import CircuitBreaker
from ..ledger.claims import Claimant
from ..operations import OPERATIONS
from ..records import Outcome, Row, RowEvidence
from ..result_frames import result_frame
from ..worker.messages import SendJob
from ..worker.send_shard import send_shard
from .executor import Backoff, Executor, WorkersLost, beating
from .reconcile import MAX_RESENDS, Proof, mismatch_of, prove
from .send_round import SendRound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..ledger.store import Ledger
    from ..operations import Operation
    from ..records import Run

__all__ = ["Runner"]

#: Seconds between two heartbeats in the ledger.
BEAT_S: Final = 5.0
#: Seconds between two looks at the shards that other processes are working on.
OTHERS_POLL_S: Final = 0.5
#: Confirmed rows that are looked up by reference, to learn whether the service finds rows in that way at all.
PROOF_ROWS: Final = 3
READBACK_SHARD_ROWS: Final = 2_000


class Runner:
    """Carries out one recorded run.

    Parameters
    ----------
    executor : Executor
        Hands shards to workers.
    ledger : Ledger
        Contains the run.
    run : Run
        The run.
    verdict : callable, optional
        Called with the evidence before a row that did not happen is sent again. An outcome ends the row instead.
    """

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        run: Run,
        verdict: Callable[[Row, RowEvidence], Outcome | None] | None = None,
    ) -> None:
        self._executor = executor
        self._ledger = ledger
        self._run = run
        self._operation = OPERATIONS[run.operation]
        self._verdict = verdict
        # A void does no harm when it is repeated, whatever became of the first one. An undo decides about each row.
        self._may_repeat = self._operation.by_id.effect == "void" and verdict is None
        self._claimant = Claimant(ledger, run, after_death_s=executor.after_death_s, after_loss_s=executor.after_loss_s)
        self._resent: Counter[int] = Counter()
        self._breaker = CircuitBreaker(self._operation.done, executor.options.halt_above)

    # ---- the whole run

    def carry_out(self) -> None:
        """Send what is planned and check what is unknown, until nothing more can be done.

        Raises
        ------
        RunHalted
            Most rows fail, the canary rows differ from what was requested, or no request gets through.
        """
        with self._at_work():
            if self._executor.options.canary:
                self._work_off(below=1)
                if not self._executor.stop.is_set():
                    self._check_canary()
            self._work_off()

    def recover(self) -> None:
        """Turn rows that dead processes may have sent into unknown ones."""
        self._claimant.recover()

    def settle(self) -> None:
        """Check unknown rows against the service, and send nothing. Rows that did not happen are planned again."""
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
        """Send and settle while there are rows, of shards with a lower number than `below` if it is given."""
        while not self._executor.stop.is_set():
            self._send_planned(below)
            # The order matters: a shard that another process claims in between is either still planned in the first
            # look, or at work in the second.
            planned = self._claimant.finds_planned(below)
            others = self._claimant.recover(below)
            reopened = 0 if self._executor.stop.is_set() else self._settle_unknown()
            if others:
                self._executor.sleep(OTHERS_POLL_S)
            elif not reopened and not planned:
                return

    # ---- sending

    def _send_planned(self, below: int | None) -> None:
        backoff = Backoff(self._executor)
        while not self._executor.stop.is_set():
            config, generation = self._executor.worker_config()
            sending = SendRound(self._executor, self._claimant, self._breaker, self._run, below)
            try:
                sending.send(config)
            except WorkersLost as error:
                self._claimant.abandon(str(error))
                sending.hindrance = str(error)
            if sending.tripped:
                raise self._halted(f"most rows fail: {sending.tripped}")
            if sending.claims == 0:
                return
            try:
                backoff.after_round(
                    moved=sending.moved,
                    generation=generation,
                    unauthenticated=sending.unauthenticated,
                    hindrance=sending.hindrance,
                    pause_s=sending.pause_s,
                )
            except RequestFailed as error:
                raise self._halted(str(error)) from None

    def _halted(self, why: str) -> RunHalted:
        counts = self._ledger.counts(self._run.run_no)
        so_far = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts.items()))
        return RunHalted(
            f"run {self._run.run} was halted: {why}\n  so far: {so_far}. Nothing more is sent until you run it again. "
            f"Rows that ended are not sent again. session.run({self._run.run!r}) shows them, "
            f"session.settle({self._run.run!r}) checks unknown rows against the service",
            result_frame(self._ledger, self._run),
        )

    # ---- settling

    def _settle_unknown(self) -> int:
        """Check unknown rows against the service; return how many are planned again, here or by another process."""
        unknown = self._ledger.rows_of(self._run, outcome="unknown")
        if not unknown:
            return 0
        self._executor.sleep(self._ledger.safe_in_s(self._run.run_no))
        # Absent twice, with a pause between, means that it did not happen.
        absent, taken_over = self._check_and_record(unknown)
        absent, more = self._check_and_record([row for row, _ in absent])
        taken_over += more
        if self._executor.stop.is_set():
            return 0
        absent, ended = self._without_blind(absent)
        again = []
        for row, proof in absent:
            # Counted per call: a process that was killed may have claimed rows that it never sent.
            if self._resent[row.position] < MAX_RESENDS:
                again.append(row)
            else:
                ended.append(_given_up(self._operation, row, proof))
        taken_over += self._ledger.end_lost(self._run.run_no, unknown, ended)
        self._executor.rows_done += sum(outcome.outcome != "unknown" for outcome in ended)
        self._ledger.reopen(self._run.run_no, again)
        self._resent.update(row.position for row in again)
        return len(again) + taken_over

    def _without_blind(self, absent: list[tuple[Row, Proof]]) -> tuple[list[tuple[Row, Proof]], list[Outcome]]:
        """Separate rows whose absence proves nothing, and return the others first.

        One description of the query requires the member's id as well, which rows by identifier do not have. Absence
        counts only if a confirmed row is found in the same way.
        """
        blind = {row.position for row, _ in absent if self._operation.issues and "member_id" not in row.sent}
        if not blind or self._finds_by_reference():
            return absent, []
        why = "not settled: no row that the service confirmed is found by its reference alone; settle it by hand"
        ended = [Outcome(position, "unknown", error=why) for position in sorted(blind)]
        return [(row, proof) for row, proof in absent if row.position not in blind], ended

    def _finds_by_reference(self) -> bool:
        confirmed = self._ledger.rows_of(self._run, outcome=self._operation.done, first=PROOF_ROWS)
        nameless = [row._replace(sent={**row.sent, "member_id": None}) for row in confirmed]
        return any(evidence.found for _, evidence in self.check(nameless))

    def _check_and_record(self, rows: Sequence[Row]) -> tuple[list[tuple[Row, Proof]], int]:
        """Pause, check rows against the service, and record those that are certain.

        Returns
        -------
        tuple
            The rows that may be sent again, each with what the evidence shows; and how many rows another process has
            taken over since.
        """
        if not rows:
            return [], 0
        self._executor.sleep(self._executor.options.settle_pause)
        absent, ended = [], []
        for row, evidence in self.check(rows):
            proof = prove(self._operation, row, evidence)
            if proof is Proof.ABSENT and self._verdict is not None:
                proof = self._verdict(row, evidence) or proof
            if isinstance(proof, Outcome):
                ended.append(proof)
                self._executor.rows_done += 1
            elif proof is Proof.ABSENT or self._may_repeat:
                absent.append((row, proof))
            else:
                why = evidence.error or "the service's record cannot be compared with what was requested"
                ended.append(
                    Outcome(row.position, "unknown", evidence.http_status, f"not settled: {why}", evidence.trace)
                )
        self._ledger.end(self._run.run_no, [end for end in ended if end.outcome == self._operation.done])
        not_done = [end for end in ended if end.outcome != self._operation.done]
        return absent, self._ledger.end_lost(self._run.run_no, rows, not_done)

    def check(self, rows: Sequence[Row]) -> Iterator[tuple[Row, RowEvidence]]:
        """Read what the service has of rows, through the same workers that send; yield each row with its evidence."""
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
                pass  # a read can be repeated, and rounds in which nothing moved are counted
            if not waiting:
                return
            try:
                backoff.after_round(
                    moved=len(waiting) < len(todo),
                    generation=generation,
                    unauthenticated=unauthenticated,
                    hindrance="no read got a response",
                    pause_s=pause_s,
                )
            except RequestFailed as error:
                for row in waiting.values():
                    yield row, RowEvidence(row.position, None, str(error))
                return

    # ---- the canary

    def _check_canary(self) -> None:
        """Compare the first rows at the service with what was requested.

        Raises
        ------
        RunHalted
            They differ, or too many of them failed.
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
        for row, evidence in self.check(readable):
            mismatch = mismatch_of(row, recorded[row.position], evidence)
            if mismatch:
                raise self._halted(f"canary row {row.position} is not as requested: {mismatch}")


def _given_up(operation: Operation, row: Row, proof: Proof) -> Outcome:
    """Return the outcome of a row whose every attempt was lost."""
    times = row.resends + 1
    sent = f"No usable response after sending {'once' if times == 1 else f'{times} times'}"
    if proof is Proof.ABSENT:
        shown = "has no such offer state" if operation.issues else "does not show the change"
        error = f"{sent}, and the service {shown}"
        return Outcome(row.position, "rejected", error=error, settled_by="readback")
    return Outcome(row.position, "unknown", error=f"not settled: {sent}, and the row cannot be checked")
