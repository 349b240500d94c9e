"""Tests open no connection that leaves this machine: an audit hook refuses every other one."""

from __future__ import annotations

import ipaddress
import socket
import sys

LOCAL_NAMES = {"", "localhost", "ip6-localhost"}


class NetworkForbidden(BaseException):
    """A test reached for the network. Not an Exception, so that nothing can map it to an error of its own."""


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
    """Refuse every way out of this machine; audit hooks see them all, whatever library is used."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"}:
        opened, address = arguments
        # Connecting a datagram socket sends nothing; some libraries learn their own address that way.
        if not isinstance(address, tuple) or (event == "socket.connect" and opened.type == socket.SOCK_DGRAM):
            return
        host = address[0]
    else:
        return
    if not _is_local(host):
        raise NetworkForbidden(f"tests open no connection but to this machine, and this one goes to {host}")


def install():
    """Refuse connections that leave this machine from now on, in this process."""
    sys.addaudithook(_guard)
