"""The ledger: a database with every run and row, written before a request is sent and after its response."""

__all__: list[str] = []
