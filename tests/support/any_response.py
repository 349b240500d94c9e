"""Responses that a service might send, for property tests: correct ones, almost correct ones, and anything else."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st
from scripted_server import INDEX, RECEIPT, STATE

FULL_STATE = {
    **STATE,
    "value": 0, "locked": False, "created_at": "2023-04-10T13:26:00Z", "updated_at": "2023-06-22T18:36:32.271393505Z",
    "activates_at": None, "expires_at": "2030-01-01T00:00:00+02:00", "custom_data": None, "offer_activities": [],
    "offer_name": "Free coffee", "campaign_id": 1, "campaign_xid": "SUMMER26", "credential_identifier": "VK32",
}  # fmt: skip
#: A correct response of each kind.
RIGHT = {
    "receipt": {"offer_state": RECEIPT},
    "offer_state": {"offer_state": FULL_STATE, "errors": {}},
    "offer_states": {**INDEX, "offer_states": [{"offer_state": FULL_STATE}]},
    "nothing": {},
}
NAMES = st.sampled_from(
    ["offer_state", "offer_states", "offer_state_id", "id", "member_id", "error", "errors", "message", "trace", "page",
     "per_page", "total_entries", "total_pages", "created_at", "offer_tags", "surprise", "", "\x00", "\ud800"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 9) | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
    | st.sampled_from(
        ["7", "-7", "9" * 30, "7.0", "0007", "../..", "\x00", "\ud800", "\u202e", "null", "true",
         "2023-04-10T13:26:00Z",
         "0001-01-01T00:00:00Z", "1677-09-21T00:12:43.145224193Z", "9999-12-31T23:59:59Z", "x" * 3000, "SUMMER26",
         "r-1"]
    )
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
DEEP = st.sampled_from((200, 400, 900, 1020, 1100, 100_000))


@st.composite
def mutated(draw: Any, right: Any) -> Any:
    """Draw a correct response with one to three errors: a wrong type, a missing, repeated or unknown field."""
    tree = {"": copy.deepcopy(right)}
    for _ in range(draw(st.integers(1, 3))):
        place: Any = tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not (isinstance(place[key], (dict, list)) and place[key] and draw(st.integers(0, 4))):
                break
            place = place[key]
        what = draw(st.sampled_from(("another", "gone", "unknown", "wrapped", "bare")))
        if what == "another":
            place[key] = draw(JSON)
        elif what == "gone" and place is not tree:
            del place[key]
            if not place:
                break
        elif what == "unknown" and isinstance(place[key], dict):
            place[key][draw(NAMES)] = draw(JSON)
        elif what == "wrapped":
            place[key] = draw(st.sampled_from(([place[key]], {"offer_state": place[key]}, [place[key], place[key]])))
        elif what == "bare" and isinstance(place[key], dict) and place[key]:
            place[key] = next(iter(place[key].values()))
    return tree[""]


@st.composite
def spelled(draw: Any, value: Any) -> bytes:
    """Draw the bytes of a JSON body: correct, cut, in another encoding, or with bytes added."""
    body = json.dumps(value, ensure_ascii=draw(st.booleans()) or "\\ud" in json.dumps(value)).encode(errors="replace")
    how = draw(st.sampled_from(("right",) * 5 + ("cut", "mark", "byte", "twice", "latin")))
    if how == "cut":
        return body[: draw(st.integers(0, len(body)))]
    if how == "mark":
        return b"\xef\xbb\xbf" + body
    if how == "byte":
        at = draw(st.integers(0, len(body)))
        return body[:at] + draw(st.binary(min_size=1, max_size=2)) + body[at:]
    if how == "twice":
        return body + body if draw(st.booleans()) else body.replace(b"{", b'{"offer_state_id": 8, "member_id": [], ', 1)
    return json.dumps(value, ensure_ascii=False).encode("utf-16" if how == "latin" else "utf-8", errors="replace")


@st.composite
def deep_bodies(draw: Any) -> bytes:
    """Draw a response with one deeply nested field."""
    depth = draw(DEEP)
    name = draw(
        st.sampled_from(
            ("offer_state_id", "member_id", "status", "offer_tags", "custom_data", "surprise", "error", "expires_at")
        )
    )
    opening, closing = draw(st.sampled_from(((b"[", b"]"), (b'{"a":', b"}"))))
    nested = opening * depth + b"1" + closing * depth
    state = (
        b'{"offer_state_id": 7, "member_id": 2, "external_ref_id": "r-1", "' + name.encode() + b'": ' + nested + b"}"
    )
    return draw(
        st.sampled_from(
            (
                b'{"offer_state": ' + state + b"}",
                b'{"total_entries": 1, "offer_states": [' + state + b"]}",
                nested,
                state,
            )
        )
    )


def bodies(kind: str) -> st.SearchStrategy[bytes]:
    """Draw any body for a response of this kind."""
    right = RIGHT[kind]
    return st.one_of(
        st.just(json.dumps(right).encode()),
        mutated(right).flatmap(spelled),
        mutated(right).flatmap(spelled),
        JSON.flatmap(spelled),
        deep_bodies(),
        st.binary(max_size=12),
        st.sampled_from(
            (b"", b"  ", b"null", b"[]", b"{}", b'""', b"NaN", b"[Infinity]", b"1e999", b"-0", b"<html></html>")
        ),
    )


STATUSES = st.sampled_from(
    (
        200,
        200,
        200,
        200,
        201,
        202,
        204,
        206,
        301,
        307,
        400,
        401,
        403,
        404,
        408,
        409,
        418,
        422,
        429,
        451,
        500,
        502,
        503,
        504,
        599,
    )
)
