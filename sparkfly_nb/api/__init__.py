"""The service as data and decisions: operations, requests, responses, pages and retries, without any I/O."""

__all__: list[str] = []
