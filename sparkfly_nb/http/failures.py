"""What the errors of requests, urllib3 and the system mean: can the service have seen the request, or not."""

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

NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3_errors.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""Everything that requests and what it stands on raise for a request that fails."""


class Failure(NamedTuple):
    """No answer came."""

    may_have_been_sent: bool
    why: str
    interrupted: bool = False
    """The person pressed stop while it was under way."""


class _FailureKind(NamedTuple):
    """A kind of failure, and whether the service can have seen a request that ended with it."""

    kinds: tuple[type[BaseException], ...]
    may_have_been_sent: bool
    why: str


_KNOWN_FAULTS: Final = (
    _FailureKind((ssl.SSLCertVerificationError,), False, "the certificate of the service was refused"),
    _FailureKind(
        (urllib3_errors.NameResolutionError, socket.gaierror), False, "the name of the service cannot be resolved"
    ),
    _FailureKind((urllib3_errors.NewConnectionError,), False, "no connection could be made"),
    _FailureKind(
        (urllib3_errors.ConnectTimeoutError, requests.ConnectTimeout), False, "no connection was made in time"
    ),
    _FailureKind((urllib3_errors.ClosedPoolError,), False, "the session was closed"),
    _FailureKind(
        (
            requests.exceptions.InvalidURL,
            requests.exceptions.InvalidSchema,
            requests.exceptions.MissingSchema,
            urllib3_errors.LocationValueError,
            urllib3_errors.URLSchemeUnknown,
        ),
        False,
        "the address of the service or of the proxy cannot be used",
    ),
    _FailureKind((urllib3_errors.ReadTimeoutError, requests.ReadTimeout, TimeoutError), True, "no answer came in time"),
    _FailureKind((urllib3_errors.IncompleteRead, http.client.IncompleteRead), True, "the answer broke off"),
    _FailureKind((http.client.RemoteDisconnected,), True, "the connection was closed before an answer came"),
    _FailureKind((urllib3_errors.DecodeError,), True, "the answer cannot be decompressed"),
    _FailureKind((ssl.SSLError,), True, "the encrypted connection broke"),
    _FailureKind((BaseException,), True, "the connection broke before the answer was complete"),
)
"""The first kind that an error is, or that stands behind it, says what it means.

A `ProxyError` proves nothing: urllib3 makes one as well of a connection that breaks after the request went through.
"""
_TUNNEL_REFUSED: Final = "Tunnel connection failed"
"""How the error of the standard library begins when a proxy does not let a connection through; it has no class."""


def failure_of(error: BaseException) -> Failure:
    """Say what an error of requests, urllib3 or the system means for the request that it ended."""
    causes = list(_causes(error))
    refused = next(
        (str(cause) for cause in causes if type(cause) is OSError and str(cause).startswith(_TUNNEL_REFUSED)), None
    )
    if refused:
        return Failure(may_have_been_sent=False, why=f"the proxy let no connection through ({refused[:200]})")
    fault = next(fault for fault in _KNOWN_FAULTS if any(isinstance(cause, fault.kinds) for cause in causes))
    # The text of a foreign error may hold the address with its query; the system's own words do not.
    system = next((cause.strerror for cause in reversed(causes) if isinstance(cause, OSError) and cause.strerror), None)
    return Failure(fault.may_have_been_sent, f"{fault.why} ({system})" if isinstance(system, str) else fault.why)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what stands behind it by what it holds itself.

    Its ``__context__`` is left out: that may be an error which the caller was handling, of a request long over.
    """
    waiting, seen = [error], set()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        inner = (*cause.args, getattr(cause, "reason", None), getattr(cause, "original_error", None), cause.__cause__)
        waiting += [one for one in inner if isinstance(one, BaseException)]
