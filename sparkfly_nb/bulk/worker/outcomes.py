"""From what the service says of an offer state to the outcome of a row: ids that fit, texts that can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .messages import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .messages import Row

__all__ = ["done", "integer_in", "text_in"]


def done(
    row: Row,
    word: str,
    record: Mapping[str, Any],
    *,
    settled_by: str,
    http_status: int | None = None,
    error: str | None = None,
    trace: str | None = None,
    attempts: int = 0,
) -> Outcome:
    """Make the outcome of a row that was carried out, from what the service says and from what was sent."""
    sent = row.sent
    return Outcome(
        row.position,
        word,
        http_status,
        error,
        trace,
        attempts,
        settled_by,
        integer_in(record.get("offer_state_id", sent.get("offerstate_id"))),
        integer_in(record.get("member_id", sent.get("member_id"))),
        integer_in(record.get("offer_id")),
        text_in(record.get("credential_identifier")),
        text_in(record.get("activates_at")),
        text_in(record.get("expires_at")),
    )


def integer_in(value: object) -> int | None:
    """Take a 64-bit id; anything else is missing."""
    if type(value) is int:
        number = value
    elif isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            return None
    else:
        return None
    return number if -(2**63) <= number < 2**63 else None


def text_in(value: object) -> str | None:
    """Take a text; anything else is missing."""
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else None
