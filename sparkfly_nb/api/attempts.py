"""What follows an attempt: done, refused, resend after a delay, authenticate, give up, or unknown.

A state machine without I/O. The sync client, and the workers' row sender and state reader, drive the same one::

    attempts = Attempts(endpoint, policy)
    while True:
        step = attempts.response(status, retry_after_s)  # or no_response(...), or unreadable()
        if step.action is not Action.RESEND:
            break
        wait(step.delay_s)
"""

from __future__ import annotations

import enum
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from .response import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from .endpoints import Endpoint
    from .retry_policy import RetryPolicy

__all__ = ["Action", "Attempts", "Step"]


class Action(enum.Enum):
    """What to do after an attempt."""

    DONE = "done"  # read the body, and call `Attempts.unreadable` if that fails
    ALREADY = "already"  # a void of an offer state that is voided: count it as done
    REFUSED = "refused"  # the service did not act and never will
    AUTHENTICATE = "authenticate"  # not processed: get a new token, then send again
    RESEND = "resend"  # wait for `Step.delay_s`, then send again
    GIVE_UP = "give up"  # no attempt is left; `Attempts.may_have_happened` says what that means
    UNKNOWN = "unknown"  # a change that may have happened: check before anything is sent again


class Step(NamedTuple):
    """An action, and what the sender must know to take it."""

    action: Action
    #: Seconds to wait before anything else is sent.
    delay_s: float = 0.0
    #: Whether the service asked for fewer requests. The delay then concerns all requests, not only this one.
    slow_down: bool = False


_ACTIONS = {
    Verdict.DONE: Action.DONE,
    Verdict.ALREADY: Action.ALREADY,
    Verdict.REFUSED: Action.REFUSED,
    Verdict.UNAUTHENTICATED: Action.AUTHENTICATE,
}


class Attempts:
    """The attempts of one request.

    Parameters
    ----------
    endpoint : Endpoint
        The operation, which decides what may be sent again.
    policy : RetryPolicy
        How often and how long.
    now : callable
        Returns seconds that never jump.
    chance : callable
        Returns the random numbers from 0 to 1 that delays are spread with.

    Attributes
    ----------
    count : int
        Attempts so far.
    may_have_happened : bool
        Whether the service may have processed an earlier attempt although no usable response came.
    """

    __slots__ = ("_began", "_chance", "_endpoint", "_now", "_policy", "count", "may_have_happened")

    def __init__(
        self,
        endpoint: Endpoint,
        policy: RetryPolicy,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.count = 0
        self.may_have_happened = False
        self._endpoint = endpoint
        self._policy = policy
        self._now = now
        self._chance = chance
        self._began = now()

    def response(self, status: int, retry_after_s: float | None) -> Step:
        """Return what follows a whole response.

        Parameters
        ----------
        status : int
            The HTTP status.
        retry_after_s : float or None
            The delay that the service asked for in seconds; None if there is no usable ``Retry-After``.
        """
        self.count += 1
        verdict = judge(self._endpoint, status, has_retry_after=retry_after_s is not None)
        if verdict is Verdict.REFUSED and self.may_have_happened and self._endpoint.effect != "read":
            # An earlier attempt may have done it, and this one be refused for that very reason.
            return Step(Action.UNKNOWN)
        if verdict in _ACTIONS:
            return Step(_ACTIONS[verdict])
        if verdict is Verdict.SLOW_DOWN:
            return self._resend(retry_after_s, slow_down=True)
        self.may_have_happened = True
        if verdict is Verdict.UNKNOWN:
            # Whether the service processed this change or not, a 503 asks for fewer requests.
            return Step(Action.UNKNOWN, self._backoff_s(None) if status == 503 else 0.0, slow_down=status == 503)
        return self._resend(retry_after_s)

    def no_response(self, *, sent: bool) -> Step:
        """Return what follows an attempt without a usable response.

        Parameters
        ----------
        sent : bool
            Whether a byte of the request may have left this machine.
        """
        self.count += 1
        return self.unreadable() if sent else self._resend()

    def unreadable(self) -> Step:
        """Return what follows a response that was lost, or that promises success and cannot be read."""
        self.may_have_happened = True
        return Step(Action.UNKNOWN) if self._endpoint.effect == "change" else self._resend()

    def _resend(self, retry_after_s: float | None = None, *, slow_down: bool = False) -> Step:
        delay_s = self._backoff_s(retry_after_s)
        if self._policy.allows(self.count, self._now() - self._began + delay_s):
            return Step(Action.RESEND, delay_s, slow_down)
        # This request gives up, but all others must keep the pause that the service asked for.
        return Step(Action.GIVE_UP, delay_s if slow_down else 0.0, slow_down)

    def _backoff_s(self, retry_after_s: float | None) -> float:
        return self._policy.backoff_s(self.count, retry_after_s, chance=self._chance())
