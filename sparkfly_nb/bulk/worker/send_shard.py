"""The function that a joblib worker runs to send a shard, with many requests in flight in one event loop.

It returns what happened and does not raise: joblib would end all other workers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from ...http.async_client import open_client
from ..operations import OPERATIONS
from .cancellation import Deadline, end_with
from .dask_once import begun_before
from .event_loop import run_in_own_loop
from .messages import SendJob, SendReport
from .pacing import Pacer
from .row_sender import RowSender
from .state_reader import ShardEnding, StateReader, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..records import Row

__all__ = ["in_lanes", "send_shard"]


def send_shard(wrapped: tuple[SendJob]) -> SendReport:
    """Change the rows of a shard, or check them against the service.

    Parameters
    ----------
    wrapped : tuple of one SendJob
        Dask copies a large bare object to one worker first, and loses it with that worker. It does not do so with a
        tuple.
    """
    (job,) = wrapped
    if job.config.parent_pid is not None:
        end_with(job.config.parent_pid)
    if job.once_key is not None and begun_before(job.once_key):
        return SendReport(job.shard, begun_elsewhere=True)
    deadline = Deadline(job.config.stop_key, job.seconds)
    return run_in_own_loop(lambda: _send(job, deadline), deadline.close)


async def _send(job: SendJob, deadline: Deadline) -> SendReport:
    report = SendReport(job.shard)
    config, operation = job.config, OPERATIONS[job.operation]
    pacer = Pacer(config.concurrency, config.rate, deadline)
    async with open_client(config.client) as client:
        if job.purpose == "change":
            handle = RowSender(client, pacer, config.policy, operation, job.halt_above, report).send
        else:
            reader = StateReader(client, pacer, config.policy)

            async def handle(lane: int, row: Row) -> bool:
                report.evidence.append(await reader.check(lane, operation, row))
                return True

        refused = await in_lanes(deque(job.rows), handle, pacer, deadline, config.concurrency)
    report.unauthenticated |= refused
    report.pause_s = pacer.pause_left_s
    return report


async def in_lanes(
    waiting: deque[Row] | deque[int],
    handle: Callable[[int, Any], Awaitable[bool]],
    pacer: Pacer,
    deadline: Deadline,
    lanes: int,
) -> bool:
    """Work in several lanes until nothing waits or the shard must end; return whether the service refused the token."""
    refused = False

    async def lane(number: int) -> None:
        try:
            await work(number)
        finally:
            pacer.leave(number)

    async def work(number: int) -> None:
        nonlocal refused
        while waiting and await pacer.turn(number):
            if not waiting:  # another lane took the last one during the wait
                return
            try:
                if not await handle(number, waiting.popleft()):
                    deadline.close()
            except Unauthenticated:
                refused = True
                deadline.close()
            except ShardEnding:
                return

    await asyncio.gather(*(lane(number) for number in range(min(lanes, len(waiting)))))
    return refused
