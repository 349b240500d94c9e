"""A form shows what would change before it sends a change, and asks for the ID on production."""

from __future__ import annotations

import pytest
from form_hand import hand_of, send, typed
from scripted_server import STATE, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import forms
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.forms.review import EFFECTS


@pytest.mark.parametrize("name", ["update_offer_state", "redeem_offer_state", "void_offer_state"])
def test_review_reads_and_shows_the_change_before_sending(on_server, name):
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server:
        hand = hand_of(on_server(server), name).type(**typed(name)).press("review")

        assert [received.method for received in server.received] == ["GET"]
        changes, now = hand.screen["tables"]
        assert changes["columns"] == ["", "Now", "After"]
        assert changes["rows"]
        assert ("Status", "incomplete") in [tuple(row) for row in now["rows"]]
        assert hand.screen["locked"]
        assert hand.can("confirm")


def test_confirmation_sends_the_reviewed_values(on_server):
    with ScriptedServer(success(ENDPOINTS["get_offer_state"]), ScriptedResponse(200)) as server:
        hand = hand_of(on_server(server), "void_offer_state").type(**typed("void_offer_state")).press("review")
        hand.typed["offerstate_id"] = "999"
        hand.press("confirm")

        assert server.targets[-1] == "/v1.0/members/2/offer_states/7/void"


def test_change_requires_a_review_first(on_server):
    with ScriptedServer() as server:
        hand = hand_of(on_server(server), "void_offer_state").type(**typed("void_offer_state")).press("confirm")

        assert server.connections == 0
        assert not hand.can("confirm")


def test_back_button_sends_nothing(on_server):
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server:
        hand = hand_of(on_server(server), "void_offer_state").type(**typed("void_offer_state")).press("review")
        hand.press("back")

        assert hand.can("review")
        assert not hand.screen["locked"]


def test_review_without_a_change_cannot_be_confirmed(on_server):
    with ScriptedServer(ScriptedResponse(200, {"offer_state": {**STATE, "status": "Voided"}})) as server:
        hand = hand_of(on_server(server), "void_offer_state").type(**typed("void_offer_state")).press("review")

        assert "Nothing would change" in hand.said
        assert not hand.can("confirm")


def test_redemption_of_a_voided_offer_state_shows_a_warning(on_server):
    voided = {**STATE, "status": "voided", "locked": True}
    with ScriptedServer(ScriptedResponse(200, {"offer_state": voided})) as server:
        hand = hand_of(on_server(server), "redeem_offer_state").type(**typed("redeem_offer_state")).press("review")

        assert "It is voided already" in hand.said
        assert "It is locked" in hand.said


def test_failed_review_cannot_be_confirmed(on_server):
    with ScriptedServer(ScriptedResponse(404, {"error": "OfferState not found - not found"})) as server:
        hand = hand_of(on_server(server), "void_offer_state").type(**typed("void_offer_state")).press("review")

        assert hand.notice["kind"] == "refused"
        assert not hand.can("confirm")


def test_void_by_identifier_warns_that_it_could_not_read_first(on_server):
    name = "void_offer_state_by_identifier"
    with ScriptedServer(ScriptedResponse(200)) as server:
        hand = hand_of(on_server(server), name).type(**typed(name)).press("review")
        assert "could not be read first" in hand.said
        assert server.connections == 0
        hand.press("confirm")

        assert hand.notice["title"] == "Voided: offer state 7 of member m-2."


def test_void_form_reports_an_earlier_void_as_no_change(on_server):
    name = "void_offer_state_by_identifier"
    with ScriptedServer(ScriptedResponse(422, {"error": "already voided", "trace": "t-9"})) as server:
        hand = send(hand_of(on_server(server), name).type(**typed(name)))

        assert "voided before: nothing was changed now" in hand.said
        assert hand.notice["trace"] == "t-9"


# ---- production ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_forms_have_a_banner_on_production_only(on_server, name):
    with ScriptedServer() as server:
        assert forms.FORMS[name](on_server(server, "production")).screen["banner"] == "PRODUCTION"
        assert forms.FORMS[name](on_server(server, "staging")).screen["banner"] == ""


@pytest.mark.parametrize("name", list(EFFECTS))
def test_change_on_production_requires_typing_the_offer_state_id(on_server, name):
    reads = [] if name == "void_offer_state_by_identifier" else [success(ENDPOINTS["get_offer_state"])]
    with ScriptedServer(*reads, success(ENDPOINTS[name])) as server:
        hand = hand_of(on_server(server, "production"), name).type(**typed(name)).press("review")
        assert "Type 7" in hand.screen["confirm"]["label"]
        for wrong in ("", "8", "77", "seven"):
            hand.confirm(wrong).press("confirm")
            assert not hand.can("confirm")
            if not hand.screen["locked"]:
                pytest.fail("the review was left")
        hand.confirm("7").press("confirm")

        assert hand.notice["kind"] == "done"
        assert len(server.received) == len(reads) + 1
