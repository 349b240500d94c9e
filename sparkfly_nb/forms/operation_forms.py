"""The form classes of the eleven operations, generated from the table of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..api.endpoints import ENDPOINTS
from .form import form_class

if TYPE_CHECKING:
    from .form import Form

__all__ = [
    "FORMS",
    "CreateOfferState",
    "GetOfferState",
    "GetOfferStateByOffer",
    "IssueOffer",
    "IssueOfferState",
    "ListOfferStates",
    "QueryOfferStates",
    "RedeemOfferState",
    "UpdateOfferState",
    "VoidOfferState",
    "VoidOfferStateByIdentifier",
]

#: The form class of each operation, by Session method.
FORMS: Final[dict[str, type[Form]]] = {
    operation: form_class("".join(map(str.capitalize, operation.split("_"))), operation) for operation in ENDPOINTS
}

IssueOffer = FORMS["issue_offer"]
IssueOfferState = FORMS["issue_offer_state"]
CreateOfferState = FORMS["create_offer_state"]
GetOfferState = FORMS["get_offer_state"]
GetOfferStateByOffer = FORMS["get_offer_state_by_offer"]
ListOfferStates = FORMS["list_offer_states"]
QueryOfferStates = FORMS["query_offer_states"]
UpdateOfferState = FORMS["update_offer_state"]
RedeemOfferState = FORMS["redeem_offer_state"]
VoidOfferState = FORMS["void_offer_state"]
VoidOfferStateByIdentifier = FORMS["void_offer_state_by_identifier"]
