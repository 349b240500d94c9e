"""Results are the same in threads, processes, Dask workers, scripts and Jupyter."""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import signal
import threading
import warnings
from contextlib import contextmanager, nullcontext

import joblib
import pandas as pd
import psutil
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, QUICK, assert_true, dask_client, members, tiny_service

from sparkfly_nb import Session
from sparkfly_nb.bulk.engine import executor
from sparkfly_nb.bulk.ledger.claims import Claimant
from sparkfly_nb.errors import ConfigurationError, LedgerError

FAULTS = {
    f"issue_offer:{name}": 0.05
    for name in ("commit_then_drop", "commit_then_500", "half_body", "drop_before", "status_429_bare", "token_revoked")
}


@pytest.fixture(scope="module")
def dask_cluster():
    """Two worker processes, which Dask restarts when they die."""
    with dask_client(n_workers=2, processes=True) as client:
        yield client


@contextmanager
def configured(backend, request):
    if backend == "dask":
        request.getfixturevalue("dask_cluster")
    with joblib.parallel_config(backend) if backend else nullcontext():
        yield


BACKENDS = [("loky", 2), ("threading", 2), ("dask", 2)]


@pytest.fixture(scope="module")
def reference_result(tmp_path_factory):
    """The result of one worker in a fresh sandbox."""
    return issue_in_fresh_sandbox(tmp_path_factory.mktemp("reference") / "ledger.db", n_jobs=1)


def issue_in_fresh_sandbox(ledger, **arguments):
    """Issue under faults in a sandbox with a fixed seed."""
    with Session.sandbox(members=150, seed=9, faults=FAULTS, fault_seed=2, ledger=str(ledger), retry=QUICK) as session:
        frame = members([*(member["member_id"] for member in session.service.members()), 1], expires_at=LATER)
        frame.index = frame.index + 500
        result = session.issue_many(frame, CAMPAIGN, run="the same", halt_above=1, **CALM, **arguments)
        assert_true(result, session.service.truth(generated=False)["offer_states"])
        return result


SAME = ["outcome", "member_id", "offer_id", "campaign_id", "external_ref_id", "expires_at"]


@pytest.mark.parametrize(("backend", "n_jobs"), [*BACKENDS, pytest.param(None, 2, marks=pytest.mark.chaos)])
def test_every_backend_gives_the_same_results(tmp_path, request, reference_result, backend, n_jobs):
    with configured(backend, request):
        result = issue_in_fresh_sandbox(tmp_path / "ledger.db", n_jobs=n_jobs)
    pd.testing.assert_frame_equal(result[SAME], reference_result[SAME])
    assert result.attrs == reference_result.attrs
    assert result.outcome.tolist() == ["issued"] * 150 + ["rejected"]


@pytest.mark.parametrize(("backend", "n_jobs"), BACKENDS)
def test_every_backend_lists_the_same(world, tmp_path, request, backend, n_jobs):
    ids = world.member_ids[:200]
    with world.session(str(tmp_path / "ledger.db")) as session:
        expected = session.list_many(ids, n_jobs=1, progress=False)
        with configured(backend, request):
            listed = session.list_many(ids, n_jobs=n_jobs, progress=False, concurrency=8)
    keys = ["member_id", "offer_state_id"]
    pd.testing.assert_frame_equal(
        listed.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


def test_killed_dask_worker_leaves_every_reference_exactly_once(world, tmp_path, dask_cluster):
    ids = world.member_ids[:300]
    pids = list(dask_cluster.run(os.getpid).values())

    def kill_one():
        world.wait_for_requests("issue_offer", 60)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    with world.session(str(tmp_path / "ledger.db"), timeout=(0.5, 0.5)) as session, joblib.parallel_config("dask"):
        killer.start()
        result = session.issue_many(members(ids), CAMPAIGN, n_jobs=2, concurrency=8, rate=400, **world.calm)
        killer.join()
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert not psutil.pid_exists(pids[0])
    dask_cluster.wait_for_workers(2, timeout=30)


def test_killed_worker_process_leaves_every_reference_exactly_once(world, tmp_path):
    ids = world.member_ids[:300]

    def kill_one():
        world.wait_for_requests("issue_offer", 60)
        loky_workers()[0].kill()

    killer = threading.Thread(target=kill_one)
    with world.session(str(tmp_path / "ledger.db")) as session, joblib.parallel_config("loky"):
        killer.start()
        with warnings.catch_warnings():
            # loky warns about the killed worker
            warnings.filterwarnings("ignore", message="A worker stopped", category=UserWarning)
            result = session.issue_many(members(ids), CAMPAIGN, n_jobs=2, concurrency=8, rate=400, **world.calm)
        killer.join()
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()


def test_backend_that_cannot_return_single_results_is_refused(tmp_path):
    with (
        tiny_service(tmp_path / "ledger.db") as (session, service),
        joblib.parallel_config("multiprocessing"),
        pytest.raises(ConfigurationError, match="use loky or threading"),
    ):
        session.issue_many(members([11, 12]), CAMPAIGN, n_jobs=2, **CALM)
    assert not service.asked


def test_bulk_calls_work_inside_a_running_event_loop(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):

        async def cell():
            result = session.issue_many(members(range(11, 31)), CAMPAIGN, **CALM)
            listed = session.list_many(result.member_id, progress=False)
            await asyncio.sleep(0)
            return result, listed

        result, listed = asyncio.run(cell())
    assert result.outcome.eq("issued").all()
    assert len(listed) == len(service.states) == 20


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ledger_error_while_claiming_stops_the_run(tmp_path, monkeypatch, n_jobs):
    """joblib claims shards in its own threads, where an error would be lost and the run would look finished."""
    monkeypatch.setattr(executor, "SHARD_ROUNDS", 1)
    claim, claims = Claimant.claim, itertools.count(1)

    def fails_at_the_third(self, below=None):
        if next(claims) == 3:
            raise LedgerError("the ledger is full")
        return claim(self, below)

    how = {"n_jobs": n_jobs, "concurrency": 4 * n_jobs, **CALM}
    with tiny_service(tmp_path / "ledger.db") as (session, service), joblib.parallel_config("threading"):
        monkeypatch.setattr(Claimant, "claim", fails_at_the_third)
        with pytest.raises(LedgerError, match="the ledger is full"):
            session.issue_many(members(range(11, 31)), CAMPAIGN, **how)
        assert session.runs()[["done", "planned"]].iloc[0].tolist() == [8, 12]
        result = session.issue_many(members(range(11, 31)), CAMPAIGN, **how)
        assert result.outcome.eq("issued").all()
    assert len(service.states) == 20


def test_worker_with_unusable_settings_raises_configuration_error(tmp_path, monkeypatch):
    address, ledger = "https://127.0.0.1:1/v1.0", str(tmp_path / "ledger.db")
    with Session("sandbox", base_url=address, token="given-token", ledger=ledger) as session:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))  # as on another machine
        with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE is"):
            session.issue_many(members([11]), CAMPAIGN, **CALM)


def loky_workers():
    return [child for child in psutil.Process().children() if "popen_loky" in " ".join(child.cmdline())]


@pytest.mark.parametrize("backend", [None, "threading", "loky"])
def test_no_thread_or_process_is_left_after_a_run(world, tmp_path, backend):
    before = set(threading.enumerate())
    with world.session(str(tmp_path / "ledger.db")) as session, configured(backend, None):
        for run in ("one", "another"):
            task = {**world.calm, "run": f"{world.calm['run']} {run}", "allow_duplicates": True}
            session.issue_many(members(world.member_ids[:40]), CAMPAIGN, n_jobs=2 if backend else 1, **task)
            assert set(threading.enumerate()) <= before
            assert not loky_workers()


def test_jobs_contain_the_token_but_never_the_key(world, tmp_path, monkeypatch):
    from sparkfly_nb.bulk.engine import executor

    sent = []
    dispatched = executor.Executor.dispatch

    def dispatch(self, function, jobs):
        def seen():
            for job in jobs:
                sent.append((repr(job), pickle.dumps(job)))
                yield job

        return dispatched(self, function, seen())

    monkeypatch.setattr(executor.Executor, "dispatch", dispatch)
    with world.session(str(tmp_path / "ledger.db")) as session:
        session.issue_many(members(world.member_ids[:5]), CAMPAIGN, **world.calm)
        session.list_many(world.member_ids[:5], progress=False)
        token = session._tokens.current()[0].reveal()
    assert {shown.partition("(")[0] for shown, _pickled in sent} == {"SendJob", "ListJob"}
    for shown, pickled in sent:
        assert token not in shown
        assert token.encode() in pickled
        assert world.service.key.reveal().encode() not in pickled
        assert world.service.identity.reveal().encode() not in pickled
