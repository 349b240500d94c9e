"""A run killed or interrupted at any moment can be continued, and issues every reference exactly once."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from bulk_world import CAMPAIGN, Issuer, assert_true, members

WORKERS = {
    "one": {},
    "threads": {"backend": "threading", "n_jobs": 2},
    "processes": {"backend": "loky", "n_jobs": 2},
}


def run_until_done(world, ledger, tmp_path, seed, kills, rows=300, **arguments):
    """Start and kill issuers at random moments, `kills` times. Then run one to its end and return its result."""
    chance = random.Random(seed)
    task = {"ids": world.member_ids[:rows], "concurrency": 16, **arguments}
    for _kill in range(kills):
        asked = world.requests("issue_offer")
        with Issuer(world, ledger, tmp_path, **task) as issuer:
            issuer.go()
            # Count requests instead of seconds, so that the kill hits the middle of the run on any machine.
            moment = asked + chance.randint(1, rows // (kills + 1))
            world.wait_for_requests("issue_offer", moment, unless=issuer.has_ended)
            issuer.kill()
    with Issuer(world, ledger, tmp_path, **task) as issuer:
        return issuer.go().report()["result"]


def assert_each_once(result, world, rows):
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    made = Counter(state["external_ref_id"] for state in world.states())
    assert len(made) == rows
    assert set(made.values()) == {1}


@pytest.mark.parametrize(("workers", "kills"), [("one", 3), ("threads", 2), ("processes", 1)])
def test_killed_run_leaves_every_reference_exactly_once(world, tmp_path, workers, kills):
    seed = random.randrange(10**6)  # shown when the test fails
    ledger = str(tmp_path / "ledger.db")
    result = run_until_done(world, ledger, tmp_path, seed, kills, rows=200, rate=400, **WORKERS[workers])
    assert_each_once(result, world, 200)
    assert result.settled_by.value_counts().get("readback", 0) > 0, "the kills left rows that had to be read back"


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(5))
def test_often_killed_worker_processes_leave_each_reference_once(world, ledger, tmp_path, seed):
    """The chaos matrix kills only runs in one process. Here worker processes must end with their parent as well."""
    names = ("commit_then_drop", "commit_then_500", "half_body", "drop_before", "status_429_bare", "token_revoked")
    world.service.set_faults({f"issue_offer:{name}": 0.03 for name in names}, seed=seed)
    result = run_until_done(world, ledger, tmp_path, seed, kills=6, rate=400, **WORKERS["processes"])
    assert_true(result, world.states())
    rejected = result[result.outcome != "issued"]
    assert rejected.error.str.contains("No usable response after").all()
    assert len(rejected) <= 2, "few rows are lost four times in one call"


def test_worker_processes_end_with_their_parent(world, tmp_path):
    """Rows that they still sent would not be recorded, so a continued run would send them again."""
    import psutil

    with Issuer(
        world, str(tmp_path / "ledger.db"), tmp_path, ids=world.member_ids[:300], rate=100, **WORKERS["processes"]
    ) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 10)
        children = psutil.Process(issuer.process.pid).children(recursive=True)
        assert len(children) >= 2
        issuer.kill()
        _gone, alive = psutil.wait_procs(children, timeout=10)
        assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("workers", WORKERS)
def test_interrupted_run_records_rows_in_flight_and_can_be_continued(world, tmp_path, workers):
    ledger = str(tmp_path / "ledger.db")
    ids = world.member_ids[:300]
    world.service.set_faults({"issue_offer:slow_bytes": 1.0}, times={"slow_s": 0.1})  # all would take 15 s
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=2, **WORKERS[workers]) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 20)
        issuer.interrupt()
        report = issuer.report()
    assert report["interrupted"]
    assert report["threads"] == []
    assert report["sockets"] == []
    assert not [child for child in report["children"] if "resource_tracker" not in child]
    there = world.states()
    assert 20 <= len(there) < 300
    with world.session(ledger) as session:
        recorded = session.run(world.calm["run"])
        done = recorded[recorded.outcome == "issued"]
        assert set(done.offer_state_id) == {state["offer_state_id"] for state in there}
        assert set(recorded.outcome) == {"issued", "planned"}
        world.service.set_faults({})
        result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
    assert_each_once(result, world, 300)
    assert world.requests("issue_offer") == 300


def test_interrupt_ends_the_wait_for_a_hanging_service(world, tmp_path):
    ledger = str(tmp_path / "ledger.db")
    ids = world.member_ids[:100]
    world.service.set_faults({"issue_offer:commit_then_hang": 1.0})
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=8, settle_pause=600) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 8)
        issuer.interrupt()
        assert issuer.report()["interrupted"]
    world.service.set_faults({})
    with world.session(ledger) as session:
        recorded = session.run(world.calm["run"])
        assert recorded.outcome.value_counts()["unknown"] >= 8
        result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
    assert_each_once(result, world, 100)
