"""The token of a Session: authentication, and renewal by one thread for all."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Final

from ..api.attempts import Action
from ..api.endpoints import AUTH_PATH, IDENTITY_HEADER, KEY_HEADER, TOKEN_HEADER, TOKEN_LIFETIME_S, Endpoint
from ..api.request import Request
from ..api.response import read_refusal
from ..errors import AuthenticationError, SparkflyError, UnreadableAnswer
from ..settings import Secret

if TYPE_CHECKING:
    from ..settings import Settings
    from .sync_retries import Clock, SyncSender

__all__ = ["HOW_TO_RENEW", "RENEWED_AFTER_S", "Tokens"]

#: Age in seconds at which a token is renewed, an hour before it expires.
RENEWED_AFTER_S: Final = TOKEN_LIFETIME_S - 3600
#: Seconds before an early renewal that failed is retried. The old token is used until then.
FAILED_RENEWAL_PAUSE_S: Final = 300.0
#: Characters of the longest token that is accepted. Servers limit headers to about this size.
MAX_TOKEN_LENGTH: Final = 8192
HOW_TO_RENEW: Final = (
    "A token expires after 24 hours. Create the Session with identity= and key= (or set SPARKFLY_IDENTITY and "
    "SPARKFLY_KEY) to renew tokens automatically, or get a new token from POST <root>/auth and pass it as token= "
    "(or set SPARKFLY_TOKEN)"
)
# "read", because authentication changes nothing and can be retried.
_AUTHENTICATE: Final = Endpoint(
    "authenticate", "POST", AUTH_PATH, "auth", "Get a token for an identity and a key", "read", "nothing", 204, ()
)


class _Renewal:
    """A renewal in progress. One thread carries it out, and others wait for it."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: SparkflyError | None = None


class Tokens:
    """The token of a Session. Several threads can use it.

    Each token has a number, its generation. A caller whose token was rejected passes its generation. If many threads
    have the same rejected token, only the first one authenticates.

    Parameters
    ----------
    settings : Settings
        A token, or identity and key.
    sender : SyncSender
        Sends the request.
    clock : Clock
        Measures the age of the token.
    """

    def __init__(self, settings: Settings, sender: SyncSender, clock: Clock) -> None:
        self._settings = settings
        self._sender = sender
        self._clock = clock
        self._lock = threading.Lock()
        self._renewal: _Renewal | None = None
        self._token = settings.token
        self._generation = 0
        self._renew_at: float | None = None
        self._expires_at: float | None = None

    @property
    def can_renew(self) -> bool:
        """Whether there are credentials to get a new token."""
        return self._settings.identity is not None

    @property
    def expires_at(self) -> float | None:
        """When the token expires, in seconds since 1970. None if unknown, or if there is no token yet."""
        return self._expires_at

    def current(self) -> tuple[Secret, int]:
        """Return a valid token and its generation. Authenticate if there is none, or if it expires soon.

        Raises
        ------
        AuthenticationError
            The credentials were not accepted.
        SparkflyError
            There is no token yet, and the request for one failed.
        """
        with self._lock:
            token, generation = self._token, self._generation
            is_due = self._renew_at is not None and self._clock.wall() >= self._renew_at
        if token is None:
            return self.renew(generation)
        if not is_due:
            return token, generation
        try:
            return self.renew(generation)
        except AuthenticationError:
            raise
        except SparkflyError:
            with self._lock:
                if self._expires_at is not None and self._clock.wall() >= self._expires_at:
                    raise
                self._renew_at = self._clock.wall() + FAILED_RENEWAL_PAUSE_S
            return token, generation

    def renew(self, stale_generation: int) -> tuple[Secret, int]:
        """Return a newer token than one that was rejected. If several threads call this, one of them authenticates.

        Parameters
        ----------
        stale_generation : int
            The generation of the rejected token, as returned by `current`.

        Raises
        ------
        AuthenticationError
            The credentials were not accepted, or there are none.
        SparkflyError
            The request for a token failed.
        """
        while True:
            with self._lock:
                if self._token is not None and self._generation > stale_generation:
                    return self._token, self._generation
                renewal = self._renewal
                is_ours = renewal is None
                if renewal is None:
                    renewal = self._renewal = _Renewal()
            if is_ours:
                return self._carry_out(renewal)
            renewal.ended.wait()
            if renewal.error is not None:
                raise copy.copy(renewal.error)  # a copy, because each thread adds its own traceback

    def _carry_out(self, renewal: _Renewal) -> tuple[Secret, int]:
        try:
            token = self._authenticate()
            with self._lock:
                self._token = token
                self._generation += 1
                now = self._clock.wall()
                self._renew_at, self._expires_at = now + RENEWED_AFTER_S, now + TOKEN_LIFETIME_S
                return token, self._generation
        except SparkflyError as error:
            renewal.error = error
            raise
        finally:  # also after KeyboardInterrupt: the next waiting thread then renews
            with self._lock:
                self._renewal = None
            renewal.ended.set()

    def _authenticate(self) -> Secret:
        identity, key = self._settings.identity, self._settings.key
        if identity is None or key is None:
            raise AuthenticationError(
                401, f"the token is not accepted. {HOW_TO_RENEW}", trace=None, method="POST", path=AUTH_PATH
            )
        delivered = self._sender.deliver(
            _AUTHENTICATE,
            Request(_AUTHENTICATE.method, _AUTHENTICATE.path, (), None),
            {},
            base_url=self._settings.root_url,
            secrets={IDENTITY_HEADER: identity, KEY_HEADER: key},
            attempts=self._sender.attempts(_AUTHENTICATE),
        )
        if delivered.action is Action.AUTHENTICATE:
            reason, trace = read_refusal(401, delivered.response.body)
            raise AuthenticationError(
                401,
                f"{reason}. Check identity and key, and that they belong to {self._settings.environment}",
                trace=trace,
                method=_AUTHENTICATE.method,
                path=AUTH_PATH,
            )
        return _token_in(delivered.response.headers.get(TOKEN_HEADER, ""))


def _token_in(header: str) -> Secret:
    """Return the token in a response header. Raise if no request header can contain it."""
    if not header or len(header) > MAX_TOKEN_LENGTH or not header.isascii() or not header.isprintable():
        raise UnreadableAnswer(f"the response to POST {AUTH_PATH} has no valid token in {TOKEN_HEADER}; check base_url")
    return Secret(header)
