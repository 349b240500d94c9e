"""One pass over the planned shards: claims go to free workers, and their reports are recorded meanwhile."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from ..records import Outcome
from ..worker.dask_once import forget
from ..worker.messages import SendJob, SendReport, WorkerConfig
from ..worker.send_shard import send_shard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..circuit_breaker import CircuitBreaker
    from ..ledger.claims import Claim, Claimant
    from ..records import Run
    from .executor import Executor

__all__ = ["SendRound"]


class SendRound:
    """A pass over the planned shards of a run.

    Parameters
    ----------
    executor : Executor
        Hands shards to workers.
    claimant : Claimant
        Claims shards in the ledger and records what became of them.
    breaker : CircuitBreaker
        Halts the run if too many rows fail.
    run : Run
        The run.
    below : int or None
        Only shards with a lower number; None for all.

    Attributes
    ----------
    claims : int
        Shards that were claimed.
    moved : bool
        Whether any row was sent.
    unauthenticated, tripped, hindrance, pause_s
        Why the round ended early, as in `SendReport`.
    """

    def __init__(
        self, executor: Executor, claimant: Claimant, breaker: CircuitBreaker, run: Run, below: int | None
    ) -> None:
        self._executor = executor
        self._claimant = claimant
        self._breaker = breaker
        self._run = run
        self._below = below
        self._held: dict[int, Claim] = {}
        self._reports: queue.SimpleQueue[SendReport | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self.claims = 0
        self.moved = False
        self.unauthenticated = False
        self.tripped: str | None = None
        self.hindrance: str | None = None
        self.pause_s = 0.0

    def send(self, config: WorkerConfig) -> None:
        """Send until nothing is planned, or something calls for a pause.

        Raises
        ------
        WorkersLost
            Workers died; see `Executor.dispatch`.
        LedgerError
            A report could not be recorded. Nothing more was sent after that.
        """
        # The ledger is written in a thread of its own, so that the next shard is on the wire meanwhile.
        recorder = threading.Thread(target=self._record_reports, name="sparkfly-nb-recorder")
        recorder.start()
        try:
            for report in self._executor.dispatch(send_shard, self._jobs(config)):
                self._note(report)
                self._reports.put(report)
        finally:
            self._reports.put(None)
            recorder.join()
            # Raised in place of any other error: rows that were sent and not recorded matter more.
            if self._error is not None:
                raise self._error

    def _must_pause(self) -> bool:
        return bool(
            self._executor.stop.is_set()
            or self.tripped
            or self.unauthenticated
            or self.hindrance
            or self.pause_s
            or self._error
        )

    def _jobs(self, config: WorkerConfig) -> Iterator[SendJob]:
        while not self._must_pause():
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

    def _record_reports(self) -> None:
        while (report := self._reports.get()) is not None:
            if self._error is None:
                try:
                    self._record(report)
                except BaseException as error:  # noqa: BLE001 - carried over to the thread that sends, which raises it
                    self._error = error

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
