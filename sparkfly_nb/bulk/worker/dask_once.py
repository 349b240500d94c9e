"""Dask runs a task again when its worker dies: a shard that may have been sent is then reported, not sent again."""

from __future__ import annotations

from typing import Any

__all__ = ["begun_before", "forget"]


def begun_before(key: str) -> bool:
    """Say, inside a Dask worker, whether this task was begun before, and leave word that it is begun now.

    The word stands with the scheduler, which outlives workers. It is left before the first request.
    """
    from distributed import Event  # noqa: PLC0415 - an optional dependency

    event: Any = Event(key)  # type: ignore[no-untyped-call]
    if event.is_set():
        return True
    event.set()
    return False


def forget(key: str) -> None:
    """Take the word back, when the report of the task is there."""
    from distributed import Event  # noqa: PLC0415 - an optional dependency

    event: Any = Event(key)  # type: ignore[no-untyped-call]
    event.clear()
