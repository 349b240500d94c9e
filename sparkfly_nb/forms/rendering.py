"""Notices and tables for the page, built from frames and errors. All content is plain text, never HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ..errors import (
    ApiError,
    ConfirmationRequired,
    ConnectionFailed,
    InvalidInput,
    OutcomeUnknown,
    RequestFailed,
    ServerError,
)
from ..frames.output_columns import json_text
from ..frames.scalars import is_missing
from .fields import READING_ZONE, label_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from ..api.endpoints import Endpoint
    from ..errors import SparkflyError

__all__ = ["cell_text", "error_notice", "list_table", "notice", "outcome_notice", "record_table", "result_tables"]

FIRST_ROWS: Final = 20
LONG_TEXT: Final = 120
#: Columns of one offer state that the page shows only on demand.
FOLDED: Final = frozenset(
    {
        "offer_group", "offer_description", "offer_terms_and_conditions", "offer_web_image_url", "offer_web_thumb_url",
        "offer_mobile_image_url", "offer_mobile_thumb_url", "barcode_image_url", "custom_data", "campaign_external_id",
        "credential_custom_data", "token", "offer_activities", "offer_tags", "offer_campaign_tags", "offer_short_name",
        "effective_activates_at", "locked", "is_reward", "transferable", "reusable",
    }
)  # fmt: skip
#: Columns of a list of offer states. The result has all columns.
LISTED: Final = (
    "offer_state_id", "campaign_xid", "offer_name", "status", "value", "created_at", "effective_expires_at",
    "external_ref_id",
)  # fmt: skip

#: The notice after each operation. A list has a count instead.
DONE_WORDS: Final[dict[str, str]] = {
    "issue_offer": "Issued: {state} for {member}.",
    "issue_offer_state": "Done: {member} holds {state}.",
    "create_offer_state": "Created: {state}{for_member}.",
    "get_offer_state": "{State} of {member} is {status}.",
    "get_offer_state_by_offer": "{State} of {member} is {status}.",
    "query_offer_states": "Found: {state} of {member}; it is {status}.",
    "update_offer_state": "Updated: {state} of {member} is {status}.",
    "redeem_offer_state": "Redeemed: {state} of {member} is {status}.",
    "void_offer_state": "Voided: {state} of {member}.",
    "void_offer_state_by_identifier": "Voided: {state} of {member}.",
}


def cell_text(value: Any, zone: dt.tzinfo | None) -> str:
    """Return one value as text. Times are in `zone`, with its name."""
    if isinstance(value, (list, dict)):
        text = json_text(value) if value else ""
    elif is_missing(value):
        text = ""
    elif isinstance(value, pd.Timestamp):
        local = value.tz_convert(zone or READING_ZONE) if value.tzinfo else value
        text = f"{local:%Y-%m-%d %H:%M:%S}".removesuffix(":00") + f" {local.tzname() or ''}".rstrip()
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = str(value)
    return text if len(text) <= LONG_TEXT else f"{text[: LONG_TEXT - 1]}…"


def record_table(
    row: Mapping[Any, Any], caption: str, zone: dt.tzinfo | None, shown: Sequence[str] = ()
) -> dict[str, Any]:
    """Build the table of one offer state, one line per field that has a value.

    The fields not in `shown` are folded. Without `shown`, the fields in ``FOLDED`` are.
    """
    folded = row.keys() - set(shown) if shown else FOLDED
    lines = [(str(name), label_of(str(name)), cell_text(value, zone)) for name, value in row.items()]
    present = [(name, (label, text)) for name, label, text in lines if text]
    return {
        "kind": "record",
        "caption": caption,
        "rows": [line for name, line in present if name not in folded],
        "folded": [line for name, line in present if name in folded],
    }


def list_table(
    frame: pd.DataFrame, columns: Sequence[str], caption: str, zone: dt.tzinfo | None, rest_in: str = "form.result"
) -> dict[str, Any]:
    """Build the table of the first rows of a frame, with a note where the other rows are."""
    shown = [name for name in columns if name in frame.columns]
    first = frame[shown].head(FIRST_ROWS)
    more = len(frame) - len(first)
    return {
        "kind": "list",
        "caption": caption,
        "columns": [label_of(name) for name in shown],
        "numeric": [pd.api.types.is_numeric_dtype(frame[name].dtype) for name in shown],
        "rows": [[cell_text(value, zone) for value in row] for row in first.itertuples(index=False, name=None)],
        "more": f"and {more:,} more in {rest_in}" if more else "",
    }


def result_tables(frame: pd.DataFrame, zone: dt.tzinfo | None) -> list[dict[str, Any]]:
    """Build the tables of a result: one offer state in full, several as a list."""
    if frame.empty:
        return []
    if len(frame) == 1:
        return [record_table(frame.iloc[0].to_dict(), "Result", zone)]
    newest_first = frame.sort_values("created_at", ascending=False, kind="stable")
    return [list_table(newest_first, LISTED, "Offer states, the newest first", zone)]


def notice(kind: str, title: str, *lines: str, trace: str | None = None, code: str = "") -> dict[str, Any]:
    """Build a notice of the kind ``done``, ``info``, ``refused`` or ``unknown``."""
    return {"kind": kind, "title": title, "lines": [line for line in lines if line], "trace": trace or "", "code": code}


def outcome_notice(endpoint: Endpoint, frame: pd.DataFrame, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Build the notice of a successful operation."""
    if endpoint.answer == "offer_states":
        return notice("done", _counted(frame, sent))
    row = frame.iloc[0]
    member = sent.get("member_identifier") if is_missing(row.get("member_id")) else row.get("member_id")
    state = f"offer state {row['offer_state_id']}"
    words = {
        "state": state,
        "State": state.capitalize(),
        "member": "nobody yet" if is_missing(member) else f"member {member}",
        "for_member": "" if is_missing(member) else f" for member {member}",
        "status": "in no status that the service names" if is_missing(row.get("status")) else row.get("status"),
    }
    if row.get("outcome") == "already_voided":
        return notice(
            "info", f"{words['State']} was voided before: nothing was changed now.", trace=_text(row["trace"])
        )
    return notice("done", DONE_WORDS[endpoint.name].format(**words))


def _text(value: Any) -> str | None:
    return None if is_missing(value) else str(value)


def _counted(frame: pd.DataFrame, sent: Mapping[str, Any]) -> str:
    member = f"Member {sent['member_id']}"
    if frame.empty:
        return f"{member} has no offer states."
    counts = frame["status"].fillna("without status").value_counts()
    noun = "offer state" if len(frame) == 1 else "offer states"
    return f"{member} has {len(frame):,} {noun}: {', '.join(f'{n:,} {status}' for status, n in counts.items())}."


def may_have_happened(endpoint: Endpoint, error: SparkflyError) -> bool:
    """Return whether the operation may have happened in spite of an error."""
    # A lost void raises the original error, because it can be resent safely, unless a later attempt was refused.
    lost_void = endpoint.effect == "void" and isinstance(error, (RequestFailed, ServerError))
    return lost_void or isinstance(error, OutcomeUnknown)


def error_notice(error: SparkflyError, *, unknown: bool = False, changes: bool = True) -> dict[str, Any]:
    """Build the notice of an error.

    Parameters
    ----------
    error : SparkflyError
        The error.
    unknown : bool
        Whether the operation may have happened in spite of the error.
    changes : bool
        Whether the operation changes something. If so, the notice states that nothing changed.
    """
    first = str(error).partition("\n")[0]
    if unknown:
        why = first.partition(". The service may have acted")[0]
        advice = "The service may have acted. Look before you send it again."
        return notice("unknown", "It is not known whether this happened.", why, advice, trace=_trace_of(error))
    nothing = " Nothing was changed." if changes else ""
    if isinstance(error, ApiError):
        asked = f"{error.status} on {error.method} {error.path}"
        return notice("refused", f"The service refused.{nothing}", error.reason, asked, trace=error.trace)
    titles = (
        (ConnectionFailed, "No connection: the service did not process this."),
        ((InvalidInput, ConfirmationRequired), "Not sent."),
    )
    title = next((text for kinds, text in titles if isinstance(error, kinds)), f"That did not work.{nothing}")
    return notice("refused", title, *str(error).splitlines())


def _trace_of(error: SparkflyError) -> str | None:
    return error.trace if isinstance(error, ApiError) else None
