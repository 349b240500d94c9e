"""A form after a lost response: it checks the service, and resends only when the change did not happen."""

from __future__ import annotations

import pandas as pd
import pytest
from form_hand import hand_of, typed
from scripted_server import INDEX, STATE, VALUES, DropRead, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.readback import read_back_of
from sparkfly_nb.sandbox.process import SandboxProcess

CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect != "read"]


def lost(on_server, server, name="issue_offer", **values):
    server.then(DropRead())
    return hand_of(on_server(server), name).type(**{**typed(name), **values}).press("send")


def index_of(*states):
    return ScriptedResponse(
        200, {**INDEX, "total_entries": len(states), "offer_states": [{"offer_state": s} for s in states]}
    )


def test_unknown_outcome_offers_a_check_and_no_resend(on_server):
    with ScriptedServer() as server:
        hand = lost(on_server, server)

        assert hand.notice["kind"] == "unknown"
        assert hand.notice["code"].startswith("session.list_offer_states(2).query(")
        assert hand.can("look")
        assert not hand.can("send")
        assert not hand.can("again")


def test_check_that_finds_the_reference_confirms_the_issue(on_server):
    with ScriptedServer() as server:
        hand = lost(on_server, server)
        server.then(index_of({**STATE, "offer_state_id": 6, "external_ref_id": "another"}, STATE))
        hand.press("look")

        assert hand.notice["title"] == "It happened: the service shows it."
        assert hand.form.result.offer_state_id.tolist() == [7]
        assert not hand.can("look")


def test_resend_is_offered_after_two_checks_without_a_find(on_server):
    with ScriptedServer() as server:
        hand = lost(on_server, server)
        server.then(index_of(), index_of({**STATE, "external_ref_id": "another"}))
        assert not hand.press("look").can("again")
        assert "check again" in hand.said
        assert hand.press("look").can("again")
        server.then(success(ENDPOINTS["issue_offer"]))
        hand.press("again").press("send")

        assert hand.notice["kind"] == "done"


@pytest.mark.parametrize("name", CHANGES)
def test_check_makes_the_same_call_as_its_python_line(name):
    _, sent = build(ENDPOINTS[name], VALUES[name])
    look = read_back_of(sent)
    if look.call is None:
        assert "member_id" not in sent
        return
    called = []

    class AnySession:
        def __getattr__(self, method):
            def call(*by_position, **by_name):
                called.append((method, by_position, by_name))
                return pd.DataFrame({"external_ref_id": [look.external_ref_id]})

            return call

    eval(look.line, {"session": AnySession()})

    assert called == [(look.call, look.by_position, look.by_name)]


def test_check_without_a_reference_shows_the_states_without_a_verdict(on_server):
    with ScriptedServer() as server:
        hand = lost(on_server, server, external_ref_id="")
        server.then(index_of(STATE))
        hand.press("look")

        assert hand.notice["kind"] == "info"
        assert "see for yourself" in hand.said
        assert hand.screen["tables"]


def test_failed_check_leaves_the_outcome_unknown(on_server):
    with ScriptedServer() as server:
        hand = lost(on_server, server)
        server.then(ScriptedResponse(403, {"error": "no"}))
        hand.press("look")

        assert "still not known" in hand.said
        assert hand.can("look")
        assert not hand.can("again")


def test_lost_redemption_is_confirmed_by_reading_the_offer_state(on_server):
    redeemed = ScriptedResponse(200, {"offer_state": {**STATE, "status": "redeemed"}})
    with ScriptedServer(success(ENDPOINTS["get_offer_state"]), DropRead(), redeemed) as server:
        hand = hand_of(on_server(server), "redeem_offer_state").type(**typed("redeem_offer_state"))
        hand.press("review").press("confirm")
        assert hand.notice["kind"] == "unknown"
        hand.press("look")

        assert hand.notice["title"] == "It happened: the service shows it."


def test_check_finds_an_issue_with_a_lost_response_by_its_reference():
    with (
        SandboxProcess.start(members=5, faults={"issue_offer:commit_then_drop": 1.0}) as service,
        Session(
            "sandbox", base_url=service.base_url, identity=service.identity.reveal(), key=service.key.reveal()
        ) as session,
    ):
        hand = hand_of(session, "issue_offer")
        hand.type(campaign_id="SUMMER26", member_id="1001", external_ref_id="form-lost").press("send").press("look")

        assert hand.notice["title"] == "It happened: the service shows it."
        made = service.truth(generated=False)["offer_states"]
        assert [state["external_ref_id"] for state in made] == ["form-lost"]
