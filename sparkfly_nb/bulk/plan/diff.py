"""How a plan differs from what a run of the same name recorded."""

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
    """Say whether what a run recorded, and would send, is what the plan asks for.

    The digest says so already; a ledger that was changed by hand may carry it beside other rows.
    """
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
    """Make the error that shows how a plan for the service at an address differs from the recorded run of its name."""
    now = [row for chunk in plan.rows(known.run) for row in chunk]
    before = [row for chunk in ledger.chunks(known.run_no) for row in chunk]
    asked_now = {"operation": plan.operation.name, "address": address, "campaign_id": plan.campaign_id}
    found: list[tuple[Any, ...]] = [
        (None, name, getattr(known, name), asked) for name, asked in asked_now.items() if getattr(known, name) != asked
    ]
    for position in range(max(len(now), len(before))):
        old = _values(known, before[position]) if position < len(before) else {}
        new = _values(known, now[position]._asdict()) if position < len(now) else {}
        changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        if not {"member_id", "member_identifier"}.isdisjoint(changed):
            changed = [name for name in changed if name != "external_ref_id"]  # it was made from the member
        found += [(position, name, old.get(name), new.get(name)) for name in changed]
    differences = pd.DataFrame(found, columns=["position", "column", "recorded", "now"], dtype="object")
    count = f"{len(found)} differences, see the error's .differences" if found else "allow_duplicates is another"
    return PlanChanged(
        f"run {known.run!r} was started {known.started_at[:19]}Z with other rows ({len(before)} then, {len(now)} now; "
        f"{count}). Give this run another name",
        differences,
    )


def _values(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    """Give what a row asks for, recorded or planned, by column."""
    keys = ["member_id", "member_identifier", "external_ref_id"]
    if run.operation != "issue":  # there the service gives the offer state
        keys.insert(2, "offer_state_id")
    payload = row["payload"]
    return {**{name: row[name] for name in keys}, **(payload if isinstance(payload, dict) else payload_of(payload))}
