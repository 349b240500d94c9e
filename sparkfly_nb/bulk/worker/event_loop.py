"""Fewer looks for reference cycles while thousands of requests are under way: they hold none, and each look costs."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..interruptible import work_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["fewer_collections", "in_own_loop"]

_T = TypeVar("_T")

NEW_OBJECTS: Final = 50_000
"""So many new objects before the youngest are looked through; Python itself looks after 700 to 2,000."""
_guard: Final = threading.Lock()
_users = 0
_before = (0, 0, 0)


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Let Python collect less often, in the whole process, until the last of the blocks that run at once has ended.

    Reference counting frees what a request needs, and the collector goes on, so memory stays as it is. A threshold that
    is higher already, or 0 (the collector is off), is left alone.
    """
    global _users, _before  # noqa: PLW0603 - the collector is one for the process, and so is this
    with _guard:
        _users += 1
        if _users == 1:
            _before = gc.get_threshold()
            youngest, *older = _before
            if 0 < youngest < NEW_OBJECTS:
                gc.set_threshold(NEW_OBJECTS, *older)
    try:
        yield
    finally:
        with _guard:
            _users -= 1
            if _users == 0 and gc.get_threshold()[0] == NEW_OBJECTS:  # nobody else has changed it since
                gc.set_threshold(*_before)


def in_own_loop(work: Callable[[], Coroutine[Any, Any, _T]], on_interrupt: Callable[[], None]) -> _T:
    """Run a coroutine in an event loop of its own, in a thread of its own: Jupyter's main thread has a loop already.

    Parameters
    ----------
    work : callable
        Makes the coroutine.
    on_interrupt : callable
        Called when the waiting thread is interrupted; the coroutine is then expected to end by itself.
    """

    def body() -> _T:
        loop = _new_loop()
        try:
            result = loop.run_until_complete(work())
            loop.run_until_complete(loop.shutdown_asyncgens())
            return result
        finally:
            loop.close()

    with fewer_collections():
        return work_aside(body, "sparkfly-nb-shard", on_interrupt).result()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:  # not on this platform: the standard loop does the same, slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
