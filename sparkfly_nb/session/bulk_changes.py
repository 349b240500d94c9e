"""The bulk changes of a Session: frames in, a result frame out, with the ledger between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ..bulk.options import BulkOptions
from ..errors import InvalidInput
from .core import SessionCore

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["BulkChanges"]


class BulkChanges(SessionCore):
    """Issue, void, update and redeem many rows; a part of the Session."""

    def issue_many(
        self,
        df: pd.DataFrame,
        campaign_id: str,
        *,
        run: str | None = None,
        allow_duplicates: bool = False,
        approve: str | None = None,
        reason: str | None = None,
        canary: int = 0,
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
        confirm: int | None = None,
        halt_above: float = 0.5,
        settle_pause: float = 2.0,
    ) -> pd.DataFrame:
        """Issue an offer of a campaign to each row of a frame, once.

        Every row is checked and recorded in the ledger before the first one is sent. Run the same cell again, after
        an interrupt or in a new kernel: rows that ended stay as they are, the others are finished.

        Parameters
        ----------
        df : pandas.DataFrame
            One row per offer: ``member_id`` or ``member_identifier`` (the first is used where both are given);
            optionally ``external_ref_id`` (made for you otherwise), ``activates_at``, ``expires_at``. Other columns
            are left alone.
        campaign_id : str
            The campaign's XID; it must be active.
        run : str, optional
            A name for the run. Default: rows that were asked for before are that run.
        allow_duplicates : bool
            Whether a member may get more than one offer of the campaign.
        approve : str, optional
            The digest of a preview; refused if the rows have changed since.
        reason : str, optional
            Kept in the ledger.
        canary : int
            So many first rows are sent, read back and compared before the rest goes; 0 for none.
        concurrency : int
            Requests in flight, over all workers, 1 to 10,000.
        rate : float, optional
            Requests per second, over all workers, up to a million; None for no limit.
        n_jobs : int, optional
            Workers, as joblib understands it; default 1, or what ``joblib.parallel_config`` says.
        progress : bool
            Whether to show a bar that counts finished rows.
        confirm : int, optional
            The number of rows; needed on production.
        halt_above : float
            The share of failed rows, 0 to 1, above which the run is halted; 1 never halts.
        settle_pause : float
            Seconds before an unknown row is read back, and again before the second look.

        Returns
        -------
        pandas.DataFrame
            The columns and dtypes of ``schema.RESULT`` in the index and order of `df`; ``outcome`` is ``issued``,
            ``rejected`` or ``unknown``; ``attrs["run"]`` names the run.

        Raises
        ------
        InvalidRows, InvalidInput, ConfirmationRequired, PlanChanged, LedgerError
            Nothing was sent.
        RunHalted
            Most rows fail, the canary does not hold, or nothing gets through; holds the result so far.

        Notes
        -----
        The API operation is ``create_member_offer_states_issue``; rows are read back with ``list_offer_states``, or
        ``query_offer_states`` for members known by identifier only.
        """
        plan = self._runs.plan("issue", df, campaign_id=campaign_id, allow_duplicates=allow_duplicates)
        options = BulkOptions(concurrency, rate, n_jobs, progress, canary, halt_above, settle_pause)
        return self._runs.carry_out(
            plan, options, run=run, approve=approve, reason=reason, confirm=confirm, allow_duplicates=allow_duplicates
        )

    def void_many(
        self,
        df: pd.DataFrame,
        *,
        reason: str | None = None,
        run: str | None = None,
        canary: int = 0,
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
        confirm: int | None = None,
        halt_above: float = 0.5,
        settle_pause: float = 2.0,
    ) -> pd.DataFrame:
        """Void the offer states of a frame, as an audit returns them.

        Parameters
        ----------
        df : pandas.DataFrame
            ``offer_state_id`` with ``member_id`` or ``member_identifier``. Other columns are left alone.
        reason : str, optional
            Kept in the ledger.
        run, canary, concurrency, rate, n_jobs, progress, confirm, halt_above, settle_pause
            As in `issue_many`.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`; ``outcome`` is ``voided``, ``rejected`` or ``unknown``. What was voided before is
            ``voided``, and ``error`` says "already voided".

        Raises
        ------
        SparkflyError
            As in `issue_many`.

        Notes
        -----
        The API operations are ``create_member_offer_states_void`` and
        ``create_member_offer_states_voidmember_identifierentifier``.
        """
        options = BulkOptions(concurrency, rate, n_jobs, progress, canary, halt_above, settle_pause)
        return self._runs.carry_out(self._runs.plan("void", df), options, run=run, reason=reason, confirm=confirm)

    def update_many(
        self,
        df: pd.DataFrame,
        *,
        columns: Sequence[str] | None = None,
        reason: str | None = None,
        run: str | None = None,
        canary: int = 0,
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
        confirm: int | None = None,
        halt_above: float = 0.5,
        settle_pause: float = 2.0,
    ) -> pd.DataFrame:
        """Change the offer states of a frame.

        Parameters
        ----------
        df : pandas.DataFrame
            ``offer_state_id``, ``member_id``, and what to set: ``status``, ``value``, ``activates_at``,
            ``expires_at``, ``offer_name``, ``offer_value_required``, ``locked``, ``is_reward``. Missing cells are
            not set.
        columns : sequence of str, optional
            Which of these are set; default: all that the frame has. A frame of whole offer states, as an audit
            returns it, needs it.
        reason, run, canary, concurrency, rate, n_jobs, progress, confirm, halt_above, settle_pause
            As in `issue_many`.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`; ``outcome`` is ``updated``, ``rejected`` or ``unknown``.

        Raises
        ------
        SparkflyError
            As in `issue_many`.

        Notes
        -----
        The API operation is ``update_offer_state``; rows are read back with ``get_offer_state``.
        """
        if columns is None and isinstance(df, pd.DataFrame) and "created_at" in df.columns:
            raise InvalidInput(
                "the frame holds whole offer states; say which columns are to be set, as in columns=['expires_at']"
            )
        options = BulkOptions(concurrency, rate, n_jobs, progress, canary, halt_above, settle_pause)
        plan = self._runs.plan("update", df, columns=columns)
        return self._runs.carry_out(plan, options, run=run, reason=reason, confirm=confirm)

    def redeem_many(
        self,
        df: pd.DataFrame,
        *,
        columns: Sequence[str] = (),
        reason: str | None = None,
        run: str | None = None,
        canary: int = 0,
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
        confirm: int | None = None,
        halt_above: float = 0.5,
        settle_pause: float = 2.0,
    ) -> pd.DataFrame:
        """Redeem the offer states of a frame.

        Parameters
        ----------
        df : pandas.DataFrame
            ``offer_state_id`` and ``member_id``. Other columns are left alone unless `columns` names them.
        columns : sequence of str
            What is to be set with the redemption, as in `update_many`; default: nothing.
        reason, run, canary, concurrency, rate, n_jobs, progress, confirm, halt_above, settle_pause
            As in `issue_many`.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`; ``outcome`` is ``redeemed``, ``rejected`` or ``unknown``.

        Raises
        ------
        SparkflyError
            As in `issue_many`.

        Notes
        -----
        The API operation is ``redeem_offer_state``; rows are read back with ``get_offer_state``.
        """
        options = BulkOptions(concurrency, rate, n_jobs, progress, canary, halt_above, settle_pause)
        plan = self._runs.plan("redeem", df, columns=columns)
        return self._runs.carry_out(plan, options, run=run, reason=reason, confirm=confirm)

    def void_run(
        self,
        run: str,
        *,
        reason: str | None = None,
        concurrency: int = 64,
        rate: float | None = None,
        n_jobs: int | None = None,
        progress: bool = True,
        confirm: int | None = None,
        halt_above: float = 0.5,
        settle_pause: float = 2.0,
    ) -> pd.DataFrame:
        """Undo an issue run, row by row: what was redeemed or changed since is kept.

        Each row is read back first. The undo is a run of its own in the ledger, and can be continued as any other.

        Parameters
        ----------
        run : str
            The run, as in ``result.attrs["run"]``.
        reason : str, optional
            Kept in the ledger.
        confirm : int, optional
            The number of rows that the run issued; needed on production.
        concurrency, rate, n_jobs, progress, halt_above, settle_pause
            As in `issue_many`.

        Returns
        -------
        pandas.DataFrame
            As in `issue_many`, one row per row that was issued or may have been, by its number in the run;
            ``outcome`` is ``voided``, ``kept`` (``error`` says why), ``rejected`` or ``unknown``.

        Raises
        ------
        SparkflyError
            As in `issue_many`.
        """
        options = BulkOptions(concurrency, rate, n_jobs, progress, 0, halt_above, settle_pause)
        return self._runs.undo(run, options, reason=reason, confirm=confirm)
