"""The line of Python that does the same as a form: what a person clicks today is what they can write tomorrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..frames.scalars import READERS
from .fields import READING_ZONE, asked_fields

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping

    from ..api.endpoints import Endpoint

__all__ = ["call_line", "python_line"]


def python_line(
    endpoint: Endpoint, values: Mapping[str, Any], tz: dt.tzinfo | None, wrong: Collection[str] = ()
) -> str:
    """Write the call of an operation.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    values : Mapping
        Values that can be read; ``...`` stands for required ones that are not there.
    tz : tzinfo or None
        The time zone of times that carry no offset; they are written in UTC, so that the line means the same anywhere.
    wrong : collection of str
        Fields that hold something that cannot be read; ``...`` stands for these too.
    """
    by_position, by_name = [], {}
    for field in asked_fields(endpoint):
        value: Any = ...
        if field.name in values:
            value = READERS[field.kind](values[field.name], tz or READING_ZONE)
        elif not field.required and field.name not in wrong:
            continue
        if field.kind == "id" and isinstance(value, str) and value == (value.lstrip("0") or "0") and value.isdecimal():
            value = int(value)  # reads better, and is sent as the same address
        if field.place == "path":
            by_position.append(value)
        else:
            by_name[field.name] = value
    return call_line(endpoint.name, *by_position, **by_name)


def call_line(method: str, *by_position: Any, **by_name: Any) -> str:
    """Write a call of a Session's method with these arguments."""
    arguments = [_text(value) for value in by_position] + [f"{name}={_text(value)}" for name, value in by_name.items()]
    return f"session.{method}({', '.join(arguments)})"


def _text(value: Any) -> str:
    return "..." if value is ... else repr(value)
