"""The public SDK, connected to the stub server."""

from __future__ import annotations

import time

from sparkfly.client import Sparkfly
from stub_server import TOKEN


def sdk_client(base_url, concurrency):
    """Create the SDK's client with a token and one connection per request in flight."""
    client = Sparkfly("benchmark", "benchmark", token=TOKEN, token_expires_at=time.time() + 86_400)
    # The SDK's constructor accepts only Sparkfly's hosts, so set the host in its configuration.
    configuration = client._config
    configuration.ignore_operation_servers = True
    configuration.host = base_url
    configuration.api_key["XAuthToken"] = TOKEN
    client._api_client.rest_client.maxsize = max(concurrency, configuration.connection_pool_maxsize)
    return client
