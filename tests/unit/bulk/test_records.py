"""Recorded rows are read as they were written, and become what is sent."""

from __future__ import annotations

import pytest

from sparkfly_nb.bulk.records import Row, Run, done_outcome, payload_of, row_to_send
from sparkfly_nb.errors import LedgerError

RUN = Run(
    "june", "issue", "d" * 64, "sandbox", "http://127.0.0.1/v1.0", "SUMMER26", None, 1, "ann", "host", "1", "t", None
)
VOID = RUN._replace(operation="void", campaign_id=None)


def test_issue_row_is_sent_with_campaign_reference_and_payload():
    row = row_to_send(RUN, 3, 1009, None, None, "nb-x", '{"expires_at":"2030-01-01T00:00:00Z"}', 1)

    sent = {
        "expires_at": "2030-01-01T00:00:00Z",
        "campaign_id": "SUMMER26",
        "member_id": 1009,
        "external_ref_id": "nb-x",
    }
    assert row == Row(3, sent, 1)


def test_member_id_is_preferred_to_the_identifier():
    assert row_to_send(VOID, 0, 1009, "M-1009", 7, None, None, 0).sent == {"member_id": 1009, "offerstate_id": 7}
    assert row_to_send(VOID, 0, None, "M-1009", 7, None, None, 0).sent == {
        "member_identifier": "M-1009",
        "offerstate_id": 7,
    }


def test_recorded_field_that_the_operation_cannot_set_is_refused():
    with pytest.raises(LedgerError, match="row 4 of run 'june'"):
        row_to_send(RUN, 4, 1009, None, None, "nb-x", '{"status": "redeemed"}', 0)


@pytest.mark.parametrize("recorded", ["[]", "7", "{", '"text"'])
def test_payload_that_is_not_an_object_is_refused(recorded):
    with pytest.raises(LedgerError, match="changed by hand"):
        payload_of(recorded)


def test_row_without_a_payload_carries_nothing():
    assert payload_of(None) == {}


def test_outcome_has_the_ids_of_the_record_and_otherwise_those_that_were_sent():
    sent = Row(5, {"member_id": 1, "offerstate_id": 7})

    assert done_outcome(sent, "voided", {}, settled_by="response")[7:9] == (7, 1)
    record = {
        "offer_state_id": "8",
        "member_id": 2,
        "offer_id": 2**63,
        "credential_identifier": "a\x00b",
        "expires_at": 7,
    }
    outcome = done_outcome(sent, "updated", record, settled_by="readback", attempts=2)
    assert (outcome.offer_state_id, outcome.member_id, outcome.offer_id, outcome.attempts) == (8, 2, None, 2)
    assert (outcome.credential_identifier, outcome.expires_at) == ("a\N{REPLACEMENT CHARACTER}b", None)
