"""The progress of a bulk call: a tqdm bar, or a listener that draws its own."""

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
    # tqdm would start a thread to refresh slow bars, and leave it running.
    monitor_interval = 0


class _ListenerBar:
    """A bar without a display, which reports to a listener."""

    def __init__(self, total: int, unit: str, listener: Listener) -> None:
        self.n = 0
        self._total = total
        self._unit = unit
        self._listener = listener

    def update(self, more: int) -> None:
        """Count more finished work."""
        if more:
            self.n += more
            self._listener(self.n, self._total, self._unit)

    def __enter__(self) -> _ListenerBar:
        self._listener(0, self._total, self._unit)
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: the listener removes its own display."""


def progress_bar(total: int, label: str, unit: str, *, shown: bool) -> Any:
    """Return a bar that counts finished work: a widget in Jupyter, text elsewhere."""
    listener = _LISTENER.get()
    if listener is not None:
        return _ListenerBar(total, unit, listener)
    return _Bar(total=total, desc=label, unit=unit, disable=not shown)


@contextlib.contextmanager
def progress_told_to(listener: Listener) -> Iterator[None]:
    """Send the progress of bulk calls in this thread to a listener instead of drawing a bar.

    Parameters
    ----------
    listener : callable
        Called with the finished number, the total, and the unit (``"row"`` or ``"member"``).
    """
    earlier = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(earlier)
