"""Offer states of many members, read by the workers in blocks so that memory stays bounded."""

from __future__ import annotations

from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import InvalidInput, RequestFailed
from ..frames.builder import FramePart, frame_of, join_parts
from ..frames.input_columns import CellProblem, read_integers
from ..frames.invalid_rows import InvalidCell, invalid_rows, label_at
from ..frames.scalars import shown
from ..schema import OFFER_STATE, UNREAD
from .engine.executor import Backoff, Executor, WorkersLost
from .engine.progress import progress_bar
from .worker.list_shard import list_members
from .worker.messages import ListJob, UnreadMember

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..frames.argument_types import MemberIds

__all__ = ["BLOCK_MEMBERS", "listing_failed", "member_ids_of", "read_blocks"]

#: Members in a block. Their frame is yielded before the next block is read.
BLOCK_MEMBERS: Final = 5_000
#: Members of a shard per concurrent request. A shard opens new connections, so a block should have few shards.
ROUNDS_PER_LANE: Final = 80
#: The problem and the fix of a missing id.
NO_ID: Final = ("the id is missing", "remove the row")


def member_ids_of(members: MemberIds) -> list[int]:
    """Return the distinct ids of a DataFrame with a column ``member_id``, a Series, an Index or a list of ids.

    Raises
    ------
    InvalidInput
        The column ``member_id`` is missing or appears more than once, or `members` is none of these types.
    InvalidRows
        An id is missing or invalid. The report lists the rows.
    """
    if isinstance(members, pd.DataFrame):
        if "member_id" not in members.columns:
            raise InvalidInput(
                "the table needs a column member_id: the service cannot list offer states by member_identifier. "
                "The result of an issue contains member_id for every issued row"
            )
        series: Any = members["member_id"]
        if isinstance(series, pd.DataFrame):
            raise InvalidInput("the table has more than one column member_id; keep one of them")
    elif isinstance(members, pd.Series):
        series = members
    elif isinstance(members, (str, bytes, dict)) or not np.iterable(members):
        raise InvalidInput(f"members must be a DataFrame, a Series or a list of ids, not {shown(members)}")
    else:
        series = pd.Series(list(members), dtype="object")
    read = read_integers(series)
    typed = read.values  # noqa: PD011 - a field of ours
    unreadable = {problem.position for problem in read.problems}
    gaps = np.flatnonzero(typed.isna()).tolist()
    problems = [*read.problems, *(CellProblem(at, None, *NO_ID) for at in gaps if at not in unreadable)]
    if problems:
        wrong = sorted(problems, key=itemgetter(0))  # only by position: values of different types do not compare
        raise invalid_rows(
            f"{len(wrong)} of {len(series)} members cannot be read, so nothing was requested",
            [InvalidCell(label_at(series.index, one.position), "member_id", *one[1:]) for one in wrong],
        )
    ids: list[int] = typed.drop_duplicates().tolist()
    return ids


def read_blocks(
    make_executor: Callable[[], Executor], member_ids: Sequence[int], *, progress: bool
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Read the offer states of members block by block.

    Yields
    ------
    tuple of pandas.DataFrame
        The offer states with the columns of ``schema.OFFER_STATE``, and the members that could not be read with the
        columns of ``schema.UNREAD``.
    """
    with progress_bar(len(member_ids), "list", "member", shown=progress) as bar:
        for first in range(0, len(member_ids), BLOCK_MEMBERS):
            block = member_ids[first : first + BLOCK_MEMBERS]
            executor = make_executor()
            parts, unread = executor.work(lambda: _read_block(executor, block), rows=len(block), label="list")  # noqa: B023
            bar.update(len(block))
            yield (
                join_parts(parts, OFFER_STATE, where="list_offer_states"),
                frame_of([entry._asdict() for entry in unread], UNREAD, where="list_offer_states"),
            )


def _read_block(executor: Executor, members: Sequence[int]) -> tuple[list[FramePart], list[UnreadMember]]:
    """Read members until each one is read or has a reason why it could not be read."""
    backoff = Backoff(executor)
    waiting = dict.fromkeys(members)
    parts: list[FramePart] = []
    unread: list[UnreadMember] = []
    while waiting and not executor.stop.is_set():
        config, generation = executor.worker_config()
        todo = list(waiting)
        size = max(1, min(ROUNDS_PER_LANE * config.concurrency, ceil(len(todo) / executor.workers)))
        jobs = (ListJob(config, todo[first : first + size]) for first in range(0, len(todo), size))
        unauthenticated, pause_s = False, 0.0
        try:
            for report in executor.dispatch(list_members, jobs):
                unauthenticated |= report.unauthenticated
                pause_s = max(pause_s, report.pause_s)
                parts.append(report.part)
                unread += report.unread
                for member_id in report.done:
                    waiting.pop(member_id, None)
        except WorkersLost:
            pass  # reading again is safe, and the backoff gives up after some rounds without progress
        executor.rows_done = len(members) - len(waiting)
        if waiting:
            try:
                backoff.after_round(
                    moved=len(waiting) < len(todo),
                    generation=generation,
                    unauthenticated=unauthenticated,
                    hindrance="no listing got a response",
                    pause_s=pause_s,
                )
            except RequestFailed as fault:
                unread += [UnreadMember(member_id, None, str(fault), None) for member_id in waiting]
                break
    return parts, unread


def listing_failed(unread: pd.DataFrame, members: int) -> str:
    """Return the message of the error for members that could not be read."""
    first = unread.iloc[0]
    return (
        f"{len(unread)} of {members} members could not be read, so no incomplete listing is returned. The first one is "
        f'member {first["member_id"]}: {first["reason"]}. Use errors="collect" to get the members that were read, and '
        'the others in attrs["unread"]'
    )
