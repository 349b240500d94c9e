"""Both kinds of requests that bulk calls can send: our own, and aiohttp's for untested versions of aiohttp."""

from __future__ import annotations

import aiohttp
import pytest

from sparkfly_nb.http import async_client
from sparkfly_nb.http.async_exchange import can_use_buffered


def choose(monkeypatch, kind):
    """Make bulk calls in this process use requests of one kind."""
    if kind == "buffered" and not can_use_buffered():
        pytest.skip(f"aiohttp {aiohttp.__version__} is not in TESTED_AIOHTTP, so bulk calls use aiohttp's own requests")
    monkeypatch.setattr(async_client, "can_use_buffered", lambda: kind == "buffered")


@pytest.fixture(params=["buffered", "fallback"])
def bulk_requests(request, monkeypatch):
    """Run a test with both kinds of requests; the value is the kind."""
    choose(monkeypatch, request.param)
    return request.param
