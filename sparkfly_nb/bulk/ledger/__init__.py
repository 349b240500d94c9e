"""The ledger: every run and row in a database, written before the wire and after each response."""

__all__: list[str] = []
