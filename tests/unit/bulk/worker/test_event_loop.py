"""The collector looks less often while a shard is sent, and as before when it is over."""

import gc

import pytest

from sparkfly_nb.bulk.worker.event_loop import NEW_OBJECTS, fewer_collections, run_in_own_loop


@pytest.fixture(autouse=True)
def usual_threshold():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


async def threshold():
    return gc.get_threshold()[0]


def test_python_collects_less_often_while_a_shard_is_sent_and_as_before_after_it():
    assert run_in_own_loop(threshold, lambda: None) == NEW_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_the_shards_that_run_at_once_puts_it_back():
    with fewer_collections():
        with fewer_collections():
            pass
        assert gc.get_threshold()[0] == NEW_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [0, NEW_OBJECTS * 2])
def test_a_threshold_of_ones_own_is_left_alone(own):
    gc.set_threshold(own, 10, 10)
    with fewer_collections():
        assert gc.get_threshold()[0] == own
    assert gc.get_threshold()[0] == own


def test_a_threshold_that_is_set_in_between_stays():
    with fewer_collections():
        gc.set_threshold(5_000, 10, 10)
    assert gc.get_threshold()[0] == 5_000
