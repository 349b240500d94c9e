"""How a call becomes a frame, and what its values may be."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ..api.endpoints import ENDPOINTS
from ..frames.builder import frame_of
from ..schema import OFFER_STATE, RECEIPT, VOIDED

if TYPE_CHECKING:
    import pandas as pd

    from ..http.sync_client import Transport

__all__ = ["Calls", "Id", "TimeLike"]

Id: TypeAlias = int | str | np.integer[Any]
TimeLike: TypeAlias = str | dt.datetime | np.datetime64
"""A `pandas.Timestamp` is a datetime."""

_COLUMNS: Final = {"receipt": RECEIPT, "offer_state": OFFER_STATE}


class Calls:
    """What all calls share."""

    transport: Transport

    def _call(self, name: str, /, **values: Any) -> pd.DataFrame:
        endpoint = ENDPOINTS[name]
        parsed = self.transport.call(endpoint, **values).parsed
        return frame_of(parsed if isinstance(parsed, list) else [parsed], _COLUMNS[endpoint.answer], where=name)

    def _void(self, name: str, /, **values: Any) -> pd.DataFrame:
        reply = self.transport.call(ENDPOINTS[name], **values)
        row = {
            "offer_state_id": reply.sent["offerstate_id"],
            "member_id": reply.sent.get("member_id"),
            "member_identifier": reply.sent.get("member_identifier"),
            "outcome": "already_voided" if reply.already else "voided",
            "trace": reply.trace,
        }
        return frame_of([row], VOIDED, where=name)
