"""One worker's connections: aiohttp, told apart into "answered", "lost" and "never sent"."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import aiohttp
from aiohttp.http import HttpProcessingError
from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ..api.endpoints import TOKEN_HEADER
from ..api.request import Request, address_of
from ..api.retry_policy import parse_retry_after
from ..attempt import certificates, cleared
from ..version import USER_AGENT
from .aside import work_aside
from .exchange import WRITTEN, Lost, NotSent, exchange_of, lost, words
from .garbage import fewer_collections
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from ..settings import Secret
    from .job import Wiring

__all__ = ["Answer", "Lost", "NotSent", "Wire", "in_own_loop", "open_wire", "recordable"]

_T = TypeVar("_T")
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


class Wire:
    """Sends requests over one pool of connections."""

    def __init__(self, http: aiohttp.ClientSession, watch: Watch, wiring: Wiring) -> None:
        self._http = http
        self._watch = watch
        self._base_url = wiring.base_url
        self._urls: dict[str, URL] = {}
        self._token = wiring.token

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


def recordable(method: str, status: int, body: bytes, token: Secret) -> bytes:
    """Clear an answer of the token where it names a fault: what is said of one is kept in the ledger."""
    if status >= 300:
        return cleared(body, (token,))
    if method == "GET" or not (b'"err' in body or b"\\u" in body):  # letters can be written as their numbers
        return body
    return cleared(body, (token,)) or _NOT_SHOWN


_NOT_SHOWN: Final = b"not shown"
"""In place of a success that names a fault and cannot be cleared: nothing at all would be a void's good answer."""


def _trust(base_url: str) -> ssl.SSLContext | bool:
    """Trust whom single calls trust: a firm's network may need authorities of its own."""
    place = certificates() if base_url.startswith("https:") else True
    if not isinstance(place, str):
        return place
    is_folder = Path(place).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else place, capath=place if is_folder else None)


def _proxy_for(base_url: str) -> URL | None:
    """Find the proxy that the environment names, once: aiohttp itself would look in a thread for each request."""
    found = select_proxy(base_url, get_environ_proxies(base_url)) or ""
    url = URL(found if "://" in found else f"http://{found}")
    return url if url.host and url.scheme == "http" else None  # aiohttp goes through no other


@asynccontextmanager
async def open_wire(wiring: Wiring) -> AsyncIterator[Wire]:
    """Open the connections of one shard and close them after it."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",  # what unpacks to a thousand times its size at most
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        TOKEN_HEADER: wiring.token.reveal(),
    }
    proxy = None if wiring.is_loopback else _proxy_for(wiring.base_url)
    async with aiohttp.ClientSession(
        # as many connections as there are lanes
        connector=aiohttp.TCPConnector(limit=0, ssl=_trust(wiring.base_url)),
        cookie_jar=aiohttp.DummyCookieJar(),
        request_class=exchange_of(URL(wiring.base_url), headers, proxy),
        proxy=proxy,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=wiring.connect_timeout_s),
        read_bufsize=READ_BYTES,
    ) as http:
        watch = Watch(wiring.connect_timeout_s, wiring.read_timeout_s)
        try:
            yield Wire(http, watch, wiring)
        finally:
            watch.close()


def in_own_loop(work: Callable[[], Coroutine[Any, Any, _T]], on_interrupt: Callable[[], None]) -> _T:
    """Run a coroutine in an event loop of its own, in a thread of its own: Jupyter's main thread has a loop already.

    Parameters
    ----------
    work : callable
        Makes the coroutine.
    on_interrupt : callable
        Called when the waiting thread is interrupted; the coroutine is then expected to end by itself.
    """

    def body() -> _T:
        loop = _new_loop()
        try:
            result = loop.run_until_complete(work())
            loop.run_until_complete(loop.shutdown_asyncgens())
            return result
        finally:
            loop.close()

    with fewer_collections():
        return work_aside(body, "sparkfly-nb-shard", on_interrupt).result()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:  # not on this platform: the standard loop does the same, slower
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
