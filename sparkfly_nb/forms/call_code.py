"""The Python code that is equivalent to a form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..frames.scalars import READERS
from .fields import READING_ZONE, form_fields

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping

    from ..api.endpoints import Endpoint

__all__ = ["call_line", "python_line"]


def python_line(
    endpoint: Endpoint, values: Mapping[str, Any], tz: dt.tzinfo | None, wrong: Collection[str] = ()
) -> str:
    """Return the call of an operation as Python code.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    values : Mapping
        The valid values. The code has ``...`` in place of required values that are missing.
    tz : tzinfo or None
        The time zone of times without an offset. The code has them in UTC, so that it is correct in any session.
    wrong : collection of str
        Fields with invalid values. The code has ``...`` in their place, too.
    """
    by_position, by_name = [], {}
    for field in form_fields(endpoint):
        value: Any = ...
        if field.name in values:
            value = READERS[field.kind](values[field.name], tz or READING_ZONE)
        elif not field.required and field.name not in wrong:
            continue
        if field.kind == "id" and isinstance(value, str) and value == (value.lstrip("0") or "0") and value.isdecimal():
            value = int(value)  # easier to read, and the same path in the request
        if field.place == "path":
            by_position.append(value)
        else:
            by_name[field.name] = value
    return call_line(endpoint.name, *by_position, **by_name)


def call_line(method: str, *by_position: Any, **by_name: Any) -> str:
    """Return a call of a Session's method as Python code."""
    arguments = [_text(value) for value in by_position] + [f"{name}={_text(value)}" for name, value in by_name.items()]
    return f"session.{method}({', '.join(arguments)})"


def _text(value: Any) -> str:
    return "..." if value is ... else repr(value)
