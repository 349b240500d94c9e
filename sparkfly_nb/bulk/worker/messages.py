"""What travels between the executor and a worker: a shard of rows, and the report that comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...api.retry_policy import RetryPolicy
    from ...frames.builder import FramePart
    from ...http.async_client import AsyncClientConfig

__all__ = [
    "SHARD_SECONDS",
    "ListJob",
    "ListReport",
    "Outcome",
    "Row",
    "RowEvidence",
    "SendJob",
    "SendReport",
    "UnreadMember",
    "WorkerConfig",
]

SHARD_SECONDS: Final = 5.0
"""After this a worker takes no further row and hands the rest back, so that a run can be stopped on any backend."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker works on its shard."""

    client: AsyncClientConfig
    concurrency: int
    rate: float | None
    policy: RetryPolicy
    stop_key: str
    parent_pid: int | None = None
    """The executor's process where the worker is a child of it and has to end with it."""


class Row(NamedTuple):
    """One row as it is sent: its place in the plan and the values by the API's names."""

    position: int
    sent: dict[str, Any]
    resends: int = 0


class Outcome(NamedTuple):
    """What became of one row."""

    position: int
    outcome: str
    http_status: int | None = None
    error: str | None = None
    trace: str | None = None
    attempts: int = 0
    settled_by: str | None = None
    offer_state_id: int | None = None
    member_id: int | None = None
    offer_id: int | None = None
    credential_identifier: str | None = None
    activates_at: str | None = None
    expires_at: str | None = None


class RowEvidence(NamedTuple):
    """What a read-back found for one row: the offer states that are its own, or why it could not be told."""

    position: int
    found: list[dict[str, Any]] | None
    error: str | None = None
    http_status: int | None = None
    trace: str | None = None


class UnreadMember(NamedTuple):
    """A member whose offer states could not be read."""

    member_id: int
    http_status: int | None
    reason: str
    trace: str | None


@dataclass(frozen=True, slots=True)
class SendJob:
    """A shard of rows to change, or to read back."""

    config: WorkerConfig
    operation: str
    shard: int
    rows: Sequence[Row]
    purpose: Literal["change", "readback"] = "change"
    halt_above: float = 1.0
    once_key: str | None = None
    seconds: float = SHARD_SECONDS

    def __repr__(self) -> str:
        return f"SendJob({self.purpose} {self.operation}, shard {self.shard}, {len(self.rows)} rows)"


@dataclass(frozen=True, slots=True)
class ListJob:
    """Members whose offer states are to be listed."""

    config: WorkerConfig
    member_ids: Sequence[int]
    seconds: float = SHARD_SECONDS

    def __repr__(self) -> str:
        return f"ListJob({len(self.member_ids)} members)"


@dataclass(slots=True)
class SendReport:
    """What a worker did with its shard; rows in neither list were not sent."""

    shard: int
    outcomes: list[Outcome] = field(default_factory=list)
    evidence: list[RowEvidence] = field(default_factory=list)
    unauthenticated: bool = False
    tripped: str | None = None
    hindrance: str | None = None
    pause_s: float = 0.0
    begun_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class ListReport:
    """The offer states of some members; `done` are the members that were read or have a reason why not."""

    part: FramePart
    done: list[int]
    unread: list[UnreadMember]
    unauthenticated: bool
    pause_s: float
