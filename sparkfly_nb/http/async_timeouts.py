"""Timeouts for bulk requests: one timer for all requests in flight, where aiohttp would run two for each."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

__all__ = ["RequestTimeouts"]

#: The longest interval between two checks, in seconds.
CHECK_INTERVAL_S: Final = 0.1
#: Checks within a short timeout.
CHECKS_PER_TIMEOUT: Final = 10


class RequestTimeouts:
    """Cancels tasks whose request takes too long, and knows afterwards which tasks it cancelled.

    Parameters
    ----------
    connect_s, read_s : float
        Timeouts in seconds. The first request of a task has both, because it connects. Later ones have the second.
    """

    def __init__(self, connect_s: float, read_s: float) -> None:
        self._connect_s = connect_s
        self._read_s = read_s
        self._loop = asyncio.get_running_loop()
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._connected: set[asyncio.Task[Any]] = set()
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._interval_s = min(CHECK_INTERVAL_S, read_s / CHECKS_PER_TIMEOUT)
        self._timer = self._loop.call_later(self._interval_s, self._check)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def begin(self) -> asyncio.Task[Any]:
        """Start the timeout of the current task's request, and return the task."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # a coroutine always runs in one
        limit_s = self._read_s if task in self._connected else self._connect_s + self._read_s
        self._ends[task] = self._loop.time() + limit_s
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """Stop the timeout of a task whose request has ended."""
        del self._ends[task]
        self._cancelled.discard(task)
        self._connected.add(task)

    def has_cancelled(self, task: asyncio.Task[Any]) -> bool:
        """Return True if a task was cancelled by its timeout, and allow the task to continue."""
        if task in self._cancelled and hasattr(task, "uncancel"):  # since Python 3.11
            task.uncancel()
        return task in self._cancelled

    def _check(self) -> None:
        now = self._loop.time()
        for task in [task for task, end in self._ends.items() if end <= now and task not in self._cancelled]:
            self._cancelled.add(task)
            task.cancel()
        self._timer = self._loop.call_later(self._interval_s, self._check)
