"""What can go wrong, as a table, and the seeded plan that says to which request it happens."""

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

AUTH: Final = "auth"
"""The name that stands for ``POST /auth`` where a rate is limited to an operation."""

_Stage = Literal["before", "clock", "acting", "page", "content", "answer"]

_READS_PAGES: Final = frozenset({"list_offer_states"})
_ANSWERS_RECORDS: Final = frozenset(name for name, endpoint in ENDPOINTS.items() if endpoint.answer != "nothing")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong with a request.

    Of the faults of one stage at most one happens to a request; faults of different stages can meet.
    """

    stage: _Stage
    help: str
    operations: frozenset[str] | None = None  # None is all of them, and authentication where it is named


FAULTS: Final[dict[str, Fault]] = {
    "drop_before": Fault("before", "nothing is done, and the connection is cut"),
    "connection_refused": Fault(
        "before", "nothing is done, all connections are cut, and new ones refused for half a second unless told"
    ),
    "error_500_before": Fault("before", "nothing is done, and the answer is 500"),
    "status_401": Fault("before", "nothing is done, and the answer is 401, though the token is valid"),
    "token_revoked": Fault("before", "nothing is done, the answer is 401, and the token is at its end"),
    "status_429": Fault("before", "nothing is done, and the answer is 429 with Retry-After in seconds"),
    "status_429_date": Fault("before", "nothing is done, and the answer is 429 with Retry-After as a date"),
    "status_429_bare": Fault("before", "nothing is done, and the answer is 429 without Retry-After"),
    "status_503": Fault("before", "nothing is done, and the answer is 503 with Retry-After in seconds"),
    "status_503_bare": Fault("before", "nothing is done, and the answer is 503 without Retry-After"),
    "clock_skew": Fault("clock", "the request is served by a clock that is wrong, by two hours unless told"),
    "duplicate": Fault("acting", "the service makes two offer states of one request", CREATES),
    "page_repeated": Fault("page", "a page holds entries of the page before, or some of its own twice", _READS_PAGES),
    "page_short": Fault("page", "a page lacks its last entry, and the counts do not tell", _READS_PAGES),
    "page_changing": Fault("page", "the list grows at its front while it is read", _READS_PAGES),
    "wrong_types": Fault(
        "content", "one to three fields of each record hold a value of a wrong type", _ANSWERS_RECORDS
    ),
    "unknown_fields": Fault("content", "each record holds fields that are not documented", _ANSWERS_RECORDS),
    "commit_then_drop": Fault("answer", "it is done, and the connection is cut"),
    "commit_then_500": Fault("answer", "it is done, and the answer is 500"),
    "commit_then_503": Fault("answer", "it is done, and the answer is 503 without Retry-After"),
    "commit_then_hang": Fault("answer", "it is done, and no answer comes, for ten minutes unless told"),
    "half_body": Fault("answer", "it is done, and the connection is cut in the middle of the answer"),
    "wrong_content_type": Fault("answer", "it is done, and a success arrives as a page of HTML"),
    "unreadable_2xx": Fault("answer", "it is done, and a success arrives as JSON that cannot be parsed"),
    "slow_bytes": Fault("answer", "it is done, and the answer arrives byte by byte, in one second unless told"),
}
"""Every fault by name. A rate is given for all eleven operations, or for one as in ``issue_offer:half_body``."""

_STAGES: Final[tuple[_Stage, ...]] = ("before", "clock", "acting", "page", "content", "answer")


@dataclass(frozen=True, slots=True)
class FaultTimes:
    """How long things take when they go wrong, in seconds."""

    hang_s: float = 600.0
    slow_s: float = 1.0
    retry_after_s: float = 1.0
    skew_s: float = 7200.0
    refuse_s: float = 0.5


FAULT_TIMES: Final[dict[str, str]] = {
    "hang_s": "how long commit_then_hang holds the connection",
    "slow_s": "how long slow_bytes takes for an answer",
    "retry_after_s": "what status_429 and status_503 say in Retry-After",
    "skew_s": "how wrong the clock of clock_skew is; below 0 it is late",
    "refuse_s": "how long connection_refused lets nobody in",
}
"""What each of the times means."""


class Draw(NamedTuple):
    """What happens to one request: the fault of each stage, and luck for the details."""

    faults: Mapping[str, str]
    luck: int


_NOTHING: Final = Draw({}, 0)


class FaultPlan:
    """To which requests which faults happen.

    What happens depends on the seed, on what is asked, and on how often it was asked before; not on the order in which
    requests of several clients arrive. So the same run meets the same faults again.

    Parameters
    ----------
    rates : Mapping of str to float
        Name of a fault, or operation and fault as in ``issue_offer:half_body``, to a rate from 0 to 1 per request.
    seed : int
        What the plan is made from.

    Raises
    ------
    InvalidInput
        A fault or an operation is not known, or rates are not between 0 and 1 or add up to more.
    """

    def __init__(self, rates: Mapping[str, float] | None = None, *, seed: int = 0) -> None:
        self.rates = dict(rates or {})
        self.counts: Counter[str] = Counter()
        self._key = seed.to_bytes(16, "big", signed=True)
        self._seen: Counter[bytes] = Counter()
        self._by_operation = {name: _steps(name, self.rates) for name in (*ENDPOINTS, AUTH)}
        for name in self.rates:
            _check_name(name)

    def draw(self, operation: str, *asked: bytes) -> Draw:
        """Say what happens to a request for an operation, from all that makes it this request."""
        steps = self._by_operation[operation]
        if not steps:
            return _NOTHING
        request = hashlib.blake2b(b"\0".join((operation.encode(), *asked)), digest_size=12, key=self._key).digest()
        self._seen[request] += 1
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
        raise InvalidInput(f"fault {fault!r} is not known; use one of {', '.join(FAULTS)}")
    if not separator:
        return
    if operation not in (*ENDPOINTS, AUTH):
        raise InvalidInput(f"operation {operation!r} is not known; use one of {', '.join((*ENDPOINTS, AUTH))}")
    if not _applies(FAULTS[fault], operation):
        raise InvalidInput(f"{fault} cannot happen to {operation}")


def _applies(fault: Fault, operation: str) -> bool:
    return fault.operations is None or operation in fault.operations


def _steps(operation: str, rates: Mapping[str, float]) -> dict[str, list[tuple[str, float]]]:
    """Give, per stage, each fault with the upper end of its part of the range from 0 to 1."""
    steps: dict[str, list[tuple[str, float]]] = {}
    for stage in _STAGES:
        up_to = 0.0
        for name, fault in FAULTS.items():
            if fault.stage != stage or not _applies(fault, operation):
                continue
            # Authentication fails only where it is named: else a high rate would let nobody in.
            general = 0.0 if operation == AUTH else rates.get(name, 0.0)
            rate = rates.get(f"{operation}:{name}", general)
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
                raise InvalidInput(f"the rate of {name} is {rate!r}; give a number from 0 to 1")
            if rate:
                up_to += rate
                steps.setdefault(stage, []).append((name, up_to))
        if up_to > 1 + 1e-9:
            names = ", ".join(name for name, _ in steps[stage])
            raise InvalidInput(f"{operation}: of {names} only one can happen; their rates add up to {up_to:g}, above 1")
    return steps


# ---- altering what is answered ---------------------------------------------------------------------------------------


def alter_page(fault: str, index: dict[str, Any], fetch: Callable[[int], dict[str, Any]]) -> dict[str, Any] | None:
    """Give a page of a listing as a fault has it; None where the page is too small for it.

    Parameters
    ----------
    fault : str
        One of the faults of the stage ``page``.
    index : dict
        The right page.
    fetch : callable
        Gives another page by its number.
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
    shifted = (before[-1:] + entries)[: max(len(entries), 1)] if before else entries
    return {**index, "offer_states": shifted, "total_entries": index["total_entries"] + 1}


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
    "credential_identifier": (9_007_199_254_740_993, None),
}
"""Values of wrong types, per field; keys, status and reference stay right, so that rows can be told apart."""

_NEW_FIELDS: Final[dict[str, Any]] = {
    "loyalty_tier": "gold",
    "wallet": {"apple": True, "ids": [1, 2, 3]},
    "scored_at": "2026-01-01T00:00:00.123456789Z",
    "score": 0.75,
}


def alter_record(fault: str, envelope: dict[str, Any], luck: random.Random) -> dict[str, Any]:
    """Give an offer state, or a receipt, as a fault of the stage ``content`` has it."""
    record = dict(envelope["offer_state"])
    if fault == "unknown_fields":
        record.update(_NEW_FIELDS)
    else:
        names = [name for name in _WRONG_VALUES if name in record]
        for name in luck.sample(names, min(len(names), luck.randint(1, 3))):
            record[name] = luck.choice(_WRONG_VALUES[name])
    return {**envelope, "offer_state": record}
