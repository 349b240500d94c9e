"""The table of operations matches the published one and is consistent."""

from __future__ import annotations

import re

import pytest

from sparkfly_nb.api.endpoints import ENDPOINTS

#: The published table of operations.
FACTS = """
issue_offer POST /members/offer_states/issue 201
issue_offer_state POST /members/{member_id}/offer_states 200
create_offer_state POST /members/offer_states 201
get_offer_state GET /members/{member_id}/offer_states/{offerstate_id} 200
get_offer_state_by_offer GET /members/{member_id}/offers/{offer_id} 200
list_offer_states GET /members/{member_id}/offer_states 200
query_offer_states GET /members/offer_states 200
update_offer_state PUT /members/{member_id}/offer_states/{offerstate_id} 200
redeem_offer_state POST /members/{member_id}/offer_states/{offerstate_id} 200
void_offer_state POST /members/{member_id}/offer_states/{offerstate_id}/void 200
void_offer_state_by_identifier POST /members/offer_states/{offerstate_id}/void 200
"""


def test_endpoints_match_the_published_operations():
    described = [f"{each.name} {each.method} {each.path} {each.success}" for each in ENDPOINTS.values()]

    assert described == FACTS.split("\n")[1:-1]


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_path_parameters_are_required_fields_and_names_are_unique(endpoint):
    names = [field.name for field in endpoint.fields]
    in_path = {field.name for field in endpoint.fields if field.place == "path"}

    assert set(re.findall(r"{(\w+)}", endpoint.path)) == in_path
    assert all(field.required for field in endpoint.fields if field.place == "path")
    assert len(names) == len(set(names))
    assert set(endpoint.one_of) <= set(names)


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=list(ENDPOINTS))
def test_only_reads_use_get(endpoint):
    assert (endpoint.method == "GET") == (endpoint.effect == "read")
