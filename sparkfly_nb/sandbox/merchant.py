"""A realistic merchant, generated from a seed: members, offers, campaigns, channels and half a year of offer states."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .clock import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CAMPAIGNS", "CHANNELS", "OFFERS", "Campaign", "Channel", "Member", "Offer", "generate_members",
           "generate_states"]  # fmt: skip

FIRST_MEMBER_ID: Final = 1001
HISTORY_DAYS: Final = 180


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer."""

    offer_id: int
    name: str
    group: str
    description: str
    valid_days: int
    value_required: int = 0
    active: bool = True
    is_reward: bool = False
    transferable: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign, which distributes one offer."""

    campaign_id: int
    campaign_xid: str
    name: str
    offer_id: int
    segment: str
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, through which a campaign distributes its offer."""

    channel_id: int
    name: str
    campaign_id: int


class Member(NamedTuple):
    """A customer of the merchant."""

    #: Sparkfly's member ID.
    member_id: int
    #: The merchant's loyalty identifier for this member.
    member_identifier: str
    #: The group of members that campaigns target.
    segment: str


#: The offers. The last one is not active any more.
OFFERS: Final = (
    Offer(301, "Free Iced Coffee", "Drinks", "Any small iced coffee, on us.", 30, transferable=True),
    Offer(302, "20% Off Your Order", "Order", "20% off one order, delivery excluded.", 21),
    Offer(303, "Welcome Pastry", "Bakery", "A pastry of the day for new members.", 14, is_reward=True),
    Offer(304, "We Miss You: $5 Off", "Order", "$5 off any order of $15 or more.", 45),
    Offer(305, "Ten Cups, One Free", "Drinks", "Collect ten cups; the next one is free.", 90, value_required=10,
          is_reward=True),
    Offer(306, "Birthday Crème Brûlée", "Dessert", "A dessert in the week of your birthday.", 7, is_reward=True,
          transferable=True),
    Offer(307, "Winter Cocoa", "Drinks", "A hot cocoa. This offer has ended.", 30, active=False),
)  # fmt: skip

#: The campaigns. SPRING26 is suspended, and the offer of WINTER25 is not active.
CAMPAIGNS: Final = (
    Campaign(41, "SUMMER26", "Summer 2026: Iced Coffee", 301, "regular"),
    Campaign(42, "VIP26", "VIP 2026: 20% Off", 302, "vip"),
    Campaign(43, "WELCOME26", "Welcome 2026", 303, "new"),
    Campaign(44, "WINBACK26", "Win Back 2026", 304, "lapsed"),
    Campaign(45, "TENCUPS", "Ten Cups", 305, "regular"),
    Campaign(46, "BIRTHDAY", "Birthdays", 306, "vip"),
    Campaign(47, "SPRING26", "Spring 2026: 20% Off", 302, "regular", status="suspended"),
    Campaign(48, "WINTER25", "Winter 2025: Cocoa", 307, "regular"),
)

#: The channels, each with the campaign that it distributes.
CHANNELS: Final = (
    Channel(11, "App inbox", 41),
    Channel(12, "Email", 42),
    Channel(13, "Till receipt", 43),
    Channel(14, "Text message", 44),
    Channel(15, "Loyalty card", 45),
    Channel(16, "Paid social", 47),
)

# Percentages of members, and of final statuses.
_SEGMENTS: Final = {"regular": 55, "new": 20, "lapsed": 15, "vip": 10}
_FATES: Final = {"redeemed": 38, "incomplete": 54, "voided": 8}
_STATES_PER_MEMBER: Final = {"regular": (4, 14), "new": (1, 4), "lapsed": (3, 8), "vip": (8, 22)}


def generate_members(seed: int, count: int) -> Iterator[Member]:
    """Generate `count` members from ID 1001 onwards. A larger `count` starts with the same members."""
    for member_id in range(FIRST_MEMBER_ID, FIRST_MEMBER_ID + count):
        chance = _chance(seed, "member", member_id)
        segment = chance.choices(list(_SEGMENTS), list(_SEGMENTS.values()))[0]
        # The member ID in the middle makes each identifier unique.
        yield Member(member_id, f"LOY-{member_id:06d}-{chance.randrange(10_000):04d}", segment)


def generate_states(seed: int, member: Member, now: dt.datetime) -> Iterator[dict[str, Any]]:
    """Generate the offer states that a member got in the months before `now`, oldest first, as rows of the store."""
    chance = _chance(seed, "states", member.member_id)
    offers = {offer.offer_id: offer for offer in OFFERS}
    weights = [6 if campaign.segment == member.segment else 1 for campaign in CAMPAIGNS]
    count = chance.randint(*_STATES_PER_MEMBER[member.segment])
    days_ago = sorted((chance.uniform(0.05, HISTORY_DAYS) for _ in range(count)), reverse=True)
    this_second = now.replace(microsecond=0)
    for days in days_ago:
        campaign = chance.choices(CAMPAIGNS, weights)[0]
        issued = this_second - dt.timedelta(seconds=int(days * 86_400))
        fate = chance.choices(list(_FATES), list(_FATES.values()))[0]
        yield _one_state(chance, member, campaign, offers[campaign.offer_id], issued=issued, fate=fate, now=this_second)


def _one_state(
    chance: random.Random,
    member: Member,
    campaign: Campaign,
    offer: Offer,
    *,
    issued: dt.datetime,
    fate: str,
    now: dt.datetime,
) -> dict[str, Any]:
    expires = issued + dt.timedelta(days=offer.valid_days)
    # A redemption or a void happens before the offer state expires, and before now.
    span_s = (min(expires, now) - issued).total_seconds()
    happened = issued + dt.timedelta(seconds=int(span_s * chance.betavariate(1.3, 3)))
    store_id = chance.randint(501, 540)
    activities: list[dict[str, Any]] = [
        {"type": "issued", "created_at": to_text(issued), "campaign": campaign.campaign_xid}
    ]
    value = chance.randrange(offer.value_required) if offer.value_required else 0
    if fate == "redeemed":
        value = offer.value_required
        activities.append({"type": "redeemed", "created_at": to_text(happened), "value": value, "store_id": store_id})
    elif fate == "voided":
        activities.append({"type": "voided", "created_at": to_text(happened)})
    has_dates = chance.random() < 0.6
    return {
        "member_id": member.member_id,
        "offer_id": offer.offer_id,
        "campaign_id": campaign.campaign_id,
        "status": fate,
        "value": value,
        "locked": int(fate == "incomplete" and chance.random() < 0.01),
        "external_ref_id": f"{campaign.campaign_xid.lower()}-{chance.getrandbits(40):010x}",
        "created_at": to_text(issued),
        "updated_at": to_text(issued if fate == "incomplete" else happened),
        "activates_at": to_text(issued) if has_dates else None,
        "expires_at": to_text(expires) if has_dates else None,
        "effective_expires_at": to_text(expires),
        "activities": activities,
    }


def _chance(seed: int, kind: str, member_id: int) -> random.Random:
    """Return a random generator for one member, so that the number of members does not change any of them."""
    return random.Random(f"{seed}/{kind}/{member_id}")  # noqa: S311 - sample data, not secret
