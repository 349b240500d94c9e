"""The bulk changes as data: what each takes from a frame, which call it makes, and the word for done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..api.endpoints import ENDPOINTS, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANGE_COLUMNS", "OPERATIONS", "Operation"]

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
"""What an update or a redemption may set."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One bulk change.

    Attributes
    ----------
    by_id, by_identifier : Endpoint
        The call for a member known by Sparkfly's key, and by the merchant's; None where the API has none.
    done : str
        The outcome of a row that was carried out.
    columns : tuple of str
        Columns of the frame that go to the service besides the keys.
    """

    name: str
    by_id: Endpoint
    by_identifier: Endpoint | None
    done: str
    columns: tuple[str, ...]

    @property
    def issues(self) -> bool:
        """Whether rows make new offer states, which are found again by their reference."""
        return self.name == "issue"

    def endpoint_for(self, sent: Mapping[str, Any]) -> Endpoint:
        """Give the call that a row makes."""
        return self.by_id if self.by_identifier is None or "member_id" in sent else self.by_identifier


OPERATIONS: Final[dict[str, Operation]] = {
    operation.name: operation
    for operation in (
        Operation(
            "issue",
            ENDPOINTS["issue_offer"],
            ENDPOINTS["issue_offer"],
            "issued",
            ("external_ref_id", "activates_at", "expires_at"),
        ),
        Operation("void", ENDPOINTS["void_offer_state"], ENDPOINTS["void_offer_state_by_identifier"], "voided", ()),
        Operation("update", ENDPOINTS["update_offer_state"], None, "updated", CHANGE_COLUMNS),
        Operation("redeem", ENDPOINTS["redeem_offer_state"], None, "redeemed", CHANGE_COLUMNS),
    )
}
