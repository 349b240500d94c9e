"""The event loop of a shard: its own, in the worker's thread, with fewer passes of the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["NEW_OBJECTS", "fewer_collections", "run_in_own_loop"]

_T = TypeVar("_T")
#: New objects after which Python looks for reference cycles among the youngest. Its own threshold is 700 to 2,000.
NEW_OBJECTS: Final = 50_000
_guard: Final = threading.Lock()
_users = 0
_before = (0, 0, 0)


def run_in_own_loop(work: Callable[[], Coroutine[Any, Any, _T]], on_interrupt: Callable[[], None]) -> _T:
    """Run a coroutine in an event loop of its own, in the thread of the caller.

    The executor calls workers in threads without a loop, never in Jupyter's main thread, which runs one already.

    Parameters
    ----------
    work : callable
        Returns the coroutine.
    on_interrupt : callable
        Called instead of raising `KeyboardInterrupt` if this is the main thread of a worker process. The coroutine is
        expected to end soon after. Other threads are never interrupted.
    """
    # Closing the loop is within the blocks, too: an interrupt there would lose the report of a finished shard.
    with fewer_collections(), _interrupts_call(on_interrupt):
        loop = _new_loop()
        try:
            result = loop.run_until_complete(work())
            loop.run_until_complete(loop.shutdown_asyncgens())
            return result
        finally:
            loop.close()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        # The standard loop does the same, slower.
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextmanager
def _interrupts_call(on_interrupt: Callable[[], None]) -> Iterator[None]:
    """Replace the handler of Ctrl-C in the main thread of a process.

    Ctrl-C in a terminal reaches worker processes as well. An exception in the middle of their loop would lose the
    report of rows that were sent.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: on_interrupt())
    try:
        yield
    finally:
        # None means that a program which embeds Python has installed the handler. Python cannot put that back.
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Make Python look for reference cycles less often, until the last of the blocks that run at once has ended.

    Thousands of requests in flight create no cycles, and each pass costs time. Reference counting frees what a request
    needs, so memory stays as it is. A threshold that is higher already, or 0 (collector off), stays.
    """
    global _users, _before  # noqa: PLW0603 - a process has one collector
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
