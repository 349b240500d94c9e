"""Secrets removed from what a service says, before it reaches a message, a log or the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..settings import Secret

__all__ = ["cleared", "recordable", "scrubbed"]

#: Secrets with fewer characters are not searched for: redacting them would also remove common words.
SCRUBBED_FROM: Final = 8
#: Replaces a successful response that names an error and cannot be cleared. An empty body would be a good void.
NOT_SHOWN: Final = b"not shown"


def scrubbed(text: str, secrets: Iterable[Secret], *, spelled: Callable[[str], str] = str) -> str:
    """Replace secrets in text that becomes part of a message, because a service may echo what it was sent.

    Parameters
    ----------
    text : str
        What the service said.
    secrets : iterable of Secret
        What it was sent.
    spelled : callable
        Returns a secret as it is written in `text`, for example escaped as in JSON.
    """
    for secret in secrets:
        hidden = secret.reveal()
        if len(hidden) >= SCRUBBED_FROM:
            text = text.replace(spelled(hidden), "***")
    return text


def cleared(body: bytes, secrets: Iterable[Secret]) -> bytes:
    """Replace secrets in a JSON body, however the service escapes them; return an empty body if it is not JSON."""
    try:
        return scrubbed(orjson.dumps(orjson.loads(body)).decode(), secrets, spelled=_in_json).encode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return b""


def _in_json(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def recordable(method: str, status: int, body: bytes, token: Secret) -> bytes:
    """Replace the token in a response that names an error: what it says of an error is kept in the ledger."""
    if status >= 300:
        return cleared(body, (token,))
    if method == "GET" or not (b'"err' in body or b"\\u" in body):  # JSON may escape letters as their numbers
        return body
    return cleared(body, (token,)) or NOT_SHOWN
