"""Single calls over requests: an operation and its values go in; what the service responded comes out, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..api.attempts import Action
from ..api.endpoints import ENDPOINTS, TOKEN_HEADER
from ..api.inputs import build
from ..api.pagination import Listing
from ..api.response import MAX_RESPONSE_BYTES, read_refusal
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
    """The result of a single call."""

    #: A change's receipt, a read's list of offer states, a `ListingPage`, or None after a void.
    parsed: Any
    #: The values as they were sent, by the API's names.
    sent: dict[str, Any]
    #: The HTTP status.
    status: int
    #: Whether the offer state was voided before.
    already: bool
    #: What Sparkfly's support asks for; None if the service sent none.
    trace: str | None
    #: Requests that were sent, including retries.
    attempts: int


class SyncClient:
    """Carries single calls to the service; safe to use from several threads.

    Parameters
    ----------
    settings : Settings
        Address, credentials, timeouts and time zone.
    policy : RetryPolicy, optional
        How often and how long a call is tried.
    clock : Clock, optional
        The time.
    attempt_timeout_s : float, optional
        Seconds after which one attempt ends as a whole; by default the connect timeout and four read timeouts.
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
            The operation, one of `ENDPOINTS`.
        **values
            Its inputs by the API's names; missing values count as not given.

        Raises
        ------
        InvalidInput
            A value cannot be sent; nothing was sent.
        SparkflyError
            See `SyncSender.deliver` and `Tokens.current`.
        """
        self.ensure_open()
        request, sent = build(endpoint, values, self._settings.tz)
        token, generation = self.tokens.current()
        attempts = self._sender.attempts(endpoint)

        def deliver(token: Secret) -> Delivered:
            return self._sender.deliver(
                endpoint,
                request,
                sent,
                base_url=self._settings.base_url,
                secrets={TOKEN_HEADER: token},
                attempts=attempts,
            )

        delivered = deliver(token)
        if delivered.action is Action.AUTHENTICATE and self.tokens.can_renew:
            delivered = deliver(self.tokens.renew(generation)[0])
        response = delivered.response
        reason, trace = (
            (None, None) if delivered.action is Action.DONE else read_refusal(response.status, response.body)
        )
        if delivered.action is Action.AUTHENTICATE:
            advice = "The service refuses a token that it just issued" if self.tokens.can_renew else HOW_TO_RENEW
            raise AuthenticationError(
                response.status, f"{reason}. {advice}", trace=trace, method=request.method, path=request.path
            )
        already = delivered.action is Action.ALREADY
        return CallResult(delivered.parsed, sent, response.status, already, trace, attempts.count)

    def pages(self, member_id: Any) -> Iterator[Taken]:
        """List all offer states of a member, page by page.

        Yields
        ------
        Taken
            The offer states of a page. If ``restarted`` is true, those of earlier pages are void.

        Raises
        ------
        IncompleteListing
            The pages do not add up to a complete listing.
        SparkflyError
            See `call`.
        """
        listing = Listing(f"the offer states of member {member_id}")
        while (query := listing.next_query()) is not None:
            yield listing.take(self.call(ENDPOINTS["list_offer_states"], member_id=member_id, **query).parsed)

    def ensure_open(self) -> None:
        """Raise `ConfigurationError` if the client is closed."""
        self._connection.ensure_open()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._connection.is_closed

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._connection.close()
