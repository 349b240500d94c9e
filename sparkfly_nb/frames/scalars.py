"""Single values: read an ID, a number, a flag, a text or a time from a user, and format times for the API.

Error messages have the form ``problem; fix``. `input_columns` splits them at the last semicolon.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from ..schema import CONTROL, INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READERS", "as_flag", "as_integer", "as_text", "as_time", "is_missing", "shown", "to_rfc3339"]

MAX_DIGITS: Final = 19  # as many as the largest 64-bit number has


def is_missing(value: object) -> bool:
    """Return whether a value is None, NaN, NaT or NA."""
    # pd.isna() would return an array for a list, and raises for a signaling Decimal NaN.
    if isinstance(value, (float, np.floating)):
        return isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or value is pd.NA or value is pd.NaT


def as_integer(value: object) -> int:
    """Read a 64-bit whole number. ``1009``, ``1009.0`` and ``"1009"`` are the same; flags are rejected."""
    # bool is a subclass of int, and np.timedelta64 of np.integer: both would pass the checks below.
    if isinstance(value, (bool, np.bool_, np.timedelta64)):
        kind = "duration" if isinstance(value, np.timedelta64) else "flag"
        raise InvalidInput(f"{value!r} is a {kind}, not a whole number; enter the number")
    if isinstance(value, str):
        text = value.strip()
        # Stricter than int(), which also accepts "1_009" and the digits of other scripts.
        if not re.fullmatch(r"[+-]?[0-9]{1,19}(\.0+)?", text):
            raise InvalidInput(f"{shown(value)} is not a whole number; use digits only, for example 1009")
        number = int(text.partition(".")[0])
    elif isinstance(value, (int, np.integer)):
        number = int(value)
    elif isinstance(value, (float, np.floating)):
        real = float(value)
        if not real.is_integer():
            raise InvalidInput(f"{real} is not a whole number; use a number without a fraction, for example 1009")
        if abs(real) >= 2**53:  # above this, neighboring IDs share one float
            raise InvalidInput(f"{real} is a float too large to be exact; read the column as Int64 or text")
        number = int(real)
    elif isinstance(value, Decimal):  # databases return NUMERIC columns as Decimal
        # The size is checked first, because int(Decimal("1E999999")) would take very long.
        if not value.is_finite() or value.adjusted() > MAX_DIGITS or value % 1:
            raise InvalidInput(f"{shown(value)} is not a whole number of 64 bits; use a number such as 1009")
        number = int(value)
    else:
        raise InvalidInput(f"{shown(value)} is not a whole number; use digits only, for example 1009")
    if not INT64_MIN <= number <= INT64_MAX:
        raise InvalidInput(f"{shown(number)} does not fit in 64 bits")
    return number


def as_text(value: object) -> str:
    """Read a text unchanged. Whole numbers become their digits; everything else is rejected."""
    if isinstance(value, str):
        text = str.__str__(value)  # for a member of a str enumeration, its value
    elif isinstance(value, (int, np.integer, float, np.floating, Decimal)) and not isinstance(value, bool):
        text = str(as_integer(value))
    else:
        raise InvalidInput(f"{shown(value)} is not text; use a string")
    if not text.strip():
        raise InvalidInput("the text is empty; leave the value out instead")
    if CONTROL.search(text):
        raise InvalidInput(f"{shown(text)} contains a control character, such as a line break; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{ascii(text)[:60]} contains an unpaired surrogate; fix the text's encoding") from None
    return text


def as_flag(value: object) -> bool:
    """Read a flag: True or False."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidInput(f"{shown(value)} is not a flag; use True or False")


def as_time(value: object, tz: dt.tzinfo | None = None) -> pd.Timestamp:
    """Read a point in time and convert it to UTC.

    Parameters
    ----------
    value : str, datetime, pandas.Timestamp or numpy.datetime64
        Text must be ISO 8601. A time without an offset is rejected unless `tz` is set.
    tz : tzinfo, optional
        The time zone of times that have no offset.
    """
    if not isinstance(value, (str, dt.date, np.datetime64)) or is_missing(value):
        raise InvalidInput(
            f"{shown(value)} is not a time; use ISO 8601, for example 2026-12-31T23:59:59Z, or a datetime"
        )
    try:
        if isinstance(value, str):
            # pandas also accepts a bare year such as "2026", which may as well be an ID.
            if not re.match(r"\s*\d{4}-?\d{2}", value):
                raise InvalidInput(f"{shown(value)} is not ISO 8601; write it as 2026-12-31T23:59:59Z")  # noqa: TRY301
            text = value.strip().upper()  # RFC 3339 allows lowercase t and z, but pandas does not
            try:
                stamp = pd.to_datetime(text, format="ISO8601")
            except pd.errors.OutOfBoundsDatetime:
                # pandas 2 reads text to the nanosecond, which ends in 2262. It takes a datetime of any year.
                stamp = pd.Timestamp(text)
        else:
            stamp = pd.Timestamp(value)
        if stamp.tzinfo is None:
            if tz is None:
                raise InvalidInput(  # noqa: TRY301
                    f"{value} has no time zone; add an offset, for example 2026-12-31T23:59:59Z, "
                    "or create the Session with tz="
                )
            # With "raise", pandas 2 raises an error class of pytz.
            local = stamp.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
            if not isinstance(local, pd.Timestamp):
                raise InvalidInput(  # noqa: TRY301
                    f"{value} does not exist or occurs twice in {tz}, because the clocks change; "
                    "add an offset, for example +02:00"
                )
            stamp = local
        moment = stamp.tz_convert("UTC")
    except InvalidInput:
        raise
    except (ValueError, OverflowError, TypeError, NotImplementedError) as error:
        reason = str(error).partition(". You might")[0]  # cut pandas' advice on its format= argument
        raise InvalidInput(f"{shown(value)} is not a time: {reason}") from None
    if not dt.MINYEAR <= moment.year <= dt.MAXYEAR:
        raise InvalidInput(f"{value} is outside the years 1 to 9999 in UTC; use a time within them")
    return moment


def to_rfc3339(stamp: pd.Timestamp) -> str:
    """Return a time in the service's format, ``2026-12-31T23:59:59Z``, with a fraction only if it is not zero."""
    return stamp.tz_convert("UTC").tz_localize(None).isoformat() + "Z"


def _as_id(value: object) -> str:
    """Read an ID for a URL: a whole number, or text."""
    text = as_text(value if isinstance(value, str) else as_integer(value)).strip()
    if re.fullmatch(r"-?[0-9]+\.0+", text):  # an ID from a column of floats that was converted to text
        text = text.partition(".")[0]
    if text in {".", ".."}:  # HTTP libraries resolve these, so the request would go to another endpoint
        raise InvalidInput(f"{text!r} is a path segment, not an ID")
    return text


def shown(value: object) -> str:
    """Return a short representation of a value for a message, at most 60 characters long."""
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()  # 1009 instead of np.int64(1009)
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int with thousands of digits, or very deep nesting
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


#: How to read each kind of field from a user. The result goes into the JSON body or the URL.
READERS: Final[dict[str, Callable[[Any, dt.tzinfo | None], Any]]] = {
    "id": lambda value, _tz: _as_id(value),
    "integer": lambda value, _tz: as_integer(value),
    "text": lambda value, _tz: as_text(value),
    "flag": lambda value, _tz: as_flag(value),
    "time": lambda value, tz: to_rfc3339(as_time(value, tz)),
}
