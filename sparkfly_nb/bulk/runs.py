"""Runs from plan to result: started or continued, confirmed, previewed, settled and undone, on one ledger."""

from __future__ import annotations

import socket
from itertools import count, pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from tqdm.auto import tqdm

from ..api.response import in_words
from ..api.retry_policy import RetryPolicy
from ..errors import ConfirmationRequired, InvalidInput, LedgerError, PlanChanged
from ..frames.scalars import as_text, shown
from ..settings import user_name
from ..version import __version__
from .engine.executor import BulkOptions, Executor
from .engine.runner import Runner
from .operations import OPERATIONS
from .plan.diff import is_as_planned, plan_changed
from .plan.plan import Plan, make_plan, report_of
from .plan.preview import expired_rows, issued_rows
from .records import Run
from .result_frames import result_frame
from .undo import planned_voids, verdict_before_voiding

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..http.tokens import Tokens
    from ..settings import Settings
    from .ledger.store import Ledger
    from .worker.messages import Outcome, Row, RowEvidence

__all__ = ["Runs", "run_name"]

SHARD_ROUNDS: Final = 160
"""Rows of a shard per request in flight: enough that its connections, and its last requests, matter little."""
SHARD_ROWS: Final = 20_480
"""Few enough that a shard is through before its time is over: what is left of it waits until the rest is recorded."""


class Runs:
    """The runs of one Session.

    Parameters
    ----------
    settings : Settings
        Where the service is.
    tokens : Tokens
        Where tokens come from.
    ledger : Ledger
        Where runs are recorded.
    """

    def __init__(self, settings: Settings, tokens: Tokens, ledger: Ledger) -> None:
        self._settings = settings
        self._tokens = tokens
        self.ledger = ledger
        self.policy = RetryPolicy()

    def executor(self, options: BulkOptions) -> Executor:
        """Make the executor of one bulk call, in the caller's thread."""
        return Executor(self._settings, self._tokens, options, self.policy)

    def find(self, run: str) -> Run:
        """Find a run by its name.

        Raises
        ------
        LedgerError
            There is none.
        """
        found = self.ledger.find(run=given_name(run))
        if found is None:
            raise LedgerError(f"the ledger {self.ledger} has no run {run!r}; session.runs() lists them")
        return found

    def _find_here(self, run: str) -> Run:
        """Find a run that was made at this service: what is absent at another one may well have happened.

        Raises
        ------
        LedgerError
            There is none, or it was made elsewhere.
        """
        found = self.find(run)
        if found.address != self._settings.base_url:
            raise LedgerError(
                f"run {run!r} was made at {found.address}, and this Session is for {self._settings.base_url}: "
                "nothing was asked or sent. Make a Session for that address"
            )
        return found

    def known(self, plan: Plan, run: str | None) -> Run | None:
        """Find the run that recorded these rows before, or that has this name."""
        return self.ledger.find(digest=plan.digest) if run is None else self.ledger.find(run=given_name(run))

    def plan(self, operation: str, df: pd.DataFrame, **details: Any) -> Plan:
        """Check a frame and make the plan of an operation; details as in `make_plan`."""
        if not isinstance(details.get("allow_duplicates", False), bool):  # "no" would count as yes
            raise InvalidInput(f"allow_duplicates: {shown(details['allow_duplicates'])} is not True or False")
        return make_plan(OPERATIONS[operation], df, address=self._settings.base_url, tz=self._settings.tz, **details)

    def _check_confirm(self, rows: int, confirm: int | None) -> None:
        if self._settings.is_production and confirm != rows:
            given = "it was not given" if confirm is None else f"{confirm} was given"
            raise ConfirmationRequired(
                f"this changes production: give confirm={rows}, the number of rows ({given}). Nothing was sent", rows
            )

    def _new_run(
        self, operation: str, name: str, digest: str, campaign_id: str | None, reason: str | None, rows: int
    ) -> Run:
        return Run(
            run=name,
            operation=operation,
            digest=digest,
            environment=self._settings.environment,
            address=self._settings.base_url,
            campaign_id=campaign_id,
            reason=None if reason is None else as_text(reason),
            row_count=rows,
            user_name=user_name(),
            host=socket.gethostname(),
            version=__version__,
            started_at=pd.Timestamp.now("UTC").isoformat(),
            undoes=None,
        )

    def _bounds(self, positions: Sequence[int], executor: Executor) -> list[tuple[int, int]]:
        """Cut rows into shards; the canary rows are a shard of their own."""
        lanes = max(1, executor.options.concurrency // executor.workers)
        size = max(1, min(SHARD_ROUNDS * lanes, SHARD_ROWS, ceil(len(positions) / executor.workers)))
        canary = min(executor.options.canary, len(positions))
        cuts = [0, *([canary] if canary else []), *range(canary + size, len(positions), size), len(positions)]
        return [(positions[first], positions[last - 1]) for first, last in pairwise(cuts) if last > first]

    def carry_out(
        self,
        plan: Plan,
        options: BulkOptions,
        *,
        run: str | None,
        reason: str | None,
        confirm: int | None,
        approve: str | None = None,
        allow_duplicates: bool = False,
    ) -> pd.DataFrame:
        """Check, record and carry out a plan, or go on with the run that recorded it before."""
        if plan.problems:
            raise report_of(plan, plan.problems)
        if approve is not None and approve != plan.digest:
            raise PlanChanged(
                f"the rows are not those of the preview: approved {str(approve)[:12]}, now {plan.digest[:12]}. "
                "Nothing was sent; preview them again",
                pd.DataFrame(columns=["position", "column", "recorded", "now"]),
            )
        self._check_confirm(len(plan), confirm)
        ledger = self.ledger
        known = self.known(plan, run)
        unsent: Collection[int] = range(len(plan))
        if known is not None:
            planned, unknown = (ledger.rows_of(known, outcome=outcome) for outcome in ("planned", "unknown"))
            address = self._settings.base_url
            if known.digest != plan.digest or not is_as_planned(known, plan, address, [*planned, *unknown]):
                raise plan_changed(ledger, known, plan, address)
            unsent = {row.position for row in planned}
        problems = [] if known else expired_rows(plan, pd.Timestamp.now("UTC"))
        if plan.operation.issues and not allow_duplicates and unsent:
            elsewhere = ledger.issued_elsewhere(
                self._settings.base_url, str(plan.campaign_id), known.run_no if known else 0
            )
            problems += [found for found in issued_rows(plan, elsewhere) if found.position in unsent]
        if problems:
            raise report_of(plan, problems)
        executor = self.executor(options)
        if known is None:
            name = run_name(plan, run)
            new = self._new_run(plan.operation.name, name, plan.digest, plan.campaign_id, reason, len(plan))
            known = ledger.create(new, plan.rows(name), self._bounds(range(len(plan)), executor))
            if known.digest != plan.digest:  # recorded by another process in the meantime
                raise plan_changed(ledger, known, plan, self._settings.base_url)
        else:
            counts = ledger.counts(known.run_no)
            open_rows = counts.get("planned", 0) + counts.get("unknown", 0)
            rest = f"{open_rows} of {len(plan)} rows are still open" if open_rows else "all rows ended, nothing is sent"
            tqdm.write(in_words(f"run {known.run} was started {known.started_at[:19]}Z by {known.user_name}: {rest}"))
            if not open_rows:
                return result_frame(ledger, known, plan.index)
            executor.rows_done = len(plan) - open_rows
        executor.work(Runner(executor, ledger, known).carry_out, rows=len(plan), label=plan.operation.name)
        return result_frame(ledger, known, plan.index)

    def undo(self, run: str, options: BulkOptions, *, reason: str | None, confirm: int | None) -> pd.DataFrame:
        """Undo an issue run; `BulkChanges.void_run` says how."""
        ledger, issue = self.ledger, self._find_here(run)
        if issue.operation != "issue":
            raise InvalidInput(f"run {run} is no issue run but {issue.operation}: there is nothing to undo")
        issued = [row for chunk in ledger.chunks(issue.run_no, only="issued") for row in chunk]
        self._check_confirm(len(issued), confirm)
        executor = self.executor(options)

        def work() -> list[Run]:
            Runner(executor, ledger, issue).settle()
            undos = self._undos(issue, reason, executor)
            for undo in undos:
                if not executor.stop.is_set():
                    self._carry_out_undo(issue, undo, executor)
            return undos

        undos = executor.work(work, rows=len(issued), label="void_run")
        frames = []
        for undo in undos:
            frame = result_frame(ledger, undo)
            frame.index = pd.Index([row.position for row in ledger.rows_of(undo)], dtype="int64")
            frames.append(frame)
        unknown = result_frame(ledger, issue).query("outcome == 'unknown'")
        frames = [frame for frame in (*frames, unknown) if len(frame)] or frames[:1]
        result = pd.concat(frames).sort_index() if len(frames) > 1 else frames[0]
        result.attrs["run"] = undos[-1].run
        return result

    def _undos(self, issue: Run, reason: str | None, executor: Executor) -> list[Run]:
        """Give the runs that undo an issue run, with a new one for what was issued since the last of them."""
        ledger = self.ledger
        undos = [run for run, _counts in reversed(ledger.all_runs()) if run.undoes == issue.run]
        there = {row.position for undo in undos for row in ledger.rows_of(undo)}
        issued = [row for chunk in ledger.chunks(issue.run_no, only="issued") for row in chunk]
        rest = [row for row in issued if row["position"] not in there]
        if undos and not rest:
            return undos
        bounds = self._bounds([row["position"] for row in rest], executor)
        for number in count(len(undos) + 1):
            part = f", part {number}" if number > 1 else ""
            name, digest = f"void of {issue.run}{part}", f"void of {issue.digest}{part}"
            new = self._new_run("void", name, digest, issue.campaign_id, reason, len(rest))
            made = ledger.create(new._replace(undoes=issue.run), planned_voids([rest]), bounds)
            if made.undoes == issue.run and made not in undos:  # else a person gave another run this name
                break
        return [*undos, made]

    def _carry_out_undo(self, issue: Run, undo: Run, executor: Executor) -> None:
        """Read back what an undo has not ended yet, keep what is not as it was issued, void the others."""
        ledger = self.ledger
        issued = {row["position"]: row for chunk in ledger.chunks(issue.run_no, only="issued") for row in chunk}
        sent = {row.position: row for row in ledger.rows_of(issue, outcome="issued")}

        def judge(row: Row, evidence: RowEvidence) -> Outcome | None:
            return verdict_before_voiding(issued[row.position], sent[row.position], evidence)

        runner = Runner(executor, ledger, undo, judge)
        runner.recover()  # what a dead process claimed may be voided already: it is settled, not judged
        to_read = [sent[row.position] for row in ledger.rows_of(undo, outcome="planned")]
        verdicts = [judge(row, evidence) for row, evidence in Runner(executor, ledger, issue).read_back(to_read)]
        if executor.stop.is_set():
            return
        ended = [verdict for verdict in verdicts if verdict is not None]
        executor.rows_done += ledger.end_unclaimed(undo.run_no, ended)
        runner.carry_out()
        voided = [row["position"] for chunk in ledger.chunks(undo.run_no, only="voided") for row in chunk]
        ledger.mark_undone(issue.run_no, voided)

    def settle(self, run: str, options: BulkOptions) -> pd.DataFrame:
        """Read back the unknown rows of a run; `BulkReads.settle` says how."""
        found, executor = self._find_here(run), self.executor(options)
        unknown = self.ledger.counts(found.run_no).get("unknown", 0)
        executor.work(Runner(executor, self.ledger, found).settle, rows=unknown, label="settle")
        return result_frame(self.ledger, found)


def run_name(plan: Plan, run: str | None) -> str:
    """Name a new run: as the person says, or after what is asked."""
    if run is None:
        return f"{plan.operation.name}-{plan.digest[:12]}"
    name = given_name(run)
    if len(name) > 200:
        raise InvalidInput("run: the name is longer than 200 characters")
    return name


def given_name(run: str) -> str:
    """Read the name of a run as a person gives it."""
    try:
        return as_text(run)
    except InvalidInput as error:
        raise InvalidInput(f"run: {error}") from None
