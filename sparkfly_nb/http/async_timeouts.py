"""An end to answers that do not come: one timer for all requests under way, where aiohttp would run two for each."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

__all__ = ["RequestTimeouts"]

LOOK_S: Final = 0.1
"""The longest time between two looks."""
LOOKS_PER_LIMIT: Final = 10


class RequestTimeouts:
    """Cancels tasks whose request takes too long; each tells afterwards whether it was this that cancelled it.

    Parameters
    ----------
    connect_s, read_s : float
        Seconds that a request may take: the second, and for the first request of a task, which connects, both.
    """

    def __init__(self, connect_s: float, read_s: float) -> None:
        self._connect_s = connect_s
        self._read_s = read_s
        self._loop = asyncio.get_running_loop()
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._connected: set[asyncio.Task[Any]] = set()
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._look_s = min(LOOK_S, read_s / LOOKS_PER_LIMIT)
        self._timer = self._loop.call_later(self._look_s, self._look)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def begin(self) -> asyncio.Task[Any]:
        """RequestTimeouts the current task from now on, and give it."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # a coroutine always runs in one
        limit_s = self._read_s if task in self._connected else self._connect_s + self._read_s
        self._ends[task] = self._loop.time() + limit_s
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """RequestTimeouts a task no more: its request is over."""
        del self._ends[task]
        self._cancelled.discard(task)
        self._connected.add(task)

    def has_cancelled(self, task: asyncio.Task[Any]) -> bool:
        """Say whether a task was cancelled because its time was up; it can then go on."""
        if task in self._cancelled and hasattr(task, "uncancel"):  # from Python 3.11 on
            task.uncancel()
        return task in self._cancelled

    def _look(self) -> None:
        now = self._loop.time()
        for task in [task for task, end in self._ends.items() if end <= now and task not in self._cancelled]:
            self._cancelled.add(task)
            task.cancel()
        self._timer = self._loop.call_later(self._look_s, self._look)
