"""When a request may go out again: pauses, their limits, and what ``Retry-After`` says. No I/O."""

from __future__ import annotations

import datetime as dt
import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["RETRY_AFTER_CAP_S", "RetryPolicy", "parse_retry_after"]

RETRY_AFTER_CAP_S: Final = 60.0
"""The longest pause, in seconds, that a service can impose on one attempt."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a request is tried; what may be sent again at all is decided by `answers.judge`.

    Attributes
    ----------
    max_attempts : int
        Attempts in all, the first one included.
    base_s, cap_s : float
        The first pause and the longest one, in seconds; each pause doubles, with jitter down to one half.
    budget_s : float
        Seconds from the first attempt after which no further one starts.
    """

    max_attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 20.0
    budget_s: float = 120.0

    def pause_s(
        self, attempts: int, elapsed_s: float, retry_after_s: float | None = None, *, chance: float | None = None
    ) -> float | None:
        """Give the seconds to wait before the next attempt, or None where there is to be no other.

        Parameters
        ----------
        attempts : int
            Attempts made so far, from 1.
        elapsed_s : float
            Seconds since the first of them began.
        retry_after_s : float, optional
            What the service asked for; never undercut, and spread a little so that not all come back at once.
        chance : float, optional
            A number from 0 to 1 in place of a random one.
        """
        if attempts >= self.max_attempts:
            return None
        if chance is None:
            chance = random.random()  # noqa: S311 - jitter, not a secret
        if retry_after_s is None:
            longest_s = min(self.cap_s, self.base_s * 2.0 ** min(attempts - 1, 32))
            pause_s = longest_s * (1 + chance) / 2
        else:
            pause_s = retry_after_s + self.base_s * chance
        return pause_s if elapsed_s + pause_s <= self.budget_s else None


def parse_retry_after(header: str | None, now: float) -> float | None:
    """Read ``Retry-After``: seconds or an HTTP date.

    Parameters
    ----------
    header : str or None
        The header's value, None where there is none.
    now : float
        The wall clock, in seconds since 1970, that dates are measured from.

    Returns
    -------
    float or None
        Seconds to wait, from 0 to `RETRY_AFTER_CAP_S`; None where the header is missing or means nothing.
    """
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", text):
        wait_s = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
            # "-0000" and an unknown zone give a naive date; HTTP dates are in GMT
            wait_s = (date if date.tzinfo else date.replace(tzinfo=dt.timezone.utc)).timestamp() - now
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(wait_s, 0.0), RETRY_AFTER_CAP_S)
