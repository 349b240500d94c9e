"""From the ledger to frames: the result of a run, and the list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from ..frames import FrameBuilder, frame_of
from ..schema import RESULT

if TYPE_CHECKING:
    import pandas as pd

    from .ledger import Ledger, Run

__all__ = ["RUNS", "result_frame", "runs_frame"]

RUNS: Final[dict[str, str]] = {
    "run": "string",
    "operation": "string",
    "campaign_id": "string",
    "rows": "Int64",
    "done": "Int64",
    "rejected": "Int64",
    "unknown": "Int64",
    "planned": "Int64",
    "started_at": "datetime64[ns, UTC]",
    "environment": "string",
    "address": "string",
    "user": "string",
    "host": "string",
    "version": "string",
    "reason": "string",
    "undoes": "string",
    "digest": "string",
}
"""One run of the ledger per row."""


def result_frame(ledger: Ledger, run: Run, index: pd.Index | None = None) -> pd.DataFrame:
    """Build the result frame of a run.

    Parameters
    ----------
    ledger : Ledger
        Where it is recorded.
    run : Run
        The run.
    index : pandas.Index, optional
        The index of the frame that was given; default: the rows' numbers, from 0.

    Returns
    -------
    pandas.DataFrame
        The columns and dtypes of ``schema.RESULT``, one row per row of the plan; ``attrs["run"]`` names the run.
    """
    builder = FrameBuilder(RESULT, where=f"run {run.run}")
    for chunk in ledger.chunks(run.run_no):
        builder.add([_result_row(run, row) for row in chunk])
    frame = builder.frame()
    if index is not None:
        frame.index = index
    frame.attrs["run"] = run.run
    return frame


def _result_row(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    asked = orjson.loads(row["payload"]) if row["payload"] else {}
    member_id = row["answered_member_id"]
    return {
        "outcome": row["outcome"],
        "offer_state_id": row["offer_state_id"],
        "member_id": row["member_id"] if member_id is None else member_id,
        "member_identifier": row["member_identifier"],
        "offer_id": row["offer_id"],
        "campaign_id": run.campaign_id,
        "external_ref_id": row["external_ref_id"],
        "credential_identifier": row["credential_identifier"],
        "activates_at": row["activates_at"] or asked.get("activates_at"),
        "expires_at": row["expires_at"] or asked.get("expires_at"),
        "http_status": row["http_status"],
        "error": row["error"],
        "trace": row["trace"],
        "attempts": row["attempts"],
        "settled_by": row["settled_by"],
    }


def runs_frame(ledger: Ledger) -> pd.DataFrame:
    """List the runs of a ledger, newest first, with their rows counted by how they ended."""
    records = []
    for run, counts in ledger.all_runs():
        ends = {name: counts.get(name, 0) for name in ("rejected", "unknown", "planned")}
        records.append(
            {
                "run": run.run,
                "operation": run.operation,
                "campaign_id": run.campaign_id,
                "rows": run.row_count,
                "done": sum(counts.values()) - sum(ends.values()),
                **ends,
                "started_at": run.started_at,
                "environment": run.environment,
                "address": run.address,
                "user": run.user_name,
                "host": run.host,
                "version": run.version,
                "reason": run.reason,
                "undoes": run.undoes,
                "digest": run.digest,
            }
        )
    return frame_of(records, RUNS, where="runs")
