"""The columns of the tables that an audit returns, and the kinds of exception."""

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
    "ExceptionKind",
    "dtype_of",
    "typed",
]

#: The columns of a plan that the audit interprets. Other columns are kept for grouping.
PLAN: Final[dict[str, str]] = {
    "member_id": INTEGER,
    "planned": FLAG,  # true: should have the offer; false: must not have it; missing: no expectation
    "member_identifier": TEXT,
    "campaign_id": TEXT,
    "external_ref_id": TEXT,
    "activates_at": TIME,
    "expires_at": TIME,
    "outcome": TEXT,  # the outcome in the ledger, if the plan comes from a run or a result frame
    "offer_state_id": INTEGER,
    "at_service": FLAG,  # whether the service lists the recorded offer state for the member, in scope or not
}

#: One finding. ``void_many`` accepts these column names.
EXCEPTION: Final[dict[str, str]] = {
    "kind": TEXT,
    "severity": TEXT,
    "member_id": INTEGER,
    "offer_state_id": INTEGER,
    "expected": TEXT,
    "found": TEXT,
}

#: One number of the summary. The grouping columns of the plan come before these columns.
SUMMARY: Final[dict[str, str]] = {"metric": TEXT, "detail": TEXT, "value": FRACTION, "unit": TEXT}

#: The columns of the timeline after ``period``, all ``Int64``.
TIMELINE_COUNTS: Final = ("issued", "redeemed", "voided", "expired")

#: One event of ``offer_activities``. The event's own fields follow these columns.
ACTIVITY: Final[dict[str, str]] = {
    "member_id": INTEGER,
    "offer_state_id": INTEGER,
    "position": INTEGER,  # from 1, in the order of the service
    "activity": TEXT,
    "happened_at": TIME,
}

#: One difference between two audits.
CHANGE: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "change": TEXT,  # "appeared", "gone" or "changed"
    "column": TEXT,
    "from": TEXT,
    "to": TEXT,
}

#: One number of the summary in two audits.
TOTAL: Final[dict[str, str]] = {
    "metric": TEXT,
    "detail": TEXT,
    "earlier": FRACTION,
    "now": FRACTION,
    "change": FRACTION,
    "unit": TEXT,
}


class ExceptionKind(NamedTuple):
    """The severity and meaning of one kind of exception."""

    #: "error" or "warning".
    severity: str
    #: A sentence for analysts.
    meaning: str


#: The kinds of exception, in the order in which they are listed.
KINDS: Final[dict[str, ExceptionKind]] = {
    "missing": ExceptionKind("error", "The member is planned but never had an offer state."),
    "duplicate": ExceptionKind(
        "error",
        "The member has more open or redeemed offer states of one campaign than planned. Each surplus one is a row.",
    ),
    "foreign": ExceptionKind("error", "The member has an offer state that is not planned for this member."),
    "redeemed_after_expiry": ExceptionKind("error", "The offer state was redeemed after it expired."),
    "not_at_service": ExceptionKind("error", "The ledger and the service disagree about a recorded offer state."),
    "ledger_says_not_issued": ExceptionKind(
        "error", "The offer state exists, but the ledger says unknown, rejected or planned."
    ),
    "not_in_ledger": ExceptionKind("warning", "The offer state exists, but no row of the run accounts for it."),
    "wrong_dates": ExceptionKind("warning", "The offer state activates or expires at another time than planned."),
    "wrong_reference": ExceptionKind("warning", "The offer state has another reference than planned."),
    "voided_though_planned": ExceptionKind(
        "warning", "The member is planned, but all of the member's offer states are voided."
    ),
    "planned_twice": ExceptionKind(
        "warning", "The plan contains the member more than once. The member is counted once."
    ),
}


def dtype_of(name: str) -> Any:
    """Return the pandas dtype for a dtype name in a table."""
    # A plain "string" would get its storage from pandas options and installed libraries, and equal frames would differ.
    return STRING if name == TEXT else name


def typed(columns: Mapping[str, Any], table: Mapping[str, str]) -> pd.DataFrame:
    """Build a frame with the columns and dtypes of a table. Columns that are not given contain missing values."""
    rows = max((len(values) for values in columns.values()), default=0)
    return pd.DataFrame(
        {
            name: pd.Series(columns.get(name, [None] * rows), dtype=dtype_of(dtype)).array
            for name, dtype in table.items()
        },
        index=pd.RangeIndex(rows),
    )
