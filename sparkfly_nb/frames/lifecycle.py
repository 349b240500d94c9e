"""The lifecycle of an offer state: open, redeemed, expired or voided, from its status, activities and dates."""

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

#: The lifecycles, with their meanings. Every offer state has exactly one of them, whatever status the service uses.
#:
#: An offer state is *held* unless it is voided. A member with two open or redeemed offer states of one campaign
#: received the offer twice, even if one of them has been used.
LIFECYCLES: Final[dict[str, str]] = {
    "open": "can still be used, now or once it activates",
    "redeemed": "was used",
    "expired": "was not used in time",
    "voided": "was withdrawn",
}
#: The lifecycle for each status that the package knows, in lower case. The service may use others. The activities
#: and dates decide the lifecycle then.
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
    """Return the lifecycle for a status, or None if the status is missing or unknown."""
    return None if is_missing(status) else LIFECYCLE_OF_STATUS.get(str(status).strip().lower())


def lifecycles_of(statuses: pd.Series) -> pd.Series:
    """Return `lifecycle_of` each status in a text column, with missing values instead of None."""
    lifecycles: pd.Series = statuses.str.strip().str.lower().map(LIFECYCLE_OF_STATUS)
    return lifecycles


def mask_of(flags: pd.Series) -> NDArray[np.bool_]:
    """Return a nullable mask as a numpy array, with False for missing values."""
    return flags.fillna(value=False).to_numpy(dtype=bool)


def expiry_of(states: pd.DataFrame) -> pd.Series:
    """Return the expiry of each offer state: the effective time if the service sent one, otherwise its own."""
    return states["effective_expires_at"].fillna(states["expires_at"])


def key_of_campaign(states: pd.DataFrame) -> pd.Series:
    """Return the campaign of each offer state: the ID as a number or, if there is none, the XID as text."""
    return states["campaign_id"].astype("object").where(states["campaign_id"].notna(), states["campaign_xid"])


def with_lifecycle(states: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return the offer states with ``lifecycle`` and ``ends_at`` added.

    Parameters
    ----------
    states : DataFrame
        Must contain ``redeemed_at`` and ``voided_at`` from the activities.
    as_of : Timestamp
        The time of the audit. Offer states that end at or before it and were not used are expired.
    """
    by_status = lifecycles_of(states["status"]).astype("object")
    unknown = by_status.isna().to_numpy()
    lifecycle: NDArray[Any] = np.where(unknown, "open", by_status.to_numpy(dtype=object, na_value="open"))
    lifecycle[unknown & states["redeemed_at"].notna().to_numpy()] = "redeemed"
    # After redemptions: an offer state with both activities is voided.
    lifecycle[unknown & states["voided_at"].notna().to_numpy()] = "voided"
    ends_at = expiry_of(states)
    # The service may still say "incomplete" after the expiry, so the date decides for known statuses too.
    lifecycle[(lifecycle == "open") & mask_of(ends_at <= as_of)] = "expired"
    return states.assign(lifecycle=pd.Categorical(lifecycle, dtype=LIFECYCLE_DTYPE), ends_at=ends_at)
