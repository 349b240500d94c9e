"""Each error of requests, urllib3 and the system has a meaning, and few of them mean that nothing was sent."""

from __future__ import annotations

import http.client
import inspect
import socket
import ssl

import pytest
import requests.exceptions
import urllib3.exceptions

from sparkfly_nb.http.failures import NETWORK_ERRORS, failure_of


def classes_of(module):
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__.startswith(module.__name__[:8])
    ]


LIBRARY_ERRORS = [*classes_of(requests.exceptions), *classes_of(urllib3.exceptions), *classes_of(http.client)]

# Errors after which the service certainly received nothing. All others may come after the request was sent.
NOT_SENT = {
    "ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "NameResolutionError", "ClosedPoolError",
    "InvalidURL", "InvalidProxyURL", "InvalidSchema", "MissingSchema", "LocationValueError", "LocationParseError",
    "URLSchemeUnknown", "ProxySchemeUnknown",
}  # fmt: skip


def made(kind):
    """Create an error without calling its constructor."""
    error = kind.__new__(kind)
    error.args = ("text with https://secret.example/?token=abc",)
    return error


@pytest.mark.parametrize("kind", LIBRARY_ERRORS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_library_error_has_a_meaning(kind):
    failure = failure_of(made(kind))

    assert issubclass(kind, NETWORK_ERRORS)
    assert failure.may_have_been_sent == (kind.__name__ not in NOT_SENT or kind.__module__ == "http.client")
    assert "secret" not in failure.why


def test_the_libraries_have_many_errors():
    assert len(LIBRARY_ERRORS) > 50


def wrapped(reason):
    return requests.exceptions.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/x?token=abc", reason))


REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("error", "may_have_been_sent", "why"),
    [
        (wrapped(urllib3.exceptions.NewConnectionError(None, "x")), False, "no connection could be made"),
        (wrapped(urllib3.exceptions.NameResolutionError("h", None, socket.gaierror(-2, "unknown"))), False, "resolved"),
        (wrapped(urllib3.exceptions.SSLError(ssl.SSLCertVerificationError(1, "self-signed"))), False, "certificate"),
        (wrapped(urllib3.exceptions.SSLError(ssl.SSLError(1, "bad record mac"))), True, "encrypted connection"),
        (wrapped(urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104, "reset"))), True, "reset"),
        (wrapped(urllib3.exceptions.ProtocolError("x", http.client.RemoteDisconnected("y"))), True, "closed before"),
        # urllib3 raises this for a request that was sent through a proxy and got no response
        (wrapped(urllib3.exceptions.ProxyError("x", http.client.RemoteDisconnected("y"))), True, "closed before"),
        (wrapped(urllib3.exceptions.ProxyError("x", OSError("Tunnel connection failed: 403 No"))), False, "403 No"),
        (wrapped(urllib3.exceptions.ProxyError("x", urllib3.exceptions.NewConnectionError(None, "y"))), False, ""),
        (TimeoutError("timed out"), True, "in time"),
        (ValueError("Invalid header value"), True, "broke"),
    ],
)
def test_the_cause_of_an_error_decides(error, may_have_been_sent, why):
    failure = failure_of(error)

    assert failure.may_have_been_sent is may_have_been_sent
    assert why in failure.why
    assert "token=abc" not in failure.why


def test_an_error_in_the_context_is_ignored():
    error = ConnectionResetError(104, "reset")
    error.__context__ = urllib3.exceptions.NewConnectionError(None, "an older request")

    assert failure_of(error).may_have_been_sent
