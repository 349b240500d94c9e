"""How fast a worker may go: requests in flight, requests per second, and the delays that the service asks for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pacer"]

#: Good responses after which one more request may be in flight again.
RECOVERY_RESPONSES: Final = 20
#: Seconds between two checks of a waiting lane whether the shard was stopped.
NAP_S: Final = 0.1


class Pacer:
    """The pace of all lanes of one shard. A lane sends one request at a time.

    Parameters
    ----------
    lanes : int
        The largest number of requests in flight.
    rate : float or None
        The largest number of requests per second; None for no limit.
    closing : callable
        Returns whether no further request may be started.
    """

    def __init__(self, lanes: int, rate: float | None, closing: Callable[[], bool]) -> None:
        self._lanes = lanes
        self._at_work = list(range(lanes))
        self._allowed = float(lanes)
        self._interval_s = 1.0 / rate if rate else 0.0
        self._next_slot = self._slot_after_last = time.monotonic()
        self._not_before = 0.0
        self._good_responses = 0
        self._closing = closing

    @property
    def pause_left_s(self) -> float:
        """Seconds until the next request may go, because the service asked for a pause or because of the rate."""
        return max(0.0, max(self._not_before, self._slot_after_last) - time.monotonic())

    def leave(self, lane: int) -> None:
        """Remove a lane that has ended. If not all lanes may send, another one moves up."""
        self._at_work.remove(lane)

    def _is_held_back(self, lane: int) -> bool:
        return self._allowed < self._lanes and lane not in self._at_work[: max(1, int(self._allowed))]

    async def turn(self, lane: int) -> bool:
        """Wait until this lane may send; return False if the shard ends before that."""
        while not self._closing():
            now = time.monotonic()
            if self._is_held_back(lane):
                await asyncio.sleep(NAP_S)
            elif now < self._not_before:
                await asyncio.sleep(min(NAP_S, self._not_before - now))
            elif self._interval_s:
                slot = max(self._next_slot, now)
                self._next_slot = slot + self._interval_s
                if not await self._sleep_until(slot):
                    return False  # the slot was not used
                self._slot_after_last = max(self._slot_after_last, slot + self._interval_s)
                return True
            else:
                return True
        return False

    async def turn_after(self, lane: int, delay_s: float) -> bool:
        """Wait for a delay of this lane alone, then for its turn; return False if the shard ends before that."""
        return await self._sleep_until(time.monotonic() + delay_s) and await self.turn(lane)

    async def _sleep_until(self, moment: float) -> bool:
        while not self._closing():
            left = moment - time.monotonic()
            if left <= 0:
                return True
            await asyncio.sleep(min(NAP_S, left))
        return False

    def slow_down(self, delay_s: float) -> None:
        """Halve the requests in flight, and send none before the delay is over."""
        moment = time.monotonic() + delay_s
        # Requests that were in flight together are answered together, and slow the shard down once.
        if moment > self._not_before + NAP_S:
            self._allowed = max(1.0, self._allowed / 2)
        self._not_before = max(self._not_before, moment)
        self._good_responses = 0

    def speed_up(self) -> None:
        """Count a good response. After some of them, one more request may be in flight."""
        if self._allowed < self._lanes:
            self._good_responses += 1
            if self._good_responses >= RECOVERY_RESPONSES:
                self._good_responses = 0
                self._allowed = min(float(self._lanes), self._allowed + 1)
