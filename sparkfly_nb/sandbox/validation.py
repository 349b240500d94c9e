"""Validation of requests against the table of operations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..api.endpoints import ENDPOINTS, Endpoint, Field
from ..errors import InvalidInput, SparkflyError
from ..schema import CONTROL, INT64_MAX, INT64_MIN
from .clock import read_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["BODY_FIELDS", "PATH_KEY_MAX", "TEXT_LIMIT", "Given", "Refusal", "read_request", "takes_body"]

TEXT_LIMIT: Final = 1000
PATH_KEY_MAX: Final = 10**18 - 1
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)

_KEYS: Final = (
    Field("offer_state_id", "body", "integer", "the ID of the offer state, as in the path"),
    Field("member_id", "body", "integer", "Sparkfly's member ID, as in the path"),
)

#: The fields that the body of each operation may have.
BODY_FIELDS: Final[dict[str, dict[str, Field]]] = {
    name: {
        field.name: field
        for field in (
            *(field for field in endpoint.fields if field.place == "body"),
            # In the published description, the bodies of these two repeat the IDs of the path.
            *(_KEYS if name in {"update_offer_state", "redeem_offer_state"} else ()),
        )
    }
    for name, endpoint in ENDPOINTS.items()
}

_QUERY_FIELDS: Final[dict[str, dict[str, Field]]] = {
    name: {field.name: field for field in endpoint.fields if field.place == "query"}
    for name, endpoint in ENDPOINTS.items()
}


class Refusal(SparkflyError):
    """The sandbox rejects a request with an error response.

    Attributes
    ----------
    status : int
        The HTTP status.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Given(NamedTuple):
    """The checked inputs of one request, by place and name."""

    path: Mapping[str, int]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


def takes_body(endpoint: Endpoint) -> bool:
    """Return whether an operation has a body."""
    return bool(BODY_FIELDS[endpoint.name])


def read_request(endpoint: Endpoint, path: Mapping[str, str], query: Iterable[tuple[str, str]], body: bytes) -> Given:
    """Parse and validate a request.

    Raises
    ------
    Refusal
        With 404 for an ID in the path that no record can have, and with 422 for any other invalid input.
    """
    return Given(
        {name: _path_key(name, text) for name, text in path.items()},
        _read_query(endpoint, query),
        _read_body(endpoint, body) if takes_body(endpoint) else {},
    )


def _path_key(name: str, text: str) -> int:
    # 404 and not 422: for the service, an impossible ID in the path is a record that does not exist.
    if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) is None:
        what = {"member_id": "Member", "offer_id": "Offer"}.get(name, "OfferState")
        raise Refusal(404, f"{what} not found - not found")
    return int(text)


def _read_query(endpoint: Endpoint, query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    fields = _QUERY_FIELDS[endpoint.name]
    given: dict[str, Any] = {}
    for name, text in query:
        if name not in fields:
            raise Refusal(422, f"query: {_shown(name)} is not a parameter of this operation")
        if name in given:
            raise Refusal(422, f"query: {name} appears twice")
        value: Any = text
        if fields[name].kind == "integer":
            value = int(text) if _NUMBER.fullmatch(text) else text
        given[name] = _checked(fields[name], value)
    for field in fields.values():
        if field.required and field.name not in given:
            raise Refusal(422, f"query: {field.name} is missing")
    return given


def _read_body(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    fields = BODY_FIELDS[endpoint.name]
    try:
        parsed = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise Refusal(422, "the body is not JSON") from None
    if not isinstance(parsed, dict) or not parsed.keys() <= {"offer_state"}:
        raise Refusal(422, 'the body must be {"offer_state": {...}}')
    entries = parsed.get("offer_state", {})
    if not isinstance(entries, dict):
        raise Refusal(422, "offer_state is not an object")
    given: dict[str, Any] = {}
    for name, value in entries.items():
        if name not in fields:
            raise Refusal(422, f"{_shown(name)} is not a field of this operation")
        # null means the same as a missing field.
        if value is not None:
            given[name] = _checked(fields[name], value)
    for field in fields.values():
        if field.required and field.name not in given:
            raise Refusal(422, f"{field.name} is missing")
    return given


def _checked(field: Field, value: Any) -> Any:
    try:
        return _CHECKS[field.kind](field, value)
    except InvalidInput as problem:
        raise Refusal(422, f"{field.name} {problem}") from None


def _integer(field: Field, value: Any) -> int:
    # Sparkfly's published descriptions disagree: one says integer, another boolean.
    if field.name == "offer_value_required" and isinstance(value, bool):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not INT64_MIN <= value <= INT64_MAX:
        raise InvalidInput("is not a 64-bit integer")
    return value


def _flag(_field: Field, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("is not true or false")
    return value


def _text(_field: Field, value: Any) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        raise InvalidInput(f"is not a text of at most {TEXT_LIMIT} characters")
    if CONTROL.search(value) or (not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise InvalidInput("contains a control character or half a surrogate pair")
    return value


def _time(field: Field, value: Any) -> str:
    return read_rfc3339(_text(field, value))


_CHECKS: Final[dict[str, Callable[[Field, Any], Any]]] = {
    "integer": _integer,
    "flag": _flag,
    "text": _text,
    "time": _time,
}


def _shown(name: str) -> str:
    return ascii(name[:60])
