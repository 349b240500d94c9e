"""Runs in one ledger: they are settled and undone at the service where they were made, and names never collide."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from bulk_world import CALM, CAMPAIGN, PATIENCE_S, members, tiny_service
from scripted_server import DropRead

from sparkfly_nb import Session
from sparkfly_nb.bulk.engine.reconcile import MAX_RESENDS
from sparkfly_nb.errors import InvalidInput, LedgerError

# ---- where a run was made --------------------------------------------------------------------------------------------


def test_run_is_not_settled_at_another_service(world, ledger):
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


def test_run_is_not_undone_at_another_service(ledger):
    with tiny_service(ledger) as (session, _service), tiny_service(ledger) as (elsewhere, other):
        session.issue_many(members([11, 12]), CAMPAIGN, run="june", **CALM)
        with pytest.raises(LedgerError, match="june"):
            elsewhere.void_run("june", **CALM)
        assert not other.asked
        assert session.runs().run.tolist() == ["june"]


def test_run_of_another_service_can_be_read(ledger):
    with tiny_service(ledger) as (session, _service), tiny_service(ledger) as (elsewhere, _other):
        session.issue_many(members([11]), CAMPAIGN, run="june", **CALM)
        assert elsewhere.run("june").outcome.tolist() == ["issued"]


# ---- names -----------------------------------------------------------------------------------------------------------


def test_run_named_like_an_undo_is_not_mistaken_for_one(world, ledger):
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


def test_undo_of_run_with_longest_name_can_be_read(world, tmp_path):
    longest = world.calm["run"].ljust(200, "_")
    with world.session(str(tmp_path / "ledger.db")) as session:
        session.issue_many(members(world.member_ids[:2]), CAMPAIGN, **{**world.calm, "run": longest})
        undone = session.void_run(longest, **CALM)
        assert session.run(undone.attrs["run"]).outcome.tolist() == ["voided", "voided"]
        with pytest.raises(InvalidInput, match="longer than 200"):
            session.issue_many(members(world.member_ids[2:]), CAMPAIGN, **{**world.calm, "run": longest + "_"})


# ---- two processes on one run ----------------------------------------------------------------------------------------


def test_row_resent_by_another_process_is_not_rejected(ledger):
    frame, calm = members([11]), {"run": "june", "progress": False, "settle_pause": 0}
    readbacks, seconds_turn, others_result = count(1), threading.Event(), []

    def answer_as_service(received):
        answer = service(received)
        if received.method == "GET" and next(readbacks) == 2 * (1 + MAX_RESENDS):  # the last of the first process
            others_result.append(pool.submit(second.issue_many, frame, CAMPAIGN, **calm))
            assert seconds_turn.wait(PATIENCE_S)
        return answer

    def issue(_number, _record):
        if not others_result:
            return DropRead()
        seconds_turn.set()
        until = time.monotonic() + 1  # time for the first process to record something false
        while second.run("june").outcome.tolist() != ["rejected"] and time.monotonic() < until:
            time.sleep(0.02)
        return None

    with tiny_service(ledger) as (first, service), ThreadPoolExecutor() as pool:
        service.server._answer, service.on_issue = answer_as_service, issue
        way = {"base_url": first.settings.base_url, "token": "given-token", "ledger": str(ledger)}
        with Session("sandbox", **way) as second:
            results = [first.issue_many(frame, CAMPAIGN, **calm), others_result[0].result()]
    assert len(service.states) == 1
    assert [result.outcome.tolist() for result in results] == [["issued"], ["issued"]]
