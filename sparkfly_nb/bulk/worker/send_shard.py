"""What a joblib worker runs: one shard, many requests in flight in one event loop. It returns, it does not raise."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ...http.async_client import open_wire
from ..operations import OPERATIONS
from .cancellation import Deadline, end_with
from .dask_once import begun_before
from .event_loop import in_own_loop
from .messages import Row, SendJob, SendReport
from .pacing import Pace
from .row_sender import Changer
from .state_reader import Closing, Reader, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["in_lanes", "send_shard"]


def send_shard(wrapped: tuple[SendJob]) -> SendReport:
    """Change the rows of a shard, or read them back.

    Parameters
    ----------
    wrapped : tuple of one SendJob
        In a tuple, because Dask would copy a large bare object to one worker first, and lose it with that worker.
    """
    (job,) = wrapped
    if job.wiring.parent_pid is not None:
        end_with(job.wiring.parent_pid)
    if job.once_key is not None and begun_before(job.once_key):
        return SendReport(job.shard, begun_elsewhere=True)
    deadline = Deadline(job.wiring.stop_key, job.seconds)
    return in_own_loop(lambda: _send(job, deadline), deadline.close)


async def _send(job: SendJob, deadline: Deadline) -> SendReport:
    report = SendReport(job.shard)
    pace = Pace(job.wiring.concurrency, job.wiring.rate, deadline)
    operation = OPERATIONS[job.operation]
    async with open_wire(job.wiring.client) as wire:
        reader = Reader(wire, pace, job.wiring.policy)
        changer = Changer(wire, pace, job.wiring.policy, operation, job.halt_above, report)

        async def read_back(lane: int, row: Row) -> bool:
            report.readings.append(await reader.read_back(lane, operation, row))
            return True

        rows = deque(job.rows)
        handle = changer.send if job.purpose == "change" else read_back
        report.unauthenticated = (
            await in_lanes(rows, handle, pace, deadline, job.wiring.concurrency) or report.unauthenticated
        )
    report.pause_s = pace.pause_left_s
    return report


async def in_lanes(
    waiting: deque[Row] | deque[int],
    handle: Callable[[int, Any], Awaitable[bool]],
    pace: Pace,
    deadline: Deadline,
    lanes: int,
) -> bool:
    """Work in so many lanes until nothing waits or the shard must end; say whether a token was refused."""
    refused = False

    async def lane(number: int) -> None:
        try:
            await work_off(number)
        finally:
            pace.leave(number)

    async def work_off(number: int) -> None:
        nonlocal refused
        while waiting and await pace.turn(number):
            if not waiting:  # taken by another lane during the wait
                return
            try:
                if not await handle(number, waiting.popleft()):
                    deadline.close()
            except Unauthenticated:
                refused = True
                deadline.close()
            except Closing:
                return

    await asyncio.gather(*(lane(number) for number in range(min(lanes, len(waiting)))))
    return refused
