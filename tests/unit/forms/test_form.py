"""The forms of the eleven operations without a browser: fields, validation, and the Python line."""

from __future__ import annotations

import inspect

import pandas as pd
import pytest
from form_hand import hand_of, send, typed
from scripted_server import STATE, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import InvalidInput, Session, forms
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.forms.fields import form_fields
from sparkfly_nb.forms.review import EFFECTS

EVIL = '<img src=x onerror="alert(1)">'


# ---- fields ----------------------------------------------------------------------------------------------------------


def test_every_operation_has_a_form_class_and_a_tab(session):
    console = session.forms()

    assert list(console.forms) == list(ENDPOINTS) == list(forms.FORMS)
    assert all(isinstance(form, kind) for form, kind in zip(console.children, forms.FORMS.values(), strict=True))
    assert len(set(console.titles)) == 11
    for operation, kind in forms.FORMS.items():
        assert getattr(forms, "".join(part.capitalize() for part in operation.split("_"))) is kind


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_form_fields_equal_the_parameters_of_the_method(session, name):
    form = forms.FORMS[name](session)
    parameters = dict(inspect.signature(getattr(Session, name)).parameters)
    del parameters["self"]

    fields = {field["name"]: field for field in form.spec["fields"]}
    assert fields.keys() == parameters.keys()
    for field in ENDPOINTS[name].fields:
        if field.name in fields:
            shown = fields[field.name]
            assert shown["required"] == field.required
            assert shown["help"].lower() == field.help.lower()
            assert shown["one_of"] == (field.name in ENDPOINTS[name].one_of)
            assert shown["label"]


def test_time_fields_use_the_time_zone_of_the_session(sandbox_service):
    common = {"base_url": sandbox_service.base_url, "token": "t"}
    with Session("sandbox", **common) as plain, Session("sandbox", tz="Europe/Zurich", **common) as zoned:
        for session, zone in ((plain, "UTC"), (zoned, "Europe/Zurich")):
            fields = {field["name"]: field for field in forms.IssueOffer(session).spec["fields"]}
            assert (fields["expires_at"]["input"], fields["expires_at"]["unit"]) == ("time", zone)


def test_form_accepts_initial_values_and_rejects_unknown_fields(session):
    hand = hand_of(session, "issue_offer", campaign_id="SUMMER26", member_id=1001)

    assert hand.can("send")
    with pytest.raises(InvalidInput, match="this form has no field nonsense; use campaign_id"):
        forms.IssueOffer(session, nonsense=1)


def test_repr_of_a_form_names_its_operation_and_environment(session):
    assert repr(forms.VoidOfferState(session)).startswith("<VoidOfferState: Void (sandbox)")
    assert "11 forms" in repr(session.forms())


# ---- typing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_button_is_enabled_only_with_complete_input(session, name):
    hand = hand_of(session, name)
    button = "review" if name in EFFECTS else "send"
    if any(field.required for field in ENDPOINTS[name].fields) or ENDPOINTS[name].one_of:
        assert not hand.can(button)

    hand.type(**typed(name))

    assert hand.can(button)
    assert hand.screen["problems"] == {}


def test_missing_value_is_shown_beside_its_field(session):
    hand = hand_of(session, "get_offer_state").type(member_id="1009")

    assert hand.problem("offerstate_id") == "needed: the offer state's ID"
    assert hand.problem("member_id") == ""


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({"member_id": "10x9"}, "member_id", "not a whole number"),
        ({"member_id": "99999999999999999999"}, "member_id", "not a whole number"),
        ({"member_id": "1009", "member_identifier": "LOY-1"}, "", "member_id and member_identifier exclude each other"),
        ({"campaign_id": "SUMMER26"}, "", "give exactly one of member_id, member_identifier"),
        (
            {"member_id": "1", "activates_at": "2027-02-01T00:00", "expires_at": "2027-01-01T00:00"},
            "expires_at",
            "expires_at must be later than activates_at",
        ),
    ],
)
def test_wrong_value_is_shown_beside_its_field_and_blocks_sending(session, values, place, words):
    hand = hand_of(session, "issue_offer", campaign_id="SUMMER26").type(**values)

    assert words in hand.problem(place)
    assert not hand.can("send")


def test_incomplete_date_is_a_problem_and_not_an_empty_field(session):
    hand = hand_of(session, "issue_offer", campaign_id="SUMMER26", member_id=1001)
    hand.unfinished = ["expires_at"]
    hand.type()

    assert "not complete" in hand.problem("expires_at")
    assert not hand.can("send")


def test_form_rejects_a_nonexistent_local_time(sandbox_service):
    with Session("sandbox", base_url=sandbox_service.base_url, token="t", tz="America/New_York") as session:
        hand = hand_of(session, "issue_offer").type(campaign_id="X", member_id="1", expires_at="2027-03-14T02:30")

        assert "clocks change" in hand.problem("expires_at")


# ---- the Python line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_python_line_sends_the_same_request_as_the_form(on_server, name):
    answers = [success(ENDPOINTS[name])]
    if name in EFFECTS and name != "void_offer_state_by_identifier":
        answers.insert(0, success(ENDPOINTS["get_offer_state"]))
    with ScriptedServer(*answers, success(ENDPOINTS[name])) as server:
        session = on_server(server, tz="Asia/Tokyo")
        hand = hand_of(session, name).type(**typed(name))
        line = hand.screen["python"]["line"]
        send(hand)
        frame = eval(line, {"session": session})

        by_form, by_line = server.received[-2:]
        assert (by_form.method, by_form.target, by_form.body) == (by_line.method, by_line.target, by_line.body)
        pd.testing.assert_frame_equal(hand.form.result, frame)


def test_python_line_has_times_in_utc(sandbox_service):
    with Session("sandbox", base_url=sandbox_service.base_url, token="t", tz="America/New_York") as session:
        hand = hand_of(session, "issue_offer").type(campaign_id="S", member_id="7", expires_at="2027-01-01T10:00")

        assert hand.screen["python"]["line"] == (
            "session.issue_offer(campaign_id='S', member_id=7, expires_at='2027-01-01T15:00:00Z')"
        )


def test_python_line_marks_missing_values_and_is_not_ready(session):
    hand = hand_of(session, "get_offer_state").type(member_id="x/..", offerstate_id="")

    assert hand.screen["python"] == {"line": "session.get_offer_state('x/..', ...)", "ready": False}


def test_python_line_escapes_input(session):
    hand = hand_of(session, "issue_offer").type(campaign_id="a'); import os; ('", member_id="1")

    call = compile(hand.screen["python"]["line"], "pasted", "eval")
    assert "a'); import os; ('" in call.co_consts


# ---- text of the service ---------------------------------------------------------------------------------------------


def test_service_text_reaches_the_page_as_text_and_never_as_html(on_server):
    state = {**STATE, "offer_name": EVIL, "status": EVIL, "custom_data": EVIL}
    with ScriptedServer(ScriptedResponse(200, {"offer_state": state})) as server:
        hand = hand_of(on_server(server), "get_offer_state").type(**typed("get_offer_state")).press("send")

        [table] = hand.screen["tables"]
        assert ["Offer name", EVIL] in [list(row) for row in table["rows"]]
        assert "innerHTML" not in hand.form._esm
        assert "insertAdjacentHTML" not in hand.form._esm


def test_form_fields_exclude_paging():
    assert [field.name for field in form_fields(ENDPOINTS["list_offer_states"])] == ["member_id"]
