"""When a request is sent again: the delays, their limits, and the meaning of ``Retry-After``."""

from __future__ import annotations

import datetime as dt
import random
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from ..errors import ConfigurationError

__all__ = ["RETRY_AFTER_CAP_S", "RetryPolicy", "parse_retry_after"]

#: The longest delay, in seconds, that a service can impose on one attempt.
RETRY_AFTER_CAP_S: Final = 60.0
#: Doubling stops here: a larger power of two would overflow before `RetryPolicy.max_delay` applies.
_MAX_DOUBLINGS: Final = 32
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one request is tried; pass it to a Session as ``retry=``.

    Whether a request may be sent again at all is not a matter of policy: a change that may have happened never is.

    In a bulk call, the policy holds while one worker has the row, which is a few seconds. A row that the service did
    not process is sent in a later round, until six rounds in a row move nothing. A row that did not happen, as the
    service confirmed, is sent again up to three times.

    Parameters
    ----------
    attempts : int
        Attempts in total, including the first one; 1 means no retry, except after a token was renewed.
    base_delay : float
        Seconds before the second attempt, 0 to 86,400. The delay doubles with each attempt, with jitter down to one
        half.
    max_delay : float
        The longest delay in seconds, 0 to 86,400, unless the service asks for more with ``Retry-After``.
    total_time : float
        Seconds from the start of the first attempt after which no further attempt starts, 0 to 86,400.

    Raises
    ------
    ConfigurationError
        A value is not a number, or is out of range.

    Examples
    --------
    >>> import sparkfly_nb as sf
    >>> sf.RetryPolicy(attempts=3, total_time=30)
    RetryPolicy(attempts=3, base_delay=0.5, max_delay=20.0, total_time=30)
    """

    attempts: int = 5
    base_delay: float = 0.5
    max_delay: float = 20.0
    total_time: float = 120.0

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigurationError(f"retry: attempts is {self.attempts!r}; it must be a whole number from 1")
        for name in ("base_delay", "max_delay", "total_time"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _DAY_S:
                raise ConfigurationError(f"retry: {name} is {seconds!r}; it must be 0 to {_DAY_S:,} seconds")

    def allows(self, made: int, elapsed_s: float) -> bool:
        """Return whether another attempt may start.

        Parameters
        ----------
        made : int
            Attempts made so far, from 1.
        elapsed_s : float
            Seconds from the start of the first attempt to the start of the next one.
        """
        return made < self.attempts and elapsed_s <= self.total_time

    def backoff_s(self, made: int, retry_after_s: float | None = None, *, chance: float | None = None) -> float:
        """Return the delay after an attempt in seconds, whether or not another attempt is allowed.

        Parameters
        ----------
        made : int
            Attempts made so far, from 1.
        retry_after_s : float, optional
            The delay that the service asked for. The result is never shorter. Jitter spreads the clients that were
            told the same.
        chance : float, optional
            A number from 0 to 1 that replaces the random one.
        """
        if chance is None:
            chance = random.random()  # noqa: S311 - jitter, not a secret
        if retry_after_s is None:
            longest_s = min(self.max_delay, self.base_delay * 2.0 ** min(made - 1, _MAX_DOUBLINGS))
            return longest_s * (1 + chance) / 2
        return retry_after_s + min(self.base_delay, self.max_delay) * chance


def parse_retry_after(header: str | None, now: float) -> float | None:
    """Parse ``Retry-After``, which is a number of seconds or an HTTP date.

    Parameters
    ----------
    header : str or None
        The value of the header; None if there is none.
    now : float
        The wall clock that dates are compared with, in seconds since 1970.

    Returns
    -------
    float or None
        The delay in seconds, from 0 to `RETRY_AFTER_CAP_S`. None if the header is missing or cannot be parsed.
    """
    if header is None:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", text):
        delay_s = float(text)
    else:
        try:
            date = parsedate_to_datetime(text)
            # "-0000" and an unknown zone give a naive date. HTTP dates are in GMT.
            delay_s = (date if date.tzinfo else date.replace(tzinfo=dt.timezone.utc)).timestamp() - now
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(delay_s, 0.0), RETRY_AFTER_CAP_S)
