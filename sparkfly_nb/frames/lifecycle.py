"""What became of an offer state: open, redeemed, expired or voided, from its status, activities and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from .scalars import is_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LIFECYCLES",
    "LIFECYCLE_DTYPE",
    "LIFECYCLE_OF_STATUS",
    "expiry_of",
    "key_of_campaign",
    "lifecycle_of",
    "lifecycles_of",
    "mask_of",
    "with_lifecycle",
]

#: The lifecycle of an offer state: exactly one of these words, whatever status the service uses.
#:
#: An offer state is *held* unless it is voided. A member with two offer states of one campaign that are open or
#: redeemed was given it twice, even where one of them is used already.
LIFECYCLES: Final[dict[str, str]] = {
    "open": "can still be used, now or once it activates",
    "redeemed": "was used",
    "expired": "can no longer be used, and was not",
    "voided": "was taken back",
}
#: Statuses that decide the lifecycle alone, in lower case. The vocabulary of the service is open: with any other
#: status, the activities decide.
LIFECYCLE_OF_STATUS: Final[dict[str, str]] = {
    "incomplete": "open",
    "complete": "redeemed",
    "completed": "redeemed",
    "redeemed": "redeemed",
    "expired": "expired",
    "void": "voided",
    "voided": "voided",
}
LIFECYCLE_DTYPE: Final = pd.CategoricalDtype(list(LIFECYCLES))


def lifecycle_of(status: object) -> str | None:
    """Return the lifecycle that a status decides alone; None if the status is missing or unknown."""
    return None if is_missing(status) else LIFECYCLE_OF_STATUS.get(str(status).strip().lower())


def lifecycles_of(statuses: pd.Series) -> pd.Series:
    """Return `lifecycle_of` each status in a column of text; missing where it is None."""
    words: pd.Series = statuses.str.strip().str.lower().map(LIFECYCLE_OF_STATUS)
    return words


def mask_of(flags: pd.Series) -> NDArray[np.bool_]:
    """Give a nullable mask as a numpy one; missing counts as false."""
    return flags.fillna(value=False).to_numpy(dtype=bool)


def expiry_of(states: pd.DataFrame) -> pd.Series:
    """Give when each offer state ends: the effective time where the service gives one, otherwise its own."""
    return states["effective_expires_at"].fillna(states["expires_at"])


def key_of_campaign(states: pd.DataFrame) -> pd.Series:
    """Name the campaign of each offer state: its number where there is one, otherwise its XID, as text."""
    return states["campaign_id"].astype("object").where(states["campaign_id"].notna(), states["campaign_xid"])


def with_lifecycle(states: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Add ``lifecycle`` and ``ends_at`` to the narrow columns.

    Parameters
    ----------
    states : DataFrame
        Narrow columns, among them ``redeemed_at`` and ``voided_at`` from the activities.
    as_of : Timestamp
        The time of the audit: what ends at or before it and was not used is expired.
    """
    told = lifecycles_of(states["status"]).astype("object")
    silent = told.isna().to_numpy()
    lifecycle: NDArray[Any] = np.where(silent, "open", told.to_numpy(dtype=object, na_value="open"))
    lifecycle[silent & states["redeemed_at"].notna().to_numpy()] = "redeemed"
    lifecycle[silent & states["voided_at"].notna().to_numpy()] = "voided"
    ends_at = expiry_of(states)
    lifecycle[(lifecycle == "open") & mask_of(ends_at <= as_of)] = "expired"
    return states.assign(lifecycle=pd.Categorical(lifecycle, dtype=LIFECYCLE_DTYPE), ends_at=ends_at)
