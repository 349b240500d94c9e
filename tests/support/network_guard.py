"""An audit hook that lets tests connect to this machine only."""

from __future__ import annotations

import ipaddress
import socket
import sys

LOCAL_NAMES = {"", "localhost", "ip6-localhost"}


class NetworkForbidden(BaseException):
    """A test tried to use the network. Not an Exception, so that no code under test can catch it."""


def _is_local(host):
    if host is None or isinstance(host, bytes):
        host = (host or b"").decode()
    if host in LOCAL_NAMES or host == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _guard(event, arguments):
    """Refuse every connection to another machine, whatever library opens it."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"}:
        opened, address = arguments
        # Connecting a datagram socket sends nothing. Some libraries find their own address that way.
        if not isinstance(address, tuple) or (event == "socket.connect" and opened.type == socket.SOCK_DGRAM):
            return
        host = address[0]
    else:
        return
    if not _is_local(host):
        raise NetworkForbidden(f"tests may connect to this machine only; this one goes to {host}")


def install():
    """Refuse connections to other machines from now on, in this process."""
    sys.addaudithook(_guard)
