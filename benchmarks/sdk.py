"""The SDK as a peer: its public client, pointed at the stub server."""

from __future__ import annotations

import time

from sparkfly.client import Sparkfly
from stub_server import TOKEN


def sdk_client(base_url, concurrency):
    """Make the SDK's client with a token and as many connections as there are requests in flight."""
    client = Sparkfly("benchmark", "benchmark", token=TOKEN, token_expires_at=time.time() + 86_400)
    # the SDK takes no other host than Sparkfly's: its configuration does
    configuration = client._config
    configuration.ignore_operation_servers = True
    configuration.host = base_url
    configuration.api_key["XAuthToken"] = TOKEN
    client._api_client.rest_client.maxsize = max(concurrency, configuration.connection_pool_maxsize)
    return client
