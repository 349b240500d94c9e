"""Responses, complete or with a fault."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import secrets
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .faults import FaultTimes

__all__ = ["BEFORE", "error", "respond", "send_broken", "send_instead"]

_JSON: Final = "application/json"
_HTML: Final = b"<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"
_TRUNCATED: Final = b'{"offer_state": {"offer_state_id": 12'
_SLOW_PIECES: Final = 20
_POLL_S: Final = 0.1


def respond(status: int, payload: dict[str, Any] | None, headers: dict[str, str] | None = None) -> web.Response:
    """Build a response. Without a payload, its body is empty."""
    if payload is None:
        return web.Response(status=status, headers=headers)
    return web.Response(status=status, body=orjson.dumps(payload), headers={"Content-Type": _JSON, **(headers or {})})


def error(status: int, message: str, *, with_trace: bool = False) -> web.Response:
    """Build an error response."""
    # The service sends a trace, which identifies the request, with each 422 and with all errors of a void.
    trace = {"trace": secrets.token_hex(15)} if with_trace or status == 422 else {}
    return respond(status, {"error": message, **trace})


# ---- nothing changes -------------------------------------------------------------------------------------------------


def _retry_seconds(times: FaultTimes) -> dict[str, str]:
    return {"Retry-After": str(math.ceil(times.retry_after_s))}


def _retry_date(times: FaultTimes) -> dict[str, str]:
    # The real time, because the client compares the date with its own clock.
    moment = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=times.retry_after_s)
    return {"Retry-After": format_datetime(moment, usegmt=True)}


def _no_headers(_times: FaultTimes) -> dict[str, str]:
    return {}


#: The response of each fault of the stage ``before``: status, message, headers. The faults that are not in this table
#: close the connection.
BEFORE: Final[dict[str, tuple[int, str | None, Callable[[FaultTimes], dict[str, str]]]]] = {
    "error_500_before": (500, "Internal error - server error", _no_headers),
    "status_401": (401, None, _no_headers),
    "token_revoked": (401, None, _no_headers),
    "status_429": (429, "Too many requests", _retry_seconds),
    "status_429_date": (429, "Too many requests", _retry_date),
    "status_429_bare": (429, "Too many requests", _no_headers),
    "status_503": (503, "Service unavailable", _retry_seconds),
    "status_503_bare": (503, "Service unavailable", _no_headers),
}


def send_instead(request: web.Request, fault: str, times: FaultTimes) -> web.Response:
    """Send the response of a fault of the stage ``before``."""
    if fault not in BEFORE:
        return _cut(request)
    status, message, headers = BEFORE[fault]
    return respond(status, None if message is None else {"error": message}, headers(times))


# ---- the change is made, and the response has a fault ----------------------------------------------------------------


async def send_broken(
    request: web.Request, fault: str, response: web.Response, times: FaultTimes
) -> web.StreamResponse:
    """Send a response with a fault of the stage ``response``."""
    return await _BREAKS[fault](request, response, times)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    # aiohttp needs a response from each handler. This one cannot be sent any more.
    return web.Response(status=500)


async def _drop(request: web.Request, _response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    return _cut(request)


async def _error_500(_request: web.Request, _response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    return error(500, "Internal error - server error", with_trace=True)


async def _error_503(_request: web.Request, _response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    return error(503, "Service unavailable")


async def _hang(request: web.Request, _response: web.Response, times: FaultTimes) -> web.StreamResponse:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + times.hang_s
    # End early when the client has given up, so that sockets do not pile up. aiohttp has no event for that, so poll.
    while loop.time() < until_s and not _is_gone(request):  # noqa: ASYNC110
        await asyncio.sleep(min(_POLL_S, times.hang_s))
    return _cut(request)


async def _half(request: web.Request, response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    body = _body_of(response)
    # For an empty response, announce a body that never arrives.
    part = await _begin(request, response, len(body) or 16)
    if body:
        await part.write(body[: len(body) // 2])
    part.force_close()
    return part


async def _html(_request: web.Request, response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    return web.Response(status=response.status, body=_HTML, headers={"Content-Type": "text/html; charset=utf-8"})


async def _malformed_json(_request: web.Request, response: web.Response, _times: FaultTimes) -> web.StreamResponse:
    return web.Response(status=response.status, body=_TRUNCATED, headers={"Content-Type": _JSON})


async def _slow(request: web.Request, response: web.Response, times: FaultTimes) -> web.StreamResponse:
    body = _body_of(response)
    if not body:
        await asyncio.sleep(times.slow_s)
        return response
    stream = await _begin(request, response, len(body))
    step = max(1, -(-len(body) // _SLOW_PIECES))
    for start in range(0, len(body), step):
        await asyncio.sleep(times.slow_s / _SLOW_PIECES)
        await stream.write(body[start : start + step])
    return stream


async def _begin(request: web.Request, response: web.Response, length: int) -> web.StreamResponse:
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": _JSON, "Content-Length": str(length)})
    await stream.prepare(request)
    return stream


def _body_of(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


_BREAKS: Final[dict[str, Callable[[web.Request, web.Response, FaultTimes], Awaitable[web.StreamResponse]]]] = {
    "commit_then_drop": _drop,
    "commit_then_500": _error_500,
    "commit_then_503": _error_503,
    "commit_then_hang": _hang,
    "half_body": _half,
    "wrong_content_type": _html,
    "unreadable_2xx": _malformed_json,
    "slow_bytes": _slow,
}
