"""Realistic offer states for the benchmarks, generated without importing the package."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

START = dt.datetime(2026, 3, 1, tzinfo=dt.timezone.utc)


def offer_state(key: int, rng: random.Random) -> dict:
    """Build an offer state with all 38 fields, texts of realistic length, and seven unique values."""
    offer = key % 20
    created = START + dt.timedelta(seconds=rng.randrange(10_000_000))
    updated = created + dt.timedelta(seconds=rng.randrange(1_000_000))
    starts, ends = f"2026-{1 + offer % 6:02}-01T05:00:00Z", f"2026-{7 + offer % 6:02}-01T04:59:59Z"
    return {
        "offer_state_id": 70_000_000 + key, "offer_id": offer, "member_id": key // 20, "status": "incomplete",
        "value": 0, "locked": False, "created_at": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": f"{updated:%Y-%m-%dT%H:%M:%S}.{rng.randrange(10**9):09}Z", "activates_at": starts,
        "expires_at": ends, "effective_activates_at": starts, "effective_expires_at": ends,
        "external_ref_id": f"sf-{key:020x}", "barcode_image_url": f"https://images.example/barcodes/{offer}.png",
        "custom_data": None, "credential_custom_data": None, "offer_activities": [],
        "offer_name": f"Free coffee {offer}",
        "offer_short_name": f"Coffee {offer}", "offer_campaign_name": "Summer", "offer_group": "drinks",
        "offer_description": "A coffee on us, any size, at any counter. " * 2, "offer_value_required": 48,
        "offer_terms_and_conditions": "One per guest and visit. " * 12,
        "offer_web_image_url": f"https://images.example/web/{offer}.png",
        "offer_web_thumb_url": f"https://images.example/web/thumb/{offer}.png",
        "offer_mobile_image_url": f"https://images.example/mobile/{offer}.png",
        "offer_mobile_thumb_url": f"https://images.example/mobile/thumb/{offer}.png", "is_reward": True,
        "credential_identifier": f"VK{key:08}", "token": f"{rng.getrandbits(132):022x}", "transferable": True,
        "reusable": False, "offer_tags": [], "offer_campaign_tags": [], "campaign_external_id": "",
        "campaign_xid": "SUMMER26", "campaign_id": 1,
    }  # fmt: skip
