"""HTTP clients: one over requests for single calls, one over aiohttp for bulk calls. `api.attempts` decides for both.

Single calls:

- `sync_client`: the client that a Session uses, and its listings. Start here.
- `sync_retries`: send one request until its response is final.
- `sync_connection`: send one request once.
- `failures`: decide whether the service may have received a request that failed.

Bulk calls:

- `async_client`: the connections of one worker. Start here.
- `async_exchange`: one request and its response, over internals of aiohttp.
- `async_fallback`: the same over documented features only, for releases of aiohttp that were not tested.
- `async_timeouts`: one timer for all requests of a worker.

Both:

- `tokens`: authenticate, and renew the token.
- `redaction`: remove secrets from responses.
- `environment`: read proxies and certificate authorities from environment variables.
"""

__all__: list[str] = []
