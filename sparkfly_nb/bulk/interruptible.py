"""Work that Ctrl-C cannot tear apart: it runs in a thread, and the waiting thread passes an interrupt on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Finished", "run_interruptibly"]

_T = TypeVar("_T")


@dataclass(slots=True)
class Finished(Generic[_T]):
    """How the work ended."""

    results: list[_T] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    interrupted: bool = False

    def result(self) -> _T:
        """Return what the work returned, or raise what it raised."""
        if self.errors:
            raise self.errors[0]
        return self.results[0]


def run_interruptibly(
    work: Callable[[], _T],
    name: str,
    on_interrupt: Callable[[], None],
    *,
    poll: Callable[[], object],
    poll_s: float,
) -> Finished[_T]:
    """Run some work in a thread of its own, and wait until it has ended.

    Parameters
    ----------
    work : callable
        The work.
    name : str
        The name of the thread.
    on_interrupt : callable
        Called if the waiting thread is interrupted. The work is then expected to end soon.
    poll : callable
        Called every `poll_s` seconds while the work goes on, and once after it.
    poll_s : float
        Seconds.
    """
    finished: Finished[_T] = Finished()
    is_over = threading.Event()
    # Whoever takes this lock first decides: the work starts, or an interrupt came before and it must not start.
    start = threading.Lock()

    def body() -> None:
        if not start.acquire(blocking=False):
            return
        try:
            finished.results.append(work())
        except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread, which raises it
            finished.errors.append(error)
        finally:
            is_over.set()

    thread = threading.Thread(target=body, name=name)
    is_started = False
    while not is_over.is_set():
        try:
            if not is_started:
                is_started = True
                thread.start()
            # Not thread.join: an interrupt in it makes Python up to 3.12 believe that the thread has ended.
            is_over.wait(poll_s)
            poll()
        except KeyboardInterrupt as interrupt:
            finished.interrupted = True
            if start.acquire(blocking=False):
                finished.errors.append(interrupt)
                return finished
            on_interrupt()
    thread.join()
    poll()
    return finished
