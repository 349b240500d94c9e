"""Values are checked before a request is built from them."""

from __future__ import annotations

import re

import orjson
import pandas as pd
import pytest
from scripted_server import VALUES

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.errors import InvalidInput


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_build_wraps_body_fields_in_offer_state(name):
    endpoint = ENDPOINTS[name]
    request, sent = build(endpoint, VALUES[name])

    in_body = {
        field.name: sent[field.name] for field in endpoint.fields if field.place == "body" and field.name in sent
    }
    assert (orjson.loads(request.body) if request.body else None) == (
        {"offer_state": in_body} if endpoint.has_body else None
    )


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_build_omits_missing_values(missing):
    request, sent = build(ENDPOINTS["issue_offer"], {**VALUES["issue_offer"], "expires_at": missing})

    assert "expires_at" not in sent
    assert b"expires_at" not in request.body


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_build_requires_each_required_field(name):
    for field in ENDPOINTS[name].fields:
        if field.required:
            with pytest.raises(InvalidInput, match=f"{name}: {field.name} is missing"):
                build(ENDPOINTS[name], {**VALUES[name], field.name: None})


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("issue_offer", {"campaign_id": "C"}, "exactly one of member_id, member_identifier"),
        ("issue_offer", {"campaign_id": "C", "member_id": 1, "member_identifier": "m"}, "exclude each other"),
        ("query_offer_states", {}, "exactly one of"),
        ("query_offer_states", {"member_id": 1}, "exactly one of"),
        ("query_offer_states", {"token": "a", "external_ref_id": "b"}, "exclude each other"),
        ("query_offer_states", {"eligible_channel_id": 1}, "needs member_id"),
        ("get_offer_state", {"member_id": 1.5, "offerstate_id": 7}, "member_id: 1.5 is not a whole number"),
        ("get_offer_state", {"member_id": True, "offerstate_id": 7}, "flag"),
        ("update_offer_state", {"member_id": 1, "offerstate_id": 7, "locked": 1}, "locked: 1 is not a flag"),
    ],
)
def test_build_rejects_invalid_or_conflicting_values_by_name(name, values, problem):
    with pytest.raises(InvalidInput, match=re.escape(problem)):
        build(ENDPOINTS[name], values)


@pytest.mark.parametrize(
    ("activates_at", "expires_at", "is_valid"),
    [
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:01Z", True),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000000001Z", True),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z", False),
        ("2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00Z", False),
        ("2027-01-01T00:00:00-05:00", "2027-01-01T01:00:00Z", False),
    ],
)
def test_build_requires_expires_at_later_than_activates_at(activates_at, expires_at, is_valid):
    values = {**VALUES["issue_offer"], "activates_at": activates_at, "expires_at": expires_at}

    if is_valid:
        build(ENDPOINTS["issue_offer"], values)
    else:
        with pytest.raises(InvalidInput, match="later than activates_at"):
            build(ENDPOINTS["issue_offer"], values)
