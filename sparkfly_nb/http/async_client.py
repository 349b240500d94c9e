"""One worker's connections: aiohttp, told apart into "answered", "response_lost" and "never sent"."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ..api.endpoints import TOKEN_HEADER
from ..api.request import Request, address_of
from ..api.retry_policy import parse_retry_after
from ..version import USER_AGENT
from .async_exchange import WRITTEN, RequestNotSent, ResponseLost, describe_error, request_class, response_lost
from .async_timeouts import RequestTimeouts
from .environment import proxy_url, ssl_trust
from .redaction import recordable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..settings import Secret

__all__ = ["AsyncClient", "AsyncClientConfig", "AsyncResponse", "RequestNotSent", "ResponseLost", "open_client"]

READ_BYTES: Final = 1 << 18
"""Held per connection before reading pauses: a usual page comes without one."""


class AsyncResponse(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    retry_after_s: float | None

    @property
    def has_retry_after(self) -> bool:
        """Whether the service says when to come back: a header that means nothing says nothing."""
        return self.retry_after_s is not None


@dataclass(frozen=True, slots=True)
class AsyncClientConfig:
    """How a bulk worker reaches the service. Contains the short-lived token, never the key."""

    base_url: str
    token: Secret
    connect_timeout_s: float
    read_timeout_s: float
    is_loopback: bool


class AsyncClient:
    """Sends requests over one pool of connections."""

    def __init__(self, http: aiohttp.ClientSession, timeouts: RequestTimeouts, config: AsyncClientConfig) -> None:
        self._http = http
        self._timeouts = timeouts
        self._base_url = config.base_url
        self._urls: dict[str, URL] = {}
        self._token = config.token

    def _url(self, request: Request) -> URL:
        address = address_of(self._base_url, request)
        url = self._urls.get(address)
        if url is None:
            url = URL(address, encoded=True)
            if len(self._urls) < 16:
                self._urls[address] = url
        return url

    async def send(self, request: Request) -> AsyncResponse:
        """Send a request once and read the whole answer.

        Raises
        ------
        RequestNotSent
            No byte of it has left: there was no connection.
        ResponseLost
            It may have arrived, and what came is no answer.
        """
        task = self._timeouts.begin()
        WRITTEN.set(False)
        try:
            reply = await self._http.request(
                request.method, self._url(request), data=request.body, allow_redirects=False
            )
            body = recordable(request.method, reply.status, await reply.read(), self._token)
            retry_after_s = parse_retry_after(reply.headers.get("Retry-After"), time.time())
            return AsyncResponse(reply.status, body, retry_after_s)
        except asyncio.CancelledError:
            if not self._timeouts.has_cancelled(task):
                raise
            raise (
                ResponseLost("no answer in time") if WRITTEN.get() else RequestNotSent("no connection in time")
            ) from None
        except (RequestNotSent, ResponseLost):
            raise
        except Exception as error:
            if WRITTEN.get():  # whatever it is, the row may be done, and the rows beside it are not to fall with it
                raise response_lost(error) from None
            if isinstance(error, _UNREACHED):
                raise RequestNotSent(f"no connection: {describe_error(error)}") from None
            raise
        finally:
            self._timeouts.end(task)


_UNREACHED: Final = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError, ValueError)
"""What making a connection can fail with; anything else is a fault of ours."""


@asynccontextmanager
async def open_client(config: AsyncClientConfig) -> AsyncIterator[AsyncClient]:
    """Open the connections of one shard and close them after it."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",  # what unpacks to a thousand times its size at most
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        TOKEN_HEADER: config.token.reveal(),
    }
    proxy = None if config.is_loopback else proxy_url(config.base_url)
    async with aiohttp.ClientSession(
        # as many connections as there are lanes
        connector=aiohttp.TCPConnector(limit=0, ssl=ssl_trust(config.base_url)),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=request_class(URL(config.base_url), headers, proxy),
        proxy=proxy,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s),
        read_bufsize=READ_BYTES,
    ) as http:
        timeouts = RequestTimeouts(config.connect_timeout_s, config.read_timeout_s)
        try:
            yield AsyncClient(http, timeouts, config)
        finally:
            timeouts.close()
