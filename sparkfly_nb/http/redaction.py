"""Removal of secrets from responses, before they reach a message, a log or the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..settings import Secret

__all__ = ["cleared", "recordable", "scrubbed"]

#: Secrets with fewer characters are not searched for: redacting them would also remove common words.
SCRUBBED_FROM: Final = 8
#: Replaces a successful response that mentions an error and cannot be redacted. An empty body would confirm a void.
NOT_SHOWN: Final = b"not shown"


def scrubbed(text: str, secrets: Iterable[Secret], *, spelled: Callable[[str], str] = str) -> str:
    """Replace secrets in text for a message, because a service may echo the headers of a request.

    Parameters
    ----------
    text : str
        Text from the service.
    secrets : iterable of Secret
        Secrets that were sent with the request.
    spelled : callable
        Returns a secret as `text` contains it, for example escaped as in JSON.
    """
    for secret in secrets:
        hidden = secret.reveal()
        if len(hidden) >= SCRUBBED_FROM:
            text = text.replace(spelled(hidden), "***")
    return text


def cleared(body: bytes, secrets: Iterable[Secret]) -> bytes:
    """Replace secrets in a JSON body, however they are escaped. Return an empty body if it is not JSON."""
    try:
        return scrubbed(orjson.dumps(orjson.loads(body)).decode(), secrets, spelled=_in_json).encode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return b""


def _in_json(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def recordable(method: str, status: int, body: bytes, token: Secret) -> bytes:
    """Replace the token in a response with an error, whose text the ledger records."""
    if status >= 300:
        return cleared(body, (token,))
    if method == "GET" or not (b'"err' in body or b"\\u" in body):  # "\\u" may escape any letter
        return body
    return cleared(body, (token,)) or NOT_SHOWN
