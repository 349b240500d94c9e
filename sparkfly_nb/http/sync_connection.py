"""One attempt of one request over requests: a response, or a failure with whether the service may have received it.

Only the adapter of requests is used, the part that sends. Its Session would follow redirects with the token, keep
cookies, read ``~/.netrc``, and read the body of a redirect without a limit.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from ..api.request import address_of
from ..api.response import MAX_RESPONSE_BYTES
from ..errors import ConfigurationError
from ..version import USER_AGENT
from .environment import ca_bundle, proxies_for
from .failures import NETWORK_ERRORS, Failure, failure_of
from .redaction import cleared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3._base_connection import BaseHTTPConnection
    from urllib3.response import BaseHTTPResponse

    from ..api.request import Request
    from ..settings import Secret, Settings

__all__ = ["Response", "SyncConnection"]

#: An attempt ends after the connect timeout and this many read timeouts, even if bytes are still arriving.
READ_TIMEOUTS_PER_ATTEMPT: Final = 4
#: Connections that were idle for more seconds are not used again. Load balancers drop them silently after 60 s or more.
IDLE_S: Final = 50.0
#: Connections that are kept for threads.
CONNECTIONS: Final = 64
CHUNK_BYTES: Final = 2**16


class Response(NamedTuple):
    """A response of the service."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    #: Why the body cannot be used. The status is valid nevertheless.
    flaw: str | None = None

    def __repr__(self) -> str:
        # Tracebacks with variables show this. A service may echo the token in a header or in the body.
        return f"Response({self.status}, {len(self.body)} bytes)"


class SyncConnection:
    """The connections to the service. Several threads can use them.

    Parameters
    ----------
    settings : Settings
        Address and timeouts.
    wall : callable
        Returns the seconds since 1970.
    attempt_timeout_s : float, optional
        The longest time for one attempt, in seconds.
    max_answer_bytes : int
        The size of the longest body that is read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        wall: Callable[[], float] = time.time,
        attempt_timeout_s: float | None = None,
        max_answer_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        connect_s, read_s = settings.connect_timeout_s, settings.read_timeout_s
        self._timeouts = (connect_s, read_s)
        self._attempt_timeout_s = attempt_timeout_s or connect_s + READ_TIMEOUTS_PER_ATTEMPT * read_s
        self._max_answer_bytes = max_answer_bytes
        self._wall = wall
        self._proxies = {} if settings.is_loopback else proxies_for(settings.base_url)
        self._verify = ca_bundle()
        self._adapter = _Adapter()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._last_used = wall()
        self.is_closed = False

    def ensure_open(self) -> None:
        """Raise an error after `close`.

        Raises
        ------
        ConfigurationError
            The connections are closed.
        """
        if self.is_closed:
            raise ConfigurationError("the session is closed; create a new one with Session(...) or Session.from_env()")

    def close(self) -> None:
        """Close the connections. Requests in flight still finish."""
        self.is_closed = True
        self._adapter.close()

    def attempt(self, request: Request, base_url: str, secrets: Mapping[str, Secret]) -> Response | Failure:
        """Send a request once and read the whole response.

        Parameters
        ----------
        request : Request
            The request.
        base_url : str
            The address that the request's path follows.
        secrets : Mapping of str to Secret
            Headers with credentials. They are removed from the body of an error, which is empty if it is not JSON.

        Raises
        ------
        ConfigurationError
            The connections are closed, and nothing was sent.
        """
        self.ensure_open()
        with self._connections():
            # No error of a library may leave this block: its attributes and the variables of its traceback contain
            # the request with the token.
            try:
                response = self._send(request, base_url, secrets)
            except KeyboardInterrupt:
                return Failure(may_have_been_sent=True, why="it was interrupted in flight", interrupted=True)
            except NETWORK_ERRORS as error:
                return failure_of(error)
            except BaseException as error:  # noqa: BLE001 - raised again without its frames, such as MemoryError
                error.__cause__ = error.__context__ = None
                raise error.with_traceback(None) from None
        if response.status < 300:
            return response
        return response._replace(body=cleared(response.body, secrets.values()))

    @contextmanager
    def _connections(self) -> Iterator[None]:
        """Count the requests in flight, and drop the connections after a long idle time."""
        with self._lock:
            if self._in_flight == 0 and abs(self._wall() - self._last_used) > IDLE_S:
                self._adapter.close()  # drops the pooled connections; the adapter can still be used
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1
                self._last_used = self._wall()

    def _send(self, request: Request, base_url: str, secrets: Mapping[str, Secret]) -> Response:
        address = address_of(base_url, request)
        prepared = requests.PreparedRequest()
        prepared.prepare(method=request.method, url=address, headers=_HEADERS, data=request.body)
        prepared.url = address  # `prepare` rewrites some of the encoding
        if request.body is not None:
            prepared.headers["Content-Type"] = "application/json"
        for name, secret in secrets.items():
            prepared.headers[name] = secret.reveal()
        ends_at = time.monotonic() + self._attempt_timeout_s
        response = None
        with _attempt_timeout(self._attempt_timeout_s) as timeout:
            try:
                response = self._adapter.send(
                    prepared, stream=True, timeout=self._timeouts, verify=self._verify, proxies=self._proxies
                )
            except NETWORK_ERRORS:
                if not timeout.is_over:
                    raise
        if response is None or timeout.is_over:
            # The standard library parses a head that was cut off as if it were complete.
            if response is not None:
                response.close()
            raise requests.ReadTimeout
        raw: BaseHTTPResponse = response.raw
        try:
            body, flaw = self._read(raw, ends_at)
        except NETWORK_ERRORS as error:
            body, flaw = b"", failure_of(error).why
        if flaw:
            raw.close()
        else:
            raw.release_conn()
        return Response(response.status_code, response.headers, body, flaw)

    def _read(self, raw: BaseHTTPResponse, ends_at: float) -> tuple[bytes, str | None]:
        parts, length = [], 0
        if (raw.length_remaining or 0) > self._max_answer_bytes:
            return b"", f"the response is longer than {self._max_answer_bytes} bytes"
        raw.decode_content = True  # the adapter disables it
        # read1 returns the bytes that have arrived, so slow bytes cannot block it beyond the limit.
        while part := raw.read1(CHUNK_BYTES):
            length += len(part)
            if length > self._max_answer_bytes:
                return b"", f"the response is longer than {self._max_answer_bytes} bytes"
            if time.monotonic() > ends_at:
                return b"", f"the response took longer than {self._attempt_timeout_s:g} s"
            parts.append(part)
        return b"".join(parts), None


_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}


# ---- timeout of an attempt -------------------------------------------------------------------------------------------


class _AttemptTimeout:
    """The connection that a thread is using, and whether it was shut down because the time was up."""

    def __init__(self) -> None:
        self.connection: BaseHTTPConnection | None = None
        self.is_over = False

    def end(self) -> None:
        """Shut the connection down. The connect timeout ends a connection that is not open yet."""
        self.is_over = True
        opened = getattr(self.connection, "sock", None)
        if isinstance(opened, socket.socket):
            try:
                # Not SSLSocket.shutdown, which would remove the TLS state that the thread reads with.
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
            except OSError:
                return  # already closed


_CURRENT: Final = threading.local()


@contextmanager
def _attempt_timeout(seconds: float) -> Iterator[_AttemptTimeout]:
    """Shut the connection of the block down when the time is up.

    The timeout of a socket limits only the pause between two bytes. This limits the whole wait for status and headers.
    A body is read in pieces, where `_read` checks the time. The timer ends before the connection returns to the pool.
    """
    timeout = _AttemptTimeout()
    timer = threading.Timer(seconds, timeout.end)
    timer.daemon = True
    _CURRENT.timeout = timeout
    timer.start()
    try:
        yield timeout
    finally:
        _CURRENT.timeout = None
        timer.cancel()
        timer.join()


def _remove_query(record: logging.LogRecord) -> bool:
    """Remove the query of our requests from urllib3's log.

    The query may contain the token or the credential of an offer state, which is enough to take the offer state over.
    Requests of other code are logged unchanged.
    """
    if getattr(_CURRENT, "timeout", None) is not None and isinstance(record.args, tuple):
        record.args = tuple(
            part.partition("?")[0] + "?..." if isinstance(part, str) and "?" in part else part for part in record.args
        )
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_remove_query)


def _track(connection: BaseHTTPConnection) -> BaseHTTPConnection:
    timeout: _AttemptTimeout | None = getattr(_CURRENT, "timeout", None)
    if timeout is not None:
        timeout.connection = connection
    return connection


class _PlainPool(HTTPConnectionPool):
    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        return _track(super()._get_conn(timeout))


class _EncryptedPool(HTTPSConnectionPool):
    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        return _track(super()._get_conn(timeout))


_POOLS: Final = {"http": _PlainPool, "https": _EncryptedPool}


class _Adapter(HTTPAdapter):
    """The adapter of requests, with pools that record the connection that a thread uses."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
