"""Many rows: plan, ledger, shards, workers, read-back and the result frame."""

__all__: list[str] = []
