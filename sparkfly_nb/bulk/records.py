"""Runs and rows: as the ledger records them, as they are sent, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from ..api.response import id_in, text_in
from ..errors import LedgerError
from .operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Outcome", "PlannedRow", "Row", "RowEvidence", "Run", "done_outcome", "payload_of", "row_to_send"]


class Run(NamedTuple):
    """A run as it is recorded."""

    run: str
    operation: str
    digest: str
    environment: str
    address: str
    campaign_id: str | None
    reason: str | None
    row_count: int
    user_name: str
    host: str
    version: str
    started_at: str
    undoes: str | None
    run_no: int = 0


class PlannedRow(NamedTuple):
    """A row as it enters the ledger."""

    position: int
    member_id: int | None
    member_identifier: str | None
    offer_state_id: int | None
    external_ref_id: str | None
    payload: dict[str, Any]


class Row(NamedTuple):
    """A row as it is sent: its position in the plan, and its values by the API's names."""

    position: int
    sent: dict[str, Any]
    #: How often the row was sent again after the service confirmed that it had not happened.
    resends: int = 0


class Outcome(NamedTuple):
    """What became of a row; the fields are those of the ledger."""

    position: int
    outcome: str
    http_status: int | None = None
    error: str | None = None
    trace: str | None = None
    attempts: int = 0
    settled_by: str | None = None
    offer_state_id: int | None = None
    member_id: int | None = None
    offer_id: int | None = None
    credential_identifier: str | None = None
    activates_at: str | None = None
    expires_at: str | None = None


class RowEvidence(NamedTuple):
    """What a check against the service found for one row."""

    position: int
    #: The offer states that belong to the row; None if they could not be read, and `error` says why.
    found: list[dict[str, Any]] | None
    error: str | None = None
    http_status: int | None = None
    trace: str | None = None


def done_outcome(
    row: Row,
    outcome: str,
    record: Mapping[str, Any],
    *,
    settled_by: str,
    http_status: int | None = None,
    error: str | None = None,
    trace: str | None = None,
    attempts: int = 0,
) -> Outcome:
    """Build the outcome of a row that was carried out, from the service's record and from what was sent."""
    sent = row.sent
    return Outcome(
        row.position,
        outcome,
        http_status,
        error,
        trace,
        attempts,
        settled_by,
        id_in(record.get("offer_state_id", sent.get("offerstate_id"))),
        id_in(record.get("member_id", sent.get("member_id"))),
        id_in(record.get("offer_id")),
        text_in(record.get("credential_identifier")),
        text_in(record.get("activates_at")),
        text_in(record.get("expires_at")),
    )


def row_to_send(
    run: Run,
    position: int,
    member_id: int | None,
    member_identifier: str | None,
    offer_state_id: int | None,
    external_ref_id: str | None,
    payload: str | None,
    resends: int,
) -> Row:
    """Build the row that is sent from a recorded one, whose columns `ROWS_TO_SEND` selects."""
    sent = payload_of(payload)
    # A ledger file may come from anybody. Only what the operation may set reaches the wire.
    if sent and not sent.keys() <= set(OPERATIONS[run.operation].columns):
        raise LedgerError(f"the ledger is damaged, or was changed by hand: row {position} of run {run.run!r}")
    if run.campaign_id is not None:
        sent["campaign_id"] = run.campaign_id
    if member_id is not None:
        sent["member_id"] = member_id
    else:
        sent["member_identifier"] = member_identifier
    if run.operation == "issue":
        sent["external_ref_id"] = external_ref_id
    else:
        sent["offerstate_id"] = offer_state_id
    return Row(position, sent, resends)


def payload_of(recorded: str | None) -> dict[str, Any]:
    """Parse what a recorded row carries to the service besides its keys.

    Raises
    ------
    LedgerError
        The text is not what this package writes.
    """
    if recorded is None:
        return {}
    try:
        payload = orjson.loads(recorded)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        raise LedgerError(f"the ledger is damaged, or was changed by hand: {recorded[:60]!r} is not what a row carries")
    return payload
