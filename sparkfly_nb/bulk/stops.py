"""How workers learn that a run is to end: by an event where they share the driver's process, by the clock elsewhere."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Deadline", "stop_event"]

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
