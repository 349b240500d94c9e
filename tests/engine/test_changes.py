"""Voiding, updating and redeeming many rows, and settling what was lost."""

from __future__ import annotations

import pandas as pd
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, SOON, members, tiny_service
from scripted_server import DropRead

from sparkfly_nb.errors import InvalidInput, InvalidRows
from sparkfly_nb.schema import RESULT

# ---- void ------------------------------------------------------------------------------------------------------------


def test_void_of_listed_offer_states_keeps_the_index(world, session, issued):
    states = session.list_many(issued.member_id, progress=False)
    listed = states[states.offer_state_id.isin(issued.offer_state_id)]
    result = session.void_many(listed, reason="ended early", **CALM)
    assert result.outcome.eq("voided").all()
    assert result.index.equals(listed.index)
    assert result.offer_state_id.tolist() == listed.offer_state_id.tolist()
    assert world.statuses(issued.offer_state_id) == ["voided"] * 30
    assert session.runs().reason[0] == "ended early"


def test_void_by_member_identifier(world, session, issued):
    frame = pd.DataFrame(
        {"offer_state_id": issued.offer_state_id, "member_identifier": world.identifiers[:30], "member_id": pd.NA}
    )
    result = session.void_many(frame, **CALM)
    assert result.outcome.eq("voided").all()
    assert world.requests("void_offer_state_by_identifier") == 30
    assert world.statuses(issued.offer_state_id) == ["voided"] * 30


def test_void_of_voided_offer_state_reports_already_voided(world, session, issued):
    session.void_many(issued[:10], run="first", **CALM)
    result = session.void_many(issued[:20], run="second", **CALM)
    assert result.outcome.eq("voided").all()
    assert result.error[:10].str.startswith("already voided").all()
    assert result.error[10:].isna().all()
    assert result.trace[:10].notna().all()


def test_failed_void_is_rejected_with_reason_and_trace(session, issued):
    session.redeem_many(issued[:1], **CALM)
    frame = pd.concat([issued[:2], issued[2:3].assign(member_id=1)], ignore_index=True)
    result = session.void_many(frame, **CALM)
    assert result.outcome.tolist() == ["rejected", "voided", "rejected"]
    assert result.http_status.tolist() == [403, 200, 404]
    assert "redeemed" in result.error[0]
    assert result.trace[[0, 2]].notna().all()


def test_void_refuses_the_same_offer_state_twice(session, issued):
    with pytest.raises(InvalidRows, match="has the same offer_state_id"):
        session.void_many(pd.concat([issued[:2], issued[:1]]), **CALM)


# ---- update, redeem --------------------------------------------------------------------------------------------------


def test_update_leaves_missing_cells_unchanged(world, session, issued):
    frame = issued[["offer_state_id", "member_id"]].copy()
    frame["expires_at"] = [SOON] * 10 + [None] * 20
    frame["value"] = pd.array([None] * 10 + [2] * 20, dtype="Int64")
    result = session.update_many(frame, **CALM)
    assert result.outcome.eq("updated").all()
    there = {state["offer_state_id"]: state for state in world.states()}
    now = [(there[key]["expires_at"], there[key]["value"]) for key in issued.offer_state_id]
    assert now == [(SOON, 0)] * 10 + [(LATER, 2)] * 20


def test_update_of_listed_offer_states_needs_columns(world, session, issued):
    states = session.list_many(issued.member_id, progress=False)
    listed = states[states.offer_state_id.isin(issued.offer_state_id)].assign(expires_at=SOON, offer_name="changed")
    with pytest.raises(InvalidInput, match=r"columns=\['expires_at'\]"):
        session.update_many(listed, **CALM)
    result = session.update_many(listed, columns=["expires_at"], **CALM)
    assert result.outcome.eq("updated").all()
    assert {state["expires_at"] for state in world.states()} == {SOON}
    assert not {state.get("offer_name") for state in world.states()} & {"changed"}


def test_redeem_sets_other_columns_only_if_named(world, session, issued):
    frame = issued[["offer_state_id", "member_id"]].assign(expires_at=SOON, status="incomplete")
    assert session.redeem_many(frame[:10], **CALM).outcome.eq("redeemed").all()
    result = session.redeem_many(frame[10:20], columns=["expires_at"], **CALM)
    assert result.outcome.eq("redeemed").all()
    there = {state["offer_state_id"]: state for state in world.states()}
    assert [there[key]["expires_at"] for key in issued.offer_state_id[:20]] == [LATER] * 10 + [SOON] * 10
    assert world.statuses(issued.offer_state_id) == ["redeemed"] * 20 + ["incomplete"] * 10


def test_redeem_of_redeemed_offer_state_is_rejected(session, issued):
    session.redeem_many(issued[:5], run="one", **CALM)
    result = session.redeem_many(issued[:5], run="two", **CALM)
    assert result.outcome.eq("rejected").all()


def test_frame_without_required_columns_is_refused_before_sending(world, session, issued):
    asked = world.requests("void_offer_state"), world.requests("update_offer_state")
    with pytest.raises(InvalidInput, match="needs a column offer_state_id"):
        session.void_many(members([1]), **CALM)
    with pytest.raises(InvalidInput, match="needs a column member_id"):
        session.update_many(issued[["offer_state_id"]].assign(value=1), **CALM)
    with pytest.raises(InvalidInput, match="no column to set"):
        session.update_many(issued[["offer_state_id", "member_id"]], **CALM)
    with pytest.raises(InvalidRows, match="offer_state_id is missing"):
        session.void_many(issued[["member_id"]].assign(offer_state_id=pd.NA), **CALM)
    assert (world.requests("void_offer_state"), world.requests("update_offer_state")) == asked


def test_empty_plan_returns_empty_result_and_sends_nothing(world, session):
    result = session.issue_many(members([]), CAMPAIGN, **world.calm)
    assert len(result) == 0
    assert list(result.columns) == list(RESULT)
    assert world.requests("issue_offer") == 0


# ---- settle ----------------------------------------------------------------------------------------------------------


def test_settling_a_settled_run_sends_no_request(world, session, issued):
    asked = world.requests("list_offer_states")
    pd.testing.assert_frame_equal(session.settle(world.calm["run"], **CALM), session.run(world.calm["run"]))
    assert world.requests("list_offer_states") == asked


def test_settle_works_for_updates_and_redemptions(tmp_path, world, session, issued):
    frame = issued[["offer_state_id", "member_id"]]
    for call, arguments in (("update_many", {"value": 1}), ("redeem_many", {})):
        blind = {"get_offer_state:error_500_before": 1.0}
        world.service.set_faults(
            {"update_offer_state:commit_then_drop": 1.0, "redeem_offer_state:half_body": 1.0, **blind}
        )
        lost = getattr(session, call)(frame[:5].assign(**arguments), **CALM)
        assert lost.outcome.eq("unknown").all()
        world.service.set_faults({})
        settled = session.settle(lost.attrs["run"], **CALM)
        assert settled.outcome.isin(["updated", "redeemed"]).all()
        assert settled.settled_by.eq("readback").all()


def test_lost_row_is_not_settled_before_the_pause(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, record: service.states.append(record) or DropRead()
        session.issue_many(members([11]), CAMPAIGN, progress=False, settle_pause=0.4)
    (sent, _), (read, _) = service.asked
    assert read - sent >= 0.4
