"""The columns of what an audit returns, the kinds of exception, the words for what became of an offer state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from ..frames.output_columns import FRACTION, STRING
from ..schema import FLAG, INTEGER, TEXT, TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACTIVITY",
    "CHANGE",
    "EXCEPTION",
    "KINDS",
    "PLAN",
    "SUMMARY",
    "TIMELINE_COUNTS",
    "TOTAL",
    "Kind",
    "dtype_of",
    "typed",
]

PLAN: Final[dict[str, str]] = {
    "member_id": INTEGER,
    "planned": FLAG,  # true: is to hold the offer; false: must not; missing: nothing is expected
    "member_identifier": TEXT,
    "campaign_id": TEXT,
    "external_ref_id": TEXT,
    "activates_at": TIME,
    "expires_at": TIME,
    "outcome": TEXT,  # what the ledger says, where the plan comes from a run or a result frame
    "offer_state_id": INTEGER,
    "at_service": FLAG,  # whether the member holds the offer state that the ledger names, in scope or not
}
"""What the audit understands of a plan; its other columns are kept for grouping."""

EXCEPTION: Final[dict[str, str]] = {
    "kind": TEXT,
    "severity": TEXT,
    "member_id": INTEGER,
    "offer_state_id": INTEGER,
    "expected": TEXT,
    "found": TEXT,
}
"""One finding; the column names are those that ``void_many`` takes."""

SUMMARY: Final[dict[str, str]] = {"metric": TEXT, "detail": TEXT, "value": FRACTION, "unit": TEXT}
"""One number of the summary; a grouping column of the plan stands before these."""

TIMELINE_COUNTS: Final = ("issued", "redeemed", "voided", "expired")
"""The columns of the timeline after ``period``, all ``Int64``."""

ACTIVITY: Final[dict[str, str]] = {
    "member_id": INTEGER,
    "offer_state_id": INTEGER,
    "position": INTEGER,  # from 1, in the order of the service
    "activity": TEXT,
    "happened_at": TIME,
}
"""One event of ``offer_activities``; the event's own fields follow as found."""

CHANGE: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "change": TEXT,  # "appeared", "gone" or "changed"
    "column": TEXT,
    "from": TEXT,
    "to": TEXT,
}
"""One difference between two audits."""

TOTAL: Final[dict[str, str]] = {
    "metric": TEXT,
    "detail": TEXT,
    "earlier": FRACTION,
    "now": FRACTION,
    "change": FRACTION,
    "unit": TEXT,
}
"""One number of the summary in two audits."""


class Kind(NamedTuple):
    """One kind of exception."""

    severity: str
    meaning: str


KINDS: Final[dict[str, Kind]] = {
    "missing": Kind("error", "planned, and the member holds none and never did"),
    "duplicate": Kind("error", "more live offer states of one campaign than planned; one row per surplus one"),
    "foreign": Kind("error", "held by a member for whom it is not planned"),
    "redeemed_after_expiry": Kind("error", "redeemed later than it expired"),
    "not_at_service": Kind("error", "the ledger records it, and the service shows otherwise"),
    "ledger_says_not_issued": Kind("error", "the service has it, and the ledger says unknown, rejected or not sent"),
    "not_in_ledger": Kind("warning", "the service has it, and no row of the run accounts for it"),
    "wrong_dates": Kind("warning", "activates or expires at another time than planned"),
    "wrong_reference": Kind("warning", "carries another reference than planned"),
    "voided_though_planned": Kind("warning", "planned, and all that the member held is voided"),
    "planned_twice": Kind("warning", "the member stands in the plan more than once, and is counted once"),
}
"""The kinds of exception, in the order in which they are listed."""


def dtype_of(name: str) -> Any:
    """Give the pandas dtype of a name in a table: text names its storage, so that frames equal each other anywhere."""
    return STRING if name == TEXT else name


def typed(columns: Mapping[str, Any], table: Mapping[str, str]) -> pd.DataFrame:
    """Make a frame with the dtypes of a table out of its columns; a column that is not given is missing throughout."""
    rows = max((len(values) for values in columns.values()), default=0)
    return pd.DataFrame(
        {
            name: pd.Series(columns.get(name, [None] * rows), dtype=dtype_of(dtype)).array
            for name, dtype in table.items()
        },
        index=pd.RangeIndex(rows),
    )
