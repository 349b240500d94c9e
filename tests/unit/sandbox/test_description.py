"""Requests generated from the sandbox's OpenAPI description get no 500 and no undocumented response."""

from __future__ import annotations

import itertools

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks as known_checks

from sparkfly_nb.api.endpoints import AUTH_PATH, ENDPOINTS, TOKEN_HEADER
from sparkfly_nb.sandbox import SandboxProcess
from sparkfly_nb.sandbox.description import describe
from sparkfly_nb.sandbox.operations import CREATES

pytestmark = pytest.mark.slow

known_checks.load_all_checks()
CHECKS = known_checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "ignored_auth",
        "unsupported_method",
    ]
)
schema = schemathesis.openapi.from_dict(describe())
turns = itertools.count()


@pytest.fixture(scope="module")
def service():
    with SandboxProcess.start(members=20) as sandbox:
        root = sandbox.base_url.removesuffix("/v1.0")
        credentials = {"X-Auth-Identity": sandbox.identity.reveal(), "X-Auth-Key": sandbox.key.reveal()}
        token = requests.post(root + AUTH_PATH, headers=credentials, timeout=10).headers[TOKEN_HEADER]
        with requests.Session() as client:
            yield sandbox, root, client, token, sandbox.truth()["offer_states"]


def point_at_something_that_exists(case, states):
    """Put the IDs of an existing offer state into most valid requests, so that they reach the store."""
    # Every fourth request keeps its generated IDs, which no record has.
    turn = next(turns)
    if turn % 4 == 0 or not case.meta.generation.mode.is_positive:
        return
    state = states[turn % len(states)]
    existing = {**state, "offerstate_id": state["offer_state_id"]}
    if case.operation.definition.raw["operationId"] in CREATES:
        # The campaign, channel and offer of a new offer state must match, and a request names one member only.
        existing.update(offer_id=301, channel_id=11, campaign_id="SUMMER26")
        case.query.pop("token", None)
    body = case.body.get("offer_state", {}) if isinstance(case.body, dict) else {}
    for place in (case.path_parameters, case.query, body):
        place.update({name: existing[name] for name in place if name.endswith("_id") and existing.get(name)})
        if "member_id" in place:
            place.pop("member_identifier", None)


@schema.parametrize()
@settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_response_conforms_to_the_description(case, service):
    _sandbox, root, client, token, states = service
    point_at_something_that_exists(case, states)
    case.call_and_validate(base_url=root, session=client, headers={TOKEN_HEADER: token}, checks=CHECKS)


def test_description_has_every_operation_once():
    named = [operation["operationId"] for path in describe()["paths"].values() for operation in path.values()]

    assert sorted(named) == sorted([*ENDPOINTS, "authenticate"])
