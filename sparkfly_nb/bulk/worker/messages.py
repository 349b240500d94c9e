"""What travels between the executor and a worker: a shard of rows, and the report that comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...api.retry_policy import RetryPolicy
    from ...frames.builder import FramePart
    from ...http.async_client import AsyncClientConfig
    from ..records import Outcome, Row, RowEvidence

__all__ = ["SHARD_SECONDS", "ListJob", "ListReport", "SendJob", "SendReport", "UnreadMember", "WorkerConfig"]

#: After this time a worker starts no further row and hands the rest back. Backends without an event to stop workers
#: in other processes or on other machines are stopped this way.
SHARD_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How a worker works on its shard."""

    client: AsyncClientConfig
    concurrency: int
    rate: float | None
    policy: RetryPolicy
    stop_key: str
    #: The executor's process, if the worker is a child of it and must end with it.
    parent_pid: int | None = None


class UnreadMember(NamedTuple):
    """A member whose offer states could not be read."""

    member_id: int
    http_status: int | None
    reason: str
    trace: str | None


@dataclass(frozen=True, slots=True)
class SendJob:
    """A shard of rows to change, or to check against the service."""

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
    #: Whether the service refused the token.
    unauthenticated: bool = False
    #: Why the run must halt, if too many rows failed.
    tripped: str | None = None
    #: Why rows were handed back, if the service was out of reach or asked for a pause.
    hindrance: str | None = None
    #: Seconds that the service asked to wait before the next request.
    pause_s: float = 0.0
    #: Whether another worker started this shard before. Its rows may have been sent.
    begun_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class ListReport:
    """The offer states of some members; `done` are the members that were read or have a reason why not."""

    part: FramePart
    done: list[int]
    unread: list[UnreadMember]
    unauthenticated: bool
    pause_s: float
