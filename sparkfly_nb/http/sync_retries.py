"""One request over requests, sent until its response is final: `api.attempts` decides, and this module does it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.attempts import Action, Attempts
from ..api.response import api_error, outcome_unknown, read_refusal, read_success
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

__all__ = ["Clock", "Delivered", "SyncSender", "read_response"]


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
    """A final response."""

    #: One of ``DONE``, ``ALREADY`` and ``AUTHENTICATE``; everything else is raised.
    action: Action
    response: Response
    #: What `read_response` returned; None unless the action is ``DONE``.
    parsed: Any


class SyncSender:
    """Sends requests, and sends them again where that is safe.

    Parameters
    ----------
    connection : SyncConnection
        Makes the single attempts.
    policy : RetryPolicy
        How often and how long.
    clock : Clock
        The time.
    """

    def __init__(self, connection: SyncConnection, policy: RetryPolicy, clock: Clock) -> None:
        self._connection = connection
        self._policy = policy
        self._clock = clock

    def attempts(self, endpoint: Endpoint) -> Attempts:
        """Start to count the attempts of a call."""
        return Attempts(endpoint, self._policy, now=self._clock.monotonic)

    def deliver(
        self,
        endpoint: Endpoint,
        request: Request,
        sent: Mapping[str, Any],
        *,
        base_url: str,
        secrets: Mapping[str, Secret],
        attempts: Attempts,
    ) -> Delivered:
        """Send a request until its response is final.

        Parameters
        ----------
        endpoint, request, sent
            The operation, and what `api.inputs.build` returned for it.
        base_url : str
            The address that the request's path is appended to.
        secrets : Mapping of str to Secret
            Headers that identify the caller.
        attempts : Attempts
            The attempts of the call so far. A call that gets a new token in between continues with the same ones.

        Raises
        ------
        ConnectionFailed, RequestFailed, UnreadableAnswer, ApiError
            No usable response came and retrying did not help, or the service refused.
        OutcomeUnknown
            A change may have happened, and was not sent again.
        KeyboardInterrupt
            The user interrupted the call. The text says what a change may have done.
        """
        while True:
            response = self._connection.attempt(request, base_url, secrets)
            if isinstance(response, Failure):
                step = attempts.no_response(sent=response.may_have_been_sent)
                error = _error_of_failure(endpoint, request, sent, response, attempts, step.action)
                if response.interrupted:
                    raise KeyboardInterrupt(str(error) if step.action is Action.UNKNOWN else "")
            else:
                retry_after_s = parse_retry_after(response.headers.get("Retry-After"), self._clock.wall())
                step = attempts.response(response.status, retry_after_s)
                flaw = None
                if step.action is Action.DONE:
                    try:
                        return Delivered(step.action, response, read_response(endpoint, response))
                    except UnreadableAnswer as unreadable:
                        step, flaw = attempts.unreadable(), scrubbed(str(unreadable), secrets.values())
                elif step.action in (Action.ALREADY, Action.AUTHENTICATE):
                    return Delivered(step.action, response, None)
                error = _error_of_response(endpoint, request, sent, response, step.action, flaw)
            if step.action is not Action.RESEND:
                raise error
            self._clock.sleep(step.delay_s)


def _error_of_failure(
    endpoint: Endpoint,
    request: Request,
    sent: Mapping[str, Any],
    failure: Failure,
    attempts: Attempts,
    action: Action,
) -> SparkflyError:
    """Build the error that is raised if an attempt without a response ends the call."""
    if action is Action.UNKNOWN:
        return outcome_unknown(endpoint, request, sent, failure.why)
    times = "1 attempt" if attempts.count == 1 else f"{attempts.count} attempts"
    what = f"{request.method} {request.path}: {failure.why}, {times}"
    if not attempts.may_have_happened:
        return ConnectionFailed(f"{what}. The service did not process the request")
    hint = "It may be voided. Voiding it again does no harm" if endpoint.effect == "void" else "Try again later"
    return RequestFailed(f"{what}. {hint}")


def _error_of_response(
    endpoint: Endpoint,
    request: Request,
    sent: Mapping[str, Any],
    response: Response,
    action: Action,
    flaw: str | None,
) -> SparkflyError:
    """Build the error that is raised if a response ends the call; `flaw` says why a success cannot be read."""
    if action is Action.UNKNOWN:
        reason, trace = (flaw, None) if flaw else read_refusal(response.status, response.body)
        why = f"the service responded with {response.status}: {reason}" + (f" [trace {trace}]" if trace else "")
        return outcome_unknown(endpoint, request, sent, why, response.status)
    if flaw:
        what = f"{request.method} {request.path}"
        return UnreadableAnswer(f"{what}: the service responded with {response.status}, but {flaw}")
    return api_error(request, response.status, response.body)


def read_response(endpoint: Endpoint, response: Response) -> Any:
    """Read the body of a success with `read_success`; a body that broke off is unreadable, too."""
    if response.flaw:
        raise UnreadableAnswer(response.flaw)
    return read_success(endpoint, response.body)
