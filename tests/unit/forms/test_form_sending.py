"""A form sends each request once, and shows its result."""

from __future__ import annotations

import threading

import pytest
from form_hand import hand_of, send, typed
from scripted_server import INDEX, ScriptedResponse, ScriptedServer, success

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.forms.review import EFFECTS

EVIL = '<img src=x onerror="alert(1)">'
CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect != "read"]


@pytest.mark.parametrize("name", CHANGES)
def test_form_sends_once_when_pressed_twice(on_server, name):
    answers = [success(ENDPOINTS[name])]
    if name in EFFECTS and name != "void_offer_state_by_identifier":
        answers.insert(0, success(ENDPOINTS["get_offer_state"]))
    with ScriptedServer(*answers) as server:
        hand = hand_of(on_server(server), name).type(**typed(name))
        if hand.can("review"):
            hand.press("review")
        button, turn = ("confirm" if name in EFFECTS else "send"), hand.screen["turn"]
        hand.press(button, turn=turn).press(button, turn=turn)
        hand.press(button)  # a third time, after the response

        assert len(server.received) == len(answers)
        assert hand.notice is None or hand.notice["kind"] != "refused"


def test_simultaneous_presses_send_once(on_server):
    """Jupyter may deliver widget messages in several threads."""
    with ScriptedServer(success(ENDPOINTS["issue_offer"])) as server:
        hand = hand_of(on_server(server), "issue_offer").type(**typed("issue_offer"))
        turn = hand.screen["turn"]
        presses = [threading.Thread(target=hand.press, args=("send",), kwargs={"turn": turn}) for _ in range(4)]
        for press in presses:
            press.start()
        for press in presses:
            press.join()

        assert len(server.received) == 1


def test_form_resends_the_same_values_only_on_request(on_server):
    with ScriptedServer(success(ENDPOINTS["issue_offer"]), success(ENDPOINTS["issue_offer"])) as server:
        hand = hand_of(on_server(server), "issue_offer").type(**typed("issue_offer")).press("send")
        assert not hand.can("send")
        assert "sent already" in hand.screen["hint"]
        assert hand.type(member_id="3").can("send")
        assert not hand.type(**typed("issue_offer")).can("send")

        hand.press("again").press("send")

        assert len(server.received) == 2


def test_form_sends_the_values_of_the_press(on_server):
    with ScriptedServer(success(ENDPOINTS["issue_offer"])) as server:
        hand = hand_of(on_server(server), "issue_offer").type(campaign_id="S", member_id="100")
        hand.typed["member_id"] = "1009"
        hand.press("send")

        assert server.received[0].json["offer_state"]["member_id"] == 1009


def test_form_with_wrong_values_sends_nothing(on_server):
    with ScriptedServer() as server:
        hand = hand_of(on_server(server), "issue_offer").type(**typed("issue_offer"))
        hand.typed["member_id"] = "oops"
        hand.press("send")

        assert server.connections == 0
        assert "not a whole number" in hand.problem("member_id")


def test_form_shows_that_it_is_working_and_is_usable_afterwards(on_server):
    with ScriptedServer(success(ENDPOINTS["list_offer_states"])) as server:
        hand = hand_of(on_server(server), "list_offer_states").type(member_id="2")
        seen = []
        hand.form.observe(lambda change: seen.append(change.new["working"]), "screen")
        hand.press("send")

        assert seen == [True, False]
        assert hand.can("send")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_form_is_usable_and_does_not_resend_after_an_interrupt(on_server, stop, monkeypatch):
    with ScriptedServer() as server:
        session = on_server(server)
        hand = hand_of(session, "issue_offer").type(**typed("issue_offer"))

        def interrupted(**_values):
            raise stop

        monkeypatch.setattr(session, "issue_offer", interrupted)
        with pytest.raises(stop):
            hand.press("send")

        assert hand.notice["kind"] == "unknown"
        assert not hand.screen["working"]
        assert not hand.can("send")
        assert hand.can("look")


def test_form_is_usable_and_does_not_resend_after_a_bug(on_server, monkeypatch, caplog):
    with ScriptedServer() as server:
        session = on_server(server)
        hand = hand_of(session, "issue_offer").type(**typed("issue_offer"))

        def faulty(**_values):
            raise RuntimeError("a bug")

        monkeypatch.setattr(session, "issue_offer", faulty)
        hand.press("send")

        assert "a bug" in caplog.text  # ipywidgets logs the error and goes on
        assert hand.notice["kind"] == "unknown"
        assert not hand.screen["working"]
        assert not hand.can("send")


# ---- results on the sandbox -----------------------------------------------------------------------------------------


@pytest.fixture
def world(session, sandbox_service):
    """The input of each operation, for a member with a new, transferable offer state."""
    member, other = sandbox_service.members(2)
    made = session.issue_offer(
        campaign_id="SUMMER26", member_id=member["member_id"], external_ref_id=f"form-{id(session)}"
    )
    state = session.get_offer_state(member["member_id"], made.offer_state_id[0]).iloc[0]
    return {
        "issue_offer": {"campaign_id": "SUMMER26", "member_identifier": member["member_identifier"]},
        "issue_offer_state": {"member_id": other["member_id"], "token": state["token"]},
        "create_offer_state": {"offer_id": 301},
        "get_offer_state": {"member_id": member["member_id"], "offerstate_id": state["offer_state_id"]},
        "get_offer_state_by_offer": {"member_id": member["member_id"], "offer_id": 301},
        "list_offer_states": {"member_id": member["member_id"]},
        "query_offer_states": {"credential_identifier": state["credential_identifier"]},
        "update_offer_state": {
            "member_id": member["member_id"], "offerstate_id": state["offer_state_id"],
            "expires_at": "2030-01-01T12:00",
        },
        "redeem_offer_state": {"member_id": member["member_id"], "offerstate_id": state["offer_state_id"]},
        "void_offer_state": {"member_id": member["member_id"], "offerstate_id": state["offer_state_id"]},
        "void_offer_state_by_identifier": {
            "member_identifier": member["member_identifier"], "offerstate_id": state["offer_state_id"],
        },
    }  # fmt: skip


WORDS = {
    "issue_offer": "Issued: offer state",
    "issue_offer_state": "Done: member",
    "create_offer_state": "Created: offer state",
    "get_offer_state": "is incomplete",
    "get_offer_state_by_offer": "is incomplete",
    "list_offer_states": "offer states: ",
    "query_offer_states": "it is incomplete",
    "update_offer_state": "Updated: offer state",
    "redeem_offer_state": "is redeemed",
    "void_offer_state": "Voided: offer state",
    "void_offer_state_by_identifier": "Voided: offer state",
}


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_every_form_performs_its_operation_on_the_sandbox(session, sandbox_service, world, name):
    hand = hand_of(session, name).type(**{key: str(value) for key, value in world[name].items()})
    send(hand)

    assert (hand.notice["kind"], WORDS[name] in hand.notice["title"]) == ("done", True), hand.notice
    assert len(hand.form.result)
    assert hand.screen["tables"]
    truth = {state["offer_state_id"]: state for state in sandbox_service.truth()["offer_states"]}
    for row in hand.form.result.itertuples():
        assert row.offer_state_id in truth
    expected = {"redeem_offer_state": "redeemed", "void_offer_state": "voided",
                "void_offer_state_by_identifier": "voided"}  # fmt: skip
    if name in expected:
        assert truth[hand.form.result.offer_state_id[0]]["status"] == expected[name]
    if name == "update_offer_state":
        assert truth[hand.form.result.offer_state_id[0]]["expires_at"] == "2030-01-01T12:00:00Z"


def test_list_form_accepts_a_member_without_offer_states(on_server):
    with ScriptedServer(ScriptedResponse(200, {**INDEX, "total_entries": 0, "offer_states": []})) as server:
        hand = hand_of(on_server(server), "list_offer_states").type(member_id="2").press("send")

        assert hand.notice["title"] == "Member 2 has no offer states."
        assert hand.form.result.empty


def test_long_list_is_truncated_with_a_note(on_server):
    states = [{"offer_state": {"offer_state_id": number}} for number in range(1, 131)]
    with ScriptedServer(
        ScriptedResponse(200, {**INDEX, "total_entries": 130, "per_page": 5000, "offer_states": states})
    ) as server:
        hand = hand_of(on_server(server), "list_offer_states").type(member_id="2").press("send")

        [table] = hand.screen["tables"]
        assert len(table["rows"]) == 20
        assert table["more"] == "and 110 more in form.result"
        assert len(hand.form.result) == 130


def test_rejection_shows_message_trace_and_no_change(on_server):
    refused = ScriptedResponse(404, {"error": f"no such member {EVIL}", "trace": "t-4711"})
    with ScriptedServer(refused) as server:
        hand = hand_of(on_server(server), "issue_offer").type(**typed("issue_offer")).press("send")

        assert hand.notice["kind"] == "refused"
        assert hand.notice["title"] == "The service refused. Nothing was changed."
        assert hand.notice["trace"] == "t-4711"
        assert f"no such member {EVIL}" in hand.said
        assert hand.can("send")


def test_unreachable_service_is_reported_in_plain_words(on_server):
    with ScriptedServer(listens=False) as server:
        hand = hand_of(on_server(server), "issue_offer").type(**typed("issue_offer")).press("send")

        assert hand.notice["title"] == "No connection: the service did not process this."
        assert hand.can("send")
