"""What an answer of the service means: the one place that decides what may be sent again. No I/O."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from ..errors import API_ERRORS, ApiError, OutcomeUnknown, ServerError, UnreadableAnswer
from ..schema import INT64_MAX, INT64_MIN
from .readback import read_back_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .endpoints import Endpoint
    from .request import Request

__all__ = [
    "MAX_RESPONSE_BYTES",
    "ListingPage",
    "Verdict",
    "api_error",
    "id_in",
    "in_words",
    "judge",
    "outcome_unknown",
    "read_index",
    "read_json",
    "read_receipt",
    "read_records",
    "read_refusal",
    "read_success",
    "text_in",
]


#: The longest body that is read, after decompression.
MAX_RESPONSE_BYTES: Final = 256 * 2**20
MESSAGE_CHARACTERS: Final = 1000
"""So much of a message is shown."""
BREAKS: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Verdict(enum.Enum):
    """What the status of an answer means for the request that it answers."""

    DONE = "done"  # read the body; if it cannot be read, a change is UNKNOWN
    ALREADY = "already"  # a void that was done before
    UNAUTHENTICATED = "unauthenticated"  # not processed: authenticate and send again
    SLOW_DOWN = "slow down"  # not processed: wait and send again
    RESEND = "resend"  # may have been processed, and doing so again changes nothing
    REFUSED = "refused"  # not processed, and never will be
    UNKNOWN = "unknown"  # may have been processed: look before sending again


def judge(endpoint: Endpoint, status: int, *, has_retry_after: bool) -> Verdict:
    """Say what an answer's status means: the one place that decides whether something may be sent again."""
    if status in (200, 201, endpoint.success) or (endpoint.effect == "void" and status == 204):
        verdict = Verdict.DONE
    elif status == 401:
        verdict = Verdict.UNAUTHENTICATED
    elif status == 429 or (status == 503 and has_retry_after):
        verdict = Verdict.SLOW_DOWN
    elif status == 422 and endpoint.effect == "void":
        verdict = Verdict.ALREADY
    elif 400 <= status < 500 and status != 408:
        verdict = Verdict.REFUSED
    elif endpoint.effect == "change":
        verdict = Verdict.UNKNOWN
    elif endpoint.effect == "void":  # a redirect or a 202 may follow what was done, and a 5xx of any number hide it
        verdict = Verdict.RESEND
    else:
        verdict = Verdict.RESEND if status in (408, 500, 502, 503, 504) else Verdict.REFUSED
    return verdict


def read_json(body: bytes) -> Any:
    """Parse a body.

    Raises
    ------
    UnreadableAnswer
        It is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableAnswer(f"the answer is not JSON ({len(body)} bytes)") from None


def read_records(parsed: Any) -> list[dict[str, Any]]:
    """Take the offer states out of any answer: one or many, wrapped or bare, index or list.

    Raises
    ------
    UnreadableAnswer
        The answer holds something that is no offer state.
    """
    if isinstance(parsed, dict) and "offer_states" in parsed:
        entries = parsed["offer_states"]
    else:
        entries = parsed if isinstance(parsed, list) else [parsed]
    if not isinstance(entries, list):
        raise UnreadableAnswer(f"offer_states is {type(entries).__name__}, not a list")
    records: list[Any] = [entry.get("offer_state", entry) if isinstance(entry, dict) else None for entry in entries]
    if not set(map(type, records)) <= {dict} or not all("offer_state_id" in each or "id" in each for each in records):
        raise UnreadableAnswer("the answer holds an entry that is no offer state")
    return records


def read_receipt(parsed: Any) -> dict[str, Any]:
    """Take what was issued or changed out of the answer to a change; ``id`` is renamed to ``offer_state_id``.

    Raises
    ------
    UnreadableAnswer
        The answer does not name the offer state, or names errors next to it: it proves nothing.
    """
    records = read_records(parsed)
    if len(records) != 1:
        raise UnreadableAnswer(f"the answer names {len(records)} offer states instead of one")
    record = records[0]
    if "offer_state_id" not in record:
        record = {"offer_state_id": record["id"], **record}
        del record["id"]
    key = record["offer_state_id"]
    errors = parsed.get("errors") if isinstance(parsed, dict) else None
    if errors:
        raise UnreadableAnswer(f"the answer names errors: {in_words(errors)[:200]}")
    is_number = type(key) is int or (isinstance(key, str) and re.fullmatch("[0-9]{1,19}", key, re.ASCII))
    if not is_number or not 0 <= int(key) < 2**63:
        raise UnreadableAnswer("the answer names no offer state")
    return record


class ListingPage(NamedTuple):
    """One page of a listing."""

    records: list[dict[str, Any]]
    page: int | None
    per_page: int | None
    total_entries: int | None
    total_pages: int | None


def read_index(parsed: Any) -> ListingPage:
    """Read one page of a listing; a bare list counts as a page that says nothing about itself.

    Raises
    ------
    UnreadableAnswer
        The answer is no index.
    """
    counts: list[int | None] = [None] * 4
    if isinstance(parsed, dict):
        if "offer_states" not in parsed and "offer_state" not in parsed and "offer_state_id" not in parsed:
            raise UnreadableAnswer("the answer is no index: it holds no offer_states")
        for at, name in enumerate(("page", "per_page", "total_entries", "total_pages")):
            value = parsed.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                counts[at] = value
    return ListingPage(read_records(parsed), *counts)


def read_success(endpoint: Endpoint, body: bytes) -> Any:
    """Read the body of a success as the operation promises it.

    Returns
    -------
    dict, list of dict, ListingPage or None
        A change's receipt, a read's offer states, a page of a listing, or nothing.

    Raises
    ------
    UnreadableAnswer
        It is something else: of a change it proves nothing.
    """
    if endpoint.answer == "nothing" and not body.strip():
        return None
    parsed = read_json(body)
    if endpoint.answer == "nothing":
        said = isinstance(parsed, dict) and (parsed.get("error") or parsed.get("errors"))
        if said:
            raise UnreadableAnswer(f"the answer holds an error: {in_words(said)[:200]}")
        return None
    if endpoint.answer == "offer_states":
        return read_index(parsed)
    return read_receipt(parsed) if endpoint.effect == "change" else read_records(parsed)


def read_refusal(status: int, body: bytes) -> tuple[str, str | None]:
    """Take the message and the trace out of an answer that is no success, whatever its shape."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    message, trace = None, None
    if isinstance(parsed, dict):
        message = parsed.get("error") or parsed.get("errors") or parsed.get("message")
        trace = parsed.get("trace")
    if not message:
        message = _standard_reason(status)
    trace = in_words(trace[:MESSAGE_CHARACTERS])[:200] if isinstance(trace, str) else None
    return in_words(message), trace or None


def in_words(said: Any) -> str:
    """Show what somebody else said, whatever its shape, on one line.

    A terminal obeys control characters, and a line break begins what looks like another entry of a log.
    """
    if not isinstance(said, str):
        try:
            said = orjson.dumps(said).decode()
        except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes, and so does str()
            return "something nested too deeply to be shown"
    one_line = BREAKS.sub(" ", said[:MESSAGE_CHARACTERS])
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", one_line)


def id_in(value: object) -> int | None:
    """Return a 64-bit id of a record as a number; None for anything else."""
    if type(value) is int:
        number = value
    elif isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            return None
    else:
        return None
    return number if INT64_MIN <= number <= INT64_MAX else None


def text_in(value: object) -> str | None:
    """Return a text of a record as databases can store it, without NUL; None for anything else."""
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else None


def _standard_reason(status: int) -> str:
    if 300 <= status < 400:
        return "the service redirects elsewhere; redirects are not followed, check base_url"
    return {
        401: "the token is invalid or has expired",
        403: "not permitted",
        404: "not found",
        422: "not possible in this state",
        429: "too many requests",
    }.get(status, "the service gave no reason")


def api_error(request: Request, status: int, body: bytes) -> ApiError:
    """Make the error of a refusal."""
    reason, trace = read_refusal(status, body)
    kind = API_ERRORS.get(status, ServerError if status >= 500 else ApiError)
    return kind(status, reason, trace=trace, method=request.method, path=request.path)


def outcome_unknown(
    endpoint: Endpoint, request: Request, sent: Mapping[str, Any], why: str, status: int | None = None
) -> OutcomeUnknown:
    """Make the error of a lost answer, with the call that shows what happened."""
    readback = read_back_of(sent).line
    return OutcomeUnknown(why, method=endpoint.method, path=request.path, status=status, readback=readback)
