"""The connections of one bulk worker, over aiohttp: each request gets a response, loses it, or was never sent."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ..api.endpoints import TOKEN_HEADER
from ..api.request import Request, address_of
from ..api.retry_policy import parse_retry_after
from ..version import USER_AGENT
from .async_exchange import (
    PROGRESS,
    BufferedResponse,
    RequestNotSent,
    ResponseLost,
    SendProgress,
    can_use_buffered,
    describe_error,
    request_class,
    response_lost,
)
from .async_fallback import OneRequestConnector, read_and_close, send_trace
from .async_timeouts import RequestTimeouts
from .environment import proxy_url, ssl_trust
from .redaction import recordable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..settings import Secret

__all__ = ["AsyncClient", "AsyncClientConfig", "AsyncResponse", "RequestNotSent", "ResponseLost", "open_client"]

#: Bytes that a connection buffers before it stops reading. A usual page arrives without such a pause.
READ_BYTES: Final = 1 << 18
#: URL objects that are kept for further requests. All rows of an issue have the same address.
KEPT_URLS: Final = 16


class AsyncResponse(NamedTuple):
    """A complete response."""

    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class AsyncClientConfig:
    """How a bulk worker reaches the service. Contains the short-lived token, never the key."""

    base_url: str
    token: Secret
    connect_timeout_s: float
    read_timeout_s: float
    is_loopback: bool


class AsyncClient:
    """Sends requests over one pool of connections.

    Parameters
    ----------
    http : aiohttp.ClientSession
        The connections.
    timeouts : RequestTimeouts
        Ends requests that take too long.
    config : AsyncClientConfig
        The address and the token.
    options : mapping, optional
        Options of aiohttp for every request. Given only with aiohttp's own requests, see `async_fallback`.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        timeouts: RequestTimeouts,
        config: AsyncClientConfig,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._http = http
        self._timeouts = timeouts
        self._base_url = config.base_url
        self._urls: dict[str, URL] = {}
        self._token = config.token
        self._options = options or {}
        # With aiohttp's own requests, hooks must first prove that nothing was sent.
        self._starts_as_sent = options is not None

    def _url(self, request: Request) -> URL:
        address = address_of(self._base_url, request)
        url = self._urls.get(address)
        if url is None:
            url = URL(address, encoded=True)
            if len(self._urls) < KEPT_URLS:
                self._urls[address] = url
        return url

    async def send(self, request: Request) -> AsyncResponse:
        """Send a request once and read the whole response.

        Raises
        ------
        RequestNotSent
            No byte of the request has left, because there was no connection.
        ResponseLost
            The service may have the request, and no usable response came.
        """
        task = self._timeouts.begin()
        progress = SendProgress(may_have_been_sent=self._starts_as_sent)
        PROGRESS.set(progress)
        try:
            response = await self._http.request(
                request.method, self._url(request), data=request.body, allow_redirects=False, **self._options
            )
            content = await (response.read() if isinstance(response, BufferedResponse) else read_and_close(response))
            body = recordable(request.method, response.status, content, self._token)
            retry_after = response.headers.get("Retry-After")
            retry_after_s = None if retry_after is None else parse_retry_after(retry_after, time.time())
            return AsyncResponse(response.status, body, retry_after_s)
        except BaseException as error:
            failure = self._failure(error, task, progress)
            if failure is None:
                raise
        finally:
            self._timeouts.end(task)
            if progress.transport is not None:
                # aiohttp only closes a connection that it does not keep. Over TLS that waits for the service, and
                # uvloop cannot close the loop of a shard until then: it raises, and the outcomes are lost.
                progress.transport.abort()
        # Not raised above, where aiohttp's error would become its context: that contains the headers with the token.
        try:
            raise failure
        finally:
            del failure  # its traceback contains this frame: a reference cycle would keep both

    def _failure(
        self, error: BaseException, task: asyncio.Task[Any], progress: SendProgress
    ) -> RequestNotSent | ResponseLost | None:
        """Return what an error means for the request, or None to raise the error itself."""
        if isinstance(error, (RequestNotSent, ResponseLost)):
            return error
        if isinstance(error, asyncio.CancelledError):
            if not self._timeouts.has_cancelled(task):
                return None
            sent = progress.may_have_been_sent
            return ResponseLost("no response in time") if sent else RequestNotSent("no connection in time")
        if not isinstance(error, Exception):
            return None
        if progress.may_have_been_sent:
            # Whatever the error is, the service may have done the row. Other rows of the shard must go on.
            return response_lost(error)
        return RequestNotSent(f"no connection: {describe_error(error)}") if isinstance(error, _NOT_CONNECTED) else None


#: Errors that a failed attempt to connect can raise. Any other error is a bug of ours.
_NOT_CONNECTED: Final = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError, ValueError)


@asynccontextmanager
async def open_client(config: AsyncClientConfig) -> AsyncIterator[AsyncClient]:
    """Open the connections of one shard, and close them at the end."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",  # these expand at most a thousandfold, brotli a millionfold
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        TOKEN_HEADER: config.token.reveal(),
    }
    proxy = None if config.is_loopback else proxy_url(config.base_url)
    is_buffered = can_use_buffered()
    connector_class = aiohttp.TCPConnector if is_buffered else OneRequestConnector
    async with aiohttp.ClientSession(
        # No limit: the lanes of the worker limit the connections.
        connector=connector_class(limit=0, ssl=ssl_trust(config.base_url)),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=request_class(URL(config.base_url), headers, proxy) if is_buffered else aiohttp.ClientRequest,
        trace_configs=None if is_buffered else [send_trace()],
        proxy=proxy,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s),
        read_bufsize=READ_BYTES,
    ) as http:
        connect_s, read_s = config.connect_timeout_s, config.read_timeout_s
        if is_buffered:
            timeouts, options = RequestTimeouts(connect_s, read_s), None
        else:
            timeouts = RequestTimeouts(0.0, connect_s + read_s)  # every request connects
            # Not as headers of the ClientSession: aiohttp would send those, and so the token, to the proxy as well.
            options = {"headers": headers, "proxy_headers": {"User-Agent": USER_AGENT}}
        try:
            yield AsyncClient(http, timeouts, config, options)
        finally:
            timeouts.close()
