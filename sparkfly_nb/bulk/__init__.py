"""Many rows: plan, ledger, shards, workers, read-back and the result frame."""
