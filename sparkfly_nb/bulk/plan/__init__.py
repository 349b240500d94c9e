"""Plans: the rows of a bulk change, checked before anything is sent."""

__all__: list[str] = []
