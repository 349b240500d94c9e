"""A Session on a scripted server, for the tests of the forms."""

from __future__ import annotations

import pytest

from sparkfly_nb import Session
from sparkfly_nb.api.retry_policy import RetryPolicy


@pytest.fixture
def on_server():
    """Create Sessions on a scripted server: ``on_server(server, environment, ...)``."""
    opened = []

    def make(server, environment="sandbox", **arguments):
        arguments = {"token": "given-token"} | arguments
        session = Session(environment, base_url=server.base_url, retry=RetryPolicy(base_delay=0), **arguments)
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()
