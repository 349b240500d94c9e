"""A sandbox for the tests of each module, and a client of it."""

from __future__ import annotations

import pytest
from sandbox_client import SandboxClient

from sparkfly_nb.sandbox import SandboxProcess


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess.start(members=30) as running:
        yield running


@pytest.fixture
def client(sandbox):
    with SandboxClient(sandbox) as connected:
        yield connected
