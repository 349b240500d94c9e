"""The values that a person gives for one call: checked, and built into the request that is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..frames.scalars import READERS, is_missing
from .request import assemble

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from .endpoints import Endpoint
    from .request import Request

__all__ = ["build"]


def build(endpoint: Endpoint, values: Mapping[str, Any], tz: dt.tzinfo | None = None) -> tuple[Request, dict[str, Any]]:
    """Check the values for one call, and build the request.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    values : Mapping
        Values by the API's names. Missing ones (None, NaN, NA, NaT) count as not given.
    tz : tzinfo, optional
        The time zone of times without an offset.

    Returns
    -------
    tuple
        The request, and the values as they are sent, by name.

    Raises
    ------
    InvalidInput
        A value cannot be sent, is missing, or contradicts another. Nothing was sent.
    """
    sent: dict[str, Any] = {}
    for field in endpoint.fields:
        value = values.get(field.name)
        if is_missing(value):
            if field.required:
                raise InvalidInput(f"{endpoint.name}: {field.name} is missing; give {field.help}")
            continue
        try:
            sent[field.name] = READERS[field.kind](value, tz)
        except InvalidInput as error:
            raise InvalidInput(f"{endpoint.name}: {field.name}: {error}") from None
    if endpoint.one_of:
        given = [name for name in endpoint.one_of if name in sent]
        if len(given) != 1:
            problem = f"{' and '.join(given)} exclude each other" if given else "all of them are missing"
            raise InvalidInput(f"{endpoint.name}: {problem}; give exactly one of {', '.join(endpoint.one_of)}")
    if "eligible_channel_id" in sent and "member_id" not in sent:
        raise InvalidInput(f"{endpoint.name}: eligible_channel_id needs member_id as well")
    if {"activates_at", "expires_at"} <= sent.keys() and _instant(sent["activates_at"]) >= _instant(sent["expires_at"]):
        raise InvalidInput(f"{endpoint.name}: expires_at must be later than activates_at")
    return assemble(endpoint, sent), sent


def _instant(rfc3339: str) -> str:
    """Return an RFC 3339 text in UTC in a form that compares as the times do."""
    return rfc3339.rstrip("Z")
