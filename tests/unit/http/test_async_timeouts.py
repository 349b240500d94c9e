"""A timeout ends its own request alone, and differs from a cancellation by other code."""

from __future__ import annotations

import asyncio

import pytest

from sparkfly_nb.http.async_timeouts import RequestTimeouts


async def request(timeouts, *, hanging):
    """Run a request as `AsyncClient` does, and return how it ended."""
    task = timeouts.begin()
    try:
        await (asyncio.Event().wait() if hanging else asyncio.sleep(0))
    except asyncio.CancelledError:
        if timeouts.has_cancelled(task):
            return "timed out"
        raise
    finally:
        timeouts.end(task)
    return "done"


def test_a_task_continues_after_a_timeout():
    async def main():
        timeouts = RequestTimeouts(0.0, 0.01)
        first = await request(timeouts, hanging=True)
        second = await request(timeouts, hanging=False)
        await asyncio.sleep(0.05)  # several checks: an ended request has no timeout
        timeouts.close()
        return first, second

    assert asyncio.run(main()) == ("timed out", "done")


def test_a_timeout_affects_no_other_request():
    async def main():
        timeouts = RequestTimeouts(0.0, 0.01)
        ends = await asyncio.gather(*(request(timeouts, hanging=number == 3) for number in range(8)))
        timeouts.close()
        return ends

    assert asyncio.run(main()) == ["done"] * 3 + ["timed out"] + ["done"] * 4


def test_a_task_cancelled_by_others_stays_cancelled():
    async def main():
        timeouts = RequestTimeouts(30.0, 30.0)
        task = asyncio.create_task(request(timeouts, hanging=True))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        finally:
            timeouts.close()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_the_first_request_of_a_task_has_time_to_connect():
    async def main():
        timeouts = RequestTimeouts(30.0, 0.01)
        first = asyncio.create_task(request(timeouts, hanging=True))
        await asyncio.sleep(0.1)
        still_waiting = not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        timeouts.close()
        return still_waiting

    assert asyncio.run(main())
