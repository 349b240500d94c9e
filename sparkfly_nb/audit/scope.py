"""What an audit looks at: which campaign, offer and time, and how offer states are told to belong to it."""

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

NO_NUMBER: Final = -1
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited.

    Attributes
    ----------
    campaign : str or None
        The campaign's XID or number, as text.
    by_number : bool
        Whether the campaign was given as a number rather than as text.
    offer_id : int or None
        The offer's key.
    since, until : Timestamp or None
        Offer states created from `since` on and before `until`, in UTC.
    run : str or None
        The run of the ledger that the plan comes from.
    members : str
        Where the members come from, in words.
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
        """The campaign as a number, where it can be one."""
        text = self.campaign
        if text is None or not re.fullmatch("[0-9]{1,19}", text) or int(text) >= 2**63:
            return None
        return int(text)

    @property
    def is_narrowed(self) -> bool:
        """Whether a campaign or an offer says what a planned member is to hold."""
        return self.campaign is not None or self.offer_id is not None

    def describe(self) -> str:
        """Say what is audited, for titles."""
        parts = [f"campaign {self.campaign}"] if self.campaign is not None else []
        parts += [f"offer {self.offer_id}"] if self.offer_id is not None else []
        return ", ".join(parts) or "all offer states"

    def candidates(self, states: pd.DataFrame) -> NDArray[np.bool_]:
        """Mark what may belong: by offer and time for certain, by campaign as far as one offer state alone can tell."""
        chosen = np.ones(len(states), dtype=bool)
        if self.offer_id is not None:
            chosen &= mask_of(states["offer_id"] == self.offer_id)
        if self.since is not None:
            chosen &= mask_of((states["created_at"] >= self.since) | states["created_at"].isna())
        if self.until is not None:
            chosen &= mask_of((states["created_at"] < self.until) | states["created_at"].isna())
        if self.campaign is not None:
            by_xid, by_number, no_xid, no_number = self._matches(states)
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

    def decide(self, states: pd.DataFrame) -> CampaignMatch:
        """Tell, over all candidates together, which belong to the campaign.

        A text is an XID if any offer state carries it as one, otherwise a number; a number is the other way round. An
        offer state that lacks its XID is told by the number that others of the campaign carry, and the reverse.
        """
        if self.campaign is None:
            return CampaignMatch(np.ones(len(states), dtype=bool), np.zeros(len(states), dtype=bool), frozenset())
        by_xid, by_number, no_xid, no_number = self._matches(states)
        as_number = by_number.any() and (self.by_number or not by_xid.any())
        if not by_number.any() and not by_xid.any():
            as_number = self.number is not None
        first = by_number if as_number else by_xid
        xids = set(states["campaign_xid"][first & ~no_xid].unique()) | (set() if as_number else {self.campaign})
        numbers = set(states["campaign_id"][first].dropna().unique()) | ({self.number} if as_number else set())
        same_xid = mask_of(states["campaign_xid"].isin(list(xids)))
        same_number = mask_of(states["campaign_id"].isin(list(numbers)))
        if as_number:
            belongs, unsure = same_number | (no_number & same_xid), no_number & ~no_xid & (not xids)
        else:
            belongs, unsure = same_xid | (no_xid & same_number), no_xid & ~no_number & (not numbers)
        return CampaignMatch(belongs, unsure, frozenset(map(str, xids | numbers)))


@dataclass(frozen=True, slots=True)
class CampaignMatch:
    """Which offer states belong to the campaign, which cannot be told, and the names that the campaign goes by."""

    belongs: NDArray[np.bool_]
    unsure: NDArray[np.bool_]
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
    """Check what a person gave.

    Raises
    ------
    InvalidInput
        A value cannot be read, or the times exclude everything.
    """
    begin = _given("since", since, lambda value: as_time(value, tz))
    end = _given("until", until, lambda value: as_time(value, tz))
    if begin is not None and end is not None and begin >= end:
        raise InvalidInput("audit: until must be later than since")
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
