"""Lanes send at the pace that the service and the analyst allow."""

from __future__ import annotations

import asyncio

import pytest

from sparkfly_nb.bulk.worker import pacing
from sparkfly_nb.bulk.worker.pacing import RECOVERY_RESPONSES, Pacer


class Time:
    """Time that passes only when a lane sleeps."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    time = Time()
    monkeypatch.setattr(pacing.time, "monotonic", time.monotonic)
    monkeypatch.setattr(pacing.asyncio, "sleep", time.sleep)
    return time


def never():
    return False


def turns(pacer, *lanes):
    async def take():
        return [await pacer.turn(lane) for lane in lanes]

    return asyncio.run(take())


def test_without_a_rate_every_lane_sends_at_once(clock):
    assert turns(Pacer(3, None, never), 0, 1, 2) == [True] * 3
    assert clock.now == 100.0


def test_a_rate_spaces_the_requests_of_all_lanes(clock):
    pacer = Pacer(2, 10.0, never)

    assert turns(pacer, 0, 1, 0, 1, 0) == [True] * 5
    assert clock.now == pytest.approx(100.4)
    assert pacer.pause_left_s == pytest.approx(0.1)


def test_a_slow_down_delays_all_lanes(clock):
    pacer = Pacer(2, None, never)
    pacer.slow_down(3.0)

    assert pacer.pause_left_s == pytest.approx(3.0)
    assert turns(pacer, 0) == [True]
    assert clock.now == pytest.approx(103.0)


def test_slow_downs_at_the_same_time_halve_the_lanes_once(clock):
    pacer = Pacer(8, None, never)
    for _ in range(8):
        pacer.slow_down(1.0)
    clock.now += 1.0

    assert [pacer._is_held_back(lane) for lane in range(8)] == [False] * 4 + [True] * 4


def test_good_responses_let_one_more_lane_send(clock):
    pacer = Pacer(4, None, never)
    pacer.slow_down(0.5)
    clock.now += 0.5
    for _ in range(RECOVERY_RESPONSES):
        pacer.speed_up()

    assert [pacer._is_held_back(lane) for lane in range(4)] == [False] * 3 + [True]


def test_a_lane_that_left_makes_room_for_the_next(clock):
    pacer = Pacer(4, None, never)
    pacer.slow_down(0.0)
    pacer.slow_down(1.0)
    assert pacer._is_held_back(3)
    for lane in (0, 1, 2):
        pacer.leave(lane)

    assert not pacer._is_held_back(3)


def test_no_lane_sends_when_the_shard_ends(clock):
    assert turns(Pacer(2, None, lambda: True), 0, 1) == [False] * 2
