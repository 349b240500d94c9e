"""Every outcome that the bulk engine reports is true, whatever network and service errors occur."""

from __future__ import annotations

import warnings
from collections import Counter

import pandas as pd
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, LOST, REFUSED, assert_true, members, receipt_of, tiny_service
from scripted_server import DropRead, ScriptedResponse

from sparkfly_nb.errors import DataWarning, RunHalted

TIMES = {"retry_after_s": 0.02}
#: An id that no member of the sandbox has.
NOBODY = 1


def some(world, count, seed):
    """Return `count` members of the sandbox, which depend on the seed, and two that do not exist."""
    first = seed * 37 % (len(world.member_ids) - count)
    return [*world.member_ids[first : first + count], NOBODY, NOBODY + 1]


def issue(world, tmp_path, frame, rates, seed=0, **arguments):
    world.service.set_faults(rates, seed=seed, times=TIMES)
    with world.session(str(tmp_path / "ledger.db")) as session:
        return session.issue_many(frame, CAMPAIGN, **{**world.calm, **arguments})


@pytest.mark.parametrize(("fault", "rows"), [*((fault, 60) for fault in LOST), *((fault, 30) for fault in REFUSED)])
def test_outcomes_are_true_under_each_fault(world, tmp_path, fault, rows):
    rates = {f"issue_offer:{fault}": 0.1}
    result = issue(world, tmp_path, members(some(world, rows, 1)), rates)
    assert_true(result, world.states())
    assert result.outcome.tolist() == ["issued"] * rows + ["rejected"] * 2
    assert world.service.truth(generated=False)["faults"][fault] > 0
    lost = result[result.settled_by.eq("readback") | result.attempts.gt(1)]
    assert len(lost) > 0 or fault in REFUSED


def everything(rate):
    """Return an equal share of `rate` for each fault, on all calls including reads and authentication."""
    rates = {fault: rate / len(LOST) for fault in LOST}
    rates.update({fault: rate / len(REFUSED) for fault in REFUSED})
    return rates


def test_outcomes_are_true_under_all_faults(world, tmp_path):
    frame = members(some(world, 120, 0))
    result = issue(world, tmp_path, frame, everything(0.2))
    assert_true(result, world.states())
    assert result.outcome.tolist() == ["issued"] * 120 + ["rejected"] * 2, result[result.outcome != "issued"].error


def test_rows_with_identifier_only_are_read_back_by_reference(world, tmp_path):
    frame = pd.DataFrame({"member_identifier": [*world.identifiers[:80], "nobody"]})
    rates = {f"issue_offer:{fault}": 0.04 for fault in LOST}
    result = issue(world, tmp_path, frame, rates)
    assert_true(result, world.states())
    assert result.outcome.tolist() == ["issued"] * 80 + ["rejected"]
    assert result.settled_by.eq("readback").any()
    assert result.member_id[:80].tolist() == world.member_ids[:80]


def test_offer_states_created_twice_are_reported_as_duplicates(world, tmp_path):
    rates = {"issue_offer:duplicate": 0.5, "issue_offer:commit_then_drop": 0.2}
    result = issue(world, tmp_path, members(world.member_ids[:100]), rates)
    made = Counter(state["external_ref_id"] for state in world.states())
    read_back = result[result.settled_by == "readback"]
    twice = read_back[read_back.external_ref_id.map(made) == 2]
    assert len(twice) > 0
    assert twice.error.str.startswith("duplicate: the offer states ").all()
    assert not read_back.drop(twice.index).error.str.contains("duplicate", na=False).any()
    assert result.outcome.eq("issued").all()


def test_row_lost_in_every_attempt_is_rejected_after_three_resends(world, tmp_path):
    result = issue(world, tmp_path, members(world.member_ids[:5]), {"issue_offer:drop_before": 1.0})
    assert result.outcome.eq("rejected").all()
    assert result.error.str.startswith("No usable response after sending 4 times").all()
    assert result.attempts.eq(4).all()
    assert world.requests("issue_offer") == 20
    assert world.states() == []


def test_row_that_cannot_be_read_back_stays_unknown_and_unsent(world, tmp_path):
    frame = members(world.member_ids[:20])
    blind = {"list_offer_states:error_500_before": 1.0}
    result = issue(world, tmp_path, frame, {"issue_offer:commit_then_drop": 1.0, **blind})
    assert result.outcome.eq("unknown").all()
    assert result.error.str.startswith("not settled").all()
    result = issue(world, tmp_path, frame, blind)
    assert result.outcome.eq("unknown").all()
    assert world.requests("issue_offer") == 20
    world.service.set_faults({})
    with world.session(str(tmp_path / "ledger.db")) as session:
        result = session.settle(world.calm["run"], progress=False, settle_pause=0.05)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert result.settled_by.eq("readback").all()


def test_incomplete_listing_does_not_prove_absence(world, tmp_path):
    frame = members(world.member_ids[:20])
    rates = {"issue_offer:commit_then_drop": 1.0, "list_offer_states:page_short": 1.0}
    result = issue(world, tmp_path, frame, rates)
    assert world.requests("issue_offer") == 20
    assert not result.outcome.eq("rejected").any()
    world.service.set_faults({})
    result = issue(world, tmp_path, frame, {})
    assert_true(result, world.states())
    assert world.requests("issue_offer") == 20


def test_settle_plans_absent_rows_again_and_sends_nothing(world, tmp_path):
    frame = members(world.member_ids[:12])
    blind = {"list_offer_states:error_500_before": 1.0}
    issue(world, tmp_path, frame, {"issue_offer:drop_before": 0.5, "issue_offer:commit_then_drop": 0.5, **blind})
    there = len(world.states())
    assert 0 < there < 12
    world.service.set_faults({})
    with world.session(str(tmp_path / "ledger.db")) as session:
        settled = session.settle(world.calm["run"], progress=False, settle_pause=0.05)
        assert settled.outcome.value_counts().to_dict() == {"issued": there, "planned": 12 - there}
        assert world.requests("issue_offer") == 12
        result = session.issue_many(frame, CAMPAIGN, **world.calm)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert world.requests("issue_offer") == 24 - there


def test_values_of_wrong_types_in_readback_are_dropped(world, tmp_path):
    rates = {"issue_offer:commit_then_drop": 0.3, "list_offer_states:wrong_types": 1.0, "issue_offer:wrong_types": 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # raised for values that could not be read and were kept
        result = issue(world, tmp_path, members(world.member_ids[:60], expires_at=LATER), rates)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert result.settled_by.eq("readback").any()


@pytest.mark.parametrize("call", ["update_many", "redeem_many"])
def test_change_read_back_with_wrong_types_is_not_resent(world, tmp_path, issued, call):
    """The change may have happened. A resend could apply it twice, or be refused and reported as rejected."""
    operation = {"update_many": "update_offer_state", "redeem_many": "redeem_offer_state"}[call]
    frame = issued[["offer_state_id", "member_id"]].assign(value=7, expires_at=LATER)
    world.service.set_faults({f"{operation}:commit_then_drop": 1.0, "get_offer_state:wrong_types": 1.0})
    with world.session(str(tmp_path / "changes.db")) as session:
        how = {"columns": ["value", "expires_at"], "progress": False, "settle_pause": 0.05, "halt_above": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)  # for other values that could not be read either
            result = getattr(session, call)(frame, **how)
        assert world.requests(operation) == 90
        assert set(result.outcome) == {OUTCOME_OF[call], "unknown"}
        assert result.error[result.outcome == "unknown"].str.contains("cannot be compared").all()
        world.service.set_faults({})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            result = getattr(session, call)(frame, **how)
    assert result.outcome.eq(OUTCOME_OF[call]).all()
    assert world.requests(operation) == 90


def test_response_for_another_member_is_checked_by_readback(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):

        def answer(number, record):
            service.states.append(record)
            return ScriptedResponse(201, {"offer_state": receipt_of(record, member_id=999)})

        service.on_issue = answer
        result = session.issue_many(members([11, 12]), CAMPAIGN, **CALM)
    assert result.settled_by.tolist() == ["readback"] * 2
    assert result.member_id.tolist() == [11, 12]


def test_query_returning_another_reference_does_not_prove_absence(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, record: service.states.append(record) or DropRead()
        respond = service.__call__

        def ignores_the_reference(received):
            if "external_ref_id=" in received.target:
                return ScriptedResponse(
                    200, {"offer_state": {"offer_state_id": 5, "member_id": 5, "external_ref_id": "other"}}
                )
            return respond(received)

        service.server._answer = ignores_the_reference
        result = session.issue_many(pd.DataFrame({"member_identifier": ["M-11", "M-12"]}), CAMPAIGN, **CALM)
        assert len(service.issues()) == 2, "nothing was resent"
    assert result.outcome.tolist() == ["unknown"] * 2


@pytest.mark.parametrize("finds", [True, False])
def test_absence_counts_if_query_finds_a_confirmed_reference(tmp_path, finds):
    frame = pd.DataFrame({"member_id": [11, None, None], "member_identifier": [None, "M-12", "M-13"]})
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        lost = {"M-12", "M-13"}

        def loses_each_identifier_once(received):
            asked = received.json["offer_state"] if received.method == "POST" else {}
            if asked.get("member_identifier") in lost:
                lost.remove(asked["member_identifier"])
                return DropRead()
            if "external_ref_id=" in received.target and not finds:
                return ScriptedResponse(404, {"error": "OfferState not found"})
            return service(received)

        service.server._answer = loses_each_identifier_once
        result = session.issue_many(frame, CAMPAIGN, **CALM)
    assert result.outcome.tolist() == ["issued", *(["issued"] * 2 if finds else ["unknown"] * 2)]
    assert len(service.states) == (3 if finds else 1), "rows that may have happened are not resent"


@pytest.mark.parametrize(("body", "outcome"), [(b"<html>", "unknown"), ({"error": "Member not found"}, "issued")])
def test_only_a_404_of_the_service_proves_absence(tmp_path, body, outcome):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: DropRead() if len(service.issues()) == 1 else None
        respond = service.__call__
        service.server._answer = lambda received: (
            ScriptedResponse(404, body) if "/offer_states?" in received.target else respond(received)
        )
        result = session.issue_many(members([11]), CAMPAIGN, **CALM)
    assert result.outcome.tolist() == [outcome]
    assert len(service.issues()) == (2 if outcome == "issued" else 1)


# ---- void, update, redeem --------------------------------------------------------------------------------------------


@pytest.fixture
def issued(world, tmp_path):
    """The result of issuing 90 offer states for this test."""
    return issue(world, tmp_path, members(world.member_ids[:90]), {})


OUTCOME_OF = {"void_many": "voided", "update_many": "updated", "redeem_many": "redeemed"}
STATUS_OF = {"voided": "voided", "redeemed": "redeemed", "updated": "incomplete"}


@pytest.mark.parametrize("call", ["void_many", "update_many", "redeem_many"])
def test_changes_are_true_under_all_faults(world, tmp_path, issued, call):
    frame = issued[["offer_state_id", "member_id"]]
    if call == "update_many":
        frame = frame.assign(expires_at=LATER)
    frame = pd.concat([frame, frame[:2].assign(offer_state_id=[1, 2], member_id=NOBODY)], ignore_index=True)
    world.service.set_faults(everything(0.2), times=TIMES)
    with world.session(str(tmp_path / "changes.db")) as session:
        result = getattr(session, call)(frame, progress=False, settle_pause=0.05)
    there = {state["offer_state_id"]: state for state in world.states()}
    outcome = OUTCOME_OF[call]
    assert result.outcome.tolist() == [outcome] * 90 + ["rejected"] * 2
    for row in result[:90].itertuples():
        state = there[row.offer_state_id]
        assert state["status"] == STATUS_OF[outcome], row
        assert (state["expires_at"] == LATER) == (call == "update_many"), row
        assert len([entry for entry in state["activities"] if entry["type"] == outcome]) == 1 or call == "update_many"


def test_void_by_identifier_without_response_stays_unknown(world, tmp_path, issued):
    frame = pd.DataFrame({"offer_state_id": issued.offer_state_id[:5], "member_identifier": world.identifiers[:5]})
    world.service.set_faults({"void_offer_state_by_identifier:commit_then_500": 1.0})
    with world.session(str(tmp_path / "changes.db")) as session:
        result = session.void_many(frame, progress=False, settle_pause=0.05)
        assert {world.state(key)["status"] for key in frame.offer_state_id} == {"voided"}
        assert result.outcome.eq("unknown").all()
        world.service.set_faults({})
        result = session.void_many(frame, progress=False, settle_pause=0.05)
    assert result.outcome.eq("voided").all()
    assert result.error.str.startswith("already voided").all()


def test_halted_run_keeps_outcomes_and_can_be_continued(world, tmp_path):
    frame = members(world.member_ids[:200])
    with pytest.raises(RunHalted, match="most rows fail") as halt:
        issue(world, tmp_path, frame, {"issue_offer:commit_then_500": 1.0}, concurrency=10)
    assert halt.value.result.outcome.value_counts()["planned"] > 100
    result = issue(world, tmp_path, frame, {})
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert world.requests("issue_offer") == 200
