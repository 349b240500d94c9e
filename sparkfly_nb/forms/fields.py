"""The inputs of a form, generated from the table of operations, and their validation."""

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

__all__ = ["READING_ZONE", "Checked", "check", "form_fields", "label_of", "shown_fields", "values_of", "zone_name"]

#: The time zone of times without an offset if the Session has none. The form names it beside each time.
READING_ZONE: Final = dt.timezone.utc

#: Fields that no form has, because the Session reads all pages.
EVERY_PAGE: Final = frozenset({"page", "per_page"})

#: The input of each kind of field.
INPUTS: Final[dict[str, str]] = {"id": "text", "integer": "text", "text": "text", "flag": "choice", "time": "time"}

FLAG_CHOICES: Final = (("", "leave as it is"), ("true", "yes"), ("false", "no"))
FLAG_WORDS: Final[dict[str, bool]] = {"true": True, "false": False}

#: Placeholders. A token has none, because no example would help.
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

NEEDED: Final = "needed"
WRONG: Final = "wrong"


class Checked(NamedTuple):
    """The validated input.

    Attributes
    ----------
    sent : dict or None
        The values to send, or None if there is a problem.
    problems : dict
        ``level`` (``needed`` or ``wrong``) and ``text`` by field. The key ``""`` is the form as a whole.
    good : dict
        The values of the valid fields.
    """

    sent: dict[str, Any] | None
    problems: dict[str, dict[str, str]]
    good: dict[str, Any]


def form_fields(endpoint: Endpoint) -> tuple[Field, ...]:
    """Return the fields of an operation that its form asks for: the parameters of the Session's method."""
    return tuple(field for field in endpoint.fields if field.name not in EVERY_PAGE)


def label_of(name: str) -> str:
    """Return the label of a field or a column."""
    words = name.replace("offerstate", "offer state").replace("_", " ").replace("external ref id", "reference")
    words = " ".join(word.upper() if word in ("id", "xid") else word for word in words.split())
    return words[:1].upper() + words[1:]


def zone_name(tz: dt.tzinfo | None) -> str:
    """Return the name of the time zone of a form: the Session's, or UTC if it has none."""
    return "UTC" if tz is None else str(getattr(tz, "key", None) or tz)


def shown_fields(endpoint: Endpoint, tz: dt.tzinfo | None, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the description of a form's inputs for the page.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    tz : tzinfo or None
        The time zone of times.
    given : Mapping
        The initial texts by field.
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
        for field in form_fields(endpoint)
    ]


def values_of(endpoint: Endpoint, typed: Mapping[str, str]) -> dict[str, Any]:
    """Convert the texts of the page to values. Empty fields become None, and surrounding spaces are removed."""
    values: dict[str, Any] = {}
    for field in form_fields(endpoint):
        text = str(typed.get(field.name) or "").strip()
        values[field.name] = FLAG_WORDS.get(text, text or None) if field.kind == "flag" else text or None
    return values


def check(
    endpoint: Endpoint, values: Mapping[str, Any], tz: dt.tzinfo | None, unfinished: Collection[str] = ()
) -> Checked:
    """Validate the values of a form with the same rules as the Session.

    Parameters
    ----------
    endpoint : Endpoint
        The operation.
    values : Mapping
        The values by field, None for empty fields.
    tz : tzinfo or None
        The time zone of times without an offset. None means UTC.
    unfinished : collection of str
        Fields with an incomplete date or time in the browser.
    """
    zone = tz or READING_ZONE
    problems: dict[str, dict[str, str]] = {}
    good: dict[str, Any] = {}
    for field in form_fields(endpoint):
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
            place = text.partition(" ")[0]  # messages of `build` start with the name of the field
            problems.setdefault(place if place in values else "", {"level": WRONG, "text": text})
    return Checked(None if problems else sent, problems, good)


def _without_required(endpoint: Endpoint) -> Endpoint:
    # So that `build` checks how the values agree even while others are missing, which the form shows at their fields.
    return replace(endpoint, fields=tuple(field._replace(required=False) for field in endpoint.fields))
