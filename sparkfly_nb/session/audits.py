"""The audit methods of the Session."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .bulk_reads import BulkReads

if TYPE_CHECKING:
    from ..audit.audit import Audit
    from ..frames.argument_types import Id, Members, TimeLike

__all__ = ["Audits"]


class Audits(BulkReads):
    """The audit methods of the Session."""

    def audit(
        self,
        *,
        campaign_id: Id | None = None,
        offer_id: Id | None = None,
        members: Members | None = None,
        run: str | None = None,
        since: TimeLike | None = None,
        until: TimeLike | None = None,
        concurrency: int = 64,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> Audit:
        """Read a campaign from the service and check who should have the offer, who has it, and what is wrong.

        Parameters
        ----------
        campaign_id : str or int, optional
            The campaign's XID or its number.
        offer_id : int, optional
            Only offer states of this offer.
        members : DataFrame, Series, list, str or Path, optional
            The audited members: a plan with ``member_id`` (its dates, references and other columns are used), ids, or
            a CSV or Parquet file.
        run : str, optional
            A run of the ledger. Its rows become the plan.
        since, until : str or datetime, optional
            Only offer states created at or after `since` and before `until`.
        concurrency : int
            Requests in flight over all workers, 1 to 10,000. Default: 64.
        n_jobs : int, optional
            The number of workers, as in joblib. Default: the setting of ``joblib.parallel_config``, otherwise 1.
        progress : bool
            Whether to show a progress bar that counts members. Default: True.

        Returns
        -------
        Audit
            With ``.states``, ``.summary()``, ``.exceptions()``, ``.timeline()``, ``.activities()``, ``.plot()`` and
            ``.to_csv(...)``. ``.unread`` lists the members that could not be read.

        Raises
        ------
        InvalidInput
            The members or the scope are invalid. No request was sent.
        LedgerError
            There is no such run.

        Notes
        -----
        The API operation is ``list_offer_states``, for every member.
        """
        from ..audit.read_service import audit_campaign  # noqa: PLC0415 - the audit is optional, and loads later

        return audit_campaign(
            partial(self._read_states, concurrency=concurrency, n_jobs=n_jobs, progress=progress),
            self.run,
            campaign_id=campaign_id,
            offer_id=offer_id,
            members=members,
            run=run,
            since=since,
            until=until,
            tz=self.settings.tz,
            environment=self.settings.environment,
            address=self.settings.base_url,
        )
