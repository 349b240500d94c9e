"""What the state at the service proves about a row whose response was lost."""

from __future__ import annotations

import pytest

from sparkfly_nb.bulk.engine.reconcile import Proof, mismatch_of, prove, shows
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.records import Row, RowEvidence
from sparkfly_nb.frames.lifecycle import lifecycle_of

ISSUE, VOID, UPDATE, REDEEM = (OPERATIONS[name] for name in ("issue", "void", "update", "redeem"))
SENT = {"campaign_id": "SUMMER26", "member_id": 1009, "external_ref_id": "r-1", "expires_at": "2030-06-01T00:00:00Z"}
FOUND = {"offer_state_id": 7, "member_id": 1009, "offer_id": 301, "status": "incomplete",
         "credential_identifier": "VK32", "activates_at": None, "expires_at": "2030-06-01T00:00:00Z"}  # fmt: skip
IDS = {"member_id": 1009, "offerstate_id": 7}


def proved(operation, sent, *found):
    return prove(operation, Row(4, sent), RowEvidence(4, list(found)))


# ---- prove -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_prove_returns_unknown_if_the_readback_failed(operation):
    assert prove(operation, Row(4, SENT), RowEvidence(4, None, "timed out")) is Proof.UNKNOWN


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_prove_returns_absent_if_nothing_was_found(operation):
    assert proved(operation, SENT) is Proof.ABSENT


@pytest.mark.parametrize("status", ["incomplete", "redeemed", "voided", None])
def test_issue_with_its_reference_found_is_issued_whatever_its_status(status):
    outcome = proved(ISSUE, SENT, {**FOUND, "status": status, "expires_at": "2031-01-01T00:00:00Z"})

    assert (outcome.position, outcome.outcome, outcome.settled_by) == (4, "issued", "readback")
    assert (outcome.offer_state_id, outcome.member_id, outcome.offer_id) == (7, 1009, 301)
    assert (outcome.credential_identifier, outcome.expires_at) == ("VK32", "2031-01-01T00:00:00Z")
    assert (outcome.http_status, outcome.error, outcome.trace, outcome.attempts) == (None, None, None, 0)


def test_two_offer_states_with_one_reference_are_reported_with_both_ids():
    outcome = proved(ISSUE, SENT, FOUND, {**FOUND, "offer_state_id": 8})

    assert (outcome.outcome, outcome.offer_state_id) == ("issued", 7)
    assert outcome.error == "duplicate: the offer states 7, 8 carry the reference of this row"


@pytest.mark.parametrize("status", ["voided", "VOID", " Voided "])
def test_void_is_done_if_the_status_is_voided(status):
    assert proved(VOID, IDS, {**FOUND, "status": status}).outcome == "voided"


@pytest.mark.parametrize("status", ["incomplete", "redeemed", "expired", "frozen", None])
def test_void_is_absent_for_any_other_status(status):
    assert proved(VOID, IDS, {**FOUND, "status": status}) is Proof.ABSENT


@pytest.mark.parametrize("status", ["redeemed", "complete", "completed"])
def test_redemption_is_done_if_the_status_is_redeemed(status):
    assert proved(REDEEM, IDS, {**FOUND, "status": status}).outcome == "redeemed"


@pytest.mark.parametrize("status", ["used up", None])
def test_redemption_is_unknown_if_the_status_is_unclear(status):
    assert proved(REDEEM, IDS, {**FOUND, "status": status}) is Proof.UNKNOWN


@pytest.mark.parametrize("status", ["incomplete", "voided", "expired"])
def test_redemption_is_absent_for_any_other_known_status(status):
    assert proved(REDEEM, IDS, {**FOUND, "status": status}) is Proof.ABSENT


def test_redemption_with_fields_needs_the_status_and_the_fields():
    redeemed = {**FOUND, "status": "redeemed"}

    assert proved(REDEEM, {**IDS, "value": 5}, {**redeemed, "value": 5}).outcome == "redeemed"
    assert proved(REDEEM, {**IDS, "value": 5}, {**redeemed, "value": 4}) is Proof.ABSENT
    assert proved(REDEEM, {**IDS, "value": 5}, {**FOUND, "value": 5}) is Proof.ABSENT


def test_redemption_with_a_status_needs_that_status():
    assert proved(REDEEM, {**IDS, "status": "parked"}, {**FOUND, "status": "parked"}).outcome == "redeemed"
    assert proved(REDEEM, {**IDS, "status": "parked"}, {**FOUND, "status": "redeemed"}) is Proof.ABSENT


def test_update_is_done_if_every_field_has_the_requested_value():
    requested = {**IDS, "value": 2, "expires_at": "2030-06-01T00:00:00Z"}

    assert proved(UPDATE, requested, {**FOUND, "value": 2}).outcome == "updated"
    assert (
        proved(UPDATE, requested, {**FOUND, "value": 2, "expires_at": "2030-06-01T02:00:00+02:00"}).outcome == "updated"
    )
    assert proved(UPDATE, requested, {**FOUND, "value": 1}) is Proof.ABSENT
    assert proved(UPDATE, requested, {**FOUND, "value": 2, "expires_at": None}) is Proof.ABSENT


@pytest.mark.parametrize("shown", [FOUND, {**FOUND, "value": "a lot"}, {**FOUND, "value": 2, "expires_at": "soon"}])
def test_update_is_unknown_if_a_field_is_missing_or_unreadable(shown):
    requested = {**IDS, "value": 2, "expires_at": "2030-06-01T00:00:00Z"}

    assert proved(UPDATE, requested, shown) is Proof.UNKNOWN
    assert proved(UPDATE, {**requested, "locked": True}, {**shown, "locked": False}) is Proof.ABSENT


def test_identifying_values_are_not_compared():
    requested = {
        "member_id": 1,
        "member_identifier": "M",
        "offerstate_id": 2,
        "external_ref_id": "r",
        "campaign_id": "C",
    }

    assert proved(UPDATE, {**requested, "value": 2}, {**FOUND, "value": 2}).outcome == "updated"


# ---- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "lifecycle"),
    [("incomplete", "open"), (" Redeemed", "redeemed"), ("EXPIRED", "expired"), ("void", "voided"), ("odd", None),
     (None, None), (7, None)],
)  # fmt: skip
def test_lifecycle_of_known_statuses(status, lifecycle):
    assert lifecycle_of(status) == lifecycle


def test_lifecycle_of_a_missing_status_is_none():
    assert lifecycle_of(None) is None


@pytest.mark.parametrize("name", ["activates_at", "expires_at"])
@pytest.mark.parametrize(
    ("requested", "found", "is_shown"),
    [
        ("2030-06-01T00:00:00Z", "2030-06-01T02:00:00+02:00", True),
        ("2030-06-01T00:00:00.75Z", "2030-06-01T00:00:00Z", True),
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00:00.25Z", True),
        ("2030-06-01T00:00:00Z", "2030-06-01T00:00:01Z", False),
        ("2030-06-01T00:00:00Z", None, False),
        ("2030-06-01T00:00:00Z", "soon", None),
    ],
)
def test_times_are_compared_as_instants_to_the_second(name, requested, found, is_shown):
    assert shows({name: found}, name, requested) is is_shown


@pytest.mark.parametrize(
    ("requested", "found", "is_shown"), [(2, 2, True), (2, 3, False), ("2", 2, None), (True, None, False)]
)
def test_other_fields_are_compared_by_value_and_type(requested, found, is_shown):
    assert shows({"value": found}, "value", requested) is is_shown
    assert shows({}, "value", requested) is None


# ---- mismatch_of -----------------------------------------------------------------------------------------------------


def mismatch(*found, error=None, **changes):
    reading = RowEvidence(4, None, error) if error else RowEvidence(4, list(found))
    return mismatch_of(Row(4, {**SENT, **changes}), {"offer_state_id": 7}, reading)


def test_mismatch_is_none_if_id_and_dates_agree():
    assert mismatch(FOUND) is None
    assert mismatch({**FOUND, "expires_at": "2030-06-01T02:00:00.000+02:00"}) is None, "another format of the same time"
    assert mismatch({**FOUND, "member_id": 5, "status": "voided"}) is None, "only the ID and the dates are compared"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "the service has 0 offer states instead of one"),
        ([FOUND, FOUND], "the service has 2 offer states instead of one"),
        ([{**FOUND, "offer_state_id": 8}], "the service has offer state 8, not 7"),
        ([{**FOUND, "expires_at": "2031-01-01"}], "expires_at is 2031-01-01, not 2030-06-01T00:00:00Z"),
        ([{**FOUND, "expires_at": None}], "expires_at is None, not 2030-06-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_mismatch_describes_the_mismatch(found, why):
    assert mismatch(*found) == why


def test_mismatch_compares_every_date_that_was_sent():
    assert mismatch(FOUND, activates_at="2030-05-01T00:00:00Z") == "activates_at is None, not 2030-05-01T00:00:00Z"


def test_mismatch_contains_the_reason_of_a_failed_readback():
    assert mismatch(error="timed out") == "it could not be checked: timed out"
