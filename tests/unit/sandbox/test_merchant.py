"""The generated merchant of the sandbox is realistic, and the same for the same seed."""

from __future__ import annotations

import datetime as dt

import pytest

from sparkfly_nb.sandbox.clock import SandboxClock, read_rfc3339
from sparkfly_nb.sandbox.merchant import CAMPAIGNS, CHANNELS, OFFERS
from sparkfly_nb.sandbox.store import Store, credential_of, state_of_credential

NOON = dt.datetime(2026, 6, 30, 12, tzinfo=dt.timezone.utc)


def begins_with(seed=7, members=60, now=NOON):
    store = Store(None, seed=seed, members=members, clock=SandboxClock(now))
    try:
        return store.members(None), store.all_states(generated=True)
    finally:
        store.close()


def test_same_seed_generates_the_same_merchant():
    assert begins_with(seed=5) == begins_with(seed=5)


def test_different_seed_generates_a_different_merchant():
    members, states = begins_with(seed=5)
    other_members, other_states = begins_with(seed=6)

    assert members != other_members
    assert states != other_states


def test_larger_merchant_starts_with_the_same_members():
    assert begins_with(members=30)[0] == begins_with(members=60)[0][:30]


def test_generated_states_cover_all_lifecycles_over_half_a_year():
    members, states = begins_with()

    open_ones = [state for state in states if state["status"] == "incomplete"]
    expired = [state for state in open_ones if state["effective_expires_at"] < "2026-06-30T12"]
    counts = [sum(state["status"] == status for state in states) for status in ("redeemed", "voided")]
    assert len(states) > 5 * len(members)
    assert min(*counts, len(expired), len(open_ones) - len(expired)) > 10
    assert len({state["created_at"][:7] for state in states}) >= 6


def test_generated_states_are_in_the_past_and_ordered_by_id():
    _, states = begins_with()
    created = [state["created_at"] for state in states]

    assert created == sorted(created)
    assert all(state["created_at"] <= state["updated_at"] < "2026-06-30T12" for state in states)


def test_redeemed_and_voided_states_have_a_dated_activity():
    _, states = begins_with()

    assert all(
        f'"type":"{state["status"]}"' in state["activities"] and state["updated_at"] in state["activities"]
        for state in states
        if state["status"] != "incomplete"
    )


def test_members_and_references_are_unique():
    members, states = begins_with(members=300)

    assert len({member.member_identifier for member in members}) == 300
    assert len({state["external_ref_id"] for state in states}) == len(states)


def test_merchant_has_a_suspended_and_an_ended_campaign():
    active = {offer.offer_id: offer.active for offer in OFFERS}
    campaigns = {campaign.campaign_xid: campaign for campaign in CAMPAIGNS}

    assert campaigns["SPRING26"].status == "suspended"
    assert not active[campaigns["WINTER25"].offer_id]
    assert {channel.campaign_id for channel in CHANNELS} <= {campaign.campaign_id for campaign in CAMPAIGNS}


def test_each_credential_belongs_to_one_offer_state():
    keys = range(1, 50_000, 7)

    assert [state_of_credential(credential_of(key)) for key in keys] == list(keys)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2023-06-22T18:36:32.271393505Z", "2023-06-22T18:36:32.271393505Z"),
        ("2023-06-22T18:36:32.500+02:00", "2023-06-22T16:36:32.5Z"),
        ("2023-06-22 18:36:32z", "2023-06-22T18:36:32Z"),
        ("2023-06-22T18:36:32.000Z", "2023-06-22T18:36:32Z"),
    ],
)
def test_times_are_converted_to_utc_to_the_nanosecond(sent, kept):
    assert read_rfc3339(sent) == kept
