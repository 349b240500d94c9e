"""The progress bar: tqdm, without the thread that it would leave behind, or whoever asked to be told instead."""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Listener: TypeAlias = Callable[[int, int, str], None]

__all__ = ["progress_bar", "progress_told_to"]

_LISTENER: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("progress_listener", default=None)


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0


class _Told:
    """What a bar is to those who move it, for a page that draws its own."""

    def __init__(self, total: int, unit: str, listener: Listener) -> None:
        self.n = 0
        self._total = total
        self._unit = unit
        self._listener = listener

    def update(self, more: int) -> None:
        """Count further finished work."""
        if more:
            self.n += more
            self._listener(self.n, self._total, self._unit)

    def __enter__(self) -> _Told:
        self._listener(0, self._total, self._unit)
        return self

    def __exit__(self, *_: object) -> None:
        """End with the work; there is nothing to take away."""


def progress_bar(total: int, label: str, unit: str, *, shown: bool) -> Any:
    """Make a bar that counts finished work: a widget in Jupyter, text elsewhere."""
    listener = _LISTENER.get()
    if listener is not None:
        return _Told(total, unit, listener)
    return _Bar(total=total, desc=label, unit=unit, disable=not shown)


@contextlib.contextmanager
def progress_told_to(listener: Listener) -> Iterator[None]:
    """Let bulk calls of this thread tell their progress instead of drawing a bar.

    Parameters
    ----------
    listener : callable
        Called with how many are finished, how many there are, and what they are (``"row"``, ``"member"``).
    """
    earlier = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(earlier)
