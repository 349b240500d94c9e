"""Single calls over requests: an operation and its values go in, what the service answered comes out, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.endpoints import ENDPOINTS, TOKEN_HEADER
from ..api.inputs import build
from ..api.pagination import Listing
from ..api.response import MAX_RESPONSE_BYTES, Verdict, read_refusal
from ..api.retry_policy import RetryPolicy
from ..errors import AuthenticationError
from .sync_connection import SyncConnection
from .sync_retries import Clock, SyncSender
from .tokens import HOW_TO_RENEW, Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..api.endpoints import Endpoint
    from ..api.pagination import Taken
    from ..settings import Secret, Settings
    from .sync_retries import Delivered

__all__ = ["CallResult", "SyncClient"]


class CallResult(NamedTuple):
    """What a call came to."""

    parsed: Any
    """A change's receipt, a read's list of offer states, a `Page`, or None after a void."""
    sent: dict[str, Any]
    """The values as they were sent, by the API's names."""
    status: int
    already: bool
    """The offer state was voided before."""
    trace: str | None
    """What Sparkfly's support asks for, where the service gave one."""
    attempts: int


class SyncClient:
    """Carries single calls to the service; safe to use from several threads.

    Parameters
    ----------
    settings : Settings
        Address, credentials, timeouts, time zone.
    policy : RetryPolicy, optional
        How often and how long a call is tried.
    clock : Clock, optional
        Where the time comes from.
    attempt_timeout_s : float, optional
        Seconds after which one attempt ends as a whole; the connect timeout and four read timeouts by default.
    max_answer_bytes : int
        The longest body that is read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        attempt_timeout_s: float | None = None,
        max_answer_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        clock = clock or Clock()
        self._settings = settings
        self._connection = SyncConnection(
            settings, wall=clock.wall, attempt_timeout_s=attempt_timeout_s, max_answer_bytes=max_answer_bytes
        )
        self._sender = SyncSender(self._connection, policy or RetryPolicy(), clock)
        self.tokens = Tokens(settings, self._sender, clock)

    def call(self, endpoint: Endpoint, /, **values: Any) -> CallResult:
        """Carry out one operation.

        Parameters
        ----------
        endpoint : Endpoint
            The operation, out of `ENDPOINTS`.
        **values
            Its inputs by the API's names; missing ones count as not given.

        Raises
        ------
        InvalidInput
            A value cannot be sent; nothing was sent.
        SparkflyError
            As `SyncSender.deliver` and `Tokens.current` say.
        """
        self.ensure_open()
        request, sent = build(endpoint, values, self._settings.tz)
        token, generation = self.tokens.current()
        pacing = self._sender.pacing()

        def deliver(token: Secret) -> Delivered:
            return self._sender.deliver(
                endpoint,
                request,
                sent,
                base_url=self._settings.base_url,
                secrets={TOKEN_HEADER: token},
                pacing=pacing,
            )

        delivered = deliver(token)
        if delivered.verdict is Verdict.UNAUTHENTICATED and self.tokens.can_renew:
            delivered = deliver(self.tokens.renew(generation)[0])
        answer = delivered.answer
        reason, trace = (None, None) if delivered.verdict is Verdict.DONE else read_refusal(answer.status, answer.body)
        if delivered.verdict is Verdict.UNAUTHENTICATED:
            advice = "A token that was just got is not accepted" if self.tokens.can_renew else HOW_TO_RENEW
            raise AuthenticationError(
                answer.status, f"{reason}. {advice}", trace=trace, method=request.method, path=request.path
            )
        return CallResult(
            delivered.parsed, sent, answer.status, delivered.verdict is Verdict.ALREADY, trace, pacing.attempts
        )

    def pages(self, member_id: Any) -> Iterator[Taken]:
        """List all offer states of a member, page by page.

        Yields
        ------
        Taken
            The offer states of a page; where ``restarted`` is true, those of earlier pages are void.

        Raises
        ------
        IncompleteListing
            The pages do not make a whole.
        SparkflyError
            As `call` says.
        """
        listing = Listing(f"the offer states of member {member_id}")
        while (query := listing.next_query()) is not None:
            yield listing.take(self.call(ENDPOINTS["list_offer_states"], member_id=member_id, **query).parsed)

    def ensure_open(self) -> None:
        """Refuse to go on after `close`.

        Raises
        ------
        ConfigurationError
            The session is closed.
        """
        self._connection.ensure_open()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._connection.is_closed

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._connection.close()
