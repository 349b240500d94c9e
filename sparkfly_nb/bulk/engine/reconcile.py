"""What a check against the service proves about a row: done, not done, or still unknown. No I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from ...frames.lifecycle import lifecycle_of
from ...frames.scalars import as_time
from ...schema import INT64_MAX, INT64_MIN
from ..records import Outcome, Row, RowEvidence, done_outcome

if TYPE_CHECKING:
    from ..operations import Operation

__all__ = ["MAX_RESENDS", "TIMES", "Proof", "is_out_of_range", "mismatch_of", "prove", "shows"]

#: How often a row that did not happen, as the service confirmed, is sent again.
MAX_RESENDS: Final = 3
#: The fields that are points in time.
TIMES: Final = frozenset({"activates_at", "expires_at"})
_KEYS: Final = frozenset({"member_id", "member_identifier", "offerstate_id", "external_ref_id", "campaign_id"})


class Proof(enum.Enum):
    """What the evidence shows if it does not show that a row was done."""

    ABSENT = "absent"  # it did not happen
    UNKNOWN = "unknown"  # the evidence is missing, or cannot be compared


def prove(operation: Operation, row: Row, evidence: RowEvidence) -> Outcome | Proof:
    """Return the outcome of a row if the evidence shows that it was done, else what the evidence shows."""
    if evidence.found is None:
        return Proof.UNKNOWN
    # The evidence contains this row's own offer states only. For a change, an offer state that does not exist was not
    # changed either. If the row is sent again, the service itself gives the reason.
    shown = [operation.issues or _shows_change(operation, row, state) for state in evidence.found]
    done_as = [state for state, is_done in zip(evidence.found, shown, strict=True) if is_done]
    if not done_as:
        return Proof.UNKNOWN if None in shown else Proof.ABSENT
    ids = ", ".join(str(found.get("offer_state_id")) for found in done_as)
    error = f"duplicate: the offer states {ids} carry the reference of this row" if len(done_as) > 1 else None
    return done_outcome(row, operation.done, done_as[0], settled_by="readback", error=error)


def _shows_change(operation: Operation, row: Row, state: dict[str, Any]) -> bool | None:
    """Return whether an offer state shows the change that a row requested, or None if this cannot be decided."""
    lifecycle = lifecycle_of(state.get("status"))
    if operation.name == "void":
        return lifecycle == "voided"  # never None: a void may be sent again in any case
    requested = {name: value for name, value in row.sent.items() if name not in _KEYS}
    shown = [shows(state, name, value) for name, value in requested.items()]
    if operation.name == "redeem" and "status" not in requested:
        shown.append(None if lifecycle is None else lifecycle == "redeemed")
    if False in shown:
        return False
    return None if None in shown else True


def shows(state: dict[str, Any], name: str, requested: Any) -> bool | None:
    """Return True if the field has the requested value, None if it cannot be compared.

    The same point in time may be written in several ways.
    """
    if name not in state:
        return None
    found = state[name]
    if found is None:
        return False
    if name in TIMES:
        try:
            # The service may keep whole seconds.
            return as_time(requested).floor("s") == as_time(found).floor("s")
        except (ValueError, OverflowError):  # not a time, or one at the very edge of what can be rounded
            return None
    if requested == found:
        return True
    # A value that the field cannot have does not show that the change did not happen.
    return False if type(requested) is type(found) and not is_out_of_range(found) else None


def is_out_of_range(value: object) -> bool:
    """Return whether a value is a whole number that no field of the service can have."""
    return type(value) is int and not INT64_MIN <= value <= INT64_MAX


def mismatch_of(row: Row, recorded: dict[str, Any], evidence: RowEvidence) -> str | None:
    """Describe how the service contradicts the ledger about a row that is done, or return None if it agrees."""
    if evidence.found is None:
        return f"it could not be checked: {evidence.error}"
    if len(evidence.found) != 1:
        return f"the service has {len(evidence.found)} offer states instead of one"
    state = evidence.found[0]
    if state.get("offer_state_id") != recorded["offer_state_id"]:
        return f"the service has offer state {state.get('offer_state_id')}, not {recorded['offer_state_id']}"
    for name, requested in row.sent.items():
        if name in TIMES and not shows(state, name, requested):
            return f"{name} is {state.get(name)}, not {requested}"
    return None
