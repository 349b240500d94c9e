"""One worker's connections: aiohttp, told apart into "answered", "lost" and "never sent"."""

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
from .async_exchange import WRITTEN, Lost, NotSent, exchange_of, lost, words
from .async_timeouts import Watch
from .environment import proxy_url, ssl_trust
from .redaction import recordable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..settings import Secret

__all__ = ["Answer", "AsyncClientConfig", "Lost", "NotSent", "Wire", "open_wire"]

READ_BYTES: Final = 1 << 18
"""Held per connection before reading pauses: a usual page comes without one."""


class Answer(NamedTuple):
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


class Wire:
    """Sends requests over one pool of connections."""

    def __init__(self, http: aiohttp.ClientSession, watch: Watch, config: AsyncClientConfig) -> None:
        self._http = http
        self._watch = watch
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

    async def ask(self, request: Request) -> Answer:
        """Send a request once and read the whole answer.

        Raises
        ------
        NotSent
            No byte of it has left: there was no connection.
        Lost
            It may have arrived, and what came is no answer.
        """
        task = self._watch.begin()
        WRITTEN.set(False)
        try:
            reply = await self._http.request(
                request.method, self._url(request), data=request.body, allow_redirects=False
            )
            body = recordable(request.method, reply.status, await reply.read(), self._token)
            retry_after_s = parse_retry_after(reply.headers.get("Retry-After"), time.time())
            return Answer(reply.status, body, retry_after_s)
        except asyncio.CancelledError:
            if not self._watch.has_cancelled(task):
                raise
            raise (Lost("no answer in time") if WRITTEN.get() else NotSent("no connection in time")) from None
        except (NotSent, Lost):
            raise
        except Exception as error:
            if WRITTEN.get():  # whatever it is, the row may be done, and the rows beside it are not to fall with it
                raise lost(error) from None
            if isinstance(error, _UNREACHED):
                raise NotSent(f"no connection: {words(error)}") from None
            raise
        finally:
            self._watch.end(task)


_UNREACHED: Final = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError, ValueError)
"""What making a connection can fail with; anything else is a fault of ours."""


@asynccontextmanager
async def open_wire(config: AsyncClientConfig) -> AsyncIterator[Wire]:
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
        request_class=exchange_of(URL(config.base_url), headers, proxy),
        proxy=proxy,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=config.connect_timeout_s),
        read_bufsize=READ_BYTES,
    ) as http:
        watch = Watch(config.connect_timeout_s, config.read_timeout_s)
        try:
            yield Wire(http, watch, config)
        finally:
            watch.close()
