"""The columns and dtypes of every frame that the package returns, one table per frame.

IDs are nullable ``Int64``, flags ``boolean``, times ``datetime64[ns, UTC]`` and text ``string``. Lists stay lists in
``object``. Field names are the service's own. Fields that are not listed here become extra columns at the end.
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

#: The range of the service's IDs and other whole numbers.
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
#: Control characters, which the package rejects in any text it sends.
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

INTEGER: Final = "Int64"
FLAG: Final = "boolean"
TEXT: Final = "string"
TIME: Final = "datetime64[ns, UTC]"
LIST: Final = "object"

DTYPES: Final = frozenset({INTEGER, FLAG, TEXT, TIME, LIST})

#: One offer state, as every read and most changes return it.
OFFER_STATE: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "offer_id": INTEGER,
    "campaign_id": INTEGER,
    "campaign_xid": TEXT,
    "campaign_external_id": TEXT,
    "status": TEXT,
    "value": INTEGER,
    "offer_value_required": INTEGER,  # one API description has an integer, another a flag: true is read as 1
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

#: The response of ``issue_offer``.
RECEIPT: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,  # the service calls it "id" here
    "member_id": INTEGER,
    "offer_id": INTEGER,
    "campaign_id": TEXT,  # the campaign's XID here, not its number
    "activates_at": TIME,
    "expires_at": TIME,
    "credential_identifier": TEXT,
}

#: The result of the two voids. The package builds it, because the service sends an empty response.
VOIDED: Final[dict[str, str]] = {
    "offer_state_id": INTEGER,
    "member_id": INTEGER,
    "member_identifier": TEXT,
    "outcome": TEXT,  # "voided" or "already_voided"
    "trace": TEXT,
}

#: One row of a bulk result. The result has the index and the order of the input frame.
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

#: Columns that a bulk call can send. `bulk.operations` lists the columns that each operation accepts.
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

#: Members whose offer states could not be read, with the reason.
UNREAD: Final[dict[str, str]] = {"member_id": INTEGER, "http_status": INTEGER, "reason": TEXT, "trace": TEXT}

#: Every outcome that a row can have, and what each guarantees.
OUTCOMES: Final[dict[str, str]] = {
    "issued": "the service confirmed the offer in its response or in a later check",
    "voided": "the service confirmed the void, or the offer state was voided already",
    "updated": "the service confirmed the change in its response or in a later check",
    "redeemed": "the service confirmed the redemption in its response or in a later check",
    "kept": "an undo left the offer state alone, because it was redeemed or changed; the row has the reason",
    "rejected": "validation or the service rejected the row, and nothing happened; the row has the reason",
    "unknown": "the change may have happened; it is not resent before a check against the service",
    "planned": "the row was not sent",
}
