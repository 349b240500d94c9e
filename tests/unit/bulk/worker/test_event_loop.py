"""The garbage collector runs less often while a shard is sent, and as before afterwards."""

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


def test_garbage_collection_is_rarer_while_a_shard_is_sent():
    assert run_in_own_loop(threshold, lambda: None) == NEW_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


def test_last_of_several_shards_restores_the_threshold():
    with fewer_collections():
        with fewer_collections():
            pass
        assert gc.get_threshold()[0] == NEW_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [0, NEW_OBJECTS * 2])
def test_threshold_that_the_user_set_is_not_changed(own):
    gc.set_threshold(own, 10, 10)
    with fewer_collections():
        assert gc.get_threshold()[0] == own
    assert gc.get_threshold()[0] == own


def test_threshold_that_is_set_meanwhile_is_kept():
    with fewer_collections():
        gc.set_threshold(5_000, 10, 10)
    assert gc.get_threshold()[0] == 5_000
