"""Tests of the scope: campaign, offer and time span."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import numpy as np
import pytest
from audit_world import World, at, kinds, state

from sparkfly_nb.errors import InvalidInput

OTHER = {"campaign_id": 42, "campaign_xid": "VIP26"}


def ids(audit):
    return audit.states["offer_state_id"].tolist()


@pytest.mark.parametrize("campaign", ["SUMMER26", 41, "41", np.int64(41), 41.0])
def test_campaign_is_found_by_xid_and_by_number(campaign):
    mine, other = state(1), state(1, **OTHER)

    assert ids(World([mine, other]).audit([1], campaign_id=campaign)) == [mine["offer_state_id"]]


def test_text_is_an_xid_before_it_is_a_number():
    by_xid = state(1, campaign_id=7, campaign_xid="1009")
    by_number = state(1, campaign_id=1009, campaign_xid="OTHER")

    assert ids(World([by_xid, by_number]).audit([1], campaign_id="1009")) == [by_xid["offer_state_id"]]
    assert ids(World([by_xid, by_number]).audit([1], campaign_id=1009)) == [by_number["offer_state_id"]]


def test_xid_is_recognized_across_all_parts_of_the_listing():
    states = [state(1, campaign_id=1009, campaign_xid="OTHER"), state(50, campaign_id=7, campaign_xid="1009")]

    assert ids(World(states, members_per_part=1).audit([1, 50], campaign_id="1009")) == [states[1]["offer_state_id"]]


@pytest.mark.parametrize("blank", [None, "", " "])
def test_offer_state_without_xid_matches_by_number_of_others(blank):
    states = [state(1), state(2, campaign_xid=blank), state(3, campaign_xid=blank, campaign_id=42)]

    audit = World(states).audit([1, 2, 3])

    assert ids(audit) == [states[0]["offer_state_id"], states[1]["offer_state_id"]]
    assert audit.complete


def test_member_with_uncertain_campaign_is_unread_not_missing():
    audit = World([state(1, campaign_xid="", campaign_id=42)]).audit([1, 2])

    assert kinds(audit) == {"missing": 1}
    assert audit.unread["member_id"].tolist() == [1]
    assert "only the campaign's number or only its XID" in audit.unread["reason"].iloc[0]


def test_offer_state_without_any_campaign_is_out_of_scope():
    audit = World([state(1, campaign_xid="", campaign_id=None)]).audit([1])

    assert audit.complete
    assert ids(audit) == []


def test_all_offer_states_are_in_scope_without_a_campaign():
    assert len(World([state(1), state(1, **OTHER), state(2)]).audit([1], campaign_id=None).states) == 2


def test_offer_id_narrows_the_scope():
    mine, other = state(1, offer_id=5), state(1)

    assert ids(World([mine, other]).audit([1], campaign_id=None, offer_id=5.0)) == [mine["offer_state_id"]]


def test_since_is_inclusive_and_until_exclusive():
    states = [state(1, created_at=at(day)) for day in ("06-01", "06-02", "06-03")]

    audit = World(states).audit([1], since=at("06-02"), until=dt.datetime(2026, 6, 3, tzinfo=dt.timezone.utc))

    assert ids(audit) == [states[1]["offer_state_id"]]


def test_offer_state_without_creation_time_is_in_every_time_span():
    assert len(World([state(1, created_at=None)]).audit([1], since=at("06-01")).states) == 1


def test_naive_time_is_in_the_time_zone_of_the_session():
    states = [state(1, created_at="2026-06-01T03:59:59Z"), state(1, created_at="2026-06-01T04:00:00Z")]

    audit = World(states).audit([1], since="2026-06-01", tz=zoneinfo.ZoneInfo("America/New_York"))

    assert ids(audit) == [states[1]["offer_state_id"]]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"since": "2026-06-01"}, "since: .*no time zone"),
        ({"since": at("06-02"), "until": at("06-01")}, "until must be later"),
        ({"offer_id": "abc"}, "offer_id: .*not a whole number"),
        ({"campaign_id": "a\nb"}, "campaign_id: .*control character"),
        ({"campaign_id": True}, "campaign_id"),
        ({"members": None}, "audit needs members= or run="),
    ],
)
def test_invalid_scope_is_rejected_before_any_request(scope, words):
    world = World([state(1)])

    with pytest.raises(InvalidInput, match=words):
        world.audit(**{"members": [1], **scope})
    assert world.requested == []
