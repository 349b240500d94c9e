"""aiohttp's own requests and responses, for releases of aiohttp that `async_exchange` was not tested with.

Only documented features of aiohttp are used, so that the guarantees hold with releases that nobody has tried. Every
request gets a connection of its own. That is slower, but no response on a kept connection can be mistaken for the
response to the next row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from .async_exchange import PROGRESS, ResponseLost, read_within_limit

if TYPE_CHECKING:
    from types import SimpleNamespace

    from aiohttp.connector import Connection

__all__ = ["OneRequestConnector", "read_and_close", "send_trace"]


class OneRequestConnector(aiohttp.TCPConnector):
    """Opens a connection for each request, and records it in `PROGRESS`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, force_close=True)

    async def connect(self, *arguments: Any, **options: Any) -> Connection:
        """Open a connection."""
        connection = await super().connect(*arguments, **options)
        PROGRESS.get().transport = connection.transport
        return connection


def send_trace() -> aiohttp.TraceConfig:
    """Build the hooks that keep `PROGRESS` current.

    A request starts as "may have been sent". The first hook withdraws that: it proves that the hooks are called. Every
    hook after which aiohttp can write sets it again.
    """
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_begin)
    # Before the connection is made, and before a kept one is used. The second never happens without kept connections.
    trace.on_connection_create_start.append(_refuse_resend)
    trace.on_connection_reuseconn.append(_refuse_resend)
    # aiohttp 3.14 calls on_request_headers_sent before it writes. The end of the connecting is safe in any release, and
    # comes after the tunnel of a proxy and the TLS handshake.
    trace.on_connection_create_end.append(_mark_as_sent)
    trace.on_connection_reuseconn.append(_mark_as_sent)
    trace.on_request_headers_sent.append(_mark_as_sent)
    trace.on_request_chunk_sent.append(_mark_as_sent)
    return trace


async def _begin(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    PROGRESS.get().may_have_been_sent = False


async def _refuse_resend(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    # aiohttp 3.14 resends GET, HEAD, OPTIONS, TRACE, PUT and DELETE once if the connection breaks, a new one included.
    # It never resends a POST. No method is resent here: a PUT changes an offer state, and our own policy retries reads.
    if PROGRESS.get().may_have_been_sent:
        raise ResponseLost("the connection broke before the response was complete")


async def _mark_as_sent(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    PROGRESS.get().may_have_been_sent = True


async def read_and_close(response: aiohttp.ClientResponse) -> bytes:
    """Read a body of limited length, and close the connection.

    Raises
    ------
    ResponseLost
        The body is too long.
    """
    try:
        return await read_within_limit(response.content, response.headers)
    finally:
        response.close()
