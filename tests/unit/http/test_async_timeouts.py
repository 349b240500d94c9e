"""A request whose time is up ends, and only that one; whoever else cancels a task is not mistaken for the watch."""

from __future__ import annotations

import asyncio

import pytest

from sparkfly_nb.http.async_timeouts import RequestTimeouts


async def requests(watch, *, hanging):
    """Make one request as the wire does; say how it ended."""
    task = watch.begin()
    try:
        await (asyncio.Event().wait() if hanging else asyncio.sleep(0))
    except asyncio.CancelledError:
        if watch.has_cancelled(task):
            return "too long"
        raise
    finally:
        watch.end(task)
    return "answered"


def test_a_request_that_hangs_ends_and_its_task_goes_on():
    async def main():
        watch = RequestTimeouts(0.0, 0.01)
        first = await requests(watch, hanging=True)
        second = await requests(watch, hanging=False)
        await asyncio.sleep(0.05)  # several looks: what is over is not watched
        watch.close()
        return first, second

    assert asyncio.run(main()) == ("too long", "answered")


def test_one_request_that_hangs_ends_no_other():
    async def main():
        watch = RequestTimeouts(0.0, 0.01)
        ends = await asyncio.gather(*(requests(watch, hanging=number == 3) for number in range(8)))
        watch.close()
        return ends

    assert asyncio.run(main()) == ["answered"] * 3 + ["too long"] + ["answered"] * 4


def test_a_task_that_is_cancelled_from_outside_stays_cancelled():
    async def main():
        watch = RequestTimeouts(30.0, 30.0)
        task = asyncio.create_task(requests(watch, hanging=True))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        finally:
            watch.close()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_the_first_request_of_a_task_has_time_to_connect():
    async def main():
        watch = RequestTimeouts(30.0, 0.01)
        first = asyncio.create_task(requests(watch, hanging=True))
        await asyncio.sleep(0.1)
        still_waiting = not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        watch.close()
        return still_waiting

    assert asyncio.run(main())
