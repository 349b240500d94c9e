"""Previews: a verdict for each row of an issue, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pandas as pd

from ...frames.lifecycle import lifecycles_of
from ...frames.output_columns import STRING
from ...schema import RESULT, TEXT
from .plan import Plan, RowProblem, reference_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["expired_rows", "held_rows", "issued_rows", "preview_frame"]

#: Columns of a preview besides the verdict and the problem.
SHOWN: Final = ("member_id", "member_identifier", "external_ref_id", "activates_at", "expires_at")


def expired_rows(plan: Plan, now: pd.Timestamp) -> list[RowProblem]:
    """Find rows whose offer would already be expired when it is issued."""
    ends = plan.columns.get("expires_at")
    if ends is None:
        return []
    return [
        RowProblem(
            int(at), "expires_at", ends.iloc[at], "the offer would already be expired", "use a later time", "expired"
        )
        for at in np.flatnonzero((ends <= now).fillna(value=False).to_numpy(dtype=bool))
    ]


def issued_rows(plan: Plan, known: Mapping[tuple[str, Any], str]) -> list[RowProblem]:
    """Find rows whose member got, or may have got, an offer of the campaign in another run of the ledger."""
    found: dict[int, RowProblem] = {}
    for name in ("member_id", "member_identifier"):
        series = plan.columns.get(name)
        if series is None:
            continue
        runs = series.map({value: run for (kind, value), run in known.items() if kind == name})
        for at in np.flatnonzero(runs.notna().to_numpy(dtype=bool)).tolist():
            problem = f"run {runs.iloc[at]} already issued, or may have issued, an offer to this member"
            fix = "remove the row, or pass allow_duplicates=True if a second offer is intended"
            found.setdefault(at, RowProblem(at, name, series.iloc[at], problem, fix, "already issued"))
    return list(found.values())


def held_rows(plan: Plan, states: pd.DataFrame, now: pd.Timestamp) -> list[RowProblem]:
    """Find rows with a ``member_id`` whose member already has a live offer state of the campaign at the service."""
    series = plan.columns["member_id"]
    of_campaign = (states["campaign_xid"] == plan.campaign_id).fillna(value=False)
    live = states[of_campaign & _is_live(states, now)].drop_duplicates("member_id")
    existing = series.map(live.set_index("member_id")["offer_state_id"])
    fix = "remove the row, or void that offer state first"
    found = []
    for at in np.flatnonzero(existing.notna().to_numpy(dtype=bool)).tolist():
        problem = f"the member already has offer state {existing.iloc[at]} of this campaign"
        found.append(RowProblem(at, "member_id", series.iloc[at], problem, fix, "already holding"))
    return found


def _is_live(states: pd.DataFrame, now: pd.Timestamp) -> pd.Series:
    """Return a flag for each offer state: whether it can still be used."""
    lifecycle = lifecycles_of(states["status"]).astype("string")
    ends = states["effective_expires_at"].fillna(states["expires_at"])
    return lifecycle.fillna("open").eq("open") & ~(ends <= now).fillna(value=False)


def preview_frame(plan: Plan, problems: list[RowProblem], run: str) -> pd.DataFrame:
    """Build the preview: a verdict for each row, its first problem, and the values that would be sent."""
    verdicts = np.full(len(plan), "valid", dtype=object)
    reasons = np.full(len(plan), None, dtype=object)
    for problem in reversed(problems):  # the first problem of a row is written last, so it wins
        verdicts[problem.position] = problem.kind
        reasons[problem.position] = f"{problem.column}: {problem.problem}; {problem.fix}"
    frame = pd.DataFrame({"verdict": verdicts, "problem": reasons}, dtype=STRING)
    for name in SHOWN:
        dtype = STRING if RESULT[name] == TEXT else RESULT[name]
        frame[name] = plan.columns.get(name, pd.Series(pd.NA, index=frame.index)).astype(cast("Any", dtype))
    # The same references that the run would send.
    made = [
        reference_of(run, at, None if pd.isna(number) else int(number), None if pd.isna(text) else str(text))
        for at, (number, text) in enumerate(zip(frame["member_id"], frame["member_identifier"], strict=True))
    ]
    frame["external_ref_id"] = frame["external_ref_id"].fillna(pd.Series(made, index=frame.index, dtype=STRING))
    frame.index = plan.index
    frame.attrs["digest"] = plan.digest
    frame.attrs["run"] = run
    return frame
