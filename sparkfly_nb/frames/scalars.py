"""One value at a time: what a person may give for an id, a number, a flag, a text or a time, and what is sent."""

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

MAX_DIGITS: Final = 19


def is_missing(value: object) -> bool:
    """Say whether a value is one of None, NaN, NaT and NA."""
    if isinstance(value, (float, np.floating)):
        return isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or value is pd.NA or value is pd.NaT


def as_integer(value: object) -> int:
    """Read a whole number of 64 bits: ``1009``, ``1009.0`` and ``"1009"`` are the same; a flag is none."""
    if isinstance(value, (bool, np.bool_, np.timedelta64)):  # numpy counts durations among its whole numbers
        kind = "duration" if isinstance(value, np.timedelta64) else "flag"
        raise InvalidInput(f"{value!r} is a {kind}, not a whole number; give the number")
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,19}(\.0+)?", text):
            raise InvalidInput(f"{shown(value)} is not a whole number; give digits only, as in 1009")
        number = int(text.partition(".")[0])
    elif isinstance(value, (int, np.integer)):
        number = int(value)
    elif isinstance(value, (float, np.floating)):
        real = float(value)
        if not real.is_integer():
            raise InvalidInput(f"{real} is not a whole number; 1009.0 would be, 1009.5 and nan are not")
        if abs(real) >= 2**53:
            raise InvalidInput(f"{real} is a float too large to be exact; read the column as Int64 or text")
        number = int(real)
    elif isinstance(value, Decimal):  # what databases give for NUMERIC
        if not value.is_finite() or value.adjusted() > MAX_DIGITS or value % 1:
            raise InvalidInput(f"{shown(value)} is not a whole number of 64 bits; 1009 and 1009.0 would be")
        number = int(value)
    else:
        raise InvalidInput(f"{shown(value)} is not a whole number; give digits only, as in 1009")
    if not INT64_MIN <= number <= INT64_MAX:
        raise InvalidInput(f"{shown(number)} does not fit into 64 bits")
    return number


def as_text(value: object) -> str:
    """Read a text as it stands; a whole number is taken as its digits, anything else is refused."""
    if isinstance(value, str):
        text = str.__str__(value)  # of a text that is a member of an enumeration, the text
    elif isinstance(value, (int, np.integer, float, np.floating, Decimal)) and not isinstance(value, bool):
        text = str(as_integer(value))
    else:
        raise InvalidInput(f"{shown(value)} is not text; give a string")
    if not text.strip():
        raise InvalidInput("the text is empty; leave the value out instead")
    if CONTROL.search(text):
        raise InvalidInput(f"{shown(text)} holds a control character, such as a line break; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{ascii(text)[:60]} holds half a surrogate pair; repair the text") from None
    return text


def as_flag(value: object) -> bool:
    """Read a flag: True or False."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidInput(f"{shown(value)} is not a flag; give True or False")


def as_time(value: object, tz: dt.tzinfo | None = None) -> pd.Timestamp:
    """Read a point in time and give it in UTC.

    Parameters
    ----------
    value : str, datetime, pandas.Timestamp or numpy.datetime64
        Text is ISO 8601. A time without an offset is refused unless `tz` says what it means.
    tz : tzinfo, optional
        The time zone of times that carry no offset.
    """
    if not isinstance(value, (str, dt.date, np.datetime64)) or is_missing(value):
        raise InvalidInput(f"{shown(value)} is not a time; give ISO 8601, as in 2026-12-31T23:59:59Z, or a datetime")
    try:
        if isinstance(value, str):
            if not re.match(r"\s*\d{4}-?\d{2}", value):
                raise InvalidInput(f"{shown(value)} is not ISO 8601; write it as 2026-12-31T23:59:59Z")  # noqa: TRY301
            stamp = pd.to_datetime(value.strip().upper(), format="ISO8601")  # RFC 3339 allows t and z, pandas does not
        else:
            stamp = pd.Timestamp(value)
        if stamp.tzinfo is None:
            if tz is None:
                raise InvalidInput(  # noqa: TRY301
                    f"{value} has no time zone; add an offset, as in 2026-12-31T23:59:59Z, or make the Session with tz="
                )
            local = stamp.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")  # else pandas 2 raises an error of pytz
            if not isinstance(local, pd.Timestamp):
                raise InvalidInput(  # noqa: TRY301
                    f"{value} is skipped or comes twice in {tz}, where clocks change; add an offset, as in +02:00"
                )
            stamp = local
        moment = stamp.tz_convert("UTC")
    except InvalidInput:
        raise
    except (ValueError, OverflowError, TypeError, NotImplementedError) as error:
        reason = str(error).partition(". You might")[0]  # pandas goes on with advice for programmers
        raise InvalidInput(f"{shown(value)} is not a time: {reason}") from None
    if not dt.MINYEAR <= moment.year <= dt.MAXYEAR:
        raise InvalidInput(f"{value} is outside the years 1 to 9999 in UTC; RFC 3339 can write no others")
    return moment


def to_rfc3339(stamp: pd.Timestamp) -> str:
    """Write a UTC time as the service reads it: ``2026-12-31T23:59:59Z``, with a fraction only where there is one."""
    return stamp.tz_convert("UTC").tz_localize(None).isoformat() + "Z"


def _as_id(value: object) -> str:
    """Read a part of an address: a whole number, or text that cannot be mistaken for a step in a path."""
    text = as_text(value if isinstance(value, str) else as_integer(value)).strip()
    if re.fullmatch(r"-?[0-9]+\.0+", text):  # what became of an id in a column of floats that was turned into text
        text = text.partition(".")[0]
    if text in {".", ".."}:
        raise InvalidInput(f"{text!r} is a step in a path, not an id")
    return text


def shown(value: object) -> str:
    """Show a value in a message without flooding it."""
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in a list in a list
        return f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


READERS: Final[dict[str, Callable[[Any, dt.tzinfo | None], Any]]] = {
    "id": lambda value, _tz: _as_id(value),
    "integer": lambda value, _tz: as_integer(value),
    "text": lambda value, _tz: as_text(value),
    "flag": lambda value, _tz: as_flag(value),
    "time": lambda value, tz: to_rfc3339(as_time(value, tz)),
}
"""How each kind of field is read from what a person gives; the answer is what JSON or the address carries."""
