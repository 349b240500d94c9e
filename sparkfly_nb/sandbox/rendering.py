"""The JSON of an offer state: a row of the store, completed from its offer and its campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .store import credential_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .store import Store

__all__ = ["is_transferable", "required_value", "wrap"]

_IMAGES = "https://images.example.com"


def required_value(store: Store, state: Mapping[str, Any]) -> int:
    """Return the value at which an offer state is complete, or 0 if its offer does not count a value."""
    own = state["offer_value_required"]
    return store.offers[state["offer_id"]].value_required if own is None else int(own)


def is_transferable(store: Store, state: Mapping[str, Any]) -> bool:
    """Return whether another member can take over the offer state with its token."""
    # An offer state without a member exists only to be taken over, whatever its offer says.
    return state["member_id"] is None or store.offers[state["offer_id"]].transferable


def wrap(store: Store, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return an offer state as the service sends it, in its envelope."""
    offer, state_id = store.offers[state["offer_id"]], state["offer_state_id"]
    campaign = store.campaigns.get(state["campaign_id"])
    credential = credential_of(state_id)
    image = f"{_IMAGES}/offers/{offer.offer_id}"
    record = {
        "offer_state_id": state_id,
        "offer_id": offer.offer_id,
        "member_id": state["member_id"],
        "status": state["status"],
        "value": state["value"],
        "locked": bool(state["locked"]),
        "created_at": state["created_at"],
        "updated_at": state["updated_at"],
        "activates_at": state["activates_at"],
        "expires_at": state["expires_at"],
        "effective_activates_at": state["activates_at"] or state["created_at"],
        "effective_expires_at": state["effective_expires_at"],
        "external_ref_id": state["external_ref_id"],
        "barcode_image_url": f"{_IMAGES}/barcodes/{credential}.png",
        "custom_data": None,
        "credential_custom_data": None,
        "offer_activities": orjson.loads(state["activities"]),
        "offer_name": state["offer_name"] or offer.name,
        "offer_short_name": offer.name[:20],
        "offer_campaign_name": campaign.name if campaign else "",
        "offer_group": offer.group,
        "offer_description": offer.description,
        "offer_value_required": required_value(store, state),
        "offer_terms_and_conditions": "One per visit. Not to be combined with other offers.",
        "offer_web_image_url": f"{image}/web.png",
        "offer_web_thumb_url": f"{image}/web-thumb.png",
        "offer_mobile_image_url": f"{image}/mobile.png",
        "offer_mobile_thumb_url": f"{image}/mobile-thumb.png",
        "is_reward": offer.is_reward if state["is_reward"] is None else bool(state["is_reward"]),
        "credential_identifier": credential,
        "token": store.state_token(state_id),
        "transferable": is_transferable(store, state),
        "reusable": False,
        "offer_tags": [{"name": offer.group.lower()}],
        "offer_campaign_tags": [{"name": campaign.segment}] if campaign else [],
        "campaign_external_id": "",
        "campaign_xid": campaign.campaign_xid if campaign else "",
        "campaign_id": campaign.campaign_id if campaign else None,
    }
    return {"offer_state": record, "errors": {}}
