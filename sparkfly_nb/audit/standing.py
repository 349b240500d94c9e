"""What became of each offer state: open, redeemed, expired or voided, from its status, its activities and its dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..schema import STANDING_OF_STATUS
from .tables import STANDINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["STANDING_DTYPE", "expiry_of", "key_of_campaign", "mask_of", "with_standing"]

STANDING_DTYPE = pd.CategoricalDtype(list(STANDINGS))


def mask_of(flags: pd.Series) -> NDArray[np.bool_]:
    """Give a nullable mask as a numpy one; missing counts as false."""
    return flags.fillna(value=False).to_numpy(dtype=bool)


def expiry_of(states: pd.DataFrame) -> pd.Series:
    """Give when each offer state ends: the effective time where the service gives one, otherwise its own."""
    return states["effective_expires_at"].fillna(states["expires_at"])


def key_of_campaign(states: pd.DataFrame) -> pd.Series:
    """Name the campaign of each offer state: its number where there is one, otherwise its XID, as text."""
    return states["campaign_id"].astype("object").where(states["campaign_id"].notna(), states["campaign_xid"])


def with_standing(states: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Add ``standing`` and ``ends_at`` to the narrow columns.

    Parameters
    ----------
    states : DataFrame
        Narrow columns, among them ``redeemed_at`` and ``voided_at`` from the activities.
    as_of : Timestamp
        The time of the audit: what ends at or before it and was not used is expired.
    """
    words: pd.Series = states["status"].str.strip().str.lower()
    told = words.map(STANDING_OF_STATUS).astype("object")
    silent = told.isna().to_numpy()
    standing: NDArray[Any] = np.where(silent, "open", told.to_numpy(dtype=object, na_value="open"))
    standing[silent & states["redeemed_at"].notna().to_numpy()] = "redeemed"
    standing[silent & states["voided_at"].notna().to_numpy()] = "voided"
    ends_at = expiry_of(states)
    standing[(standing == "open") & mask_of(ends_at <= as_of)] = "expired"
    return states.assign(standing=pd.Categorical(standing, dtype=STANDING_DTYPE), ends_at=ends_at)
