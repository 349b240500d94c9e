"""Dask runs a task again if its worker dies: a shard that may have been sent is then reported instead of sent again."""

from __future__ import annotations

from typing import Any

__all__ = ["begun_before", "forget"]


def begun_before(key: str) -> bool:
    """Return whether this task was started before, and record with the scheduler that it is started now.

    Runs inside a Dask worker, before the first request. The scheduler outlives its workers.
    """
    from distributed import Event  # noqa: PLC0415 - an optional dependency

    event: Any = Event(key)  # type: ignore[no-untyped-call]
    if event.is_set():
        return True
    event.set()
    return False


def forget(key: str) -> None:
    """Remove the record of a task whose report has arrived."""
    from distributed import Event  # noqa: PLC0415 - an optional dependency

    event: Any = Event(key)  # type: ignore[no-untyped-call]
    event.clear()
