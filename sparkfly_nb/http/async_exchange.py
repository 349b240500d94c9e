"""One request and its answer on one of aiohttp's connections: written at once and read whole, and nothing in between.

aiohttp's own request and response serve every use there is, and took a fifth of a row's processor time. It is given
these in their place; finding, opening, securing and keeping connections and taking answers apart stay its own work.
"""

from __future__ import annotations

import asyncio
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
    "WRITTEN",
    "BufferedRequest",
    "BufferedResponse",
    "RequestNotSent",
    "ResponseLost",
    "describe_error",
    "request_class",
    "response_lost",
]

WRITTEN: Final[ContextVar[bool]] = ContextVar("WRITTEN", default=False)
"""Whether a byte of the request of this task may have left; set here alone, and taken back by who asks anew."""
LONG_BYTES: Final = 16 * 2**10
"""A body of this size has left when it is written: the kernel takes it at once."""
SWITCHED: Final = 101
"""The one answer between 100 and 199 that none follows."""


class RequestNotSent(Exception):
    """No byte of the request has left; stays inside the workers."""


class ResponseLost(Exception):
    """The request may have been processed, and no usable answer came; stays inside the workers."""


def response_lost(error: BaseException) -> ResponseLost:
    """Say how the way to a whole answer broke."""
    return ResponseLost(f"the connection broke before the answer was complete: {describe_error(error)}")


def describe_error(error: BaseException) -> str:
    """Describe a fault without the request that it may carry."""
    return f"{type(error).__name__}" + (f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else "")


class BufferedRequest(aiohttp.ClientRequest):
    """A request of which only the method, the address and the body are its own; see `request_class`."""

    _head: bytes
    _key: ConnectionKey

    def __init__(
        self, same_for_all: Mapping[str, Any], method: str, url: URL, *, data: bytes | None = None, **_given: object
    ) -> None:
        vars(self).update(same_for_all)
        self.method = method
        self.url = self.original_url = url
        self._given = data

    @property
    def connection_key(self) -> ConnectionKey:
        """Which of the connections may be used."""
        return self._key

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write all of the request.

        Raises
        ------
        RequestNotSent
            The connection was closed, or a whole answer came over it that nobody had asked for.
        """
        protocol = conn.protocol
        if protocol is None or protocol.transport is None or protocol.should_close:
            raise RequestNotSent("no connection: it was closed, or an answer came that nobody had asked for")
        body = self._given or b""
        length = b"Content-Length: %d\r\n" % len(body) if self._given is not None or self.method != "GET" else b""
        line = b"%b %b HTTP/1.1\r\n" % (self.method.encode(), self.url.raw_path_qs.encode())
        WRITTEN.set(True)
        protocol.transport.write(b"%b%b%b\r\n%b" % (line, self._head, length, body))
        return BufferedResponse(self.method, self.url, is_last=len(body) > LONG_BYTES)


def request_class(url: URL, headers: Mapping[str, str], proxy: URL | None = None) -> type[aiohttp.ClientRequest]:
    """Make the kind of request that goes to one service, over one way, with the same headers.

    Parameters
    ----------
    url : URL
        Any address of the service.
    headers : mapping of str to str
        Of every request; checked: they hold no line break.
    proxy : URL, optional
        Asked for a tunnel to the service; of the headers it is shown the User-Agent alone.
    """
    usual = aiohttp.ClientRequest(
        "GET",
        url,
        headers=headers,
        loop=asyncio.get_running_loop(),
        proxy=proxy,
        proxy_headers={"User-Agent": headers["User-Agent"]} if proxy else None,
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in usual.headers.items())
    same_for_all = {**vars(usual), "_head": head.encode("ascii"), "_key": usual.connection_key}
    # no class for each shard: a class is a cycle, and would keep the loop and the token until the next full collection
    return cast("type[aiohttp.ClientRequest]", partial(BufferedRequest, same_for_all))


class BufferedResponse(aiohttp.ClientResponse):
    """An answer, read whole before it is handed over; its connection is free again by then.

    Parameters
    ----------
    method : str
        Of the request.
    url : URL
        Of the request.
    is_last : bool
        The connection is not used again: some of the request may still be on its way when the answer comes.
    """

    def __init__(self, method: str, url: URL, *, is_last: bool) -> None:
        self.method = method
        self._url = url
        self._cache: dict[str, Any] = {}  # of aiohttp's properties
        self._is_last = is_last

    async def start(self, connection: Connection) -> BufferedResponse:
        """Read all of the answer.

        Raises
        ------
        ResponseLost
            The connection broke, or there is no end to the answer.
        """
        protocol = cast("ResponseHandler", connection.protocol)  # `BufferedRequest.send` has just written over it
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != SWITCHED:
                message, content = await protocol.read()
            is_here = content.is_eof() and content.total_bytes <= MAX_RESPONSE_BYTES
            self._body = content.read_nowait() if is_here else await _whole(content, message.headers)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if self.method == "GET":
                raise  # aiohttp sends a read once more, where a kept connection had ended
            raise response_lost(error) from None
        self.status, self.reason, self._headers = message.code, message.reason, message.headers
        if self._is_last and connection.transport is not None:
            connection.transport.abort()  # to close it would send the rest first
        connection.release()
        return self

    async def read(self) -> bytes:
        """Give the body."""
        return self._body or b""

    def close(self) -> None:
        """Do nothing: the connection is closed by whoever opened it."""


async def _whole(content: aiohttp.StreamReader, headers: Mapping[str, str]) -> bytes:
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
    return ResponseLost(f"the answer is longer than {MAX_RESPONSE_BYTES // 2**20} MiB")
