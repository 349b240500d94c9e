"""The differences between a plan and the recorded run of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pandas as pd

from ...errors import PlanChanged
from ..records import payload_of, row_to_send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ledger.store import Ledger
    from ..records import PlannedRow, Row, Run
    from .plan import Plan

__all__ = ["is_as_planned", "plan_changed"]


def is_as_planned(known: Run, plan: Plan, address: str, to_send: Sequence[Row]) -> bool:
    """Return whether the rows that a run recorded and would send are those of the plan."""
    # Equal digests are not enough: a ledger that was changed by hand may contain other rows under the same digest.
    if (known.operation, known.address, known.campaign_id) != (plan.operation.name, address, plan.campaign_id):
        return False
    if not to_send:
        return True
    planned = [row for chunk in plan.rows(known.run) for row in chunk]
    return known.row_count == len(planned) and all(
        row.position < len(planned) and row.sent == _as_sent(known, planned[row.position]) for row in to_send
    )


def _as_sent(run: Run, planned: PlannedRow) -> dict[str, Any]:
    payload = orjson.dumps(planned.payload).decode() if planned.payload else None
    return row_to_send(run, *planned[:-1], payload, resends=0).sent


def plan_changed(ledger: Ledger, known: Run, plan: Plan, address: str) -> PlanChanged:
    """Build the error that shows how a plan for the service at `address` differs from the recorded run of its name."""
    now = [row for chunk in plan.rows(known.run) for row in chunk]
    before = [row for chunk in ledger.chunks(known.run_no) for row in chunk]
    requested = {"operation": plan.operation.name, "address": address, "campaign_id": plan.campaign_id}
    found: list[tuple[Any, ...]] = [
        (None, name, getattr(known, name), value) for name, value in requested.items() if getattr(known, name) != value
    ]
    for position in range(max(len(now), len(before))):
        old = _values(known, before[position]) if position < len(before) else {}
        new = _values(known, now[position]._asdict()) if position < len(now) else {}
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if not {"member_id", "member_identifier"}.isdisjoint(changed):
            # A generated reference depends on the member, so it differs as well. Do not report the change twice.
            changed = [name for name in changed if name != "external_ref_id"]
        found += [(position, name, old.get(name), new.get(name)) for name in changed]
    differences = pd.DataFrame(found, columns=["position", "column", "recorded", "now"], dtype="object")
    started = f"run {known.run!r} was started {known.started_at[:19]}Z"
    if not found:
        # The digest of the plan contains references of the user's own, but not generated ones. So it changes when the
        # generated references come back as a column, for example with a result frame, and every row is the same.
        return PlanChanged(
            f"{started} with the same {_counted(len(now), 'row')} but another digest. Either the column "
            "external_ref_id was added since, or the ledger was changed by hand. Nothing was sent. "
            "Use the original rows, or choose another run name",
            differences,
        )
    return PlanChanged(
        f"{started} with a different plan ({_counted(len(before), 'row')} then, {len(now)} now; "
        f"{_counted(len(found), 'difference')}, see the error's .differences). Nothing was sent. "
        "Choose another run name",
        differences,
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _values(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a recorded or planned row requests, by column."""
    keys = ["member_id", "member_identifier", "external_ref_id"]
    if run.operation != "issue":  # an issue does not send an offer state id, but records the new one in this column
        keys.insert(2, "offer_state_id")
    payload = row["payload"]
    return {**{name: row[name] for name in keys}, **(payload if isinstance(payload, dict) else payload_of(payload))}
