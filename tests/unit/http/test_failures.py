"""Every error that requests, urllib3 and the system have is known here, and none is believed to be harmless in vain."""

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


FOREIGN = [*classes_of(requests.exceptions), *classes_of(urllib3.exceptions), *classes_of(http.client)]

UNSEEN = {
    "ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "NameResolutionError", "ClosedPoolError",
    "InvalidURL", "InvalidProxyURL", "InvalidSchema", "MissingSchema", "LocationValueError", "LocationParseError",
    "URLSchemeUnknown", "ProxySchemeUnknown",
}  # fmt: skip
"""Every error after which the service surely saw nothing; all others may come after the request was sent."""


def made(kind):
    """Make an error as if it were raised, whatever its constructor wants."""
    error = kind.__new__(kind)
    error.args = ("text with https://secret.example/?token=abc",)
    return error


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_foreign_error_is_caught_and_understood(kind):
    lost = failure_of(made(kind))

    assert issubclass(kind, NETWORK_ERRORS)
    assert lost.may_have_been_sent == (kind.__name__ not in UNSEEN or kind.__module__ == "http.client")
    assert "secret" not in lost.why


def test_the_walk_finds_the_trees():
    assert len(FOREIGN) > 50


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
        # what urllib3 makes of a request that went out through a proxy and was never answered
        (wrapped(urllib3.exceptions.ProxyError("x", http.client.RemoteDisconnected("y"))), True, "closed before"),
        (wrapped(urllib3.exceptions.ProxyError("x", OSError("Tunnel connection failed: 403 No"))), False, "403 No"),
        (wrapped(urllib3.exceptions.ProxyError("x", urllib3.exceptions.NewConnectionError(None, "y"))), False, ""),
        (TimeoutError("timed out"), True, "in time"),
        (ValueError("Invalid header value"), True, "broke"),
    ],
)
def test_the_reason_behind_an_error_decides(error, may_have_been_sent, why):
    lost = failure_of(error)

    assert lost.may_have_been_sent is may_have_been_sent
    assert why in lost.why
    assert "token=abc" not in lost.why


def test_an_error_that_was_being_handled_decides_nothing():
    error = ConnectionResetError(104, "reset")
    error.__context__ = urllib3.exceptions.NewConnectionError(None, "an older request")

    assert failure_of(error).may_have_been_sent
