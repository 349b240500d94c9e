"""How workers learn that a run ends: by an event in the executor's process, and by the clock everywhere else.

A worker that is a child of the executor's process ends with it, because nobody could record what it would send.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CHILD_ENDS_S", "Deadline", "end_with", "stop_event"]

#: Within this time a child process has seen that its parent is dead, and has ended as well.
CHILD_ENDS_S: Final = 2.0
#: If the wall clock jumps this far ahead, the machine was asleep. Another process may have taken the shard over.
ASLEEP_S: Final = 20.0
_POLL_S: Final = 0.2
_PARENTS: Final[set[int]] = set()
_EVENTS: dict[str, threading.Event] = {}


@contextmanager
def stop_event(key: str) -> Iterator[threading.Event]:
    """Create the event that workers in this process find under a key."""
    event = _EVENTS[key] = threading.Event()
    try:
        yield event
    finally:
        del _EVENTS[key]


class Deadline:
    """Decides whether a worker may start another request.

    Parameters
    ----------
    key : str
        The key of the event that stops the run; workers in other processes find no event.
    seconds : float
        Seconds after which nothing more is started.
    """

    def __init__(self, key: str, seconds: float) -> None:
        self._event = _EVENTS.get(key)
        self._until = time.monotonic() + seconds
        self._asleep_at = time.time() + seconds + ASLEEP_S
        self._closed = False

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True

    def __call__(self) -> bool:
        """Return whether the time is over."""
        return (
            self._closed
            or time.monotonic() >= self._until
            or time.time() >= self._asleep_at
            or (self._event is not None and self._event.is_set())
        )


def end_with(parent_pid: int) -> None:
    """Watch the parent of this child process, and end the child at once when the parent has ended."""
    if parent_pid in _PARENTS or parent_pid == os.getpid():
        return
    _PARENTS.add(parent_pid)

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_POLL_S)
        os._exit(1)  # a regular exit would first wait for requests in flight

    if os.getppid() != parent_pid:
        os._exit(1)
    threading.Thread(target=watch, name="sparkfly-nb-parent", daemon=True).start()
