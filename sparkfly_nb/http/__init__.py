"""HTTP clients: one over requests for single calls, one over aiohttp for bulk calls."""

__all__: list[str] = []
