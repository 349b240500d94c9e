"""Runs and rows as a ledger records them: what it says is checked before it reaches the wire."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from ..errors import LedgerError
from .operations import OPERATIONS
from .worker.messages import Row

__all__ = ["PlannedRow", "Run", "payload_of", "row_to_send"]


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
    """Give a recorded row, as `ROWS_TO_SEND` selects it, as the values that are sent, by the API's names."""
    sent = payload_of(payload)
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
    """Read what a row carries to the service besides its keys.

    Raises
    ------
    LedgerError
        It is not what this package writes.
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
