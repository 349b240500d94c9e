"""The audit as a call of the Session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bulk.reading import BulkReads
from .reading import audit_campaign

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from .members import Members
    from .result import Audit

__all__ = ["AuditCall"]


@dataclass(frozen=True, slots=True)
class _Service:
    """Reads for an audit through the bulk calls of a Session."""

    session: BulkReads
    concurrency: int
    n_jobs: int | None
    progress: bool

    def read_states(self, member_ids: Sequence[int]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        return self.session.read_states(
            member_ids, concurrency=self.concurrency, n_jobs=self.n_jobs, progress=self.progress
        )

    def run_rows(self, run: str) -> pd.DataFrame:
        return self.session.run(run)


class AuditCall(BulkReads):
    """The part of the Session that audits."""

    def audit(
        self,
        *,
        campaign_id: str | int | None = None,
        offer_id: int | None = None,
        members: Members = None,
        run: str | None = None,
        since: Any = None,
        until: Any = None,
        concurrency: int = 64,
        n_jobs: int | None = None,
        progress: bool = True,
    ) -> Audit:
        """Audit a campaign from the service itself: who was meant to get the offer, who has it, and what is wrong.

        Parameters
        ----------
        campaign_id : str or int, optional
            The campaign's XID or its number.
        offer_id : int, optional
            Only offer states of this offer.
        members : DataFrame, Series, list, str or Path, optional
            Who is audited: a plan with ``member_id`` (its dates, references and other columns are used), ids, or a
            CSV or Parquet file.
        run : str, optional
            A run of the ledger; its rows are the plan.
        since, until : str or datetime, optional
            Only offer states created from `since` on and before `until`.
        concurrency : int
            Requests in flight, over all workers, 1 to 10,000.
        n_jobs : int, optional
            Workers, as joblib understands it; default 1, or what ``joblib.parallel_config`` says.
        progress : bool
            Whether to show a bar that counts members.

        Returns
        -------
        Audit
            With ``.states``, ``.summary()``, ``.exceptions()``, ``.timeline()``, ``.activities()``, ``.plot()`` and
            ``.to_csv(...)``. Members that could not be read stand in ``.unread``.

        Raises
        ------
        InvalidInput
            The members or the scope cannot be used; nothing was asked.
        LedgerError
            There is no such run.

        Notes
        -----
        The API operation is ``list_offer_states``, for every member.
        """
        return audit_campaign(
            _Service(self, concurrency, n_jobs, progress),
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
