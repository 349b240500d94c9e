"""Halt a run in which too many rows fail. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .records import Outcome

__all__ = ["CircuitBreaker"]

#: Rows that must have ended before failures can halt a run.
MIN_ROWS: Final = 50
#: Failures are counted among about this many recent rows. A service that fails late in a large run halts it soon, too.
RECENT_ROWS: Final = 500


class CircuitBreaker:
    """Counter of ended rows that trips when too many of the recent ones failed.

    Parameters
    ----------
    done : str
        The outcome of a row that did not fail.
    halt_above : float
        The share of failed rows, from 0 to 1, above which the breaker trips. 1 never trips.
    """

    def __init__(self, done: str, halt_above: float) -> None:
        self._done = done
        self._halt_above = halt_above
        self._recent: deque[tuple[int, int]] = deque()  # ended and failed rows of each batch
        self._ended = 0
        self._failed = 0

    def count(self, outcomes: Sequence[Outcome]) -> str | None:
        """Count rows, and return why the run must halt, or None."""
        failures = [outcome for outcome in outcomes if outcome.outcome != self._done]
        self._recent.append((len(outcomes), len(failures)))
        self._ended += len(outcomes)
        self._failed += len(failures)
        while self._ended - self._recent[0][0] >= RECENT_ROWS:
            ended, failed = self._recent.popleft()
            self._ended -= ended
            self._failed -= failed
        if failures and self._ended >= MIN_ROWS and self._failed > self._halt_above * self._ended:
            return f"{self._failed} of {self._ended} rows failed; the last one: {failures[-1].error}"
        return None
