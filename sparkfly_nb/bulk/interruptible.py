"""Work in a thread of its own that an interrupt cannot tear apart: the waiting thread passes it on, and waits on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ended", "work_aside"]

_T = TypeVar("_T")


@dataclass(slots=True)
class Ended(Generic[_T]):
    """How the work ended."""

    results: list[_T] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    interrupted: bool = False

    def result(self) -> _T:
        """Give what the work gave, or raise what it raised."""
        if self.faults:
            raise self.faults[0]
        return self.results[0]


def work_aside(
    work: Callable[[], _T],
    name: str,
    on_interrupt: Callable[[], None],
    *,
    look: Callable[[], object] = lambda: None,
    look_s: float | None = None,
) -> Ended[_T]:
    """Do some work in a thread of its own, and wait until it has ended.

    Parameters
    ----------
    work : callable
        The work.
    name : str
        The thread's name.
    on_interrupt : callable
        Called when the waiting thread is interrupted; the work is then expected to end by itself.
    look : callable
        Called every `look_s` seconds while the work goes on, and once after it.
    look_s : float, optional
        Seconds; None to wait without looking.
    """
    ended: Ended[_T] = Ended()
    is_over = threading.Event()
    beginning = threading.Lock()  # whoever takes it first: the work, or an interrupt after which it must not begin

    def body() -> None:
        if not beginning.acquire(blocking=False):
            return
        try:
            ended.results.append(work())
        except BaseException as fault:  # noqa: BLE001 - carried over to the waiting thread, which raises it
            ended.faults.append(fault)
        finally:
            is_over.set()

    thread = threading.Thread(target=body, name=name)
    is_begun = False
    while not is_over.is_set():
        try:
            if not is_begun:
                is_begun = True
                thread.start()
            # Not thread.join: an interrupt in it makes Python up to 3.12 believe that the thread has ended.
            is_over.wait(look_s)
            look()
        except KeyboardInterrupt as interrupt:
            ended.interrupted = True
            if beginning.acquire(blocking=False):
                ended.faults.append(interrupt)
                return ended
            on_interrupt()
    thread.join()
    look()
    return ended
