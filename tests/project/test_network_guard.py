"""Tests connect to this machine only, and do not see the user's settings."""

from __future__ import annotations

import os
import socket

import pytest
from network_guard import NetworkForbidden

from sparkfly_nb import Session


def test_connection_to_the_network_is_refused():
    with socket.socket() as opened, pytest.raises(NetworkForbidden, match=r"this one goes to 192\.0\.2\.1"):
        opened.connect(("192.0.2.1", 443))


def test_datagram_to_the_network_is_refused():
    with socket.socket(type=socket.SOCK_DGRAM) as opened, pytest.raises(NetworkForbidden):
        opened.sendto(b"x", ("192.0.2.1", 53))


def test_name_lookup_is_refused():
    with pytest.raises(NetworkForbidden, match="api-staging"):
        socket.getaddrinfo("api-staging.sparkfly.com", 443)


def test_session_on_staging_cannot_connect_from_a_test():
    with Session(token="given") as session, pytest.raises(NetworkForbidden):
        session.get_offer_state(2, 7)


def test_connection_to_this_machine_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_no_personal_setting_reaches_a_test(tmp_path):
    assert not [variable for variable in os.environ if variable.startswith("SPARKFLY_")]
    assert os.environ["XDG_DATA_HOME"] == str(tmp_path / "data_home")
