"""Forms for Jupyter and Voilà: one per operation, one for many rows, and one to connect."""

from __future__ import annotations

from .bulk_form import BulkForm
from .connect import Connect
from .console import Console
from .form import Form
from .operation_forms import (
    FORMS,
    CreateOfferState,
    GetOfferState,
    GetOfferStateByOffer,
    IssueOffer,
    IssueOfferState,
    ListOfferStates,
    QueryOfferStates,
    RedeemOfferState,
    UpdateOfferState,
    VoidOfferState,
    VoidOfferStateByIdentifier,
)

__all__ = [
    "FORMS",
    "BulkForm",
    "Connect",
    "Console",
    "CreateOfferState",
    "Form",
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
