"""The operations of the sandbox over HTTP behave as the documentation of the service describes."""

from __future__ import annotations

import pytest

from sparkfly_nb.schema import OFFER_STATE

MEMBER, OTHER = 1009, 1010


def address(state_id, member_id=MEMBER):
    return f"/members/{member_id}/offer_states/{state_id}"


def identifier_of(sandbox, member_id=MEMBER):
    return next(member["member_identifier"] for member in sandbox.members() if member["member_id"] == member_id)


def states_of_reference(sandbox, reference):
    return [state for state in sandbox.truth(generated=False)["offer_states"] if state["external_ref_id"] == reference]


# ---- issuing ---------------------------------------------------------------------------------------------------------


def test_issue_receipt_has_the_documented_fields(client):
    response = client.issue(member_id=MEMBER, external_ref_id="receipt", expires_at="2099-01-01T01:00:00+02:00")

    receipt = response.json()["offer_state"]
    assert response.status_code == 201
    assert receipt.keys() == {"id", "member_id", "offer_id", "campaign_id", "expires_at", "credential_identifier"}
    assert (receipt["campaign_id"], receipt["expires_at"]) == ("SUMMER26", "2098-12-31T23:00:00Z")


def test_issue_accepts_a_loyalty_identifier(client, sandbox):
    response = client.issue(member_identifier=identifier_of(sandbox))

    assert response.json()["offer_state"]["member_id"] == MEMBER


def test_query_by_shared_reference_returns_the_oldest(client, sandbox):
    first = client.issue_new(MEMBER, external_ref_id="twice")
    client.issue_new(OTHER, external_ref_id="twice")

    found = client.call("GET", "/members/offer_states", query={"external_ref_id": "twice"}).json()["offer_state"]

    assert (len(states_of_reference(sandbox, "twice")), found["offer_state_id"]) == (2, first)


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"member_id": MEMBER, "campaign_id": "SPRING26"}, 422),  # suspended
        ({"member_id": MEMBER, "campaign_id": "WINTER25"}, 422),  # its offer is not active
        ({"member_id": MEMBER, "campaign_id": "NOSUCH"}, 404),
        ({"member_id": 1}, 404),
        ({"member_identifier": "nobody"}, 404),
        ({}, 422),
        ({"member_id": MEMBER, "member_identifier": "LOY"}, 422),
        ({"member_id": str(MEMBER)}, 422),
        ({"member_id": 2**63}, 422),
        ({"member_id": 10**400}, 422),
        ({"member_id": MEMBER, "expires_at": "2026-06-30T12:00:00"}, 422),  # no offset
        ({"member_id": MEMBER, "expires_at": "2026-02-30T12:00:00Z"}, 422),
        ({"member_id": MEMBER, "expires_at": "0001-01-01T00:00:00+23:00"}, 422),
        ({"member_id": MEMBER, "activates_at": "2030-01-02T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"}, 422),
        ({"member_id": MEMBER, "external_ref_id": "a\0b"}, 422),
        ({"member_id": MEMBER, "external_ref_id": 7}, 422),
        ({"member_id": MEMBER, "colour": "green"}, 422),
    ],
)
def test_invalid_issue_is_rejected_and_creates_nothing(values, status, client, sandbox):
    before = len(sandbox.truth()["offer_states"])

    response = client.issue(**values)

    assert (response.status_code, "error" in response.json()) == (status, True)
    assert len(response.json().get("trace", "")) == (30 if status == 422 else 0)
    assert len(sandbox.truth()["offer_states"]) == before


# ---- creating from offers, channels and tokens -----------------------------------------------------------------------


@pytest.mark.parametrize("query", [{"offer_id": 301}, {"channel_id": 11}, {"offer_id": 301, "channel_id": 11}])
def test_create_accepts_offer_and_channel(query, client):
    response = client.call("POST", f"/members/{MEMBER}/offer_states", {"external_ref_id": "created"}, query=query)

    state = response.json()["offer_state"]
    assert (response.status_code, state["offer_id"], state["member_id"], state["status"]) == (
        200, 301, MEMBER, "incomplete",
    )  # fmt: skip


@pytest.mark.parametrize("query", [{}, {"offer_id": 302, "channel_id": 11}, {"channel_id": 16}, {"offer_id": 307}])
def test_create_rejects_missing_contradictory_or_ended_sources(query, client):
    response = client.call("POST", f"/members/{MEMBER}/offer_states", query=query)

    assert response.status_code == 422


def test_token_transfers_the_offer_state_to_another_member(client):
    state_id = client.issue_new(MEMBER)
    token = client.state(MEMBER, state_id)["token"]

    moved = client.call("POST", f"/members/{OTHER}/offer_states", query={"token": token}).json()["offer_state"]

    assert (moved["offer_state_id"], moved["member_id"]) == (state_id, OTHER)
    assert client.call("GET", address(state_id)).status_code == 404
    assert moved["offer_activities"][-1]["type"] == "transferred"


def test_token_assigns_an_offer_state_without_a_member(client):
    created = client.call("POST", "/members/offer_states", query={"offer_id": 302})
    state = created.json()["offer_state"]

    taken = client.call("POST", f"/members/{OTHER}/offer_states", query={"token": state["token"]})

    assert (created.status_code, state["member_id"], taken.json()["offer_state"]["member_id"]) == (201, None, OTHER)


def test_offer_state_that_is_not_transferable_stays(client):
    state_id = client.issue_new(MEMBER, "VIP26")
    token = client.state(MEMBER, state_id)["token"]

    response = client.call("POST", f"/members/{OTHER}/offer_states", query={"token": token})

    assert (response.status_code, client.state(MEMBER, state_id)["member_id"]) == (403, MEMBER)


# ---- reading ---------------------------------------------------------------------------------------------------------


def test_offer_state_has_every_documented_field(client):
    assert client.state(MEMBER, client.issue_new(MEMBER)).keys() == OFFER_STATE.keys()


@pytest.mark.parametrize("way", ["token", "credential_identifier", "external_ref_id"])
def test_query_finds_an_offer_state_by_each_identifier(way, client):
    state = client.state(MEMBER, client.issue_new(MEMBER, external_ref_id="marked"))

    found = client.call("GET", "/members/offer_states", query={way: state[way]}).json()["offer_state"]

    assert found[way] == state[way]


def test_pages_have_50_entries_by_default_and_list_each_state_once(client):
    for _ in range(60):
        client.issue(member_id=1011)
    path = "/members/1011/offer_states"

    pages = [client.call("GET", path, query={"page": page}).json() for page in (1, 2, 3)]
    whole = client.call("GET", path, query={"per_page": 5000}).json()

    listed = [entry["offer_state"]["offer_state_id"] for page in pages for entry in page["offer_states"]]
    assert (pages[0]["per_page"], len(pages[0]["offer_states"]), pages[2]["offer_states"]) == (50, 50, [])
    assert listed == [entry["offer_state"]["offer_state_id"] for entry in whole["offer_states"]]
    assert len(listed) == whole["total_entries"]


def test_page_has_at_most_5000_entries(client):
    page = client.call("GET", f"/members/{MEMBER}/offer_states", query={"per_page": 2**63 - 1}).json()

    assert page["per_page"] == 5000


# ---- changing --------------------------------------------------------------------------------------------------------


def test_redeemed_offer_state_cannot_be_redeemed_updated_or_voided(client):
    state_id = client.issue_new(MEMBER)

    redeemed = client.call("POST", address(state_id), {}).json()["offer_state"]
    again = [
        client.call("POST", address(state_id), {}),
        client.call("PUT", address(state_id), {"expires_at": "2099-01-01T00:00:00Z"}),
        client.call("POST", f"{address(state_id)}/void"),
    ]

    assert (redeemed["status"], redeemed["offer_activities"][-1]["type"]) == ("redeemed", "redeemed")
    assert [response.status_code for response in again] == [422, 422, 403]


def test_voided_offer_state_stays_voided(client, sandbox):
    state_id = client.issue_new(MEMBER)

    voided = client.call("POST", f"{address(state_id)}/void")
    again = client.call("POST", f"{address(state_id)}/void")
    by_identifier = client.call(
        "POST", f"/members/offer_states/{state_id}/void", query={"member_identifier": identifier_of(sandbox)}
    )
    redeemed = client.call("POST", address(state_id), {})

    assert (voided.status_code, voided.content) == (200, b"")
    assert (again.status_code, again.json().keys()) == (422, {"error", "trace"})
    assert (by_identifier.status_code, redeemed.status_code) == (422, 422)
    assert client.state(MEMBER, state_id)["status"] == "voided"


@pytest.mark.parametrize("query", [{"member_identifier": "nobody"}, {}])
def test_void_requires_the_holder_of_the_offer_state(query, client):
    response = client.call("POST", f"/members/offer_states/{client.issue_new(MEMBER)}/void", query=query)

    assert (response.status_code, response.json().keys()) == (404 if query else 422, {"error", "trace"})


def test_update_changes_dates_and_effective_dates(client):
    state_id = client.issue_new(MEMBER)

    client.call("PUT", address(state_id), {"expires_at": "2031-05-06T07:08:09.123456789Z", "value": 2})

    state = client.state(MEMBER, state_id)
    assert state["expires_at"] == state["effective_expires_at"] == "2031-05-06T07:08:09.123456789Z"
    assert state["value"] == 2


@pytest.mark.parametrize(
    "change",
    [
        {"status": "unheard of"},
        {"member_id": OTHER},
        {"offer_id": 302},
        {"value": -1},
        {"locked": "yes"},
        {"expires_at": "2030-01-01T00:00:00Z", "activates_at": "2030-01-01T00:00:00Z"},
    ],
)
def test_invalid_update_changes_nothing(change, client):
    state_id = client.issue_new(MEMBER)
    before = client.state(MEMBER, state_id)

    response = client.call("PUT", address(state_id), change)

    assert (response.status_code, client.state(MEMBER, state_id)) == (422, before)


@pytest.mark.parametrize(
    "dates", [{"expires_at": "2020-01-01T00:00:00Z"}, {"activates_at": "2098-01-01T00:00:00Z"}], ids=["past", "future"]
)
def test_expired_or_scheduled_offer_state_cannot_be_redeemed(dates, client):
    state_id = client.issue_new(MEMBER, **dates)

    response = client.call("POST", address(state_id), {})

    assert (response.status_code, client.state(MEMBER, state_id)["status"]) == (422, "incomplete")


def test_locked_offer_state_is_redeemable_only_after_unlocking(client):
    state_id = client.issue_new(MEMBER)
    client.call("PUT", address(state_id), {"locked": True})

    locked = client.call("POST", address(state_id), {}).status_code
    client.call("PUT", address(state_id), {"locked": False})
    unlocked = client.call("POST", address(state_id), {}).status_code

    assert (locked, unlocked) == (403, 200)


def test_value_based_offer_is_redeemed_at_its_required_value(client):
    state_id = client.issue_new(MEMBER, "TENCUPS")

    partly = client.call("POST", address(state_id), {"value": 4}).json()["offer_state"]
    wholly = client.call("POST", address(state_id), {"value": 10}).json()["offer_state"]

    assert [(state["status"], state["value"]) for state in (partly, wholly)] == [("incomplete", 4), ("redeemed", 10)]


def test_offer_state_lists_its_activities_with_times(client):
    state_id = client.issue_new(MEMBER)
    client.call("PUT", address(state_id), {"value": 1})
    client.call("POST", f"{address(state_id)}/void")

    activities = client.state(MEMBER, state_id)["offer_activities"]

    assert [activity["type"] for activity in activities] == ["issued", "updated", "voided"]
    assert all(activity["created_at"].endswith("Z") for activity in activities)
