"""Runs from plan to result: started or continued, confirmed, settled and undone, on one ledger."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm.auto import tqdm

from ..api.response import in_words
from ..errors import ConfirmationRequired, InvalidInput, LedgerError, PlanChanged
from ..frames.scalars import as_text, shown
from ..settings import user_name
from ..version import __version__
from .engine.executor import Executor
from .engine.runner import Runner
from .operations import OPERATIONS
from .plan.diff import is_as_planned, plan_changed
from .plan.plan import Plan, make_plan, report_of
from .plan.preview import expired_rows, issued_rows
from .records import Run
from .result_frames import result_frame
from .undo import Undo

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..api.retry_policy import RetryPolicy
    from ..http.tokens import Tokens
    from ..settings import Settings
    from .ledger.store import Ledger
    from .options import BulkOptions

__all__ = ["Runs", "run_name"]

MAX_NAME_LENGTH = 200


class Runs:
    """The runs of one Session.

    Parameters
    ----------
    settings : Settings
        The address of the service.
    tokens : Tokens
        The source of tokens.
    ledger : Ledger
        Where runs are recorded.
    policy : RetryPolicy
        How often and how long each request of a worker is tried.
    """

    def __init__(self, settings: Settings, tokens: Tokens, ledger: Ledger, policy: RetryPolicy) -> None:
        self._settings = settings
        self._tokens = tokens
        self._policy = policy
        self.ledger = ledger

    def executor(self, options: BulkOptions) -> Executor:
        """Create the executor of one bulk call, in the caller's thread."""
        return Executor(self._settings, self._tokens, options, self._policy)

    # ---- finding runs

    def find(self, run: str) -> Run:
        """Find a run by its name.

        Raises
        ------
        LedgerError
            The ledger has no such run.
        """
        found = self.ledger.find(run=given_name(run))
        if found is None:
            raise LedgerError(f"the ledger {self.ledger} has no run {run!r}; session.runs() lists them")
        return found

    def _find_here(self, run: str) -> Run:
        """Find a run that was made at the service of this Session.

        Raises
        ------
        LedgerError
            The ledger has no such run, or it was made at another service.
        """
        found = self.find(run)
        # What another service does not have may well have happened at its own.
        if found.address != self._settings.base_url:
            raise LedgerError(
                f"run {run!r} was made at {found.address}, and this Session is for {self._settings.base_url}. "
                "Nothing was read or sent. Make a Session for that address"
            )
        return found

    def known(self, plan: Plan, run: str | None) -> Run | None:
        """Find the run that recorded these rows before, or that has this name."""
        return self.ledger.find(digest=plan.digest) if run is None else self.ledger.find(run=given_name(run))

    # ---- carrying out a plan

    def plan(self, operation: str, df: pd.DataFrame, **details: Any) -> Plan:
        """Check a frame and build the plan of an operation; `make_plan` describes the details."""
        if not isinstance(details.get("allow_duplicates", False), bool):  # a text such as "no" would count as yes
            raise InvalidInput(f"allow_duplicates: {shown(details['allow_duplicates'])} is not True or False")
        return make_plan(OPERATIONS[operation], df, address=self._settings.base_url, tz=self._settings.tz, **details)

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
        """Check, confirm, record and send a plan, or continue the run that recorded it before."""
        self._check(plan, approve)
        self._confirm(len(plan), confirm)
        known = self.known(plan, run)
        self._check_against_ledger(plan, known, allow_duplicates=allow_duplicates)
        executor = self.executor(options)
        recorded = known or self._record(plan, run_name(plan, run), reason, executor)
        if known is None or self._continues(known, executor):
            self._send(recorded, executor)
        return result_frame(self.ledger, recorded, plan.index)

    def _check(self, plan: Plan, approve: str | None) -> None:
        """Refuse a plan with problems, or with other rows than those that were approved."""
        if plan.problems:
            raise report_of(plan, plan.problems)
        if approve is not None and approve != plan.digest:
            raise PlanChanged(
                f"the rows are not those of the preview: approved {str(approve)[:12]}, now {plan.digest[:12]}. "
                "Nothing was sent; preview them again",
                pd.DataFrame(columns=["position", "column", "recorded", "now"]),
            )

    def _confirm(self, rows: int, confirm: int | None) -> None:
        """Refuse to change production unless the number of rows is confirmed."""
        if self._settings.is_production and confirm != rows:
            given = "it was not given" if confirm is None else f"{confirm} was given"
            raise ConfirmationRequired(
                f"this changes production: give confirm={rows}, the number of rows ({given}). Nothing was sent", rows
            )

    def _check_against_ledger(self, plan: Plan, known: Run | None, *, allow_duplicates: bool) -> None:
        """Refuse a plan that differs from the run of its name, or that would issue to a member again."""
        ledger, address = self.ledger, self._settings.base_url
        unsent: Collection[int] = range(len(plan))
        if known is not None:
            planned, unknown = (ledger.rows_of(known, outcome=outcome) for outcome in ("planned", "unknown"))
            if known.digest != plan.digest or not is_as_planned(known, plan, address, [*planned, *unknown]):
                raise plan_changed(ledger, known, plan, address)
            unsent = {row.position for row in planned}
        # A run that was started before its rows expired is finished all the same.
        problems = [] if known else expired_rows(plan, pd.Timestamp.now("UTC"))
        if plan.operation.issues and not allow_duplicates and unsent:
            elsewhere = ledger.issued_elsewhere(address, str(plan.campaign_id), known.run_no if known else 0)
            problems += [found for found in issued_rows(plan, elsewhere) if found.position in unsent]
        if problems:
            raise report_of(plan, problems)

    def _record(self, plan: Plan, name: str, reason: str | None, executor: Executor) -> Run:
        """Record a new run with all its rows, before the first one is sent."""
        new = self._new_run(plan.operation.name, name, plan.digest, plan.campaign_id, reason, len(plan))
        recorded = self.ledger.create(new, plan.rows(name), executor.shard_bounds(range(len(plan))))
        if recorded.digest != plan.digest:  # another process has recorded a run of this name in the meantime
            raise plan_changed(self.ledger, recorded, plan, self._settings.base_url)
        return recorded

    def _continues(self, known: Run, executor: Executor) -> bool:
        """Print what is left of a run that was started before, and return whether there is anything left."""
        counts = self.ledger.counts(known.run_no)
        left = counts.get("planned", 0) + counts.get("unknown", 0)
        executor.rows_done = known.row_count - left
        rest = f"{left} of {known.row_count} rows have not ended yet" if left else "all rows ended, nothing is sent"
        tqdm.write(in_words(f"run {known.run} was started {known.started_at[:19]}Z by {known.user_name}: {rest}"))
        return left > 0

    def _send(self, run: Run, executor: Executor) -> None:
        executor.work(Runner(executor, self.ledger, run).carry_out, rows=run.row_count, label=run.operation)

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

    # ---- afterwards

    def undo(self, run: str, options: BulkOptions, *, reason: str | None, confirm: int | None) -> pd.DataFrame:
        """Undo an issue run; see `BulkChanges.void_run`."""
        issue = self._find_here(run)
        if issue.operation != "issue":
            raise InvalidInput(f"run {run!r} cannot be undone: it is a run of {issue.operation}, not of issue")
        issued = self.ledger.counts(issue.run_no).get("issued", 0)
        self._confirm(issued, confirm)
        template = self._new_run("void", "", "", issue.campaign_id, reason, 0)._replace(undoes=issue.run)
        executor = self.executor(options)
        undo = Undo(executor, self.ledger, issue, template)
        return undo.result(executor.work(undo.carry_out, rows=issued, label="void_run"))

    def settle(self, run: str, options: BulkOptions) -> pd.DataFrame:
        """Check the unknown rows of a run against the service; see `BulkReads.settle`."""
        found, executor = self._find_here(run), self.executor(options)
        unknown = self.ledger.counts(found.run_no).get("unknown", 0)
        executor.work(Runner(executor, self.ledger, found).settle, rows=unknown, label="settle")
        return result_frame(self.ledger, found)


def run_name(plan: Plan, run: str | None) -> str:
    """Return the name of a new run: the given one, or one derived from the plan."""
    if run is None:
        return f"{plan.operation.name}-{plan.digest[:12]}"
    name = given_name(run)
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(f"run: the name is longer than {MAX_NAME_LENGTH} characters")
    return name


def given_name(run: str) -> str:
    """Read the name of a run as a person gives it."""
    try:
        return as_text(run)
    except InvalidInput as error:
        raise InvalidInput(f"run: {error}") from None
