"""Voiding, undoing, updating, redeeming and listing many rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, SOON, Issuer, members, tiny_service
from scripted_server import Answer, DropRead

from sparkfly_nb.bulk import listing as lister
from sparkfly_nb.errors import IncompleteListing, InvalidInput, InvalidRows, LedgerError, RunHalted
from sparkfly_nb.schema import OFFER_STATE, RESULT


@pytest.fixture
def session(world, tmp_path):
    with world.session(str(tmp_path / "ledger.db")) as opened:
        yield opened


@pytest.fixture
def issued(world, session):
    return session.issue_many(members(world.member_ids[:30], expires_at=LATER), CAMPAIGN, **world.calm)


def statuses(world, keys):
    there = {state["offer_state_id"]: state["status"] for state in world.states()}
    return [there[key] for key in keys]


# ---- void ------------------------------------------------------------------------------------------------------------


def test_a_frame_of_whole_offer_states_is_voided_and_keeps_its_index(world, session, issued):
    states = session.list_many(issued.member_id, progress=False)
    held = states[states.offer_state_id.isin(issued.offer_state_id)]
    result = session.void_many(held, reason="ended early", **CALM)
    assert result.outcome.eq("voided").all()
    assert result.index.equals(held.index)
    assert result.offer_state_id.tolist() == held.offer_state_id.tolist()
    assert statuses(world, issued.offer_state_id) == ["voided"] * 30
    assert session.runs().reason[0] == "ended early"


def test_offer_states_are_voided_by_the_members_identifier(world, session, issued):
    frame = pd.DataFrame(
        {"offer_state_id": issued.offer_state_id, "member_identifier": world.identifiers[:30], "member_id": pd.NA}
    )
    result = session.void_many(frame, **CALM)
    assert result.outcome.eq("voided").all()
    assert world.requests("void_offer_state_by_identifier") == 30
    assert statuses(world, issued.offer_state_id) == ["voided"] * 30


def test_what_was_voided_before_counts_as_voided_and_says_so(world, session, issued):
    session.void_many(issued[:10], run="first", **CALM)
    result = session.void_many(issued[:20], run="second", **CALM)
    assert result.outcome.eq("voided").all()
    assert result.error[:10].str.startswith("already voided").all()
    assert result.error[10:].isna().all()
    assert result.trace[:10].notna().all()


def test_what_cannot_be_voided_is_rejected_with_reason_and_trace(session, issued):
    session.redeem_many(issued[:1], **CALM)
    frame = pd.concat([issued[:2], issued[2:3].assign(member_id=1)], ignore_index=True)
    result = session.void_many(frame, **CALM)
    assert result.outcome.tolist() == ["rejected", "voided", "rejected"]
    assert result.http_status.tolist() == [403, 200, 404]
    assert "redeemed" in result.error[0]
    assert result.trace[[0, 2]].notna().all()


def test_the_same_offer_state_twice_is_refused(session, issued):
    with pytest.raises(InvalidRows, match="the same offer_state_id stands in row"):
        session.void_many(pd.concat([issued[:2], issued[:1]]), **CALM)


# ---- undo ------------------------------------------------------------------------------------------------------------


def test_undo_voids_what_is_as_it_was_and_keeps_what_was_redeemed_changed_or_moved(world, session, issued):
    frame = issued[["offer_state_id", "member_id"]]
    session.redeem_many(frame[:2], **CALM)
    session.update_many(frame[2:4].assign(expires_at="2031-01-01T00:00:00Z"), **CALM)
    session.update_many(frame[4:5].assign(value=3), **CALM)
    session.void_many(frame[5:7], **CALM)
    result = session.void_run(world.calm["run"], reason="wrong campaign", progress=False, settle_pause=0.05)
    assert result.outcome.tolist() == ["kept"] * 5 + ["voided"] * 25
    assert result.error[:2].eq("kept: it was redeemed").all()
    assert result.error[2:4].str.startswith("kept: it was changed: expires_at was").all()
    assert result.error[4] == "kept: it was used in part: its value is 3"
    assert result.error[5:7].eq("already voided").all()
    assert statuses(world, issued.offer_state_id) == ["redeemed"] * 2 + ["incomplete"] * 3 + ["voided"] * 25
    run = session.runs().iloc[0]
    assert (run.run, run.undoes, run.reason) == (f"void of {world.calm['run']}", world.calm["run"], "wrong campaign")


def test_an_undo_again_sends_nothing_and_gives_the_same(world, session, issued):
    first = session.void_run(world.calm["run"], **CALM)
    asked = world.requests("void_offer_state")
    pd.testing.assert_frame_equal(session.void_run(world.calm["run"], **CALM), first)
    assert world.requests("void_offer_state") == asked == 30


def test_what_was_undone_may_be_issued_again(world, session, issued):
    session.void_run(world.calm["run"], **CALM)
    again = session.issue_many(members(world.member_ids[:30]), CAMPAIGN, **{**CALM, "run": world.calm["run"] + " 2"})
    assert again.outcome.eq("issued").all()


def test_an_undo_settles_lost_rows_first_and_voids_those_that_were_issued(world, session):
    world.service.set_faults({"issue_offer:commit_then_drop": 1.0, "list_offer_states:error_500_before": 1.0})
    lost = session.issue_many(members(world.member_ids[:10]), CAMPAIGN, **world.calm)
    assert lost.outcome.eq("unknown").all()
    world.service.set_faults({})
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("voided").all()
    assert len(result) == 10
    assert {state["status"] for state in world.states()} == {"voided"}


def test_an_undo_that_cannot_read_a_row_does_not_void_it_and_says_so(world, session):
    world.service.set_faults({"issue_offer:commit_then_drop": 1.0, "list_offer_states:error_500_before": 1.0})
    session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **world.calm)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("unknown").all()
    assert world.requests("void_offer_state") == 0


def test_an_undo_of_rows_that_were_issued_but_cannot_be_read_now_rejects_them(world, session, issued):
    world.service.set_faults({"list_offer_states:error_500_before": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("rejected").all()
    assert result.error.str.startswith("not voided, could not be read").all()
    assert world.requests("void_offer_state") == 0


def test_an_undo_does_not_take_what_it_cannot_read_for_a_change(world, session):
    issued = session.issue_many(members(world.member_ids[:60], expires_at=LATER), CAMPAIGN, **world.calm)
    world.service.set_faults({"list_offer_states:wrong_types": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    assert set(result.outcome) == {"voided", "rejected"}, "nobody changed anything"
    assert result.error[result.outcome == "rejected"].str.startswith("not voided, could not be read: ").all()
    assert statuses(world, issued.offer_state_id).count("voided") == result.outcome.eq("voided").sum()


def test_an_undo_leaves_no_second_offer_state_of_a_row_open_without_saying_so(world, session):
    world.service.set_faults({"issue_offer:duplicate": 1.0})
    session.issue_many(members(world.member_ids[:4]), CAMPAIGN, **world.calm)
    world.service.set_faults({})
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("rejected").all()
    assert result.error.str.startswith("not voided, duplicate: the offer states").all()
    every = pd.DataFrame(world.states())[["offer_state_id", "member_id"]]
    assert all(str(key) in " ".join(result.error) for key in every.offer_state_id)
    session.void_many(every, progress=False)
    assert {state["status"] for state in world.states()} == {"voided"}


def test_an_undo_keeps_a_row_whose_member_no_longer_holds_the_offer_state(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        run = session.issue_many(members([11]), CAMPAIGN, **CALM).attrs["run"]
        service.states.clear()  # merged into another member, for instance
        result = session.void_run(run, **CALM)
    assert result.outcome.tolist() == ["kept"]
    assert result.error.tolist() == ["kept: the member no longer holds offer state 1 under this reference"]
    assert not [received for _at, received in service.asked if received.target.endswith("/void")]


def test_an_undo_is_true_under_faults(world, session, issued):
    names = ("commit_then_drop", "commit_then_500", "error_500_before", "half_body", "status_401", "status_429_bare")
    world.service.set_faults(dict.fromkeys(names, 0.05))
    session.redeem_many(issued[:3], **CALM)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.tolist() == ["kept"] * 3 + ["voided"] * 27
    assert statuses(world, issued.offer_state_id) == ["redeemed"] * 3 + ["voided"] * 27


@pytest.fixture
def killed_undo(world, tmp_path):
    """A Session, and what it issued, of which a process that was killed has voided a part."""
    ledger = str(tmp_path / "ledger.db")
    with world.session(ledger) as session:
        issued = session.issue_many(members(world.member_ids[:100]), CAMPAIGN, **world.calm)
        world.service.set_faults({"void_offer_state:slow_bytes": 1.0}, times={"slow_s": 0.6})  # all would take 30 s
        with Issuer(world, ledger, tmp_path, void_run=world.calm["run"], ids=[], concurrency=2) as issuer:
            issuer.go()
            world.wait_for_requests("void_offer_state", 6)
            issuer.kill()
        world.service.set_faults({})
        assert 0 < statuses(world, issued.offer_state_id).count("voided") < 100
        yield session, issued


def test_an_undo_that_was_killed_is_continued(world, killed_undo):
    session, issued = killed_undo
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("voided").all()
    assert statuses(world, issued.offer_state_id) == ["voided"] * 100


def test_an_undo_that_was_killed_does_not_call_what_it_may_have_voided_not_voided(world, killed_undo):
    session, issued = killed_undo
    world.service.set_faults({"list_offer_states:error_500_before": 1.0, "get_offer_state:error_500_before": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    voided = [status == "voided" for status in statuses(world, issued.offer_state_id)]
    assert not [row for row, is_voided in zip(result.itertuples(), voided, strict=True)
                if row.outcome == "rejected" and is_voided]  # fmt: skip


def test_an_undo_that_was_killed_keeps_what_was_changed_before_it_is_continued(world, killed_undo):
    session, issued = killed_undo
    is_open = [status != "voided" for status in statuses(world, issued.offer_state_id)]
    changed = issued[["offer_state_id", "member_id"]][is_open].assign(value=3)
    session.update_many(changed, **CALM)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.tolist() == ["kept" if still_open else "voided" for still_open in is_open]
    assert statuses(world, changed.offer_state_id) == ["incomplete"] * len(changed)


def test_rows_issued_after_an_undo_are_undone_by_the_next(world, session):
    world.service.set_faults({"issue_offer:commit_then_500": 1.0})
    frame = members(world.member_ids[:200])
    with pytest.raises(RunHalted):
        session.issue_many(frame, CAMPAIGN, concurrency=10, **world.calm)
    world.service.set_faults({})
    first = session.void_run(world.calm["run"], **CALM)
    early = len(first)
    assert 50 <= early < 200
    session.issue_many(frame, CAMPAIGN, **world.calm)
    assert len(world.states()) == 200
    result = session.void_run(world.calm["run"], **CALM)
    assert result.index.tolist() == list(range(200))
    assert result.outcome.eq("voided").all()
    assert {state["status"] for state in world.states()} == {"voided"}
    assert session.runs().undoes.eq(world.calm["run"]).sum() == 2


def test_only_an_issue_can_be_undone(session, issued):
    voided = session.void_many(issued, **CALM)
    with pytest.raises(InvalidInput, match="it is a run of void, not of issue"):
        session.void_run(voided.attrs["run"], **CALM)
    with pytest.raises(LedgerError, match="no run"):
        session.void_run("nothing", **CALM)


# ---- update, redeem --------------------------------------------------------------------------------------------------


def test_an_update_sets_what_the_frame_gives_and_leaves_missing_cells_alone(world, session, issued):
    frame = issued[["offer_state_id", "member_id"]].copy()
    frame["expires_at"] = [SOON] * 10 + [None] * 20
    frame["value"] = pd.array([None] * 10 + [2] * 20, dtype="Int64")
    result = session.update_many(frame, **CALM)
    assert result.outcome.eq("updated").all()
    there = {state["offer_state_id"]: state for state in world.states()}
    now = [(there[key]["expires_at"], there[key]["value"]) for key in issued.offer_state_id]
    assert now == [(SOON, 0)] * 10 + [(LATER, 2)] * 20


def test_an_update_of_whole_offer_states_needs_to_be_told_the_columns(world, session, issued):
    states = session.list_many(issued.member_id, progress=False)
    held = states[states.offer_state_id.isin(issued.offer_state_id)].assign(expires_at=SOON, offer_name="changed")
    with pytest.raises(InvalidInput, match=r"columns=\['expires_at'\]"):
        session.update_many(held, **CALM)
    result = session.update_many(held, columns=["expires_at"], **CALM)
    assert result.outcome.eq("updated").all()
    assert {state["expires_at"] for state in world.states()} == {SOON}
    assert not {state.get("offer_name") for state in world.states()} & {"changed"}


def test_a_redemption_leaves_other_columns_alone_unless_they_are_named(world, session, issued):
    frame = issued[["offer_state_id", "member_id"]].assign(expires_at=SOON, status="incomplete")
    assert session.redeem_many(frame[:10], **CALM).outcome.eq("redeemed").all()
    result = session.redeem_many(frame[10:20], columns=["expires_at"], **CALM)
    assert result.outcome.eq("redeemed").all()
    there = {state["offer_state_id"]: state for state in world.states()}
    assert [there[key]["expires_at"] for key in issued.offer_state_id[:20]] == [LATER] * 10 + [SOON] * 10
    assert statuses(world, issued.offer_state_id) == ["redeemed"] * 20 + ["incomplete"] * 10


def test_what_was_redeemed_before_is_rejected(session, issued):
    session.redeem_many(issued[:5], run="one", **CALM)
    result = session.redeem_many(issued[:5], run="two", **CALM)
    assert result.outcome.eq("rejected").all()


def test_a_frame_without_the_needed_columns_is_refused_before_anything_is_sent(world, session, issued):
    asked = world.requests("void_offer_state"), world.requests("update_offer_state")
    with pytest.raises(InvalidInput, match="needs a column offer_state_id"):
        session.void_many(members([1]), **CALM)
    with pytest.raises(InvalidInput, match="needs a column member_id"):
        session.update_many(issued[["offer_state_id"]].assign(value=1), **CALM)
    with pytest.raises(InvalidInput, match="nothing is to be set"):
        session.update_many(issued[["offer_state_id", "member_id"]], **CALM)
    with pytest.raises(InvalidRows, match="offer_state_id is missing"):
        session.void_many(issued[["member_id"]].assign(offer_state_id=pd.NA), **CALM)
    assert (world.requests("void_offer_state"), world.requests("update_offer_state")) == asked


# ---- list ------------------------------------------------------------------------------------------------------------


def test_all_offer_states_of_all_members_are_listed(world, session):
    ids = world.member_ids[:120]
    listed = session.list_many(ids, progress=False)
    there = [state for state in world.service.truth()["offer_states"] if state["member_id"] in set(ids)]
    assert sorted(listed.offer_state_id) == sorted(state["offer_state_id"] for state in there)
    assert {name: str(dtype) for name, dtype in listed.dtypes.items() if name in OFFER_STATE} == OFFER_STATE


def test_a_member_that_cannot_be_read_makes_the_list_fail_as_a_whole(world, session):
    with pytest.raises(IncompleteListing, match=r"1 of 4 members could not be read.*member 1: Member not found"):
        session.list_many([*world.member_ids[:3], 1], progress=False)


def test_members_that_cannot_be_read_can_be_collected(world, session):
    listed = session.list_many([*world.member_ids[:3], 1], errors="collect", progress=False)
    assert set(listed.member_id) <= set(world.member_ids[:3])
    (unread,) = listed.attrs["unread"]
    assert (unread["member_id"], unread["http_status"]) == (1, 404)
    assert "Member not found" in unread["reason"]


def test_listing_is_true_under_faults(world, session):
    ids = world.member_ids[:100]
    expected = session.list_many(ids, progress=False)
    names = ("drop_before", "error_500_before", "status_429_bare", "token_revoked", "half_body", "commit_then_503")
    world.service.set_faults({f"list_offer_states:{name}": 0.05 for name in names})
    listed = session.list_many(ids, progress=False)
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        listed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_more_members_than_a_block_holds_are_listed_as_one_frame(world, session, monkeypatch):
    ids = [*world.member_ids[:120], 1]
    at_once = session.list_many(ids, errors="collect", progress=False)
    monkeypatch.setattr(lister, "BLOCK_MEMBERS", 50)
    block_by_block = session.list_many(ids, errors="collect", progress=False)
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        block_by_block.sort_values(keys, ignore_index=True), at_once.sort_values(keys, ignore_index=True)
    )
    assert block_by_block.attrs["unread"] == at_once.attrs["unread"]
    with pytest.raises(IncompleteListing, match="1 of 121 members"):
        session.list_many(ids, progress=False)


def test_members_whose_worker_dies_are_listed_by_the_next(world, session, monkeypatch):
    ids = world.member_ids[:30]
    expected = session.list_many(ids, progress=False)
    works, deaths = lister.list_members, [RuntimeError("the worker was killed")]

    def dies_once(job):
        if deaths:
            raise deaths.pop()
        return works(job)

    monkeypatch.setattr(lister, "list_members", dies_once)
    listed = session.list_many(ids, progress=False)
    assert not deaths
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        listed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_a_service_that_accepts_no_token_ends_a_listing_with_every_member_named(tmp_path):
    with tiny_service(tmp_path / "ledger.db", identity="i", key="k") as (session, service):
        answered = service.__call__
        service.server._answer = lambda received: (
            answered(received) if received.target.endswith("/auth") else Answer(401)
        )
        listed = session.list_many([11, 12, 13], errors="collect", progress=False)
        with pytest.raises(IncompleteListing, match="3 of 3 members could not be read"):
            session.list_many([11, 12, 13], progress=False)
    assert listed.empty
    assert [entry["member_id"] for entry in listed.attrs["unread"]] == [11, 12, 13]
    assert {entry["reason"] for entry in listed.attrs["unread"]} == {
        "no request gets through to the service: no listing got a response"
    }


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (pd.DataFrame({"member": [11]}), "no operation lists by member_identifier"),
        (pd.DataFrame([[11, 12]], columns=["member_id", "member_id"]), "more than one column member_id"),
        ("11", "must be a frame, a Series or a list of ids"),
        ({"member_id": [11]}, "must be a frame, a Series or a list of ids"),
        (np.array(11), "must be a frame, a Series or a list of ids"),
        ([11, [12, 13]], "1 of 2 members cannot be read, so nothing was asked"),
        ([11, "x", None], r"(?s)2 of 3 members cannot be read, so nothing was asked.*'x'.*the id is missing"),
    ],
    ids=["other column", "column twice", "text", "dict", "array of none", "list in a list", "cells"],
)
def test_members_that_cannot_be_meant_are_refused_before_anything_is_asked(world, session, given, why):
    asked = world.requests("list_offer_states")
    with pytest.raises(InvalidInput, match=why):
        session.list_many(given, progress=False)
    assert world.requests("list_offer_states") == asked


def test_what_is_to_happen_to_unread_members_is_one_of_two_words(world, session):
    asked = world.requests("list_offer_states")
    with pytest.raises(InvalidInput, match="errors='ignore' is unknown; use 'raise' or 'collect'"):
        session.list_many(world.member_ids[:3], errors="ignore", progress=False)
    assert world.requests("list_offer_states") == asked


@pytest.mark.parametrize(
    "given", [[], pd.Series(dtype="Int64"), pd.DataFrame({"member_id": []})], ids=["list", "Series", "frame"]
)
def test_nobody_is_listed_as_an_empty_typed_frame(session, given):
    listed = session.list_many(given, progress=False)
    assert len(listed) == 0
    assert {name: str(dtype) for name, dtype in listed.dtypes.items()} == OFFER_STATE


def test_an_empty_plan_is_an_empty_result_and_sends_nothing(world, session):
    result = session.issue_many(members([]), CAMPAIGN, **world.calm)
    assert len(result) == 0
    assert list(result.columns) == list(RESULT)
    assert world.requests("issue_offer") == 0


# ---- settle ----------------------------------------------------------------------------------------------------------


def test_settling_a_settled_run_asks_nothing(world, session, issued):
    asked = world.requests("list_offer_states")
    pd.testing.assert_frame_equal(session.settle(world.calm["run"], **CALM), session.run(world.calm["run"]))
    assert world.requests("list_offer_states") == asked


def test_settling_works_for_voids_updates_and_redemptions(tmp_path, world, session, issued):
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


def test_a_lost_row_is_not_settled_before_the_pause(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, record: service.states.append(record) or DropRead()
        session.issue_many(members([11]), CAMPAIGN, progress=False, settle_pause=0.4)
    (sent, _), (read, _) = service.asked
    assert read - sent >= 0.4
