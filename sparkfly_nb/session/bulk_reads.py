"""The bulk reads of a Session, and its plans and runs as frames. Nothing here changes anything at the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ..bulk.listing import listing_failed, member_ids_of, read_blocks
from ..bulk.options import BulkOptions
from ..bulk.plan.preview import expired_rows, held_rows, issued_rows, preview_frame
from ..bulk.result_frames import result_frame, runs_frame
from ..bulk.runs import run_name
from ..errors import IncompleteListing, InvalidInput
from ..frames.builder import empty_frame
from ..schema import OFFER_STATE, UNREAD
from .core import SessionCore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


__all__ = ["BulkReads"]


class BulkReads(SessionCore):
    """List many members, preview, and look at runs; a part of the Session."""

    def list_many(
        self,
        members: Any,
        *,
        errors: Literal["raise", "collect"] = "raise",
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> pd.DataFrame:
        """List all offer states of many members.

        Parameters
        ----------
        members : DataFrame, Series, Index or list
            ``member_id`` of each member; a member given twice is listed once.
        errors : {"raise", "collect"}
            What happens when some members cannot be read: an error, or the others are returned and
            ``attrs["unread"]`` holds, as a list of dicts, ``member_id``, ``http_status``, ``reason`` and ``trace``.
        concurrency, rate, n_jobs, progress
            As in `issue_many`.

        Returns
        -------
        pandas.DataFrame
            One row per offer state, with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        InvalidInput, InvalidRows
            The members cannot be understood; nothing was asked.
        IncompleteListing
            Members could not be read, and `errors` is ``"raise"``.

        Notes
        -----
        The API operation is ``list_offer_states``.
        """
        if errors not in ("raise", "collect"):
            raise InvalidInput(f"errors={errors!r} is not known; use 'raise' or 'collect'")
        ids = member_ids_of(members)
        options = BulkOptions(concurrency, rate, n_jobs, progress=False)
        frames, unread_frames = [empty_frame(OFFER_STATE)], [empty_frame(UNREAD)]
        for states, unread in read_blocks(lambda: self._runs.executor(options), ids, progress=progress):
            frames.append(states)
            unread_frames.append(unread)
        unread = _joined(unread_frames)
        if len(unread) and errors == "raise":
            raise IncompleteListing(listing_failed(unread, len(ids)))
        result = _joined(frames)
        result.attrs["unread"] = unread.astype("object").where(unread.notna(), None).to_dict("records")
        return result

    def _read_states(
        self, member_ids: Sequence[int], *, concurrency: int = 64, n_jobs: int | None = None, progress: bool = True
    ) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """List the offer states of many members block by block, for what would not fit into memory at once.

        Parameters
        ----------
        member_ids : sequence of int
            Different members.
        concurrency, n_jobs, progress
            As in `issue_many`.

        Yields
        ------
        tuple of pandas.DataFrame
            Offer states by ``schema.OFFER_STATE``, and members that could not be read by ``schema.UNREAD``.
        """
        options = BulkOptions(concurrency, None, n_jobs, progress=False)
        yield from read_blocks(lambda: self._runs.executor(options), member_ids, progress=progress)

    def preview_issue(
        self,
        df: pd.DataFrame,
        campaign_id: str,
        *,
        run: str | None = None,
        allow_duplicates: bool = False,
        check_live: bool = False,
        progress: bool = True,
    ) -> pd.DataFrame:
        """Show what `issue_many` would do, row by row, without a request that changes anything.

        Parameters
        ----------
        df, campaign_id, run, allow_duplicates
            As in `issue_many`.
        check_live : bool
            Whether to ask the service which members hold a live offer state of the campaign already; members known
            by identifier only cannot be asked for.
        progress : bool
            Whether to show a bar while the service is asked.

        Returns
        -------
        pandas.DataFrame
            In the index and order of `df`: ``verdict`` (``valid``, ``invalid``, ``duplicate``, ``inverted dates``,
            ``expired``, ``already issued``, ``already holding``), ``problem`` with the fix, and the values that would
            be sent. ``attrs["digest"]`` is what ``issue_many(..., approve=)`` takes.

        Raises
        ------
        InvalidInput
            The frame lacks a column.
        IncompleteListing
            `check_live`, and a member could not be read.
        """
        plan = self._runs.plan("issue", df, campaign_id=campaign_id, allow_duplicates=allow_duplicates)
        now = pd.Timestamp.now("UTC")
        known = self._runs.known(plan, run)
        problems = [*plan.problems, *expired_rows(plan, now)]
        if not allow_duplicates:
            run_no = known.run_no if known else 0
            elsewhere = self._runs.ledger.issued_elsewhere(self.settings.base_url, str(plan.campaign_id), run_no)
            problems += issued_rows(plan, elsewhere)
        if check_live and "member_id" in plan.columns:
            states = self.list_many(plan.columns["member_id"].dropna(), progress=progress)
            problems += held_rows(plan, states, now)
        return preview_frame(plan, problems, known.run if known else run_name(plan, run))

    def runs(self) -> pd.DataFrame:
        """List the runs of the ledger, newest first.

        Returns
        -------
        pandas.DataFrame
            ``run, operation, campaign_id, rows, done, rejected, unknown, planned, started_at, environment, address,
            user, host, version, reason, undoes, digest``.

        Raises
        ------
        LedgerError
            The ledger cannot be read.
        """
        return runs_frame(self._runs.ledger)

    def run(self, run: str) -> pd.DataFrame:
        """Give the result of a run as the ledger has it, also from another kernel; nothing is asked or sent.

        Parameters
        ----------
        run : str
            The run, as in ``result.attrs["run"]`` or ``runs()``.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`, indexed by the row's number from 0.

        Raises
        ------
        LedgerError
            There is no such run.
        """
        return result_frame(self._runs.ledger, self._runs.find(run))

    def settle(self, run: str, *, progress: bool = True, settle_pause: float = 2.0) -> pd.DataFrame:
        """Read back the unknown rows of a run; nothing is sent.

        Rows that surely did not happen become ``planned``, as do voids that cannot be told, since a void may be sent
        twice: running the same call again sends them.

        Parameters
        ----------
        run : str
            The run.
        progress : bool
            Whether to show a bar.
        settle_pause : float
            Seconds before the first look and before the second.

        Returns
        -------
        pandas.DataFrame
            As in `run`.

        Raises
        ------
        LedgerError
            There is no such run, or it was made at another service.
        """
        return self._runs.settle(run, BulkOptions(progress=progress, settle_pause=settle_pause))

    @property
    def ledger(self) -> str:
        """Where the ledger is: a path, or an address without its password."""
        return str(self._runs.ledger)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put typed frames together; extra columns go to the end."""
    full = [frame for frame in frames if len(frame)]
    if len(full) > 1:
        return pd.concat(full, ignore_index=True)
    return full[0] if full else frames[0]
