"""DataFrames built from the ledger: the result of a run, and the list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..frames.builder import FrameBuilder, frame_of
from ..schema import RESULT
from .records import payload_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from .ledger.store import Ledger
    from .records import Run

__all__ = ["RUNS", "result_frame", "runs_frame"]

#: Columns and dtypes of the list of runs, one row per run.
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
#: Columns of the ledger's rows from which a result is built.
LEDGER_COLUMNS: Final = (*(name for name in RESULT if name != "campaign_id"), "answered_member_id", "payload")


def result_frame(ledger: Ledger, run: Run, index: pd.Index | None = None) -> pd.DataFrame:
    """Build the result frame of a run.

    Parameters
    ----------
    ledger : Ledger
        The ledger that records the run.
    run : Run
        The run.
    index : pandas.Index, optional
        The index of the user's DataFrame. The default is the positions of the rows, from 0.

    Returns
    -------
    pandas.DataFrame
        The columns and dtypes of ``schema.RESULT``, one row per row of the plan. ``attrs["run"]`` is the run's name.
    """
    builder = FrameBuilder(RESULT, where=f"run {run.run}")
    for columns in ledger.columns(run.run_no, LEDGER_COLUMNS):
        builder.add_columns(list(_result_columns(run, columns)), len(columns["position"]))
    frame = builder.frame()
    if index is not None:
        frame.index = index
    frame.attrs["run"] = run.run
    return frame


def _result_columns(run: Run, columns: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the columns of a result: values from the response, or else the requested values."""
    requested = list(map(payload_of, columns["payload"]))
    for name in RESULT:
        if name == "campaign_id":
            yield name, [run.campaign_id] * len(requested)
        elif name == "member_id":
            pairs = zip(columns["answered_member_id"], columns["member_id"], strict=True)
            yield name, [requested_id if confirmed is None else confirmed for confirmed, requested_id in pairs]
        elif name in ("activates_at", "expires_at"):
            yield name, [found or sent.get(name) for found, sent in zip(columns[name], requested, strict=True)]
        else:
            yield name, columns[name]


def runs_frame(ledger: Ledger) -> pd.DataFrame:
    """List the runs of a ledger, newest first, with the number of their rows by outcome."""
    records = []
    for run, counts in ledger.all_runs():
        ends = {name: counts.get(name, 0) for name in ("rejected", "unknown", "planned")}
        records.append(
            {
                "run": run.run,
                "operation": run.operation,
                "campaign_id": run.campaign_id,
                "rows": run.row_count,
                # issued, voided, updated, redeemed or kept
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
