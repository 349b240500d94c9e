"""The clock of the sandbox, and the service's time format."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import Final

from ..errors import InvalidInput

__all__ = ["SandboxClock", "read_rfc3339", "to_text"]

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def to_text(moment: dt.datetime) -> str:
    """Format a UTC time as RFC 3339."""
    # Without the Z, these strings and those of `read_rfc3339` sort like the times. The operations rely on that.
    return moment.replace(tzinfo=None).isoformat() + "Z"


def read_rfc3339(text: str) -> str:
    """Convert a time that a client sent to UTC, to the nanosecond.

    Raises
    ------
    InvalidInput
        The text is not RFC 3339, has no offset, or is outside the years 1 to 9999.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidInput("is not a time as in 2026-12-31T23:59:59Z")
    # datetime would cut the fraction to microseconds, so the fraction is carried over as text.
    date, clock, fraction, offset = match.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{date}T{clock}{'+00:00' if offset in 'Zz' else offset}")
        moment = moment.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):
        raise InvalidInput("is not a time that exists") from None
    return moment.replace(tzinfo=None).isoformat() + (fraction or "").rstrip("0").rstrip(".") + "Z"


class SandboxClock:
    """The current time in the sandbox.

    Parameters
    ----------
    start : datetime, optional
        The time, with an offset, at which the clock starts. The default is the current time.
    """

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._start = (start or dt.datetime.now(dt.timezone.utc)).astimezone(dt.timezone.utc)
        self._started_s = time.monotonic()

    def now(self, skew_s: float = 0.0) -> dt.datetime:
        """Return the time in UTC, shifted by `skew_s` seconds for the fault ``clock_skew``."""
        return self._start + dt.timedelta(seconds=time.monotonic() - self._started_s + skew_s)
