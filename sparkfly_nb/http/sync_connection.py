"""One attempt of one request over requests: an answer, or a loss that says whether the service can have seen it.

Only the adapter of requests is used, the part that sends. Its Session would add what must not happen here: follow
redirects with the token, keep cookies, read ``~/.netrc``, and read the body of a redirect without a limit.
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

SILENCES_PER_ATTEMPT: Final = 4
"""An attempt as a whole ends after the connect timeout and this many read timeouts, however slowly bytes come."""
IDLE_S: Final = 50.0
"""Connections idle for longer are not used again: balancers drop them, often without a word, after 60 s or more."""
CONNECTIONS: Final = 64
CHUNK_BYTES: Final = 2**16


class Response(NamedTuple):
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    flaw: str | None = None
    """Why the body cannot be used; the status stands all the same."""

    def __repr__(self) -> str:
        # Tracebacks that show variables show this: a service may repeat the token, in a header or in the body.
        return f"Response({self.status}, {len(self.body)} bytes)"


class SyncConnection:
    """The connections to the service; safe to use from several threads.

    Parameters
    ----------
    settings : Settings
        Address and timeouts.
    wall : callable
        Gives the seconds since 1970.
    attempt_timeout_s : float, optional
        Seconds after which one attempt ends as a whole.
    max_answer_bytes : int
        The longest body that is read.
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
        self._attempt_timeout_s = attempt_timeout_s or connect_s + SILENCES_PER_ATTEMPT * read_s
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
        """Refuse to go on after `close`.

        Raises
        ------
        ConfigurationError
            The connections are closed.
        """
        if self.is_closed:
            raise ConfigurationError("the session is closed; make a new one with Session(...) or Session.from_env()")

    def close(self) -> None:
        """Close the connections; requests under way end by themselves."""
        self.is_closed = True
        self._adapter.close()

    def attempt(self, request: Request, base_url: str, secrets: Mapping[str, Secret]) -> Response | Failure:
        """Send a request once and read the answer whole.

        Parameters
        ----------
        request : Request
            What to send.
        base_url : str
            The address that the request's path follows.
        secrets : Mapping of str to Secret
            Headers that show who asks; what the service refuses with is cleared of them, and empty if it is no JSON.

        Raises
        ------
        ConfigurationError
            The connections are closed; nothing was sent.
        """
        self.ensure_open()
        with self._connections():
            # Nothing is raised from here: a foreign error would carry the request, and with it the token, in its
            # attributes and in the variables of its traceback.
            try:
                answer = self._exchange(request, base_url, secrets)
            except KeyboardInterrupt:
                return Failure(may_have_been_sent=True, why="it was interrupted while under way", interrupted=True)
            except NETWORK_ERRORS as error:
                return failure_of(error)
            except BaseException as error:  # noqa: BLE001 - raised again, without its frames: memory that ran out, a timer
                error.__cause__ = error.__context__ = None
                raise error.with_traceback(None) from None
        return answer if answer.status < 300 else answer._replace(body=cleared(answer.body, secrets.values()))

    @contextmanager
    def _connections(self) -> Iterator[None]:
        """Count the requests in flight, and begin with fresh connections after a long idle time."""
        with self._lock:
            if self._in_flight == 0 and abs(self._wall() - self._last_used) > IDLE_S:
                self._adapter.close()  # only drops the pooled ones; it goes on working
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1
                self._last_used = self._wall()

    def _exchange(self, request: Request, base_url: str, secrets: Mapping[str, Secret]) -> Response:
        address = address_of(base_url, request)
        prepared = requests.PreparedRequest()
        prepared.prepare(method=request.method, url=address, headers=_HEADERS, data=request.body)
        prepared.url = address  # as it was encoded: requests would rewrite some of it
        if request.body is not None:
            prepared.headers["Content-Type"] = "application/json"
        for name, secret in secrets.items():
            prepared.headers[name] = secret.reveal()
        ends_at = time.monotonic() + self._attempt_timeout_s
        response = None
        with _cut_off_after(self._attempt_timeout_s) as limit:
            try:
                response = self._adapter.send(
                    prepared, stream=True, timeout=self._timeouts, verify=self._verify, proxies=self._proxies
                )
            except NETWORK_ERRORS:
                if not limit.reached:
                    raise
        if response is None or limit.reached:
            # A head that was cut off is read by the standard library as if it were whole: it is worth nothing.
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
            return b"", f"the answer is longer than {self._max_answer_bytes} bytes"
        raw.decode_content = True  # the adapter leaves it off
        # read1 comes back with what is there, so that slow bytes cannot hold it beyond the limit
        while part := raw.read1(CHUNK_BYTES):
            length += len(part)
            if length > self._max_answer_bytes:
                return b"", f"the answer is longer than {self._max_answer_bytes} bytes"
            if time.monotonic() > ends_at:
                return b"", f"the answer took longer than {self._attempt_timeout_s:g} s"
            parts.append(part)
        return b"".join(parts), None


_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}


# ---- an end to slow answers ------------------------------------------------------------------------------------------


class _Limit:
    """The connection that a thread is using now, and whether it was cut off."""

    def __init__(self) -> None:
        self.connection: BaseHTTPConnection | None = None
        self.reached = False

    def cut(self) -> None:
        """End the exchange; while it still connects, the connect timeout does so."""
        self.reached = True
        opened = getattr(self.connection, "sock", None)
        if isinstance(opened, socket.socket):
            try:
                # the method of the plain socket, so that the reading thread keeps the state of the encryption
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
            except OSError:
                return  # it was over already


_CURRENT: Final = threading.local()


@contextmanager
def _cut_off_after(seconds: float) -> Iterator[_Limit]:
    """Cut the connection that is used inside when the time is up.

    The timeouts of a socket only limit the silence between two bytes. This limits the whole wait for the status and the
    headers; a body is read in pieces and needs no help. It is over before the connection goes back to the pool.
    """
    limit = _Limit()
    timer = threading.Timer(seconds, limit.cut)
    timer.daemon = True
    _CURRENT.limit = limit
    timer.start()
    try:
        yield limit
    finally:
        _CURRENT.limit = None
        timer.cancel()
        timer.join()


def _without_query(record: logging.LogRecord) -> bool:
    """Let urllib3 log our requests without their query, which may hold the token or the credential of an offer state.

    Whoever knows such a token can take the offer state over. Requests of others are logged as they are.
    """
    if getattr(_CURRENT, "limit", None) is not None and isinstance(record.args, tuple):
        record.args = tuple(
            part.partition("?")[0] + "?..." if isinstance(part, str) and "?" in part else part for part in record.args
        )
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_query)


def _note(connection: BaseHTTPConnection) -> BaseHTTPConnection:
    limit: _Limit | None = getattr(_CURRENT, "limit", None)
    if limit is not None:
        limit.connection = connection
    return connection


class _PlainPool(HTTPConnectionPool):
    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        return _note(super()._get_conn(timeout))


class _EncryptedPool(HTTPSConnectionPool):
    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        return _note(super()._get_conn(timeout))


_POOLS: Final = {"http": _PlainPool, "https": _EncryptedPool}


class _Adapter(HTTPAdapter):
    """The adapter of requests with pools that say which connection a thread uses."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager
