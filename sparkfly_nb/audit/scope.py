"""The scope of an audit (campaign, offer and time span), and which offer states belong to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ..errors import InvalidInput
from ..frames.lifecycle import mask_of
from ..frames.scalars import as_integer, as_text, as_time, is_missing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["CampaignMatch", "Scope", "make_scope"]

#: Matches no offer state. Used if the given campaign cannot be a number.
NO_NUMBER: Final = -1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of an audit.

    Attributes
    ----------
    campaign : str or None
        The campaign's XID or number, as text.
    by_number : bool
        Whether the campaign was given as an int rather than a str.
    offer_id : int or None
        The ID of the offer.
    since, until : Timestamp or None
        Offer states created at or after `since` and before `until`, in UTC.
    run : str or None
        The run in the ledger whose rows are the plan.
    members : str
        A description of where the members come from.
    """

    campaign: str | None = None
    by_number: bool = False
    offer_id: int | None = None
    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None
    run: str | None = None
    members: str = ""

    @property
    def number(self) -> int | None:
        """The campaign as a number, or None if it cannot be one."""
        text = self.campaign
        if text is None or not re.fullmatch("[0-9]{1,19}", text) or int(text) >= 2**63:
            return None
        return int(text)

    @property
    def is_narrowed(self) -> bool:
        """Whether the scope names a campaign or an offer."""
        return self.campaign is not None or self.offer_id is not None

    def describe(self) -> str:
        """Describe the scope, for titles."""
        parts = [f"campaign {self.campaign}"] if self.campaign is not None else []
        parts += [f"offer {self.offer_id}"] if self.offer_id is not None else []
        return ", ".join(parts) or "all offer states"

    def candidates(self, states: pd.DataFrame) -> NDArray[np.bool_]:
        """Mark the offer states that match the offer and the time span and may be of the campaign.

        Whether they are of the campaign depends on the other offer states; see `match_campaign`.
        """
        chosen = np.ones(len(states), dtype=bool)
        if self.offer_id is not None:
            chosen &= mask_of(states["offer_id"] == self.offer_id)
        if self.since is not None:
            chosen &= mask_of((states["created_at"] >= self.since) | states["created_at"].isna())
        if self.until is not None:
            chosen &= mask_of((states["created_at"] < self.until) | states["created_at"].isna())
        if self.campaign is not None:
            by_xid, by_number, no_xid, no_number = self._matches(states)
            # An offer state with only an XID or only a number may match by the other offer states of its campaign.
            chosen &= by_xid | by_number | (no_xid & ~no_number) | (no_number & ~no_xid & (self.number is not None))
        return chosen

    def _matches(self, states: pd.DataFrame) -> tuple[NDArray[np.bool_], ...]:
        xid, number = states["campaign_xid"], states["campaign_id"]
        return (
            mask_of(xid == self.campaign),
            mask_of(number == (NO_NUMBER if self.number is None else self.number)),
            mask_of(xid.isna() | (xid.str.strip() == "")),
            number.isna().to_numpy(),
        )

    def match_campaign(self, states: pd.DataFrame) -> CampaignMatch:
        """Find the offer states of the campaign among all candidates.

        A str is an XID if any offer state has that XID, otherwise a number. An int is a number if any offer state has
        that number, otherwise an XID. An offer state without an XID matches by the number of the campaign's other offer
        states, and one without a number by their XID.
        """
        if self.campaign is None:
            return CampaignMatch(np.ones(len(states), dtype=bool), np.zeros(len(states), dtype=bool), frozenset())
        by_xid, by_number, no_xid, no_number = self._matches(states)
        as_number = by_number.any() and (self.by_number or not by_xid.any())
        if not by_number.any() and not by_xid.any():
            as_number = self.number is not None
        # The offer states that certainly match provide the campaign's XIDs and numbers, which identify the others.
        first = by_number if as_number else by_xid
        xids = set(states["campaign_xid"][first & ~no_xid].unique()) | (set() if as_number else {self.campaign})
        numbers = set(states["campaign_id"][first].dropna().unique()) | ({self.number} if as_number else set())
        same_xid = mask_of(states["campaign_xid"].isin(list(xids)))
        same_number = mask_of(states["campaign_id"].isin(list(numbers)))
        if as_number:
            is_match, is_uncertain = same_number | (no_number & same_xid), no_number & ~no_xid & (not xids)
        else:
            is_match, is_uncertain = same_xid | (no_xid & same_number), no_xid & ~no_number & (not numbers)
        return CampaignMatch(is_match, is_uncertain, frozenset(map(str, xids | numbers)))


@dataclass(frozen=True, slots=True)
class CampaignMatch:
    """Which offer states belong to the campaign.

    Attributes
    ----------
    is_match, is_uncertain : ndarray of bool
        The offer states that belong to the campaign, and those that may or may not belong to it.
    names : set of str
        The XIDs and numbers of the campaign.
    """

    is_match: NDArray[np.bool_]
    is_uncertain: NDArray[np.bool_]
    names: frozenset[str]


def make_scope(
    *,
    campaign_id: Any = None,
    offer_id: Any = None,
    since: Any = None,
    until: Any = None,
    run: str | None = None,
    tz: dt.tzinfo | None = None,
) -> Scope:
    """Check the arguments of an audit and return its scope.

    Raises
    ------
    InvalidInput
        A value is invalid, or `until` is not later than `since`.
    """
    begin = _given("since", since, lambda value: as_time(value, tz))
    end = _given("until", until, lambda value: as_time(value, tz))
    if begin is not None and end is not None and begin >= end:
        raise InvalidInput("audit: until must be later than since.")
    campaign = _given("campaign_id", campaign_id, as_text)
    return Scope(
        campaign=campaign,
        by_number=campaign is not None and not isinstance(campaign_id, str),
        offer_id=_given("offer_id", offer_id, as_integer),
        since=begin,
        until=end,
        run=run,
    )


def _given(name: str, value: Any, read: Callable[[Any], _T]) -> _T | None:
    if is_missing(value):
        return None
    try:
        return read(value)
    except InvalidInput as error:
        raise InvalidInput(f"audit: {name}: {error}") from None
