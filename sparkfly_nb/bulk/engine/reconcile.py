"""What a read-back proves about a row: it was done, it was surely not done, or it still cannot be told. No I/O."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

from ...frames.lifecycle import lifecycle_of
from ...frames.scalars import as_time
from ..worker.outcomes import done

if TYPE_CHECKING:
    from ..operations import Operation
    from ..worker.messages import Outcome, Row, RowEvidence

__all__ = ["MAX_RESENDS", "TIMES", "Proof", "mismatch_of", "prove", "shows"]

MAX_RESENDS: Final = 3
"""How often a row that surely did not happen is sent again."""
TIMES: Final = frozenset({"activates_at", "expires_at"})
KEYS: Final = frozenset({"member_id", "member_identifier", "offerstate_id", "external_ref_id", "campaign_id"})


class Proof(enum.Enum):
    """What a read-back shows where it does not show that a row was done."""

    ABSENT = "absent"
    UNTOLD = "untold"


def prove(operation: Operation, row: Row, evidence: RowEvidence) -> Outcome | Proof:
    """Judge one read-back.

    Returns
    -------
    Outcome or Proof
        The outcome where the row was done; else whether it surely was not, or cannot be told.
    """
    if evidence.found is None:
        return Proof.UNTOLD
    # The reader found only what is this row's own. What is not there at all was not changed either: if the row is sent
    # again, the service itself says why not.
    shown = [operation.issues or _shows_change(operation, row, state) for state in evidence.found]
    done_as = [state for state, is_done in zip(evidence.found, shown, strict=True) if is_done]
    if not done_as:
        return Proof.UNTOLD if None in shown else Proof.ABSENT
    ids = ", ".join(str(found.get("offer_state_id")) for found in done_as)
    more = f"duplicate: the offer states {ids} carry the reference of this row" if len(done_as) > 1 else None
    return done(row, operation.done, done_as[0], settled_by="readback", error=more)


def _shows_change(operation: Operation, row: Row, state: dict[str, Any]) -> bool | None:
    """Say whether an offer state shows the change that a row asked for; None where that cannot be told."""
    lifecycle = lifecycle_of(state.get("status"))
    if operation.name == "void":  # which may be sent again where it cannot be told
        return lifecycle == "voided"
    asked = {name: value for name, value in row.sent.items() if name not in KEYS}
    shown = [shows(state, name, value) for name, value in asked.items()]
    if operation.name == "redeem" and "status" not in asked:
        shown.append(None if lifecycle is None else lifecycle == "redeemed")
    if False in shown:
        return False
    return None if None in shown else True


def shows(state: dict[str, Any], name: str, asked: Any) -> bool | None:
    """Say whether a field is as it was asked for; None where it is not shown, or as nothing that could be compared.

    Points in time may be written differently.
    """
    if name not in state:
        return None
    found = state[name]
    if found is None:
        return False
    if name in TIMES:
        try:
            # the service may keep whole seconds
            return as_time(asked).floor("s") == as_time(found).floor("s")
        except (ValueError, OverflowError):  # no time at all, or one at the very edge of what can be rounded
            return None
    if asked == found:
        return True
    return False if type(asked) is type(found) else None


def mismatch_of(row: Row, recorded: dict[str, Any], evidence: RowEvidence) -> str | None:
    """Say how the service contradicts the ledger about a row that ended as done; None where it agrees."""
    if evidence.found is None:
        return f"it could not be read back: {evidence.error}"
    if len(evidence.found) != 1:
        return f"{len(evidence.found)} offer states are there instead of one"
    state = evidence.found[0]
    if state.get("offer_state_id") != recorded["offer_state_id"]:
        return f"offer state {state.get('offer_state_id')} is there, not {recorded['offer_state_id']}"
    for name, asked in row.sent.items():
        if name in TIMES and not shows(state, name, asked):
            return f"{name} is {state.get(name)}, not {asked}"
    return None
