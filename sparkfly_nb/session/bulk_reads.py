"""The bulk reads of a Session: listings, previews, and the runs of the ledger. Nothing here changes the service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

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

    from ..frames.argument_types import MemberIds

__all__ = ["BulkReads"]


class BulkReads(SessionCore):
    """The part of the Session that lists many members, previews an issue, and shows runs."""

    def list_many(
        self,
        members: MemberIds,
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
        members : DataFrame, Series, Index, array or list
            The members: a DataFrame with a column ``member_id``, or Sparkfly's member IDs. A member that appears twice
            is listed once.
        errors : {"raise", "collect"}
            What to do if some members cannot be read: raise an error, or return the others and put these into
            ``attrs["unread"]``, a list of dicts with ``member_id``, ``http_status``, ``reason`` and ``trace``.
        concurrency, rate, n_jobs, progress
            As in `issue_many`; the progress bar counts members.

        Returns
        -------
        pandas.DataFrame
            One row per offer state, with the columns and dtypes of ``schema.OFFER_STATE``.

        Raises
        ------
        InvalidInput, InvalidRows
            The members cannot be read. No request was sent.
        IncompleteListing
            Members could not be read, and `errors` is ``"raise"``.

        Notes
        -----
        The API operation is ``list_offer_states``.

        Examples
        --------
        >>> states = session.list_many([1001, 1002], progress=False)
        >>> sorted(states["member_id"].unique().tolist())
        [1001, 1002]
        """
        if errors not in ("raise", "collect"):
            raise InvalidInput(f"errors={errors!r} is unknown; use 'raise' or 'collect'")
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
        """List the offer states of many members in blocks, for listings that do not fit into memory.

        Parameters
        ----------
        member_ids : sequence of int
            Sparkfly's member IDs, without duplicates.
        concurrency, n_jobs, progress
            As in `list_many`.

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
        """Show what `issue_many` would do with each row, without a request that changes anything.

        Parameters
        ----------
        df, campaign_id, run, allow_duplicates
            As in `issue_many`.
        check_live : bool
            Whether to find members that already have a live offer state of the campaign. The service is read for each
            member with ``member_id``; members known by ``member_identifier`` only are not checked.
        progress : bool
            Whether to show a progress bar for that check.

        Returns
        -------
        pandas.DataFrame
            With the index and order of `df`: ``verdict`` (``valid``, ``invalid``, ``duplicate``, ``inverted dates``,
            ``expired``, ``already issued`` or ``already holding``), ``problem`` with the fix, and the values to send.
            Pass ``attrs["digest"]`` to ``issue_many(..., approve=)``.

        Raises
        ------
        InvalidInput
            A column is missing.
        IncompleteListing
            `check_live` is True, and a member could not be read.

        Notes
        -----
        With `check_live`, the API operation is ``list_offer_states``.

        Examples
        --------
        >>> plan = pd.DataFrame({"member_id": [1001, 1001, 1002]})
        >>> session.preview_issue(plan, "WELCOME26")["verdict"].tolist()
        ['valid', 'duplicate', 'valid']
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

        Examples
        --------
        >>> _ = session.issue_many(pd.DataFrame({"member_id": [1011]}), "BIRTHDAY", run="birthdays", progress=False)
        >>> session.runs().query("run == 'birthdays'")["done"].tolist()
        [1]
        """
        return runs_frame(self._runs.ledger)

    def run(self, run: str) -> pd.DataFrame:
        """Return the result of a run as recorded in the ledger, without any request.

        Parameters
        ----------
        run : str
            The name of the run, as in ``result.attrs["run"]`` or ``runs()``.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`. The index is the row's position in the run, from 0.

        Raises
        ------
        LedgerError
            There is no such run.

        Examples
        --------
        >>> issued = session.issue_many(pd.DataFrame({"member_id": [1012]}), "BIRTHDAY", progress=False)
        >>> session.run(issued.attrs["run"])["outcome"].tolist()
        ['issued']
        """
        return result_frame(self._runs.ledger, self._runs.find(run))

    def settle(self, run: str, *, progress: bool = True, settle_pause: float = 2.0) -> pd.DataFrame:
        """Check the unknown rows of a run against the service, without resending anything.

        Rows that certainly did not happen become ``planned``. So do voids that cannot be confirmed, because a void is
        safe to repeat. Run the same bulk call again to send the planned rows.

        Parameters
        ----------
        run : str
            The name of the run.
        progress : bool
            Whether to show a progress bar, in rows.
        settle_pause : float
            Pause in seconds before each of the two checks.

        Returns
        -------
        pandas.DataFrame
            As in `run`.

        Raises
        ------
        LedgerError
            There is no such run, or it belongs to a service at another address.

        Notes
        -----
        The API operations are those that `issue_many` and `update_many` confirm rows with.

        Examples
        --------
        >>> issued = session.issue_many(pd.DataFrame({"member_id": [1013]}), "BIRTHDAY", progress=False)
        >>> session.settle(issued.attrs["run"], progress=False)["outcome"].tolist()
        ['issued']
        """
        return self._runs.settle(run, BulkOptions(progress=progress, settle_pause=settle_pause))

    @property
    def ledger(self) -> str:
        """The path of the ledger, or its URL without the password."""
        return str(self._runs.ledger)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate typed frames; extra columns go to the end."""
    # pandas warns when empty frames are concatenated, because they may change dtypes in a later release.
    full = [frame for frame in frames if len(frame)]
    if len(full) > 1:
        return pd.concat(full, ignore_index=True)
    return full[0] if full else frames[0]
