"""The request of an operation, built from values that were checked already; workers use it without pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .endpoints import Endpoint

__all__ = ["Request", "address_of", "assemble"]


class Request(NamedTuple):
    """What is sent, without address, token and headers."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes | None


def assemble(endpoint: Endpoint, sent: Mapping[str, Any]) -> Request:
    """Build the request from values that were checked already."""
    path = endpoint.path
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    for name, place, *_ in endpoint.fields:
        if name not in sent:
            continue
        value = sent[name]
        if place == "body":
            body[name] = value
        elif place == "query":
            query.append((name, str(value)))
        else:
            path = path.replace("{" + name + "}", quote(str(value), safe=""))
    encoded = orjson.dumps({"offer_state": body}) if body or endpoint.has_body else None
    return Request(endpoint.method, path, tuple(query), encoded)


def address_of(base_url: str, request: Request) -> str:
    """Return the whole address of a request, encoded."""
    query = "?" + urlencode(request.query, quote_via=quote, safe="") if request.query else ""
    return f"{base_url}{request.path}{query}"
