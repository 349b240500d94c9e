"""Undoing an issue run: what is still as it was issued is voided; what was redeemed or changed since is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..frames.lifecycle import lifecycle_of
from .engine.reconcile import TIMES, shows
from .records import PlannedRow
from .worker.messages import Outcome, Row, RowEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["planned_voids", "verdict_before_voiding"]


def planned_voids(issued: Iterable[list[dict[str, Any]]]) -> Iterator[list[PlannedRow]]:
    """Make the rows of an undo from the issued rows of a run, with their places and references."""
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
    """Judge one read-back before an undo.

    Parameters
    ----------
    issued : dict
        The row of the issue run, as recorded.
    row : Row
        The same row as it was sent.
    evidence : RowEvidence
        What the service shows now.

    Returns
    -------
    Outcome or None
        Why the row is not voided, or None where it is to be voided.
    """
    position, key = row.position, issued["offer_state_id"]
    if evidence.found is None:
        return _unread(evidence, str(evidence.error))
    state = next((found for found in evidence.found if found.get("offer_state_id") == key), None)
    if state is None:
        return _kept(position, f"the member no longer holds offer state {key} under this reference")
    more = [found for found in evidence.found if found is not state and lifecycle_of(found.get("status")) != "voided"]
    if more:  # which of them the member was meant to have, nobody can tell
        ids = ", ".join(str(found.get("offer_state_id")) for found in (state, *more))
        why = f"not voided, duplicate: the offer states {ids} carry the reference of this row; void them with void_many"
        return Outcome(position, "rejected", error=why, settled_by="readback")
    lifecycle = lifecycle_of(state.get("status"))
    if lifecycle == "voided":
        return Outcome(position, "voided", error="already voided", settled_by="readback", offer_state_id=key)
    if lifecycle == "redeemed":
        return _kept(position, "it was redeemed")
    if value := state.get("value"):
        if type(value) is not int:
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
