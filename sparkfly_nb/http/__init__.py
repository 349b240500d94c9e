"""Requests on the wire: one client over requests for single calls, one over aiohttp for bulk calls."""

__all__: list[str] = []
