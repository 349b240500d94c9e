"""Undo of an issue run: what is still as it was issued is voided; what was redeemed or changed since is kept."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from ..frames.lifecycle import lifecycle_of
from .engine.reconcile import TIMES, is_out_of_range, shows
from .engine.runner import Runner
from .records import Outcome, PlannedRow, Row, RowEvidence
from .result_frames import result_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .engine.executor import Executor
    from .ledger.store import Ledger
    from .records import Run

__all__ = ["Undo", "planned_voids", "verdict_before_voiding"]


class Undo(NamedTuple):
    """The undo of one issue run.

    The undo is recorded as a void run of its own, so that it can be continued after a crash. Rows that the issue run
    issues later become a further part.
    """

    executor: Executor
    ledger: Ledger
    #: The issue run.
    issue: Run
    #: What the new void runs have in common; name, digest and size differ.
    template: Run

    def carry_out(self) -> list[Run]:
        """Settle the issue run, then void what it issued; return the void runs."""
        Runner(self.executor, self.ledger, self.issue).settle()
        parts = self._parts()
        for part in parts:
            if not self.executor.stop.is_set():
                self._void(part)
        return parts

    def result(self, parts: list[Run]) -> pd.DataFrame:
        """Build the result frame: a row per row that was issued or may have been, by its number in the issue run."""
        frames = []
        for part in parts:
            frame = result_frame(self.ledger, part)
            frame.index = pd.Index([row.position for row in self.ledger.rows_of(part)], dtype="int64")
            frames.append(frame)
        unknown = result_frame(self.ledger, self.issue).query("outcome == 'unknown'")
        frames = [frame for frame in (*frames, unknown) if len(frame)] or frames[:1]
        result = pd.concat(frames).sort_index() if len(frames) > 1 else frames[0]
        result.attrs["run"] = parts[-1].run
        return result

    def _issued(self) -> list[dict[str, Any]]:
        return [row for chunk in self.ledger.chunks(self.issue.run_no, only="issued") for row in chunk]

    def _parts(self) -> list[Run]:
        """Return the void runs of this issue run, with a new one for what was issued since the last of them."""
        parts = [run for run, _counts in reversed(self.ledger.all_runs()) if run.undoes == self.issue.run]
        covered = {row.position for part in parts for row in self.ledger.rows_of(part)}
        rest = [row for row in self._issued() if row["position"] not in covered]
        if parts and not rest:
            return parts
        bounds = self.executor.shard_bounds([row["position"] for row in rest])
        for number in count(len(parts) + 1):
            suffix = f", part {number}" if number > 1 else ""
            new = self.template._replace(
                run=f"void of {self.issue.run}{suffix}",
                digest=f"void of {self.issue.digest}{suffix}",
                row_count=len(rest),
            )
            created = self.ledger.create(new, planned_voids([rest]), bounds)
            # A person may have given this name to another run.
            if created.undoes == self.issue.run and created not in parts:
                break
        return [*parts, created]

    def _void(self, part: Run) -> None:
        """Check what this part has not ended yet, keep what is not as it was issued, and void the rest."""
        issued = {row["position"]: row for row in self._issued()}
        sent = {row.position: row for row in self.ledger.rows_of(self.issue, outcome="issued")}

        def verdict(row: Row, evidence: RowEvidence) -> Outcome | None:
            return verdict_before_voiding(issued[row.position], sent[row.position], evidence)

        runner = Runner(self.executor, self.ledger, part, verdict)
        # What a dead process claimed may be voided already. Those rows are settled instead.
        runner.recover()
        to_check = [sent[row.position] for row in self.ledger.rows_of(part, outcome="planned")]
        checked = Runner(self.executor, self.ledger, self.issue).check(to_check)
        verdicts = [verdict(row, evidence) for row, evidence in checked]
        if self.executor.stop.is_set():
            return
        ended = [outcome for outcome in verdicts if outcome is not None]
        self.executor.rows_done += self.ledger.end_unclaimed(part.run_no, ended)
        runner.carry_out()
        voided = [row["position"] for chunk in self.ledger.chunks(part.run_no, only="voided") for row in chunk]
        self.ledger.mark_undone(self.issue.run_no, voided)


def planned_voids(issued: Iterable[list[dict[str, Any]]]) -> Iterator[list[PlannedRow]]:
    """Build the rows of an undo from the issued rows of a run, with their positions and references."""
    for chunk in issued:
        yield [
            PlannedRow(
                row["position"],
                row["member_id"] if row["answered_member_id"] is None else row["answered_member_id"],
                row["member_identifier"],
                row["offer_state_id"],
                row["external_ref_id"],
                {},
            )
            for row in chunk
        ]


def verdict_before_voiding(  # noqa: PLR0911 - a list of cases, each ends it
    issued: dict[str, Any], row: Row, evidence: RowEvidence
) -> Outcome | None:
    """Decide about one row of an undo.

    Parameters
    ----------
    issued : dict
        The row of the issue run, as recorded.
    row : Row
        The same row as it was sent.
    evidence : RowEvidence
        What the service has now.

    Returns
    -------
    Outcome or None
        The outcome if the row is not voided; None if it may be voided.
    """
    position, state_id = row.position, issued["offer_state_id"]
    if evidence.found is None:
        return _unread(evidence, str(evidence.error))
    state = next((found for found in evidence.found if found.get("offer_state_id") == state_id), None)
    if state is None:
        return _kept(position, f"the member no longer holds offer state {state_id} under this reference")
    more = [found for found in evidence.found if found is not state and lifecycle_of(found.get("status")) != "voided"]
    if more:  # nobody can tell which of them the member was meant to have
        ids = ", ".join(str(found.get("offer_state_id")) for found in (state, *more))
        why = f"not voided, duplicate: the offer states {ids} carry the reference of this row; void them with void_many"
        return Outcome(position, "rejected", error=why, settled_by="readback")
    lifecycle = lifecycle_of(state.get("status"))
    if lifecycle == "voided":
        return Outcome(position, "voided", error="already voided", settled_by="readback", offer_state_id=state_id)
    if lifecycle == "redeemed":
        return _kept(position, "it was redeemed")
    if value := state.get("value"):
        if type(value) is not int or is_out_of_range(value):
            return _unread(evidence, f"its value is {str(value)[:40]}")
        return _kept(position, f"it was used in part: its value is {value}")
    for name in sorted(TIMES):
        recorded = issued[name] or row.sent.get(name)
        is_same = True if recorded is None else shows(state, name, recorded)
        if is_same is None:
            return _unread(evidence, f"{name} was {recorded} and is {str(state.get(name))[:40]}")
        if not is_same:
            return _kept(position, f"it was changed: {name} was {recorded} and is {state.get(name)}")
    return None


def _unread(evidence: RowEvidence, why: str) -> Outcome:
    error = f"not voided, could not be read: {why}"
    return Outcome(evidence.position, "rejected", evidence.http_status, error, evidence.trace)


def _kept(position: int, why: str) -> Outcome:
    return Outcome(position, "kept", error=f"kept: {why}", settled_by="readback")
