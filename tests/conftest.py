"""Fixtures for all tests. Tests cannot reach the network, and do not see the user's settings and files."""

from __future__ import annotations

import os
import signal

import network_guard
import pytest
from hypothesis import HealthCheck, settings
from sandboxes import start_sandbox

from sparkfly_nb import Session
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.http.sync_client import SyncClient
from sparkfly_nb.http.sync_retries import Clock
from sparkfly_nb.settings import Settings

network_guard.install()

pytest_plugins = ("bulk_requests", "bulk_world", "ledger_world", "tls")

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

PERSONAL_VARIABLES = ("SPARKFLY_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE",
                      "CURL_CA_BUNDLE", "NETRC")  # fmt: skip


# A shell makes background processes ignore Ctrl-C, but some tests send that signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _nothing_personal(monkeypatch, tmp_path):
    for variable in list(os.environ):
        if variable.upper().startswith(PERSONAL_VARIABLES):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data_home"))


@pytest.fixture(scope="session")
def sandbox_service():
    """A sandbox shared by all tests that can cope with the records of other tests."""
    with start_sandbox(members=60) as service:
        yield service


@pytest.fixture
def session(sandbox_service):
    """A Session on the shared sandbox."""
    with Session(
        "sandbox",
        base_url=sandbox_service.base_url,
        identity=sandbox_service.identity.reveal(),
        key=sandbox_service.key.reveal(),
    ) as connected:
        yield connected


class ManualClock:
    """A clock that advances only through `sleep` or by the test."""

    def __init__(self):
        self.now = 1_800_000_000.0
        self.pauses = []
        self.when_sleeping = lambda: None

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        self.when_sleeping()

    def as_clock(self):
        return Clock(wall=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def connect(clock):
    """Create clients of a scripted server: ``connect(server, token=..., timeout=..., policy=...)``."""
    opened = []

    def make(server, *, policy=None, attempt_timeout_s=None, max_answer_bytes=2**20, **arguments):
        if "token" not in arguments and "identity" not in arguments:
            arguments["token"] = "given-token"
        settings = Settings.make("sandbox", base_url=server.base_url, **arguments)
        opened.append(
            SyncClient(
                settings,
                policy=policy or RetryPolicy(),
                clock=clock.as_clock(),
                attempt_timeout_s=attempt_timeout_s,
                max_answer_bytes=max_answer_bytes,
            )
        )
        return opened[-1]

    yield make
    for client in opened:
        client.close()
