"""The error of a lost response contains a line of Python that checks what happened."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_server import VALUES

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.response import outcome_unknown
from sparkfly_nb.errors import SparkflyError


@pytest.mark.parametrize("name", [name for name, endpoint in ENDPOINTS.items() if endpoint.effect == "change"])
@given(reference=st.text(min_size=1, max_size=20))
def test_readback_line_is_valid_python_for_any_reference(name, reference):
    try:
        request, sent = build(ENDPOINTS[name], {**VALUES[name], "external_ref_id": reference})
    except SparkflyError:
        return

    error = outcome_unknown(ENDPOINTS[name], request, sent, "the response was lost")

    compile(error.readback, "pasted", "eval")
    assert error.readback.startswith("session.")


@given(reference=st.text(min_size=1, max_size=20))
@example(reference="`a` 'b' \"c\" @d #e \\f {g} %h")
@example(reference="@local")
@example(reference="`")
def test_readback_line_finds_the_reference(reference):
    try:
        request, sent = build(ENDPOINTS["issue_offer"], {**VALUES["issue_offer"], "external_ref_id": reference})
    except SparkflyError:
        return
    readback = outcome_unknown(ENDPOINTS["issue_offer"], request, sent, "lost").readback
    states = pd.DataFrame({"external_ref_id": [reference, "another one"]}, dtype="string")

    class session:  # noqa: N801 - the name that the line uses
        @staticmethod
        def list_offer_states(_member_id):
            return states

    assert eval(readback).external_ref_id.tolist() == [reference]


def test_outcome_unknown_does_not_contain_the_token():
    request, sent = build(ENDPOINTS["create_offer_state"], {"token": "osid-5ecret"})

    assert "5ecret" not in str(outcome_unknown(ENDPOINTS["create_offer_state"], request, sent, "lost"))
