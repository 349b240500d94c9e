"""Read an audit from the service: list the offer states of all members, and keep those in scope."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from ..frames.lifecycle import mask_of, with_lifecycle
from ..schema import UNREAD
from ..settings import user_name
from .audit import Audit
from .audit_data import AuditMetadata
from .findings import AuditEvidence, is_issue_run
from .members import read_plan
from .schema import typed
from .scope import CampaignMatch, Scope, make_scope
from .state_store import StateStore, conformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from ..frames.argument_types import Id, Members, TimeLike

__all__ = ["ReadStates", "RunRows", "audit_campaign"]

#: Called with different members in ascending order. Yields offer states with the columns of `schema.OFFER_STATE`
#: (``member_id`` is filled in where the service omits it) and unread members with the columns of `schema.UNREAD`. Each
#: member is either in one part with all offer states of the member, possibly none, or unread.
ReadStates: TypeAlias = "Callable[[Sequence[int]], Iterator[tuple[pd.DataFrame, pd.DataFrame]]]"
#: Called with the name of a run. Raises `LedgerError` if there is no such run.
RunRows: TypeAlias = "Callable[[str], pd.DataFrame]"


def audit_campaign(
    read_states: ReadStates,
    run_rows: RunRows,
    *,
    campaign_id: Id | None = None,
    offer_id: Id | None = None,
    members: Members | None = None,
    run: str | None = None,
    since: TimeLike | None = None,
    until: TimeLike | None = None,
    tz: dt.tzinfo | None = None,
    environment: str = "",
    address: str = "",
    taken_at: dt.datetime | None = None,
) -> Audit:
    """Audit a campaign: read all offer states of the members, and keep those in scope.

    Parameters
    ----------
    read_states : callable
        Lists the offer states of members; see `ReadStates`.
    run_rows : callable
        Returns the recorded rows of a run with the columns of `schema.RESULT`; see `RunRows`.
    campaign_id : str or int, optional
        The campaign's XID or number. A str is an XID if any offer state has that XID, otherwise a number. An int is a
        number if any offer state has that number, otherwise an XID. Default: the campaign of the run, if there is one.
    offer_id : int, optional
        Only offer states of this offer.
    members : DataFrame, Series, list, str or Path, optional
        The audited members. See `members.read_plan` for the columns.
    run : str, optional
        A run of the ledger. Its rows become the plan.
    since, until : str or datetime, optional
        Only offer states created at or after `since` and before `until`. Offer states without a creation time are kept.
    tz : tzinfo, optional
        The time zone of times without an offset, and of the timeline (default UTC).
    environment, address : str
        The service that is read. Recorded in the metadata.
    taken_at : datetime, optional
        The reference time for "expired" and "expiring". Default: now.

    Returns
    -------
    Audit
        ``audit.unread`` lists the members that could not be read. ``audit.complete`` is True if there are none.

    Raises
    ------
    InvalidInput
        The members or the scope are invalid. No request was sent.

    Notes
    -----
    The API operation is ``list_offer_states``, for every member.
    """
    scope = make_scope(campaign_id=campaign_id, offer_id=offer_id, since=since, until=until, run=run, tz=tz)
    rows = None if run is None else run_rows(run)
    plan, unlisted, source = read_plan(members, rows, tz=tz)
    if run is not None and rows is not None and scope.campaign is None and scope.offer_id is None:
        scope = replace(scope, campaign=_campaign_of(rows, run))
    scope = replace(scope, members=source)
    taken = pd.Timestamp(taken_at or dt.datetime.now(dt.timezone.utc)).tz_convert("UTC").as_unit("ns")
    builder = _AuditBuilder(scope, plan)
    member_ids = sorted(plan["member_id"].dropna().unique().tolist())
    for states, unread in read_states(member_ids):
        builder.add(states, unread)
    return builder.build(
        unlisted,
        AuditMetadata(
            scope=scope,
            environment=environment,
            address=address,
            user=user_name(),
            tz=tz or dt.timezone.utc,
            taken_at=taken,
            finished_at=pd.Timestamp(dt.datetime.now(dt.timezone.utc)).as_unit("ns"),
        ),
    )


def _campaign_of(rows: pd.DataFrame, run: str) -> str | None:
    campaigns = [str(campaign) for campaign in rows["campaign_id"].dropna().unique()]
    if len(campaigns) > 1:
        raise InvalidInput(
            f"audit: the run {run!r} has {len(campaigns)} campaigns: {', '.join(campaigns[:3])}"
            f"{', ...' if len(campaigns) > 3 else ''}. Choose one with campaign_id=."
        )
    return campaigns[0] if campaigns else None


class _AuditBuilder:
    """The offer states in scope, collected part by part until the audit is complete."""

    def __init__(self, scope: Scope, plan: pd.DataFrame) -> None:
        self._scope = scope
        self._plan = plan
        self._store = StateStore()
        self._unread: list[pd.DataFrame] = []
        # Also note recorded offer states that are listed but out of scope. Otherwise an offer state outside the time
        # span would be reported as "not_at_service".
        self._recorded = plan["offer_state_id"][plan["outcome"].notna()].dropna().unique()
        self._seen: set[int] = set()

    def add(self, states: pd.DataFrame, unread: pd.DataFrame) -> None:
        """Add one part of the listing."""
        if len(unread):
            self._unread.append(typed({name: unread[name].array for name in UNREAD}, UNREAD))
            states = states[~states["member_id"].isin(unread["member_id"]).to_numpy()]
        states = self._without_repeats(conformed(states))
        if len(self._recorded):
            self._seen.update(states["offer_state_id"][mask_of(states["offer_state_id"].isin(self._recorded))].tolist())
        chosen = self._scope.candidates(states)
        self._store.add(_in_order(states[chosen]))

    def _without_repeats(self, states: pd.DataFrame) -> pd.DataFrame:
        """Remove members with an offer state that was listed twice, and record them as unread."""
        twice = states.duplicated(["member_id", "offer_state_id"]).to_numpy()
        twice = twice & states["offer_state_id"].notna().to_numpy()
        if not twice.any():
            return states
        # An entry that moved to another page is listed twice, and another entry may be missing for the same reason.
        members = states["member_id"][twice].unique()
        self._mark_unread(members, "an offer state was listed twice, so the list changed during the audit")
        return states[~states["member_id"].isin(members).to_numpy()]

    def _with_at_service(self) -> pd.DataFrame:
        recorded = (self._plan["offer_state_id"].notna() & self._plan["outcome"].notna()).to_numpy()
        seen = self._plan["offer_state_id"].isin(list(self._seen)).astype("boolean")
        return self._plan.assign(at_service=seen.where(recorded))

    def _mark_unread(self, members: Iterable[Any], reason: str) -> None:
        ids = list(members)
        self._unread.append(typed({"member_id": ids, "reason": [reason] * len(ids)}, UNREAD))

    def build(self, unlisted: pd.DataFrame, metadata: AuditMetadata) -> Audit:
        """Select the offer states of the campaign from all parts, and return the audit."""
        narrow = self._store.narrow()
        match = self._scope.match_campaign(narrow)
        moved = narrow["offer_state_id"].duplicated(keep=False).to_numpy() & narrow["offer_state_id"].notna().to_numpy()
        doubtful: NDArray[np.bool_] = np.zeros(len(narrow), dtype=bool)
        for rows, reason in (
            (match.is_uncertain, _uncertain_reason(self._scope)),
            (moved & match.is_match, "an offer state was listed for two members, so it moved during the audit"),
        ):
            if rows.any():
                members = narrow["member_id"][rows].unique()
                self._mark_unread(members, reason)
                doubtful |= mask_of(narrow["member_id"].isin(members))
        store = self._store.keep(match.is_match & ~doubtful)
        unread = pd.concat([*self._unread, unlisted], ignore_index=True) if self._unread else unlisted
        known = unread["member_id"].notna().to_numpy()
        again = unread.duplicated("member_id").to_numpy() & known
        unread = unread[~again].sort_values("member_id", kind="stable", ignore_index=True)
        evidence = AuditEvidence(
            plan=_with_planned(self._with_at_service(), self._scope, match),
            states=with_lifecycle(store.narrow(), metadata.taken_at),
            unread_ids=frozenset(unread["member_id"].dropna().tolist()),
            narrowed=self._scope.is_narrowed,
        )
        return Audit(metadata, evidence, unread, store)


def _in_order(states: pd.DataFrame) -> pd.DataFrame:
    """Sort by member and offer state, so that two audits of the same data are equal."""
    if len(states) < 2:
        return states
    # Most parts arrive sorted. Checking is much cheaper than sorting a frame with all its columns.
    keys = states[["member_id", "offer_state_id"]].to_numpy(dtype=np.int64, na_value=np.iinfo(np.int64).max)
    members, ids = keys[:, 0], keys[:, 1]
    steps, later = np.diff(members), np.diff(ids)
    if bool(((steps > 0) | ((steps == 0) & (later >= 0))).all()):
        return states
    return states.take(np.lexsort((ids, members)))


def _uncertain_reason(scope: Scope) -> str:
    return (
        f"an offer state has only the campaign's number or only its XID, so it may or may not be of {scope.campaign}. "
        "Audit again with the other one as campaign_id, or with offer_id"
    )


def _with_planned(plan: pd.DataFrame, scope: Scope, match: CampaignMatch) -> pd.DataFrame:
    """Set ``planned``: whether the member of each row should have an offer state of this campaign."""
    planned = plan["planned"].copy()
    recorded = plan[plan["outcome"].notna()]
    if len(recorded) and not is_issue_run(recorded):
        planned[plan["outcome"].notna()] = pd.NA  # a run that voids or changes offer states plans no offers
    if scope.campaign is not None:
        own = mask_of(plan["campaign_id"].isin([*match.names, scope.campaign]))
        other = plan["campaign_id"].notna().to_numpy() & ~own
        if own.any():  # otherwise the plan identifies campaigns in another way, and its column says nothing here
            planned[other & mask_of(planned)] = False
    return plan.assign(planned=planned)
