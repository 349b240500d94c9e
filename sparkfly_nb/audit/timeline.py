"""The timeline of an audit: offer states issued, redeemed, voided and expired per period in a time zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from ..errors import InvalidInput
from .schema import TIMELINE_COUNTS

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["PERIODS", "timeline_of"]

#: The period of each allowed ``freq``: hour, day, week from Monday, month, quarter, year. Includes aliases of pandas.
PERIODS: Final[dict[str, str]] = {
    "h": "h",
    "H": "h",
    "D": "D",
    "W": "W-SUN",
    "M": "M",
    "ME": "M",
    "MS": "M",
    "Q": "Q",
    "QE": "Q",
    "QS": "Q",
    "Y": "Y",
    "YE": "Y",
    "YS": "Y",
}


def timeline_of(states: pd.DataFrame, *, freq: str, tz: dt.tzinfo | str) -> pd.DataFrame:
    """Count events per period; see `Audit.timeline`."""
    if freq not in PERIODS:
        raise InvalidInput(f"timeline: unknown freq {freq!r}. Use one of h, D, W, M, Q, Y.")
    lifecycle = states["lifecycle"]
    moments = {
        "issued": states["created_at"],
        # A redeemed or voided offer state no longer changes, so its last update is the best estimate if no activity
        # contains the time.
        "redeemed": states["redeemed_at"].fillna(states["updated_at"])[(lifecycle == "redeemed").to_numpy()],
        "voided": states["voided_at"].fillna(states["updated_at"])[(lifecycle == "voided").to_numpy()],
        "expired": states["ends_at"][(lifecycle == "expired").to_numpy()],
    }
    counts = pd.DataFrame(
        {name: _starts(moments[name], PERIODS[freq], tz).value_counts(dropna=False) for name in TIMELINE_COUNTS}
    )
    found: pd.Index = pd.DatetimeIndex(counts.index, tz=tz).as_unit("ns")
    counts.index = found
    known = found.dropna()
    periods: pd.Index = pd.DatetimeIndex([], tz=tz).as_unit("ns")
    if len(known):
        periods = _every_start(known.min(), known.max(), PERIODS[freq], tz)
    if found.hasnans:
        periods = periods.append(pd.DatetimeIndex([pd.NaT], tz=tz).as_unit("ns"))
    counts = counts.reindex(periods).fillna(0).astype("Int64")
    return counts.rename_axis("period").reset_index()


def _starts(moments: pd.Series, period: str, tz: dt.tzinfo | str) -> pd.Series:
    """Return the start of the period of each time, in the time zone."""
    local = moments.dt.tz_convert(tz)
    wall = local.dt.tz_localize(None)
    if period == "h":
        # Subtracting the minutes keeps the offset, which matters in the hour that a clock change repeats.
        starts: pd.Series = local - (wall - wall.dt.floor("h"))
        return starts
    return _at_wall_time(wall.dt.to_period(period).dt.start_time, tz)


def _at_wall_time(wall: pd.Series, tz: dt.tzinfo | str) -> pd.Series:
    """Localize wall clock times. A skipped midnight moves forward; a repeated midnight is the first of the two."""
    ambiguous = pd.Series(True, index=wall.index).to_numpy()  # True means daylight saving time: the first of the two
    moments: pd.Series = wall.dt.tz_localize(tz, nonexistent="shift_forward", ambiguous=ambiguous)
    return moments


def _every_start(first: pd.Timestamp, last: pd.Timestamp, period: str, tz: dt.tzinfo | str) -> pd.DatetimeIndex:
    if period == "h":
        return pd.date_range(first, last, freq="h", name="period").as_unit("ns")
    walls = pd.period_range(first.tz_localize(None), last.tz_localize(None), freq=period).start_time
    return pd.DatetimeIndex(_at_wall_time(pd.Series(walls), tz), name="period").as_unit("ns")
