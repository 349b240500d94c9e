"""The bulk operations as data: the columns each one sends, its endpoints, and the outcome of a successful row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..api.endpoints import ENDPOINTS, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANGE_COLUMNS", "OPERATIONS", "Operation"]

#: The columns that an update or a redemption may set.
CHANGE_COLUMNS: Final = (
    "status",
    "value",
    "activates_at",
    "expires_at",
    "offer_name",
    "offer_value_required",
    "locked",
    "is_reward",
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One bulk operation.

    Attributes
    ----------
    by_id, by_identifier : Endpoint
        The endpoint for rows with Sparkfly's member ID, and for rows with the merchant's loyalty identifier, or None
        if the API has none.
    done : str
        The outcome of a successful row.
    columns : tuple of str
        The columns that are sent besides the ids.
    issues : bool
        Whether rows create new offer states, which are found by their reference.
    """

    name: str
    by_id: Endpoint
    by_identifier: Endpoint | None
    done: str
    columns: tuple[str, ...]
    issues: bool = False

    def endpoint_for(self, sent: Mapping[str, Any]) -> Endpoint:
        """Return the endpoint that a row is sent to."""
        return self.by_id if self.by_identifier is None or "member_id" in sent else self.by_identifier


#: All bulk operations by name.
OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation
    for operation in (
        Operation(
            "issue",
            ENDPOINTS["issue_offer"],
            ENDPOINTS["issue_offer"],
            "issued",
            ("external_ref_id", "activates_at", "expires_at"),
            issues=True,
        ),
        Operation("void", ENDPOINTS["void_offer_state"], ENDPOINTS["void_offer_state_by_identifier"], "voided", ()),
        Operation("update", ENDPOINTS["update_offer_state"], None, "updated", CHANGE_COLUMNS),
        Operation("redeem", ENDPOINTS["redeem_offer_state"], None, "redeemed", CHANGE_COLUMNS),
    )
}
