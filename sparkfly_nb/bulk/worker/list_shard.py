"""What a joblib worker runs to list offer states; apart from `worker`, since what only sends needs no pandas."""

from __future__ import annotations

from collections import deque

from ...errors import ApiError, SparkflyError
from ...frames.builder import FrameBuilder
from ...http.async_client import open_wire
from ...schema import OFFER_STATE
from .cancellation import Deadline
from .event_loop import in_own_loop
from .messages import ListJob, ListReport, Unread
from .pacing import Pace
from .send_shard import in_lanes
from .state_reader import Reader

__all__ = ["list_members"]


def list_members(wrapped: tuple[ListJob]) -> ListReport:
    """List the offer states of some members."""
    (job,) = wrapped
    deadline = Deadline(job.wiring.stop_key, job.seconds)
    return in_own_loop(lambda: _list(job, deadline), deadline.close)


async def _list(job: ListJob, deadline: Deadline) -> ListReport:
    done: list[int] = []
    unread: list[Unread] = []
    builder = FrameBuilder(OFFER_STATE, where="list_offer_states")
    pace = Pace(job.wiring.concurrency, job.wiring.rate, deadline)
    members = deque(job.member_ids)
    async with open_wire(job.wiring.client) as wire:
        reader = Reader(wire, pace, job.wiring.policy)

        async def read(lane: int, member_id: int) -> bool:
            try:
                builder.add(await reader.states_of(lane, member_id))
            except ApiError as fault:
                unread.append(Unread(member_id, fault.status, fault.reason, fault.trace))
            except SparkflyError as fault:
                unread.append(Unread(member_id, None, str(fault), None))
            done.append(member_id)
            return True

        refused = await in_lanes(members, read, pace, deadline, job.wiring.concurrency)
    return ListReport(builder.part(), done, unread, refused, pace.pause_left_s)
