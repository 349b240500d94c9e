"""A request, sent until its answer is final: `answers.judge` says what an answer allows, and here it is done."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..api.response import Verdict, api_error, judge, outcome_unknown, read_refusal, read_success
from ..api.retry_policy import parse_retry_after
from ..errors import ConnectionFailed, RequestFailed, SparkflyError, UnreadableAnswer
from .failures import Failure
from .redaction import scrubbed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..api.endpoints import Endpoint
    from ..api.request import Request
    from ..api.retry_policy import RetryPolicy
    from ..settings import Secret
    from .sync_connection import Response, SyncConnection

__all__ = ["Clock", "Delivered", "Pacing", "SyncSender", "read_answer"]


@dataclass(frozen=True, slots=True)
class Clock:
    """The time, and a way to wait; tests replace both."""

    #: Returns seconds since 1970. Continues while the machine sleeps, which is what tokens and connections need.
    wall: Callable[[], float] = time.time
    #: Returns seconds that never jump, for time limits.
    monotonic: Callable[[], float] = time.monotonic
    #: Waits for a number of seconds.
    sleep: Callable[[float], None] = time.sleep


class Delivered(NamedTuple):
    """A final answer: done, done before, or not authenticated."""

    verdict: Verdict
    answer: Response
    parsed: Any
    """What `read_answer` read; None unless the verdict is DONE."""


class _Failed(NamedTuple):
    """What one attempt came to, when that was no final answer."""

    error: SparkflyError
    may_be_resent: bool
    retry_after_s: float | None = None


class Pacing:
    """The attempts of one call, and the pauses between them."""

    def __init__(self, policy: RetryPolicy, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        self.attempts = 0
        self.answer_lost = False
        """Whether an earlier attempt may have been processed without an answer."""
        self._policy = policy
        self._clock = clock
        self._chance = chance
        self._began = clock.monotonic()

    def wait(self, retry_after_s: float | None) -> bool:
        """Pause before the next attempt; False, at once, where there is to be none."""
        elapsed_s = self._clock.monotonic() - self._began
        pause_s = self._policy.pause_s(self.attempts, elapsed_s, retry_after_s, chance=self._chance())
        if pause_s is None:
            return False
        self._clock.sleep(pause_s)
        return True


class SyncSender:
    """Sends requests and sends them again as far as that is safe.

    Parameters
    ----------
    connection : SyncConnection
        Makes the single attempts.
    policy : RetryPolicy
        How often and how long.
    clock : Clock
        Where the time comes from.
    """

    def __init__(self, connection: SyncConnection, policy: RetryPolicy, clock: Clock) -> None:
        self._connection = connection
        self._policy = policy
        self._clock = clock

    def pacing(self) -> Pacing:
        """Begin to count the attempts of a call."""
        return Pacing(self._policy, self._clock)

    def deliver(
        self,
        endpoint: Endpoint,
        request: Request,
        sent: Mapping[str, Any],
        *,
        base_url: str,
        secrets: Mapping[str, Secret],
        pacing: Pacing,
    ) -> Delivered:
        """Send a request until its answer is final.

        Parameters
        ----------
        endpoint, request, sent
            The operation, and what `endpoints.build` made of the values given.
        base_url : str
            The address that the request's path follows.
        secrets : Mapping of str to Secret
            Headers that show who asks.
        pacing : Pacing
            The attempts of the call so far; a call that authenticates anew in between keeps its own.

        Raises
        ------
        ConnectionFailed, RequestFailed, UnreadableAnswer, ApiError
            There is no usable answer and asking again did not help, or the service refused.
        OutcomeUnknown
            A change may have happened, and was not sent again.
        KeyboardInterrupt
            The person pressed stop; the text says what a change may have done.
        """
        while True:
            attempt = self._connection.attempt(request, base_url, secrets)
            pacing.attempts += 1
            if isinstance(attempt, Failure):
                end: Delivered | _Failed = self._lost(endpoint, request, sent, attempt, pacing)
            else:
                end = self._answered(endpoint, request, sent, attempt, secrets)
            if isinstance(end, Delivered):
                return end
            if not end.may_be_resent or not pacing.wait(end.retry_after_s):
                raise end.error

    def _lost(
        self, endpoint: Endpoint, request: Request, sent: Mapping[str, Any], lost: Failure, pacing: Pacing
    ) -> _Failed:
        unknown = endpoint.effect == "change" and lost.may_have_been_sent
        if lost.interrupted:
            raise KeyboardInterrupt(str(outcome_unknown(endpoint, request, sent, lost.why)) if unknown else "")
        if unknown:
            return _Failed(outcome_unknown(endpoint, request, sent, lost.why), may_be_resent=False)
        pacing.answer_lost |= lost.may_have_been_sent
        where, times = f"{request.method} {request.path}", _times(pacing.attempts)
        if not pacing.answer_lost:
            return _Failed(ConnectionFailed(f"{where}: {lost.why}, {times}. The service saw nothing of it"), True)
        hint = "It may be voided; voiding again does no harm" if endpoint.effect == "void" else "Ask again later"
        return _Failed(RequestFailed(f"{where}: {lost.why}, {times}. {hint}"), may_be_resent=True)

    def _answered(
        self,
        endpoint: Endpoint,
        request: Request,
        sent: Mapping[str, Any],
        answer: Response,
        secrets: Mapping[str, Secret],
    ) -> Delivered | _Failed:
        retry_after_s = parse_retry_after(answer.headers.get("Retry-After"), self._clock.wall())
        verdict = judge(endpoint, answer.status, has_retry_after=retry_after_s is not None)
        if verdict is Verdict.DONE:
            try:
                return Delivered(verdict, answer, read_answer(endpoint, answer))
            except UnreadableAnswer as error:
                why = f"it was answered {answer.status}, but {scrubbed(str(error), secrets.values())}"
            if endpoint.effect == "change":
                return _Failed(outcome_unknown(endpoint, request, sent, why, answer.status), may_be_resent=False)
            return _Failed(UnreadableAnswer(f"{request.method} {request.path}: {why}"), may_be_resent=True)
        if verdict in _FINAL:
            return Delivered(verdict, answer, None)
        if verdict is Verdict.UNKNOWN:
            reason, trace = read_refusal(answer.status, answer.body)
            why = f"it was answered {answer.status}: {reason}" + (f" [trace {trace}]" if trace else "")
            return _Failed(outcome_unknown(endpoint, request, sent, why, answer.status), may_be_resent=False)
        return _Failed(
            api_error(request, answer.status, answer.body),
            may_be_resent=verdict is not Verdict.REFUSED,
            retry_after_s=retry_after_s,
        )


_FINAL: Final = frozenset({Verdict.ALREADY, Verdict.UNAUTHENTICATED})


def _times(attempts: int) -> str:
    return "once" if attempts == 1 else f"{attempts} times over"


def read_answer(endpoint: Endpoint, answer: Response) -> Any:
    """Read the body of a success with `read_success`; one that broke off is unreadable, too."""
    if answer.flaw:
        raise UnreadableAnswer(answer.flaw)
    return read_success(endpoint, answer.body)
