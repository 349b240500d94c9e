"""The function that a joblib worker runs to list offer states; unlike `send_shard` it needs pandas."""

from __future__ import annotations

from collections import deque

from ...errors import ApiError, SparkflyError
from ...frames.builder import FrameBuilder
from ...http.async_client import open_client
from ...schema import OFFER_STATE
from .cancellation import Deadline
from .event_loop import run_in_own_loop
from .messages import ListJob, ListReport, UnreadMember
from .pacing import Pacer
from .send_shard import in_lanes
from .state_reader import StateReader

__all__ = ["list_members"]


def list_members(wrapped: tuple[ListJob]) -> ListReport:
    """List the offer states of some members."""
    (job,) = wrapped
    deadline = Deadline(job.config.stop_key, job.seconds)
    return run_in_own_loop(lambda: _list(job, deadline), deadline.close)


async def _list(job: ListJob, deadline: Deadline) -> ListReport:
    done: list[int] = []
    unread: list[UnreadMember] = []
    builder = FrameBuilder(OFFER_STATE, where="list_offer_states")
    pacer = Pacer(job.config.concurrency, job.config.rate, deadline)
    members = deque(job.member_ids)
    async with open_client(job.config.client) as client:
        reader = StateReader(client, pacer, job.config.policy)

        async def read(lane: int, member_id: int) -> bool:
            try:
                builder.add(await reader.states_of(lane, member_id))
            except ApiError as error:
                unread.append(UnreadMember(member_id, error.status, error.reason, error.trace))
            except SparkflyError as error:
                unread.append(UnreadMember(member_id, None, str(error), None))
            done.append(member_id)
            return True

        refused = await in_lanes(members, read, pacer, deadline, job.config.concurrency)
    return ListReport(builder.part(), done, unread, refused, pacer.pause_left_s)
