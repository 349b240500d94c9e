"""Several processes or sessions work on one run, and some of them die."""

from __future__ import annotations

import pandas as pd
import pytest
from bulk_world import CAMPAIGN, Issuer, assert_true, members


@pytest.mark.parametrize("canary", [0, 10])
def test_two_processes_on_one_run_send_each_row_once(ledger, world, tmp_path, canary):
    ids = world.member_ids[:240]
    task = {"ids": ids, "concurrency": 4, "canary": canary}
    with Issuer(world, ledger, tmp_path, **task) as one, Issuer(world, ledger, tmp_path, **task) as other:
        one.go()
        other.go()
        first, second = (issuer.report()["result"] for issuer in (one, other))
    pd.testing.assert_frame_equal(first, second)
    assert_true(first, world.states())
    assert first.outcome.eq("issued").all()
    assert world.requests("issue_offer") == len(ids)


def test_two_sessions_in_one_process_send_each_row_once(ledger, world):
    from concurrent.futures import ThreadPoolExecutor

    def issue(_number):
        with world.session(ledger) as session:
            return session.issue_many(members(world.member_ids[:200]), CAMPAIGN, concurrency=2, **world.calm)

    with ThreadPoolExecutor(3) as pool:
        frames = list(pool.map(issue, range(3)))
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert world.requests("issue_offer") == 200
    assert_true(frames[0], world.states())


def test_rows_sent_by_dead_process_are_read_back_not_resent(ledger, world, tmp_path):
    ids = world.member_ids[:120]
    world.service.set_faults({"issue_offer:commit_then_hang": 1.0})
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=20) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 20)
        issuer.kill()
    world.service.set_faults({})
    with world.session(ledger) as session:
        runs = session.runs()
        assert runs.planned[0] == 120, "the dead process recorded no outcomes"
        result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert result.settled_by.value_counts()["readback"] >= 20
    assert world.requests("issue_offer") == 120


def test_living_process_keeps_its_rows(ledger, world, tmp_path):
    ids = world.member_ids[:60]
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=2, rate=80) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 5)
        with world.session(ledger) as session:
            result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
        other = issuer.report()["result"]
    pd.testing.assert_frame_equal(result, other)
    assert world.requests("issue_offer") == 60
    assert result.settled_by.eq("response").all()


def test_finished_claimants_are_deleted(ledger, world):
    with world.session(ledger) as session:
        session.issue_many(members(world.member_ids[:10]), CAMPAIGN, **world.calm)
        from sparkfly_nb.bulk.ledger.tables import claimants

        with session._runs.ledger.transaction() as connection:
            assert not connection.execute(claimants.select()).all()
