"""How workers learn that a run is to end: by an event where they share the executor's process, by the clock elsewhere.

A worker that is a child of the executor's process dies with it: nobody could record what it would send from then on.
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

CHILD_ENDS_S: Final = 2.0
"""Within this time a child has seen that its parent is dead, and is dead too."""
_LOOK_S: Final = 0.2
_PARENTS: Final[set[int]] = set()
_EVENTS: dict[str, threading.Event] = {}
ASLEEP_S: Final = 20.0
"""A shard whose clock jumped this far ahead was asleep with its machine: others may have taken it over."""


@contextmanager
def stop_event(key: str) -> Iterator[threading.Event]:
    """Make the event that workers in this process find under the key."""
    event = _EVENTS[key] = threading.Event()
    try:
        yield event
    finally:
        del _EVENTS[key]


class Deadline:
    """Says whether a worker may start another request."""

    def __init__(self, key: str, seconds: float) -> None:
        self._event = _EVENTS.get(key)
        self._until = time.monotonic() + seconds
        self._asleep_at = time.time() + seconds + ASLEEP_S
        self._closed = False

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True

    def __call__(self) -> bool:
        """Say whether nothing more may be started."""
        return (
            self._closed
            or time.monotonic() >= self._until
            or time.time() >= self._asleep_at
            or (self._event is not None and self._event.is_set())
        )


def end_with(parent_pid: int) -> None:
    """In a child process, watch the parent, and end at once when it has ended."""
    if parent_pid in _PARENTS or parent_pid == os.getpid():
        return
    _PARENTS.add(parent_pid)

    def watch() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_LOOK_S)
        os._exit(1)  # an exit in good order would first wait for what is on the wire

    if os.getppid() != parent_pid:
        os._exit(1)
    threading.Thread(target=watch, name="sparkfly-nb-parent", daemon=True).start()
