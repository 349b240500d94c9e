"""How a plan differs from what a run of the same name recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pandas as pd

from ..errors import PlanChanged

if TYPE_CHECKING:
    from .ledger import Ledger, Run
    from .plan import Plan

__all__ = ["plan_changed"]


def plan_changed(ledger: Ledger, known: Run, plan: Plan) -> PlanChanged:
    """Make the error that shows how a plan differs from the recorded run of the same name."""
    now = [row for chunk in plan.rows(known.run) for row in chunk]
    before = [row for chunk in ledger.chunks(known.run_no) for row in chunk]
    names: tuple[str, ...] = ("member_id", "member_identifier", "offer_state_id", "external_ref_id")
    if known.operation == "issue":  # there the service gives the offer state, and the reference may be derived
        names = ("member_id", "member_identifier")
    found: list[tuple[Any, ...]] = []
    for position in range(max(len(now), len(before))):
        old = before[position] if position < len(before) else None
        new = now[position]._asdict() if position < len(now) else None
        for name in names:
            recorded, asked = old and old[name], new and new[name]
            if recorded != asked:
                found.append((position, name, recorded, asked))
        recorded, asked = (old and old["payload"]), (new and new["payload"])
        recorded = orjson.loads(recorded) if recorded else {}
        found += [
            (position, name, recorded.get(name), (asked or {}).get(name))
            for name in sorted(recorded.keys() | (asked or {}).keys())
            if recorded.get(name) != (asked or {}).get(name)
        ]
    if known.campaign_id != plan.campaign_id:
        found.insert(0, (None, "campaign_id", known.campaign_id, plan.campaign_id))
    differences = pd.DataFrame(found, columns=["position", "column", "recorded", "now"], dtype="object")
    return PlanChanged(
        f"run {known.run!r} was started {known.started_at[:19]}Z with other rows ({len(before)} then, {len(now)} now; "
        f"{len(found)} differences, see the error's .differences). Give this run another name",
        differences,
    )
