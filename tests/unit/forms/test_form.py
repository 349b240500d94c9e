"""The forms of the eleven actions, without a browser: what they ask for, what they send, once, and what they say."""

from __future__ import annotations

import inspect
import threading

import pandas as pd
import pytest
from form_hand import Hand
from scripted_server import INDEX, STATE, VALUES, DropRead, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import InvalidInput, Session, forms
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.readback import read_back_of
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.forms.fields import form_fields
from sparkfly_nb.forms.review import EFFECTS
from sparkfly_nb.sandbox.process import SandboxProcess

EVIL = '<img src=x onerror="alert(1)">'
CHANGES = [name for name, endpoint in ENDPOINTS.items() if endpoint.effect != "read"]


@pytest.fixture
def on_server():
    """Make Sessions on a scripted server."""
    opened = []

    def make(server, environment="sandbox", **arguments):
        arguments = {"token": "given-token"} | arguments
        session = Session(environment, base_url=server.base_url, retry=RetryPolicy(base_delay=0), **arguments)
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()


def hand_of(session, name, **values):
    return Hand(forms.FORMS[name](session, **values))


def typed(name):
    return {key: str(value) for key, value in VALUES[name].items()}


def send(hand):
    """Press what sends, by way of the review where there is one."""
    if hand.can("review"):
        hand.press("review")
        hand.confirm(hand.typed.get("offerstate_id", ""))
        return hand.press("confirm")
    return hand.press("send")


# ---- what there is ---------------------------------------------------------------------------------------------------


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


# ---- the same in Python ----------------------------------------------------------------------------------------------


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


# ---- sending ---------------------------------------------------------------------------------------------------------


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
        hand.press(button)  # and a third time, after the first was answered

        assert len(server.received) == len(answers)
        assert hand.notice is None or hand.notice["kind"] != "refused"


def test_simultaneous_presses_send_once(on_server):
    """Jupyter may bring the events of widgets in several threads."""
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
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(session, "issue_offer", faulty)
        hand.press("send")

        assert "a fault of ours" in caplog.text  # ipywidgets writes it into the log, and goes on
        assert hand.notice["kind"] == "unknown"
        assert not hand.screen["working"]
        assert not hand.can("send")


# ---- against the sandbox: the result, in words and as a frame --------------------------------------------------------


@pytest.fixture
def world(session, sandbox_service):
    """What there is to ask for: a member with a fresh offer state that can be moved."""
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

        assert hand.notice["title"] == "No connection: the service did not see this."
        assert hand.can("send")


# ---- an outcome that is not known ------------------------------------------------------------------------------------


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
        assert "look once more" in hand.said
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


# ---- the second click ------------------------------------------------------------------------------------------------


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
