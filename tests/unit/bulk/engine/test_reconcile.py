"""What a read-back proves of a row, case by case, without a service."""

from __future__ import annotations

import pytest

from sparkfly_nb.bulk.engine.reconcile import Proof, mismatch_of, prove, shows
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.records import Row, RowEvidence
from sparkfly_nb.frames.lifecycle import lifecycle_of

ISSUE, VOID, UPDATE, REDEEM = (OPERATIONS[name] for name in ("issue", "void", "update", "redeem"))
SENT = {"campaign_id": "SUMMER26", "member_id": 1009, "external_ref_id": "r-1", "expires_at": "2030-06-01T00:00:00Z"}
HELD = {"offer_state_id": 7, "member_id": 1009, "offer_id": 301, "status": "incomplete",
        "credential_identifier": "VK32", "activates_at": None, "expires_at": "2030-06-01T00:00:00Z"}  # fmt: skip
KEYS = {"member_id": 1009, "offerstate_id": 7}


def judged(operation, sent, *found):
    return prove(operation, Row(4, sent), RowEvidence(4, list(found)))


# ---- prove -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_could_not_be_read_proves_nothing(operation):
    assert prove(operation, Row(4, SENT), RowEvidence(4, None, "timed out")) is Proof.UNKNOWN


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_is_not_there_did_not_happen(operation):
    assert judged(operation, SENT) is Proof.ABSENT


@pytest.mark.parametrize("status", ["incomplete", "redeemed", "voided", None])
def test_an_issue_whose_reference_is_there_was_issued_whatever_became_of_it(status):
    outcome = judged(ISSUE, SENT, {**HELD, "status": status, "expires_at": "2031-01-01T00:00:00Z"})

    assert (outcome.position, outcome.outcome, outcome.settled_by) == (4, "issued", "readback")
    assert (outcome.offer_state_id, outcome.member_id, outcome.offer_id) == (7, 1009, 301)
    assert (outcome.credential_identifier, outcome.expires_at) == ("VK32", "2031-01-01T00:00:00Z")
    assert (outcome.http_status, outcome.error, outcome.trace, outcome.attempts) == (None, None, None, 0)


def test_a_second_offer_state_of_one_reference_is_said_with_both_ids():
    outcome = judged(ISSUE, SENT, HELD, {**HELD, "offer_state_id": 8})

    assert (outcome.outcome, outcome.offer_state_id) == ("issued", 7)
    assert outcome.error == "duplicate: the offer states 7, 8 carry the reference of this row"


@pytest.mark.parametrize("status", ["voided", "VOID", " Voided "])
def test_a_void_is_done_where_the_status_says_so(status):
    assert judged(VOID, KEYS, {**HELD, "status": status}).outcome == "voided"


@pytest.mark.parametrize("status", ["incomplete", "redeemed", "expired", "frozen", None])
def test_a_void_is_not_done_where_the_status_says_something_else(status):
    assert judged(VOID, KEYS, {**HELD, "status": status}) is Proof.ABSENT


@pytest.mark.parametrize("status", ["redeemed", "complete", "completed"])
def test_a_redemption_is_done_where_the_status_says_so(status):
    assert judged(REDEEM, KEYS, {**HELD, "status": status}).outcome == "redeemed"


@pytest.mark.parametrize("status", ["used up", None])
def test_a_redemption_may_be_done_where_the_status_cannot_be_understood(status):
    assert judged(REDEEM, KEYS, {**HELD, "status": status}) is Proof.UNKNOWN


@pytest.mark.parametrize("status", ["incomplete", "voided", "expired"])
def test_a_redemption_is_not_done_where_the_status_says_something_else(status):
    assert judged(REDEEM, KEYS, {**HELD, "status": status}) is Proof.ABSENT


def test_a_redemption_that_set_fields_shows_them_as_well():
    redeemed = {**HELD, "status": "redeemed"}

    assert judged(REDEEM, {**KEYS, "value": 5}, {**redeemed, "value": 5}).outcome == "redeemed"
    assert judged(REDEEM, {**KEYS, "value": 5}, {**redeemed, "value": 4}) is Proof.ABSENT
    assert judged(REDEEM, {**KEYS, "value": 5}, {**HELD, "value": 5}) is Proof.ABSENT


def test_a_redemption_that_named_a_status_shows_that_status():
    assert judged(REDEEM, {**KEYS, "status": "parked"}, {**HELD, "status": "parked"}).outcome == "redeemed"
    assert judged(REDEEM, {**KEYS, "status": "parked"}, {**HELD, "status": "redeemed"}) is Proof.ABSENT


def test_an_update_is_done_where_every_field_shows_what_was_asked():
    asked = {**KEYS, "value": 2, "expires_at": "2030-06-01T00:00:00Z"}

    assert judged(UPDATE, asked, {**HELD, "value": 2}).outcome == "updated"
    assert judged(UPDATE, asked, {**HELD, "value": 2, "expires_at": "2030-06-01T02:00:00+02:00"}).outcome == "updated"
    assert judged(UPDATE, asked, {**HELD, "value": 1}) is Proof.ABSENT
    assert judged(UPDATE, asked, {**HELD, "value": 2, "expires_at": None}) is Proof.ABSENT


@pytest.mark.parametrize("shown", [HELD, {**HELD, "value": "a lot"}, {**HELD, "value": 2, "expires_at": "soon"}])
def test_a_field_that_is_not_shown_or_cannot_be_read_proves_nothing(shown):
    asked = {**KEYS, "value": 2, "expires_at": "2030-06-01T00:00:00Z"}

    assert judged(UPDATE, asked, shown) is Proof.UNKNOWN
    assert judged(UPDATE, {**asked, "locked": True}, {**shown, "locked": False}) is Proof.ABSENT


def test_keys_say_who_is_changed_and_not_what():
    asked = {"member_id": 1, "member_identifier": "M", "offerstate_id": 2, "external_ref_id": "r", "campaign_id": "C"}

    assert judged(UPDATE, {**asked, "value": 2}, {**HELD, "value": 2}).outcome == "updated"


# ---- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [("incomplete", "open"), (" Redeemed", "redeemed"), ("EXPIRED", "expired"), ("void", "voided"), ("odd", None),
     (None, None), (7, None)],
)  # fmt: skip
def test_a_status_that_speaks_for_itself_is_understood(status, lifecycle):
    assert lifecycle_of(status) == lifecycle


def test_a_state_without_a_status_stands_nowhere():
    assert lifecycle_of(None) is None


@pytest.mark.parametrize("name", ["activates_at", "expires_at"])
@pytest.mark.parametrize(
    ("asked", "found", "is_shown"),
    [
        ("2030-06-01T00:00:00Z", "2030-06-01T02:00:00+02:00", True),
        ("2030-06-01T00:00:00.75Z", "2030-06-01T00:00:00Z", True),
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00:00.25Z", True),
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00:01Z", False),
        ("2030-06-01T00:00:00Z", None, False),
        ("2030-06-01T00:00:00Z", "soon", None),
    ],
)
def test_times_are_compared_as_moments_to_the_second(name, asked, found, is_shown):
    assert shows({name: found}, name, asked) is is_shown


@pytest.mark.parametrize(
    ("asked", "found", "is_shown"), [(2, 2, True), (2, 3, False), ("2", 2, None), (True, None, False)]
)
def test_other_fields_are_compared_as_they_are(asked, found, is_shown):
    assert shows({"value": found}, "value", asked) is is_shown
    assert shows({}, "value", asked) is None


# ---- the canary ------------------------------------------------------------------------------------------------------


def contradiction(*found, error=None, **changes):
    reading = RowEvidence(4, None, error) if error else RowEvidence(4, list(found))
    return mismatch_of(Row(4, {**SENT, **changes}), {"offer_state_id": 7}, reading)


def test_a_service_that_shows_what_it_confirmed_agrees():
    assert contradiction(HELD) is None
    assert contradiction({**HELD, "expires_at": "2030-06-01T02:00:00.000+02:00"}) is None, "in its own spelling"
    assert contradiction({**HELD, "member_id": 5, "status": "voided"}) is None, "the id and the dates are held to it"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "the service has 0 offer states instead of one"),
        ([HELD, HELD], "the service has 2 offer states instead of one"),
        ([{**HELD, "offer_state_id": 8}], "the service has offer state 8, not 7"),
        ([{**HELD, "expires_at": "2031-01-01"}], "expires_at is 2031-01-01, not 2030-06-01T00:00:00Z"),
        ([{**HELD, "expires_at": None}], "expires_at is None, not 2030-06-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_a_service_that_contradicts_what_it_confirmed_is_said_in_words(found, why):
    assert contradiction(*found) == why


def test_every_date_that_was_sent_is_held_to():
    assert contradiction(HELD, activates_at="2030-05-01T00:00:00Z") == "activates_at is None, not 2030-05-01T00:00:00Z"


def test_what_could_not_be_read_back_says_why():
    assert contradiction(error="timed out") == "it could not be checked: timed out"
