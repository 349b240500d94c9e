"""The engine: takes a recorded run from the ledger to its end."""

__all__: list[str] = []
