"""The data of an audit and the tables computed from it, without display, comparison and export."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from .findings import exceptions_of
from .summary import summary_of
from .timeline import timeline_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from .findings import AuditEvidence
    from .scope import Scope
    from .state_store import StateStore

__all__ = ["AuditData", "AuditMetadata"]


@dataclass(frozen=True, slots=True)
class AuditMetadata:
    """The scope of an audit, the service that was read, the user and the times."""

    scope: Scope
    environment: str
    address: str
    user: str
    tz: dt.tzinfo
    taken_at: pd.Timestamp
    finished_at: pd.Timestamp


class AuditData:
    """The offer states of an audit, its plan, and the tables computed from them: `Audit` without its outputs."""

    def __init__(
        self, metadata: AuditMetadata, evidence: AuditEvidence, unread: pd.DataFrame, store: StateStore
    ) -> None:
        self.metadata = metadata
        self.evidence = evidence
        self._unread = unread
        self.store = store

    @property
    def states(self) -> pd.DataFrame:
        """One row per offer state in scope, sorted by member and offer state, with the columns of the other reads.

        Each access builds a new frame, so assign it to a variable. A million offer states take about 1.5 GB as a frame.
        The other tables and the exports need much less, because the audit stores offer states compressed.
        """
        return self.store.frame()

    @property
    def plan(self) -> pd.DataFrame:
        """The plan: one row per row of the given members. ``planned`` applies to the scope of this audit."""
        return self.evidence.plan.copy()

    @property
    def unread(self) -> pd.DataFrame:
        """Members that could not be read: ``member_id``, ``http_status``, ``reason``, ``trace``."""
        return self._unread.copy()

    @property
    def complete(self) -> bool:
        """Whether every member was read."""
        return self._unread.empty

    @cached_property
    def _exceptions(self) -> pd.DataFrame:
        return exceptions_of(self.evidence)

    def activities(self) -> pd.DataFrame:
        """Return one row per event in ``offer_activities``.

        Returns
        -------
        pandas.DataFrame
            ``member_id``, ``offer_state_id``, ``position`` (from 1), ``activity`` (what happened), ``happened_at``
            (UTC), then the event's own fields as the service sends them. Lists and objects are JSON.
        """
        return pd.concat(list(self.store.event_chunks()), ignore_index=True)

    def summary(self, by: str | Sequence[str] | None = None, *, expiring_days: int = 7) -> pd.DataFrame:
        """Count members and offer states.

        Parameters
        ----------
        by : str or list of str, optional
            Columns of the plan to group by. A member with several rows belongs to the group of the first row. A member
            who is not in the plan has no group.
        expiring_days : int
            Count offer states as expiring if they expire within this many days of the audit: 0 to 36,500. Default: 7.

        Returns
        -------
        pandas.DataFrame
            Tidy: the grouping columns, ``metric``, ``detail`` (``string``), ``value`` (``Float64``), ``unit``. The
            first row shows whether every member was read. ``redemption_rate`` is the share of redeemed offer states
            among those that are not voided. ``value_redeemed`` is the sum of ``value`` over redeemed offer states, in
            the offer's own units.

        Raises
        ------
        InvalidInput
            The plan has no such column, or `expiring_days` is out of range.
        """
        return summary_of(
            self.evidence,
            self._exceptions,
            self._unread,
            as_of=self.metadata.taken_at,
            by=by,
            expiring_days=expiring_days,
        )

    def exceptions(self) -> pd.DataFrame:
        """Return everything that is wrong, one row per finding.

        Returns
        -------
        pandas.DataFrame
            ``kind`` and ``severity`` (see `schema.KINDS`), ``member_id``, ``offer_state_id``, ``expected``, ``found``.
            Members that could not be read have no findings.
        """
        return self._exceptions.copy()

    def timeline(self, freq: str = "D") -> pd.DataFrame:
        """Count events per period, in the time zone of the Session (default UTC).

        Parameters
        ----------
        freq : {"h", "D", "W", "M", "Q", "Y"}
            The length of a period. Weeks begin on Monday.

        Returns
        -------
        pandas.DataFrame
            ``period`` (its start, in the time zone), ``issued``, ``redeemed``, ``voided``, ``expired`` (``Int64``),
            without gaps. Each offer state counts once as issued and at most once as one of the others. The columns add
            up to the summary. Offer states whose time is unknown are in a last row without ``period``.
        """
        return timeline_of(self.evidence.states, freq=freq, tz=self.metadata.tz)
