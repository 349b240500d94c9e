"""The inputs of a form, as the operation describes them: what the page shows, and what is wrong with what was typed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..api.inputs import build
from ..errors import InvalidInput
from ..frames.scalars import READERS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..api.endpoints import Endpoint, Field

__all__ = ["READING_ZONE", "Checked", "asked_fields", "check", "label_of", "shown_fields", "values_of", "zone_name"]

READING_ZONE: Final = dt.timezone.utc
"""What times without an offset mean where the Session has no time zone; the page says so beside them."""

EVERY_PAGE: Final = frozenset({"page", "per_page"})
"""Not asked for: the Session reads every page."""

INPUTS: Final[dict[str, str]] = {"id": "text", "integer": "text", "text": "text", "flag": "choice", "time": "time"}
"""What the page shows for each kind of field."""

FLAG_CHOICES: Final = (("", "leave as it is"), ("true", "yes"), ("false", "no"))
FLAG_WORDS: Final[dict[str, bool]] = {"true": True, "false": False}

EXAMPLES: Final[dict[str, str]] = {
    "campaign_id": "SUMMER26",
    "channel_id": "11",
    "credential_identifier": "VK32A7",
    "eligible_channel_id": "11",
    "external_ref_id": "june-0001",
    "member_id": "1009",
    "member_identifier": "LOY-001009-2291",
    "offer_id": "301",
    "offer_name": "Free Iced Coffee",
    "offer_value_required": "10",
    "offerstate_id": "500123",
    "status": "redeemed",
    "value": "3",
}
"""A placeholder where one helps; a token looks like nothing that a person could imitate."""

NEEDED: Final = "needed"
WRONG: Final = "wrong"


class Checked(NamedTuple):
    """What was typed, checked.

    Attributes
    ----------
    sent : dict or None
        The values as they are sent; None while something stands against sending.
    problems : dict
        By field, or ``""`` for the form as a whole: ``level`` (``needed`` or ``wrong``) and ``text``.
    good : dict
        The values of the fields that can be read.
    """

    sent: dict[str, Any] | None
    problems: dict[str, dict[str, str]]
    good: dict[str, Any]


def asked_fields(endpoint: Endpoint) -> tuple[Field, ...]:
    """Give the fields that a person is asked for: those that the Session's method takes."""
    return tuple(field for field in endpoint.fields if field.name not in EVERY_PAGE)


def label_of(name: str) -> str:
    """Put the API's name of a field into words."""
    words = name.replace("offerstate", "offer state").replace("_", " ").replace("external ref id", "reference")
    words = " ".join(word.upper() if word in ("id", "xid") else word for word in words.split())
    return words[:1].upper() + words[1:]


def zone_name(tz: dt.tzinfo | None) -> str:
    """Name the time zone in which a form shows and takes times; UTC where the Session has none."""
    return "UTC" if tz is None else str(getattr(tz, "key", None) or tz)


def shown_fields(endpoint: Endpoint, tz: dt.tzinfo | None, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Describe the inputs of a form to the page.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    tz : tzinfo or None
        The time zone of times.
    given : Mapping
        Texts to begin with, by the API's names.
    """
    return [
        {
            "name": field.name,
            "label": label_of(field.name),
            "input": INPUTS[field.kind],
            "choices": FLAG_CHOICES if field.kind == "flag" else (),
            "help": field.help[:1].upper() + field.help[1:],
            "unit": zone_name(tz) if field.kind == "time" else "",
            "placeholder": EXAMPLES.get(field.name, ""),
            "required": field.required,
            "one_of": field.name in endpoint.one_of,
            "digits": field.kind == "integer",
            "value": "" if given.get(field.name) is None else str(given[field.name]),
        }
        for field in asked_fields(endpoint)
    ]


def values_of(endpoint: Endpoint, typed: Mapping[str, str]) -> dict[str, Any]:
    """Read the texts of the page as values: what is empty was not given, spaces around a text were pasted with it."""
    values: dict[str, Any] = {}
    for field in asked_fields(endpoint):
        text = str(typed.get(field.name) or "").strip()
        values[field.name] = FLAG_WORDS.get(text, text or None) if field.kind == "flag" else text or None
    return values


def check(
    endpoint: Endpoint, values: Mapping[str, Any], tz: dt.tzinfo | None, unfinished: Collection[str] = ()
) -> Checked:
    """Say what stands against sending, field by field; the rules are those of every other way to send.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    values : Mapping
        Values by the API's names, None for what was not given.
    tz : tzinfo or None
        The time zone of times that carry no offset; UTC if None, which the page says.
    unfinished : collection of str
        Fields in which the browser has a date or a time in part.
    """
    zone = tz or READING_ZONE
    problems: dict[str, dict[str, str]] = {}
    good: dict[str, Any] = {}
    for field in asked_fields(endpoint):
        value = values.get(field.name)
        if field.name in unfinished:
            problems[field.name] = {"level": WRONG, "text": "the date or the time is not complete; finish or clear it"}
        elif value is None:
            if field.required:
                problems[field.name] = {"level": NEEDED, "text": f"needed: {field.help}"}
        else:
            try:
                READERS[field.kind](value, zone)
                good[field.name] = value
            except InvalidInput as error:
                problems[field.name] = {"level": WRONG, "text": str(error)}
    sent = None
    try:
        _, sent = build(_without_required(endpoint), good, zone)
    except InvalidInput as error:
        text = str(error).removeprefix(f"{endpoint.name}: ")
        chosen = [name for name in endpoint.one_of if name in good]
        if endpoint.one_of and len(chosen) != 1:
            if chosen or not any(name in problems for name in endpoint.one_of):
                problems[""] = {"level": WRONG if chosen else NEEDED, "text": text}
        else:
            place = text.partition(" ")[0]  # the message begins with the field that it is about
            problems.setdefault(place if place in values else "", {"level": WRONG, "text": text})
    return Checked(None if problems else sent, problems, good)


def _without_required(endpoint: Endpoint) -> Endpoint:
    """Let `build` look at how values agree, also while others are still missing: that is said beside their fields."""
    return replace(endpoint, fields=tuple(field._replace(required=False) for field in endpoint.fields))
