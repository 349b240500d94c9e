"""The workers: what runs in a joblib worker, without pandas and without a database."""

__all__: list[str] = []
