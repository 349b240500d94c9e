"""The review of a change: the current offer state beside the changed one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from ..frames.lifecycle import lifecycle_of
from ..frames.scalars import is_missing
from ..schema import OFFER_STATE, TIME
from .fields import label_of
from .rendering import cell_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from ..api.endpoints import Endpoint

__all__ = ["EFFECTS", "RECOGNISED_BY", "Change", "change_table", "changes_of", "warnings_of"]

#: The operations that need a review, each with the changes that do not depend on its input.
EFFECTS: Final[dict[str, dict[str, Any]]] = {
    "update_offer_state": {},
    "redeem_offer_state": {"status": "redeemed"},
    "void_offer_state": {"status": "voided"},
    "void_offer_state_by_identifier": {"status": "voided"},
}

#: The columns that help the user recognize the offer state.
RECOGNISED_BY: Final = (
    "offer_state_id", "member_id", "offer_name", "campaign_xid", "status", "credential_identifier",
    "effective_expires_at",
)  # fmt: skip


class Change(NamedTuple):
    """The current and the new value of one field."""

    name: str
    now: Any
    after: Any
    same: bool


def changes_of(endpoint: Endpoint, state: Mapping[Any, Any], sent: Mapping[str, Any]) -> list[Change]:
    """List the fields that an operation sets, with their current and new values."""
    wanted = EFFECTS[endpoint.name] | {
        field.name: sent[field.name] for field in endpoint.fields if field.place == "body" and field.name in sent
    }
    changes = []
    for name, value in wanted.items():
        now = state.get(name)
        after = pd.Timestamp(value) if OFFER_STATE.get(name) == TIME else value
        changes.append(Change(name, now, after, _is_same(name, now, after)))
    return changes


def _is_same(name: str, now: Any, after: Any) -> bool:
    if is_missing(now):
        return False
    # The service has several words for the same lifecycle.
    if name == "status" and lifecycle_of(now) is not None:
        return lifecycle_of(now) == lifecycle_of(after)
    return bool(now == after)


def change_table(changes: Sequence[Change], caption: str, zone: dt.tzinfo | None) -> dict[str, Any]:
    """Build the table of changes."""
    return {
        "kind": "list",
        "caption": caption,
        "columns": ["", "Now", "After"],
        "numeric": [False, False, False],
        "rows": [
            [
                label_of(change.name),
                cell_text(change.now, zone) or "nothing",
                "stays as it is" if change.same else cell_text(change.after, zone),
            ]
            for change in changes
        ],
        "more": "",
    }


def warnings_of(state: Mapping[Any, Any]) -> list[str]:
    """List the reasons why the service may reject a change of an offer state."""
    found = []
    lifecycle = lifecycle_of(state.get("status"))
    if lifecycle not in (None, "open"):
        found.append(f"It is {lifecycle} already: the service may refuse.")
    if state.get("locked") is True:
        found.append("It is locked: the service may refuse.")
    return found
