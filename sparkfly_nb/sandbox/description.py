"""The OpenAPI description of the sandbox, generated from the table of operations and the tables of columns."""

from __future__ import annotations

import re
from typing import Any, Final

from ..api.endpoints import AUTH_PATH, ENDPOINTS, IDENTITY_HEADER, KEY_HEADER, TOKEN_HEADER, Endpoint, Field
from ..schema import INT64_MAX, INT64_MIN, OFFER_STATE, RECEIPT
from .operations import MAX_PER_PAGE, PER_PAGE
from .server import BASE_PATH
from .validation import BODY_FIELDS, PATH_KEY_MAX, TEXT_LIMIT, takes_body

__all__ = ["describe"]

# The JSON type of each dtype in the tables of columns.
_COLUMN_TYPES: Final[dict[str, dict[str, Any]]] = {
    "Int64": {"type": ["integer", "null"], "format": "int64"},
    "boolean": {"type": ["boolean", "null"]},
    "string": {"type": ["string", "null"]},
    "datetime64[ns, UTC]": {"type": ["string", "null"], "format": "date-time"},
    "object": {"type": "array", "items": {"type": "object"}},
}

# The JSON type of each kind of field in the table of operations.
_INPUT_TYPES: Final[dict[str, dict[str, Any]]] = {
    "id": {"type": "integer", "minimum": 0, "maximum": PATH_KEY_MAX},
    "integer": {"type": "integer", "minimum": INT64_MIN, "maximum": INT64_MAX},
    "text": {"type": "string", "maxLength": TEXT_LIMIT, "pattern": r"^[^\x00-\x1f\x7f]*$"},
    "flag": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
}

# Constraints of single fields, in addition to those of their kind.
_STRICTER: Final[dict[str, dict[str, Any]]] = {
    "page": {"minimum": 1, "default": 1},
    "per_page": {"minimum": 1, "default": PER_PAGE, "description": f"entries per page, at most {MAX_PER_PAGE}"},
}

# A receipt has these fields only if the request had them.
_PARTLY: Final = frozenset({"activates_at", "expires_at"})


def _object(properties: dict[str, Any], required: list[str], *, closed: bool = True) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        **({"additionalProperties": False} if closed else {}),
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, Any]:
    receipt = {"id" if name == "offer_state_id" else name: _COLUMN_TYPES[dtype] for name, dtype in RECEIPT.items()}
    counts = {name: {"type": "integer"} for name in ("page", "per_page", "total_entries", "total_pages")}
    states = {"type": "array", "items": _reference("offer_state")}
    return {
        "offer_state": _object(
            {
                "offer_state": _object(
                    {name: _COLUMN_TYPES[dtype] for name, dtype in OFFER_STATE.items()}, list(OFFER_STATE)
                ),
                "errors": {"type": "object"},
            },
            ["offer_state"],
        ),
        "receipt": _object(
            {"offer_state": _object(receipt, [name for name in receipt if name not in _PARTLY])}, ["offer_state"]
        ),
        "offer_states": _object({**counts, "offer_states": states}, [*counts, "offer_states"]),
        "error": _object({"error": {"type": "string"}}, ["error"]),
        "error_with_trace": _object(
            {"error": {"type": "string"}, "trace": {"type": "string", "pattern": "^[0-9a-f]{30}$"}}, ["error", "trace"]
        ),
    }


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(name)}}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    error = "error_with_trace" if endpoint.effect == "void" else "error"
    success: dict[str, Any] = {"description": "Done."}
    if endpoint.answer != "nothing":
        success["content"] = _json(endpoint.answer)
    return {
        str(endpoint.success): success,
        "401": {"description": "The token is missing, unknown or expired. Nothing changed. The body is empty."},
        "403": {
            "description": "The offer state is locked, not transferable, or already redeemed.",
            "content": _json(error),
        },
        "404": {"description": "No such record exists.", "content": _json(error)},
        "413": {"description": "The body is too large.", "content": _json("error")},
        "422": {
            "description": "The request is malformed, or not possible for this offer state.",
            "content": _json("error_with_trace"),
        },
    }


def _parameter(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "in": field.place,
        "required": field.required,
        "description": field.help,
        "schema": {**_INPUT_TYPES[field.kind], **_STRICTER.get(field.name, {})},
    }


def _body(endpoint: Endpoint) -> dict[str, Any]:
    fields = BODY_FIELDS[endpoint.name]
    properties = {name: {**_INPUT_TYPES[field.kind], "description": field.help} for name, field in fields.items()}
    if "offer_value_required" in properties:
        # Sparkfly's published descriptions disagree: one says integer, another boolean.
        properties["offer_value_required"]["type"] = ["integer", "boolean"]
    required = [name for name, field in fields.items() if field.required]
    return {
        "required": bool(required),
        "content": {
            "application/json": {
                "schema": _object({"offer_state": _object(properties, required)}, ["offer_state"] if required else [])
            }
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_parameter(field) for field in endpoint.fields if field.place != "body"],
        **({"requestBody": _body(endpoint)} if takes_body(endpoint) else {}),
        "responses": _responses(endpoint),
        "security": [{"token": []}],
    }


def _authentication() -> dict[str, Any]:
    return {
        "operationId": "authenticate",
        "summary": "Get a token",
        "security": [{"identity": [], "key": []}],
        "responses": {
            "204": {
                "description": "The response header has the token.",
                "headers": {TOKEN_HEADER: {"required": True, "schema": {"type": "string"}}},
            },
            "401": {"description": "The credentials are wrong.", "content": _json("error")},
        },
    }


def describe() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of ``/auth`` and the eleven operations, as the sandbox serves them."""
    paths: dict[str, Any] = {AUTH_PATH: {"post": _authentication()}}
    for endpoint in ENDPOINTS.values():
        paths.setdefault(BASE_PATH + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    headers = {"token": TOKEN_HEADER, "identity": IDENTITY_HEADER, "key": KEY_HEADER}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sparkfly offer states, as the sandbox serves them",
            "version": re.sub(r"^/v", "", BASE_PATH),
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                name: {"type": "apiKey", "in": "header", "name": header} for name, header in headers.items()
            },
        },
    }
