"""Runs are known by name in one ledger: each is settled and undone where it was made, and none is taken for another."""

from __future__ import annotations

import pytest
from bulk_world import CALM, CAMPAIGN, members, tiny_service

from sparkfly_nb.errors import InvalidInput, LedgerError

# ---- where a run was made --------------------------------------------------------------------------------------------


def test_a_run_is_not_settled_at_another_service_where_nothing_of_it_is_there(world, ledger):
    name, frame = world.calm["run"], members(world.member_ids[:3])
    with world.session(ledger) as session, tiny_service(ledger) as (elsewhere, other):
        world.service.set_faults({"issue_offer:commit_then_500": 1.0, "list_offer_states:error_500_before": 1.0})
        assert session.issue_many(frame, CAMPAIGN, **world.calm).outcome.eq("unknown").all()
        world.service.set_faults({})
        with pytest.raises(LedgerError, match=f"{session.settings.base_url}.*{elsewhere.settings.base_url}"):
            elsewhere.settle(name, **CALM)
        assert not other.asked
        result = session.issue_many(frame, CAMPAIGN, **world.calm)
    assert result.outcome.eq("issued").all()
    assert len(world.states()) == 3


def test_a_run_is_not_undone_at_another_service(ledger):
    with tiny_service(ledger) as (session, _service), tiny_service(ledger) as (elsewhere, other):
        session.issue_many(members([11, 12]), CAMPAIGN, run="june", **CALM)
        with pytest.raises(LedgerError, match="june"):
            elsewhere.void_run("june", **CALM)
        assert not other.asked
        assert session.runs().run.tolist() == ["june"]


def test_a_run_of_another_service_can_be_looked_at(ledger):
    with tiny_service(ledger) as (session, _service), tiny_service(ledger) as (elsewhere, _other):
        session.issue_many(members([11]), CAMPAIGN, run="june", **CALM)
        assert elsewhere.run("june").outcome.tolist() == ["issued"]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_a_run_that_a_person_gave_the_name_of_an_undo_is_not_taken_for_one(world, ledger):
    name = world.calm["run"]
    with world.session(ledger) as session:
        issued = session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **world.calm)
        session.void_many(issued[2:], run=f"void of {name}", **CALM)
        result = session.void_run(name, **CALM)
        again = session.void_run(name, **CALM)
        undoes = session.runs().set_index("run").undoes
    assert result.offer_state_id.tolist() == issued.offer_state_id.tolist()
    assert result.outcome.tolist() == ["voided"] * 3
    assert [state["status"] for state in world.states()] == ["voided"] * 3
    assert again.equals(result)
    assert undoes.dropna().to_dict() == {result.attrs["run"]: name}


def test_the_undo_of_a_run_with_the_longest_name_can_be_looked_at(world, tmp_path):
    longest = world.calm["run"].ljust(200, "_")
    with world.session(str(tmp_path / "ledger.db")) as session:
        session.issue_many(members(world.member_ids[:2]), CAMPAIGN, **{**world.calm, "run": longest})
        undone = session.void_run(longest, **CALM)
        assert session.run(undone.attrs["run"]).outcome.tolist() == ["voided", "voided"]
        with pytest.raises(InvalidInput, match="longer than 200"):
            session.issue_many(members(world.member_ids[2:]), CAMPAIGN, **{**world.calm, "run": longest + "_"})
