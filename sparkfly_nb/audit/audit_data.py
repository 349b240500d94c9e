"""What an audit holds, and what is computed from it: everything but how it is shown, compared and handed over."""

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
    """What an audit was: scope, place, person and time."""

    scope: Scope
    environment: str
    address: str
    user: str
    tz: dt.tzinfo
    taken_at: pd.Timestamp
    finished_at: pd.Timestamp


class AuditData:
    """The offer states of an audit, its plan, and the frames that are made of them: `Audit` without its outputs."""

    def __init__(
        self, metadata: AuditMetadata, evidence: AuditEvidence, unread: pd.DataFrame, store: StateStore
    ) -> None:
        self.metadata = metadata
        self.evidence = evidence
        self._unread = unread
        self.store = store

    @property
    def states(self) -> pd.DataFrame:
        """One row per offer state in scope, with the columns of every other read, by member and offer state.

        A new frame each time, so give it a name. A million offer states take about 1.5 GB as a frame; everything else
        here, and the files, need much less: the audit keeps them packed.
        """
        return self.store.frame()

    @property
    def plan(self) -> pd.DataFrame:
        """Who was planned: one row per row of the members that were given, with ``planned`` decided for this scope."""
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
        """Give one row per event of ``offer_activities``.

        Returns
        -------
        pandas.DataFrame
            ``member_id``, ``offer_state_id``, ``position`` (from 1), ``activity`` (what happened), ``happened_at``
            (UTC), then the event's own fields as the service sends them; lists and objects in them as JSON.
        """
        return pd.concat(list(self.store.event_chunks()), ignore_index=True)

    def summary(self, by: str | Sequence[str] | None = None, *, expiring_days: int = 7) -> pd.DataFrame:
        """Count members and offer states.

        Parameters
        ----------
        by : str or list of str, optional
            Columns of the plan to group by. A member who stands there twice belongs to the group of the first row;
            one who is not in the plan has no group.
        expiring_days : int
            What counts as expiring soon, in days from the audit on: 0 to 36,500.

        Returns
        -------
        pandas.DataFrame
            Tidy: the grouping columns, ``metric``, ``detail`` (``string``), ``value`` (``Float64``), ``unit``. The
            first line says whether every member was read. ``redemption_rate`` is redeemed offer states by those that
            are not voided; ``value_redeemed`` adds up ``value`` of redeemed ones, in the offer's own units.

        Raises
        ------
        InvalidInput
            The plan has no such column, or `expiring_days` is no such number.
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
        """Give everything that is wrong, one row per finding.

        Returns
        -------
        pandas.DataFrame
            ``kind`` and ``severity`` (see `tables.KINDS`), ``member_id``, ``offer_state_id``, ``expected``, ``found``.
            Nothing is said about members that could not be read.
        """
        return self._exceptions.copy()

    def timeline(self, freq: str = "D") -> pd.DataFrame:
        """Count what happened per period, in the time zone of the Session (otherwise UTC).

        Parameters
        ----------
        freq : {"h", "D", "W", "M", "Q", "Y"}
            The length of a period; weeks begin on Monday.

        Returns
        -------
        pandas.DataFrame
            ``period`` (its start, in the time zone), ``issued``, ``redeemed``, ``voided``, ``expired`` (``Int64``),
            without gaps. Each offer state counts once as issued and at most once as one of the others, so that the
            columns add up to the summary; a last row without ``period`` holds those whose time the service does not
            tell.
        """
        return timeline_of(self.evidence.states, freq=freq, tz=self.metadata.tz)
