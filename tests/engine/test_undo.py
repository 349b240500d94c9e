"""Undoing an issue run: unchanged offers are voided, redeemed or changed ones are kept."""

from __future__ import annotations

import pandas as pd
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, Issuer, members, tiny_service

from sparkfly_nb.errors import InvalidInput, LedgerError, RunHalted


def test_undo_voids_unchanged_rows_and_keeps_redeemed_or_changed_ones(world, session, issued):
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
    assert world.statuses(issued.offer_state_id) == ["redeemed"] * 2 + ["incomplete"] * 3 + ["voided"] * 25
    run = session.runs().iloc[0]
    assert (run.run, run.undoes, run.reason) == (f"void of {world.calm['run']}", world.calm["run"], "wrong campaign")


def test_repeated_undo_sends_nothing_and_returns_the_same(world, session, issued):
    first = session.void_run(world.calm["run"], **CALM)
    asked = world.requests("void_offer_state")
    pd.testing.assert_frame_equal(session.void_run(world.calm["run"], **CALM), first)
    assert world.requests("void_offer_state") == asked == 30


def test_undone_rows_may_be_issued_again(world, session, issued):
    session.void_run(world.calm["run"], **CALM)
    again = session.issue_many(members(world.member_ids[:30]), CAMPAIGN, **{**CALM, "run": world.calm["run"] + " 2"})
    assert again.outcome.eq("issued").all()


def test_undo_settles_lost_rows_first_and_voids_issued_ones(world, session):
    world.service.set_faults({"issue_offer:commit_then_drop": 1.0, "list_offer_states:error_500_before": 1.0})
    lost = session.issue_many(members(world.member_ids[:10]), CAMPAIGN, **world.calm)
    assert lost.outcome.eq("unknown").all()
    world.service.set_faults({})
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("voided").all()
    assert len(result) == 10
    assert {state["status"] for state in world.states()} == {"voided"}


def test_undo_leaves_unknown_rows_that_cannot_be_read(world, session):
    world.service.set_faults({"issue_offer:commit_then_drop": 1.0, "list_offer_states:error_500_before": 1.0})
    session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **world.calm)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("unknown").all()
    assert world.requests("void_offer_state") == 0


def test_undo_rejects_issued_rows_that_cannot_be_read(world, session, issued):
    world.service.set_faults({"list_offer_states:error_500_before": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("rejected").all()
    assert result.error.str.startswith("not voided, could not be read").all()
    assert world.requests("void_offer_state") == 0


def test_undo_does_not_report_unreadable_values_as_changes(world, session):
    issued = session.issue_many(members(world.member_ids[:60], expires_at=LATER), CAMPAIGN, **world.calm)
    world.service.set_faults({"list_offer_states:wrong_types": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    assert set(result.outcome) == {"voided", "rejected"}, "nothing was changed"
    assert result.error[result.outcome == "rejected"].str.startswith("not voided, could not be read: ").all()
    assert world.statuses(issued.offer_state_id).count("voided") == result.outcome.eq("voided").sum()


def test_undo_reports_a_second_offer_state_of_a_row(world, session):
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


def test_undo_keeps_row_whose_offer_state_is_gone(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        run = session.issue_many(members([11]), CAMPAIGN, **CALM).attrs["run"]
        service.states.clear()  # merged into another member, for instance
        result = session.void_run(run, **CALM)
    assert result.outcome.tolist() == ["kept"]
    assert result.error.tolist() == ["kept: the member no longer holds offer state 1 under this reference"]
    assert not [received for _at, received in service.asked if received.target.endswith("/void")]


def test_undo_outcomes_are_true_under_faults(world, session, issued):
    names = ("commit_then_drop", "commit_then_500", "error_500_before", "half_body", "status_401", "status_429_bare")
    world.service.set_faults(dict.fromkeys(names, 0.05))
    session.redeem_many(issued[:3], **CALM)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.tolist() == ["kept"] * 3 + ["voided"] * 27
    assert world.statuses(issued.offer_state_id) == ["redeemed"] * 3 + ["voided"] * 27


@pytest.fixture
def killed_undo(world, tmp_path):
    """A Session and its issue result. A process was killed after it had voided some of these rows."""
    ledger = str(tmp_path / "ledger.db")
    with world.session(ledger) as session:
        issued = session.issue_many(members(world.member_ids[:100]), CAMPAIGN, **world.calm)
        world.service.set_faults({"void_offer_state:slow_bytes": 1.0}, times={"slow_s": 0.6})  # all would take 30 s
        with Issuer(world, ledger, tmp_path, void_run=world.calm["run"], ids=[], concurrency=2) as issuer:
            issuer.go()
            world.wait_for_requests("void_offer_state", 6)
            issuer.kill()
        world.service.set_faults({})
        assert 0 < world.statuses(issued.offer_state_id).count("voided") < 100
        yield session, issued


def test_killed_undo_is_continued(world, killed_undo):
    session, issued = killed_undo
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.eq("voided").all()
    assert world.statuses(issued.offer_state_id) == ["voided"] * 100


def test_killed_undo_never_rejects_a_row_it_voided(world, killed_undo):
    session, issued = killed_undo
    world.service.set_faults({"list_offer_states:error_500_before": 1.0, "get_offer_state:error_500_before": 1.0})
    result = session.void_run(world.calm["run"], **CALM)
    voided = [status == "voided" for status in world.statuses(issued.offer_state_id)]
    assert not [row for row, is_voided in zip(result.itertuples(), voided, strict=True)
                if row.outcome == "rejected" and is_voided]  # fmt: skip


def test_continued_undo_keeps_rows_changed_in_between(world, killed_undo):
    session, issued = killed_undo
    is_open = [status != "voided" for status in world.statuses(issued.offer_state_id)]
    changed = issued[["offer_state_id", "member_id"]][is_open].assign(value=3)
    session.update_many(changed, **CALM)
    result = session.void_run(world.calm["run"], **CALM)
    assert result.outcome.tolist() == ["kept" if still_open else "voided" for still_open in is_open]
    assert world.statuses(changed.offer_state_id) == ["incomplete"] * len(changed)


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


def test_only_issue_runs_can_be_undone(session, issued):
    voided = session.void_many(issued, **CALM)
    with pytest.raises(InvalidInput, match="it is a run of void, not of issue"):
        session.void_run(voided.attrs["run"], **CALM)
    with pytest.raises(LedgerError, match="no run"):
        session.void_run("nothing", **CALM)
