"""What a joblib worker runs: one shard, many requests in flight in one event loop. It returns, it does not raise."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ...http.async_client import open_client
from ..operations import OPERATIONS
from .cancellation import Deadline, end_with
from .dask_once import begun_before
from .event_loop import in_own_loop
from .messages import Row, SendJob, SendReport
from .pacing import Pacer
from .row_sender import RowSender
from .state_reader import Closing, StateReader, Unauthenticated

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
    if job.config.parent_pid is not None:
        end_with(job.config.parent_pid)
    if job.once_key is not None and begun_before(job.once_key):
        return SendReport(job.shard, begun_elsewhere=True)
    deadline = Deadline(job.config.stop_key, job.seconds)
    return in_own_loop(lambda: _send(job, deadline), deadline.close)


async def _send(job: SendJob, deadline: Deadline) -> SendReport:
    report = SendReport(job.shard)
    pacer = Pacer(job.config.concurrency, job.config.rate, deadline)
    operation = OPERATIONS[job.operation]
    async with open_client(job.config.client) as client:
        reader = StateReader(client, pacer, job.config.policy)
        sender = RowSender(client, pacer, job.config.policy, operation, job.halt_above, report)

        async def read_back(lane: int, row: Row) -> bool:
            report.evidence.append(await reader.read_back(lane, operation, row))
            return True

        rows = deque(job.rows)
        handle = sender.send if job.purpose == "change" else read_back
        report.unauthenticated = (
            await in_lanes(rows, handle, pacer, deadline, job.config.concurrency) or report.unauthenticated
        )
    report.pause_s = pacer.pause_left_s
    return report


async def in_lanes(
    waiting: deque[Row] | deque[int],
    handle: Callable[[int, Any], Awaitable[bool]],
    pacer: Pacer,
    deadline: Deadline,
    lanes: int,
) -> bool:
    """Work in so many lanes until nothing waits or the shard must end; say whether a token was refused."""
    refused = False

    async def lane(number: int) -> None:
        try:
            await work_off(number)
        finally:
            pacer.leave(number)

    async def work_off(number: int) -> None:
        nonlocal refused
        while waiting and await pacer.turn(number):
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
