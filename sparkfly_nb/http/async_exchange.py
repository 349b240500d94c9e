"""One request and its response on a connection of aiohttp: written in one call and read whole.

aiohttp's own request and response support every feature of HTTP, and took a fifth of a row's processor time. The two
classes here replace them. aiohttp still finds, opens, secures and keeps connections, and parses responses.

Both classes rely on internals of aiohttp. They are used only with the versions in `TESTED_AIOHTTP`. With all others,
`async_fallback` takes their place.
"""

from __future__ import annotations

import asyncio
import re
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp

from ..api.response import MAX_RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from yarl import URL

__all__ = [
    "PROGRESS",
    "TESTED_AIOHTTP",
    "BufferedRequest",
    "BufferedResponse",
    "RequestNotSent",
    "ResponseLost",
    "SendProgress",
    "can_use_buffered",
    "describe_error",
    "read_within_limit",
    "request_class",
    "response_lost",
]

#: The first and the last version of aiohttp with which the wire tests passed: tests/unit/http/test_async_client.py and
#: test_environment.py, tests/security/test_responses.py. To add a release, raise the second version and run them.
TESTED_AIOHTTP: Final = ((3, 14, 0), (3, 14, 5))
#: With a longer body, part of the request may be unsent when the response arrives. The kernel accepts less at once.
LONG_BYTES: Final = 16 * 2**10
#: The only status between 100 and 199 that no further response follows.
SWITCHING_PROTOCOLS: Final = 101


def can_use_buffered(version: str = aiohttp.__version__) -> bool:
    """Return True if `BufferedRequest` and `BufferedResponse` were tested with this release of aiohttp."""
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version)  # a pre-release is not a tested release
    first, last = TESTED_AIOHTTP
    return numbers is not None and first <= tuple(int(number) for number in numbers.groups()) <= last


class SendProgress:
    """Whether a byte of one request may have left, and the connection to abort after the request, if any."""

    __slots__ = ("may_have_been_sent", "transport")

    def __init__(self, *, may_have_been_sent: bool) -> None:
        self.may_have_been_sent = may_have_been_sent
        self.transport: asyncio.Transport | None = None


#: The progress of the request that the current task sends. The value is mutable because aiohttp may start tasks of its
#: own: they see the same object, while a plain value set there would be lost.
PROGRESS: Final[ContextVar[SendProgress]] = ContextVar("PROGRESS")


class RequestNotSent(Exception):
    """No byte of the request has left. Raised and handled within a worker."""


class ResponseLost(Exception):
    """The service may have processed the request, but no usable response came. Raised and handled within a worker."""


def response_lost(error: BaseException) -> ResponseLost:
    """Describe why the response is incomplete."""
    return ResponseLost(f"the connection broke before the response was complete: {describe_error(error)}")


def describe_error(error: BaseException) -> str:
    """Return the type of an error and the system's reason, without the request that the error may contain."""
    return f"{type(error).__name__}" + (f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else "")


class BufferedRequest(aiohttp.ClientRequest):
    """A request that shares everything but the method, the address and the body with others; see `request_class`."""

    _head: bytes
    _key: ConnectionKey

    def __init__(
        self, shared: Mapping[str, Any], method: str, url: URL, *, data: bytes | None = None, **_ignored: object
    ) -> None:
        vars(self).update(shared)
        self.method = method
        self.url = self.original_url = url
        self._content = data

    @property
    def connection_key(self) -> ConnectionKey:
        """The key of the connections that this request can use."""
        return self._key

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the whole request.

        Raises
        ------
        RequestNotSent
            The connection was closed, or a response to no request came over it.
        """
        protocol = conn.protocol
        # Some services send "408" over an idle connection. aiohttp would return it as the response to this request.
        if protocol is None or protocol.transport is None or protocol.should_close:
            raise RequestNotSent("no connection: it was closed, or a response came before the request")
        body = self._content or b""
        length = b"Content-Length: %d\r\n" % len(body) if self._content is not None or self.method != "GET" else b""
        line = b"%b %b HTTP/1.1\r\n" % (self.method.encode(), self.url.raw_path_qs.encode())
        progress = PROGRESS.get()
        progress.may_have_been_sent = True
        progress.transport = protocol.transport
        protocol.transport.write(b"%b%b%b\r\n%b" % (line, self._head, length, body))
        return BufferedResponse(self.method, self.url, is_last=len(body) > LONG_BYTES)


def request_class(url: URL, headers: Mapping[str, str], proxy: URL | None = None) -> type[aiohttp.ClientRequest]:
    """Build the class of the requests that go to one service with the same headers.

    Parameters
    ----------
    url : URL
        Any address of the service.
    headers : mapping of str to str
        Headers of every request, checked to contain no line break.
    proxy : URL, optional
        The proxy that opens a tunnel to the service. It receives only the User-Agent of the headers.
    """
    template = aiohttp.ClientRequest(
        "GET",
        url,
        headers=headers,
        loop=asyncio.get_running_loop(),
        proxy=proxy,
        proxy_headers={"User-Agent": headers["User-Agent"]} if proxy else None,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in template.headers.items())
    shared = {**vars(template), "_head": head.encode("ascii"), "_key": template.connection_key}
    # A class per shard would be a reference cycle, and keep the loop and the token until the next full collection.
    return cast("type[aiohttp.ClientRequest]", partial(BufferedRequest, shared))


class BufferedResponse(aiohttp.ClientResponse):
    """A response that is complete when the caller gets it; its connection is free again.

    Parameters
    ----------
    method : str
        The method of the request.
    url : URL
        The address of the request.
    is_last : bool
        Whether to close the connection, because part of the request may be unsent when the response arrives.
    """

    def __init__(self, method: str, url: URL, *, is_last: bool) -> None:
        self.method = method
        self._url = url
        self._cache: dict[str, Any] = {}  # aiohttp's properties need it
        self._is_last = is_last

    async def start(self, connection: Connection) -> BufferedResponse:
        """Read the whole response.

        Raises
        ------
        ResponseLost
            The connection broke, or the response is too long.
        """
        protocol = cast("ResponseHandler", connection.protocol)  # not None: `BufferedRequest.send` has just used it
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != SWITCHING_PROTOCOLS:
                message, content = await protocol.read()
            is_complete = content.is_eof() and content.total_bytes <= MAX_RESPONSE_BYTES
            self._body = content.read_nowait() if is_complete else await read_within_limit(content, message.headers)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if self.method == "GET":
                raise  # aiohttp resends a read once, because a kept connection may have ended
            # aiohttp would resend a PUT as well, but not after an error that it does not know.
            raise response_lost(error) from None
        self.status, self.reason, self._headers = message.code, message.reason, message.headers
        if not self._is_last and not protocol.should_close:
            PROGRESS.get().transport = None
        elif connection.transport is not None:
            connection.transport.abort()  # closing it would send the rest of the request first
        connection.release()
        return self

    async def read(self) -> bytes:
        """Return the body."""
        return self._body or b""

    def close(self) -> None:
        """Do nothing: the code that opened the connection closes it."""


async def read_within_limit(content: aiohttp.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read a body of at most `MAX_RESPONSE_BYTES`.

    Raises
    ------
    ResponseLost
        The body is longer, or its header says so.
    """
    parts, total = [], 0
    if int(headers.get("Content-Length", "0")) > MAX_RESPONSE_BYTES:
        raise _too_long()
    async for part in content.iter_any():
        total += len(part)
        if total > MAX_RESPONSE_BYTES:
            raise _too_long()
        parts.append(part)
    return b"".join(parts)


def _too_long() -> ResponseLost:
    return ResponseLost(f"the response is longer than {MAX_RESPONSE_BYTES // 2**20} MiB")
