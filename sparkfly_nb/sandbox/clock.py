"""The sandbox's time: it starts where it is told to, runs on from there, and is written as the service writes it."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import Final

from ..errors import InvalidInput

__all__ = ["SandboxClock", "read_rfc3339", "to_text"]

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_text(moment: dt.datetime) -> str:
    """Write a UTC time as RFC 3339; texts made here and by `read_rfc3339` compare as the times do, without their Z."""
    return moment.replace(tzinfo=None).isoformat() + "Z"


def read_rfc3339(text: str) -> str:
    """Read a time that a client sent and write it in UTC; a fraction is kept to the nanosecond.

    Raises
    ------
    InvalidInput
        It is not RFC 3339, has no offset, or is no moment of the years 1 to 9999.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidInput("is not a time as in 2026-12-31T23:59:59Z")
    date, clock, fraction, offset = match.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{date}T{clock}{'+00:00' if offset in 'Zz' else offset}")
        moment = moment.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):
        raise InvalidInput("is not a time that exists") from None
    return moment.replace(tzinfo=None).isoformat() + (fraction or "").rstrip("0").rstrip(".") + "Z"


class SandboxClock:
    """What time it is in the sandbox.

    Parameters
    ----------
    start : datetime, optional
        The moment, with an offset, at which the sandbox believes to start; by default the real one.
    """

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._start = (start or dt.datetime.now(dt.timezone.utc)).astimezone(dt.timezone.utc)
        self._started_s = time.monotonic()

    def now(self, skew_s: float = 0.0) -> dt.datetime:
        """Give the time in UTC, wrong by `skew_s` seconds where a fault asks for that."""
        return self._start + dt.timedelta(seconds=time.monotonic() - self._started_s + skew_s)
