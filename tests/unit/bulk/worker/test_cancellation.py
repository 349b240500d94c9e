"""A worker starts no request after its time, after a stop, or after its machine was asleep."""

from __future__ import annotations

import time

import pytest

from sparkfly_nb.bulk.worker import cancellation
from sparkfly_nb.bulk.worker.cancellation import ASLEEP_S, Deadline, stop_event


@pytest.fixture
def clocks(monkeypatch):
    """The monotonic and the wall clock, which the test sets."""
    now = {"monotonic": 100.0, "wall": 1_800_000_000.0}
    monkeypatch.setattr(cancellation.time, "monotonic", lambda: now["monotonic"])
    monkeypatch.setattr(cancellation.time, "time", lambda: now["wall"])
    return now


def test_deadline_passes_with_its_time(clocks):
    deadline = Deadline("nobody", 5.0)
    assert not deadline()
    clocks["monotonic"] += 5.0
    assert deadline()


def test_machine_that_was_asleep_starts_nothing(clocks):
    deadline = Deadline("nobody", 5.0)
    clocks["wall"] += 5.0 + ASLEEP_S  # the monotonic clock stands still while some machines sleep
    assert deadline()


def test_closed_deadline_has_passed():
    deadline = Deadline("nobody", 60.0)
    deadline.close()
    assert deadline()


def test_event_of_the_run_stops_its_workers_and_no_others():
    with stop_event("this run") as event:
        here, elsewhere = Deadline("this run", 60.0), Deadline("another run", 60.0)
        assert not here()
        event.set()
        assert here()
        assert not elsewhere()


def test_worker_in_another_process_finds_no_event():
    with stop_event("this run"):
        pass
    began = time.monotonic()
    assert not Deadline("this run", 60.0)()
    assert time.monotonic() - began < 60.0
