"""What a response of the service means. `judge` is the only place that decides what may be sent again. No I/O."""

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
#: Characters of a service's message that are shown.
MESSAGE_CHARACTERS: Final = 1000
BREAKS: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Verdict(enum.Enum):
    """What the status of a response means for its request."""

    DONE = "done"  # read the body; if it cannot be read, a change is UNKNOWN
    ALREADY = "already"  # a void that was done before
    UNAUTHENTICATED = "unauthenticated"  # not processed: authenticate, then send again
    SLOW_DOWN = "slow down"  # not processed: wait and send again
    RESEND = "resend"  # may have been processed, and doing it again changes nothing
    REFUSED = "refused"  # not processed, and never will be
    UNKNOWN = "unknown"  # may have been processed: check before sending again


def judge(endpoint: Endpoint, status: int, *, has_retry_after: bool) -> Verdict:
    """Return what the status of a response means for its request."""
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
    elif endpoint.effect == "void":
        # A redirect or a 202 may follow a void that was done, and any 5xx may hide one.
        verdict = Verdict.RESEND
    else:
        verdict = Verdict.RESEND if status in (408, 500, 502, 503, 504) else Verdict.REFUSED
    return verdict


def read_json(body: bytes) -> Any:
    """Parse a body.

    Raises
    ------
    UnreadableAnswer
        The body is not JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise UnreadableAnswer(f"the response is not JSON ({len(body)} bytes)") from None


def read_records(parsed: Any) -> list[dict[str, Any]]:
    """Return the offer states in any response: one or many, wrapped or bare, index or list.

    Raises
    ------
    UnreadableAnswer
        The response contains something that is not an offer state.
    """
    if isinstance(parsed, dict) and "offer_states" in parsed:
        entries = parsed["offer_states"]
    else:
        entries = parsed if isinstance(parsed, list) else [parsed]
    if not isinstance(entries, list):
        raise UnreadableAnswer(f"offer_states is {type(entries).__name__}, not a list")
    records: list[Any] = [entry.get("offer_state", entry) if isinstance(entry, dict) else None for entry in entries]
    if not set(map(type, records)) <= {dict} or not all("offer_state_id" in each or "id" in each for each in records):
        raise UnreadableAnswer("the response contains an entry that is not an offer state")
    return records


def read_receipt(parsed: Any) -> dict[str, Any]:
    """Return the record of a change from its response, with ``id`` renamed to ``offer_state_id``.

    Raises
    ------
    UnreadableAnswer
        The response names no offer state, or errors beside it, and so proves nothing.
    """
    records = read_records(parsed)
    if len(records) != 1:
        raise UnreadableAnswer(f"the response contains {len(records)} offer states instead of one")
    record = records[0]
    if "offer_state_id" not in record:
        record = {"offer_state_id": record["id"], **record}
        del record["id"]
    key = record["offer_state_id"]
    errors = parsed.get("errors") if isinstance(parsed, dict) else None
    if errors:
        raise UnreadableAnswer(f"the response contains errors: {in_words(errors)[:200]}")
    is_number = type(key) is int or (isinstance(key, str) and re.fullmatch("[0-9]{1,19}", key, re.ASCII))
    if not is_number or not 0 <= int(key) < 2**63:
        raise UnreadableAnswer("the response names no offer state")
    return record


class ListingPage(NamedTuple):
    """One page of a listing."""

    records: list[dict[str, Any]]
    page: int | None
    per_page: int | None
    total_entries: int | None
    total_pages: int | None


def read_index(parsed: Any) -> ListingPage:
    """Parse one page of a listing. A bare list counts as a page without counts.

    Raises
    ------
    UnreadableAnswer
        The response is not an index.
    """
    counts: list[int | None] = [None] * 4
    if isinstance(parsed, dict):
        if "offer_states" not in parsed and "offer_state" not in parsed and "offer_state_id" not in parsed:
            raise UnreadableAnswer("the response is not an index: it has no offer_states")
        for at, name in enumerate(("page", "per_page", "total_entries", "total_pages")):
            value = parsed.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                counts[at] = value
    return ListingPage(read_records(parsed), *counts)


def read_success(endpoint: Endpoint, body: bytes) -> Any:
    """Parse the body of a success as the operation documents it.

    Returns
    -------
    dict, list of dict, ListingPage or None
        A change's record, a read's offer states, a page of a listing, or None for an empty body.

    Raises
    ------
    UnreadableAnswer
        The body is something else. For a change, this proves nothing.
    """
    if endpoint.answer == "nothing" and not body.strip():
        return None
    parsed = read_json(body)
    if endpoint.answer == "nothing":
        error = isinstance(parsed, dict) and (parsed.get("error") or parsed.get("errors"))
        if error:
            raise UnreadableAnswer(f"the response contains an error: {in_words(error)[:200]}")
        return None
    if endpoint.answer == "offer_states":
        return read_index(parsed)
    return read_receipt(parsed) if endpoint.effect == "change" else read_records(parsed)


def read_refusal(status: int, body: bytes) -> tuple[str, str | None]:
    """Return the message and the trace of a response that is not a success, whatever its shape."""
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
    """Return what a service said, whatever its shape, as one line without control characters."""
    # A terminal obeys control characters, and a line break looks like the start of another log entry.
    if not isinstance(said, str):
        try:
            said = orjson.dumps(said).decode()
        except orjson.JSONEncodeError:  # orjson and str() read deeper nesting than they write
            return "a value that is nested too deeply to be shown"
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
    """Build the error of a refusal."""
    reason, trace = read_refusal(status, body)
    kind = API_ERRORS.get(status, ServerError if status >= 500 else ApiError)
    return kind(status, reason, trace=trace, method=request.method, path=request.path)


def outcome_unknown(
    endpoint: Endpoint, request: Request, sent: Mapping[str, Any], why: str, status: int | None = None
) -> OutcomeUnknown:
    """Build the error of a lost response, with the call that shows what happened."""
    readback = read_back_of(sent).line
    return OutcomeUnknown(why, method=endpoint.method, path=request.path, status=status, readback=readback)
