"""Errors of requests, urllib3 and the system: whether the service may have received the request."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

import requests
import urllib3.exceptions as urllib3_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NETWORK_ERRORS", "Failure", "failure_of"]

#: Every error that requests and its dependencies raise for a request that fails.
NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3_errors.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


class Failure(NamedTuple):
    """A request without a response."""

    may_have_been_sent: bool
    why: str
    #: Whether the user pressed stop during the request.
    interrupted: bool = False


class _FailureKind(NamedTuple):
    """Error classes with one meaning for the request."""

    classes: tuple[type[BaseException], ...]
    may_have_been_sent: bool
    why: str


#: The first entry that matches an error, or one of its causes, applies.
#: `ProxyError` is missing on purpose: urllib3 also raises it if a connection breaks after the request was sent.
_FAILURE_KINDS: Final = (
    _FailureKind((ssl.SSLCertVerificationError,), False, "the certificate of the service is not trusted"),
    _FailureKind(
        (urllib3_errors.NameResolutionError, socket.gaierror), False, "the name of the service cannot be resolved"
    ),
    _FailureKind((urllib3_errors.NewConnectionError,), False, "no connection could be made"),
    _FailureKind(
        (urllib3_errors.ConnectTimeoutError, requests.ConnectTimeout), False, "no connection was made in time"
    ),
    _FailureKind((urllib3_errors.ClosedPoolError,), False, "the session is closed"),
    _FailureKind(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3_errors.LocationValueError,
            urllib3_errors.URLSchemeUnknown,
        ),
        False,
        "the address of the service or of the proxy is invalid",
    ),
    _FailureKind(
        (urllib3_errors.ReadTimeoutError, requests.ReadTimeout, TimeoutError), True, "no response came in time"
    ),
    _FailureKind((urllib3_errors.IncompleteRead, http.client.IncompleteRead), True, "the response is incomplete"),
    _FailureKind((http.client.RemoteDisconnected,), True, "the connection was closed before a response came"),
    _FailureKind((urllib3_errors.DecodeError,), True, "the response cannot be decompressed"),
    _FailureKind((ssl.SSLError,), True, "the encrypted connection broke"),
    _FailureKind((BaseException,), True, "the connection broke before the response was complete"),
)
#: Start of the standard library's message if a proxy refuses a tunnel. That error has no class of its own.
_TUNNEL_REFUSED: Final = "Tunnel connection failed"


def failure_of(error: BaseException) -> Failure:
    """Return the meaning of an error of requests, urllib3 or the system for its request."""
    causes = list(_causes(error))
    refused = next(
        (str(cause) for cause in causes if type(cause) is OSError and str(cause).startswith(_TUNNEL_REFUSED)), None
    )
    if refused:
        return Failure(may_have_been_sent=False, why=f"the proxy refused the connection ({refused[:200]})")
    found = next(kind for kind in _FAILURE_KINDS if any(isinstance(cause, kind.classes) for cause in causes))
    # Other texts of an error may contain the address with its query. The system's own text does not.
    system = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    return Failure(found.may_have_been_sent, f"{found.why} ({system})" if isinstance(system, str) else found.why)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it contains."""
    # Not its __context__: that may be the error of an earlier request, which the caller was handling.
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (*cause.args, getattr(cause, "reason", None), getattr(cause, "original_error", None), cause.__cause__)
        waiting += [one for one in inner if isinstance(one, BaseException)]
