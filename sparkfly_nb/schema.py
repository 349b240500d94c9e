"""The columns of every frame and their dtypes, in one table each.

Ids are nullable ``Int64``, flags ``boolean``, times ``datetime64[ns, UTC]``, text ``string``; lists stay lists in
``object``. Field names are the service's own. A field that is not listed here is kept as an extra column at the end.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "DTYPES",
    "OFFER_STATE",
    "OUTCOMES",
    "PAYLOAD",
    "RECEIPT",
    "RESULT",
    "UNREAD",
    "VOIDED",
]

#: The range of an id or another whole number of the service.
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
#: Control characters, which no text of a person may contain.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

INTEGER: Final = "Int64"
FLAG: Final = "boolean"
TEXT: Final = "string"
TIME: Final = "datetime64[ns, UTC]"
LIST: Final = "object"

DTYPES: Final = frozenset({INTEGER, FLAG, TEXT, TIME, LIST})

OFFER_STATE: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "offer_id": INTEGER,
    "campaign_id": INTEGER,
    "campaign_xid": TEXT,
    "campaign_external_id": TEXT,
    "status": TEXT,
    "value": INTEGER,
    "offer_value_required": INTEGER,  # an integer in one description, a flag in another: true is read as 1
    "external_ref_id": TEXT,
    "credential_identifier": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "activates_at": TIME,
    "expires_at": TIME,
    "effective_activates_at": TIME,
    "effective_expires_at": TIME,
    "locked": FLAG,
    "is_reward": FLAG,
    "transferable": FLAG,
    "reusable": FLAG,
    "offer_name": TEXT,
    "offer_short_name": TEXT,
    "offer_campaign_name": TEXT,
    "offer_group": TEXT,
    "offer_description": TEXT,
    "offer_terms_and_conditions": TEXT,
    "offer_web_image_url": TEXT,
    "offer_web_thumb_url": TEXT,
    "offer_mobile_image_url": TEXT,
    "offer_mobile_thumb_url": TEXT,
    "barcode_image_url": TEXT,
    "custom_data": TEXT,
    "credential_custom_data": TEXT,
    "token": TEXT,
    "offer_activities": LIST,
    "offer_tags": LIST,
    "offer_campaign_tags": LIST,
}
"""One offer state, as every read and most changes answer it."""

RECEIPT: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,  # the service calls it "id" here
    "member_id": INTEGER,
    "offer_id": INTEGER,
    "campaign_id": TEXT,  # the campaign's XID here, not its number
    "activates_at": TIME,
    "expires_at": TIME,
    "credential_identifier": TEXT,
}
"""What ``issue_offer`` answers."""

VOIDED: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "member_identifier": TEXT,
    "outcome": TEXT,  # "voided" or "already_voided"
    "trace": TEXT,
}
"""What the two voids return: the service itself answers them with nothing."""

RESULT: Final[dict[str, str]] = {
    "outcome": TEXT,
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "member_identifier": TEXT,
    "offer_id": INTEGER,
    "campaign_id": TEXT,
    "external_ref_id": TEXT,
    "credential_identifier": TEXT,
    "activates_at": TIME,
    "expires_at": TIME,
    "http_status": INTEGER,
    "error": TEXT,
    "trace": TEXT,
    "attempts": INTEGER,
    "settled_by": TEXT,
}
"""One row of a bulk call, in the index and the order of the frame that was given."""

PAYLOAD: Final[dict[str, str]] = {
    "member_id": INTEGER,
    "member_identifier": TEXT,
    "offer_state_id": INTEGER,
    "external_ref_id": TEXT,
    "activates_at": TIME,
    "expires_at": TIME,
    "status": TEXT,
    "value": INTEGER,
    "offer_name": TEXT,
    "offer_value_required": INTEGER,
    "locked": FLAG,
    "is_reward": FLAG,
}
"""What a row of a bulk call may carry to the service; which of these an operation takes stands with the operation."""

UNREAD: Final[dict[str, str]] = {"member_id": INTEGER, "http_status": INTEGER, "reason": TEXT, "trace": TEXT}
"""Members whose offer states could not be read, with the reason."""

OUTCOMES: Final[dict[str, str]] = {
    "issued": "the service confirmed it, or it was read back from the service",
    "voided": "the offer state is voided: confirmed, found voided already, or read back",
    "updated": "the service confirmed the change, or it was read back",
    "redeemed": "the service confirmed the redemption, or it was read back",
    "kept": "an undo left the offer state as it is, redeemed or changed since; the reason stands in the row",
    "rejected": "refused by the service or before sending: nothing happened; the reason stands in the row",
    "unknown": "it may have happened and could not be settled yet: it is not sent again before a read-back",
    "planned": "it was not sent",
}
"""The words a row can end with, and what each promises."""
