"""How a bulk call goes about its work: the options that all bulk calls of a Session share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import ConfigurationError

__all__ = ["BulkOptions"]

MAX_RATE: Final = 1_000_000


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The checked options of a bulk call; the fields are keyword arguments of the Session's bulk calls."""

    concurrency: int = 64
    rate: float | None = None
    n_jobs: int | None = None
    progress: bool = True
    canary: int = 0
    halt_above: float = 0.5
    settle_pause: float = 2.0

    def __post_init__(self) -> None:
        checks = (
            ("concurrency", _is_whole(self.concurrency) and 1 <= self.concurrency <= 10_000, "1 to 10,000"),
            ("rate", self.rate is None or (_is_number(self.rate) and 0 < self.rate <= MAX_RATE),
             f"above 0 and up to {MAX_RATE:,} requests per second, or None for no limit"),
            ("n_jobs", self.n_jobs is None or (_is_whole(self.n_jobs) and self.n_jobs != 0), "not 0, or None"),
            ("canary", _is_whole(self.canary) and self.canary >= 0, "a number of rows, 0 for none"),
            ("halt_above", _is_number(self.halt_above) and 0 <= self.halt_above <= 1,
             "a share from 0 to 1; 1 never halts"),
            ("settle_pause", _is_number(self.settle_pause) and 0 <= self.settle_pause <= 600, "0 to 600 seconds"),
        )  # fmt: skip
        for name, good, allowed in checks:
            if not good:
                raise ConfigurationError(f"{name}={getattr(self, name)!r} cannot be used: it must be {allowed}")
