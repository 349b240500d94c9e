"""The faults that the sandbox can inject, and the seeded plan that picks the requests they affect."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..api.endpoints import ENDPOINTS
from ..errors import InvalidInput
from .operations import CREATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["AUTH", "FAULTS", "FAULT_TIMES", "Draw", "Fault", "FaultPlan", "FaultTimes", "alter_page", "alter_record"]

#: The operation name of ``POST /auth`` in a rate such as ``auth:status_503``.
AUTH: Final = "auth"

_Stage = Literal["before", "clock", "acting", "page", "content", "response"]

_READS_PAGES: Final = frozenset({"list_offer_states"})
_RETURNS_RECORDS: Final = frozenset(name for name, endpoint in ENDPOINTS.items() if endpoint.answer != "nothing")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    At most one fault of each stage affects a request. Faults of different stages can combine.
    """

    stage: _Stage
    #: The line that ``--help`` shows.
    help: str
    #: The operations that the fault can affect. None means all, and authentication if a rate names ``auth``.
    operations: frozenset[str] | None = None


#: Each fault by name. A rate applies to all eleven operations, or to one, as in ``issue_offer:half_body``.
FAULTS: Final[dict[str, Fault]] = {
    "drop_before": Fault("before", "nothing changes; the connection closes without a response"),
    "connection_refused": Fault(
        "before", "nothing changes; all connections close, and new ones are refused for half a second by default"
    ),
    "error_500_before": Fault("before", "nothing changes; the response is 500"),
    "status_401": Fault("before", "nothing changes; the response is 401, and the token stays valid"),
    "token_revoked": Fault("before", "nothing changes; the response is 401, and the token becomes invalid"),
    "status_429": Fault("before", "nothing changes; the response is 429 with Retry-After in seconds"),
    "status_429_date": Fault("before", "nothing changes; the response is 429 with Retry-After as a date"),
    "status_429_bare": Fault("before", "nothing changes; the response is 429 without Retry-After"),
    "status_503": Fault("before", "nothing changes; the response is 503 with Retry-After in seconds"),
    "status_503_bare": Fault("before", "nothing changes; the response is 503 without Retry-After"),
    "clock_skew": Fault("clock", "the service's clock is wrong for this request, by two hours by default"),
    "duplicate": Fault("acting", "one request creates two offer states", CREATES),
    "page_repeated": Fault("page", "a page repeats entries of the page before, or its own", _READS_PAGES),
    "page_short": Fault("page", "a page lacks its last entry, and the totals do not show that", _READS_PAGES),
    "page_changing": Fault("page", "entries appear at the front of the list while the client reads it", _READS_PAGES),
    "wrong_types": Fault(
        "content", "one to three fields of each record have a value of the wrong type", _RETURNS_RECORDS
    ),
    "unknown_fields": Fault("content", "each record has undocumented fields", _RETURNS_RECORDS),
    "commit_then_drop": Fault("response", "the change is made; the connection closes without a response"),
    "commit_then_500": Fault("response", "the change is made; the response is 500"),
    "commit_then_503": Fault("response", "the change is made; the response is 503 without Retry-After"),
    "commit_then_hang": Fault("response", "the change is made; no response arrives for ten minutes by default"),
    "half_body": Fault("response", "the change is made; the connection closes in the middle of the response"),
    "wrong_content_type": Fault("response", "the change is made; a success arrives as an HTML page"),
    "unreadable_2xx": Fault("response", "the change is made; a success arrives as malformed JSON"),
    "slow_bytes": Fault("response", "the change is made; the response arrives slowly, within one second by default"),
}

_STAGES: Final[tuple[_Stage, ...]] = ("before", "clock", "acting", "page", "content", "response")


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """The times that some faults use, in seconds."""

    hang_s: float = 600.0
    slow_s: float = 1.0
    retry_after_s: float = 1.0
    skew_s: float = 7200.0
    refuse_s: float = 0.5


#: The help text of each field of `FaultTimes`.
FAULT_TIMES: Final[dict[str, str]] = {
    "hang_s": "how long commit_then_hang keeps the connection open",
    "slow_s": "how long a response takes with slow_bytes",
    "retry_after_s": "the Retry-After of status_429, status_429_date and status_503",
    "skew_s": "the error of the clock with clock_skew; negative values set it back",
    "refuse_s": "how long connection_refused refuses connections",
}


class Draw(NamedTuple):
    """The faults of one request."""

    #: Stage to fault.
    faults: Mapping[str, str]
    #: The seed for details, such as which fields get a wrong type.
    luck: int


_NOTHING: Final = Draw({}, 0)


class FaultPlan:
    """The choice of the requests that faults affect.

    The choice depends on the seed, the request, and how often the same request arrived before. It does not depend on
    the order in which requests of several clients arrive, so that a repeated run gets the same faults.

    Parameters
    ----------
    rates : Mapping of str to float
        The rate per request, from 0 to 1, by fault, or by operation and fault as in ``issue_offer:half_body``.
    seed : int
        The random seed.

    Raises
    ------
    InvalidInput
        A fault or an operation is unknown, or a rate or the sum of a stage's rates is not between 0 and 1.
    """

    def __init__(self, rates: Mapping[str, float] | None = None, *, seed: int = 0) -> None:
        self.rates = dict(rates or {})
        self.counts: Counter[str] = Counter()
        self._key = seed.to_bytes(16, "big", signed=True)
        self._seen: Counter[bytes] = Counter()
        self._by_operation = {name: _steps(name, self.rates) for name in (*ENDPOINTS, AUTH)}
        for name in self.rates:
            _check_name(name)

    def draw(self, operation: str, *identity: bytes) -> Draw:
        """Choose the faults of one request, identified by its operation, address and body."""
        steps = self._by_operation[operation]
        if not steps:
            return _NOTHING
        request = hashlib.blake2b(b"\0".join((operation.encode(), *identity)), digest_size=12, key=self._key).digest()
        self._seen[request] += 1
        # The count is part of the seed. Otherwise a retry would always get the same fault again.
        seed = int.from_bytes(request, "big") << 32 | self._seen[request]
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        faults = {}
        for stage, choices in steps.items():
            point = chance.random()
            for name, up_to in choices:
                if point < up_to:
                    faults[stage] = name
                    break
        return Draw(faults, seed)


def _check_name(name: str) -> None:
    operation, separator, fault = name.rpartition(":")
    if fault not in FAULTS:
        raise InvalidInput(f"unknown fault {fault!r}; use one of {', '.join(FAULTS)}")
    if not separator:
        return
    if operation not in (*ENDPOINTS, AUTH):
        raise InvalidInput(f"unknown operation {operation!r}; use one of {', '.join((*ENDPOINTS, AUTH))}")
    if not _applies(FAULTS[fault], operation):
        raise InvalidInput(f"{fault} cannot affect {operation}; use one of {', '.join(FAULTS[fault].operations or ())}")


def _applies(fault: Fault, operation: str) -> bool:
    return fault.operations is None or operation in fault.operations


def _steps(operation: str, rates: Mapping[str, float]) -> dict[str, list[tuple[str, float]]]:
    """Return the faults of each stage with the cumulative sum of their rates."""
    steps: dict[str, list[tuple[str, float]]] = {}
    for stage in _STAGES:
        up_to = 0.0
        for name, fault in FAULTS.items():
            if fault.stage != stage or not _applies(fault, operation):
                continue
            # A general rate does not apply to authentication. Otherwise no client could connect at a high rate.
            general = 0.0 if operation == AUTH else rates.get(name, 0.0)
            rate = rates.get(f"{operation}:{name}", general)
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
                raise InvalidInput(f"the rate of {name} is {rate!r}; use a number from 0 to 1")
            if rate:
                up_to += rate
                steps.setdefault(stage, []).append((name, up_to))
        if up_to > 1 + 1e-9:
            names = ", ".join(name for name, _ in steps[stage])
            raise InvalidInput(
                f"{operation}: only one of {names} can affect a request, and their rates add up to {up_to:g}; "
                "lower them to a sum of at most 1"
            )
    return steps


# ---- altering responses ----------------------------------------------------------------------------------------------


def alter_page(fault: str, index: dict[str, Any], fetch: Callable[[int], dict[str, Any]]) -> dict[str, Any] | None:
    """Return a page of a listing with a fault, or None if the page is too small for the fault.

    Parameters
    ----------
    fault : str
        A fault of the stage ``page``.
    index : dict
        The correct page.
    fetch : callable
        Returns another page by its number.
    """
    entries, page = index["offer_states"], index["page"]
    if fault == "page_short":
        return {**index, "offer_states": entries[:-1]} if entries else None
    before = fetch(page - 1)["offer_states"] if page > 1 else []
    if fault == "page_repeated":
        if before:
            return {**index, "offer_states": before[: len(entries)] if entries else before}
        half = len(entries) // 2
        return {**index, "offer_states": entries[: len(entries) - half] + entries[:half]} if half else None
    # A new entry at the front moves the last entry of each page to the next page.
    shifted = (before[-1:] + entries)[: max(len(entries), 1)] if before else entries
    return {**index, "offer_states": shifted, "total_entries": index["total_entries"] + 1}


# Keys, status and reference stay correct, so that a test can still tell the rows apart.
_WRONG_VALUES: Final[dict[str, tuple[Any, ...]]] = {
    "value": ("a lot", 1.5, [], 2**64 - 1),
    "offer_value_required": (True, "ten", {}),
    "locked": ("no", 0, "maybe"),
    "is_reward": ("yes", 1),
    "created_at": (17, "yesterday", {}),
    "updated_at": (1_767_225_600, "2026-13-45T99:99:99Z", True),
    "activates_at": ("", "soon", 4e300),
    "expires_at": ("never", -1, []),
    "offer_name": (7, {"en": "Coffee"}, ["Coffee"]),
    "custom_data": ({"a": [1, None]}, 3),
    "offer_activities": ("none", None, {"0": {}}),
    "offer_tags": (None, "drinks", 0),
    "credential_identifier": (9_007_199_254_740_993, None),  # 2**53 + 1, which a float cannot represent
}

_NEW_FIELDS: Final[dict[str, Any]] = {
    "loyalty_tier": "gold",
    "wallet": {"apple": True, "ids": [1, 2, 3]},
    "scored_at": "2026-01-01T00:00:00.123456789Z",
    "score": 0.75,
}


def alter_record(fault: str, envelope: dict[str, Any], luck: random.Random) -> dict[str, Any]:
    """Return an offer state or a receipt with a fault of the stage ``content``."""
    record = dict(envelope["offer_state"])
    if fault == "unknown_fields":
        record.update(_NEW_FIELDS)
    else:
        names = [name for name in _WRONG_VALUES if name in record]
        for name in luck.sample(names, min(len(names), luck.randint(1, 3))):
            record[name] = luck.choice(_WRONG_VALUES[name])
    return {**envelope, "offer_state": record}
