"""What every part of a Session shares: its settings, its client for single calls, and its runs."""

from __future__ import annotations

import datetime as dt
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ..api.endpoints import ENDPOINTS
from ..bulk.ledger.store import Ledger
from ..bulk.runs import Runs
from ..errors import ConfigurationError
from ..frames.builder import frame_of
from ..schema import OFFER_STATE, RECEIPT, VOIDED

if TYPE_CHECKING:
    import pandas as pd

    from ..api.retry_policy import RetryPolicy
    from ..http.sync_client import SyncClient
    from ..http.tokens import Tokens
    from ..settings import Settings

__all__ = ["Id", "SessionCore", "TimeLike"]

#: An id: a whole number, or text.
Id: TypeAlias = int | str | np.integer[Any]
#: A point in time: ISO 8601 text, a datetime (a `pandas.Timestamp` is one), or a numpy time.
TimeLike: TypeAlias = str | dt.datetime | np.datetime64

_COLUMNS: Final = {"receipt": RECEIPT, "offer_state": OFFER_STATE}
_OPENING: Final = threading.Lock()


class SessionCore:
    """The base of the parts of a Session; the parts add the calls."""

    settings: Settings
    service: object | None = None
    _client: SyncClient
    _retry: RetryPolicy
    _opened_runs: Runs | None = None
    _sandbox_folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def _tokens(self) -> Tokens:
        """The token in use, and how it is renewed."""
        return self._client.tokens

    def _call(self, name: str, /, **values: Any) -> pd.DataFrame:
        """Carry out one operation and return what the service answered as a typed frame."""
        endpoint = ENDPOINTS[name]
        parsed = self._client.call(endpoint, **values).parsed
        return frame_of(parsed if isinstance(parsed, list) else [parsed], _COLUMNS[endpoint.answer], where=name)

    def _void(self, name: str, /, **values: Any) -> pd.DataFrame:
        """Carry out one of the two voids, which the service answers with an empty body."""
        result = self._client.call(ENDPOINTS[name], **values)
        row = {
            "offer_state_id": result.sent["offerstate_id"],
            "member_id": result.sent.get("member_id"),
            "member_identifier": result.sent.get("member_identifier"),
            "outcome": "already_voided" if result.already else "voided",
            "trace": result.trace,
        }
        return frame_of([row], VOIDED, where=name)

    @property
    def _runs(self) -> Runs:
        """The runs of this Session; the ledger is opened with the first bulk call."""
        if self._client.is_closed:
            raise ConfigurationError("the Session is closed; make a new one")
        with _OPENING:
            if self._opened_runs is None:
                address = self.settings.ledger
                if address is None and self.service is not None:
                    # The ledger of a sandbox is deleted with the sandbox and never mixed with the user's own.
                    self._sandbox_folder = tempfile.TemporaryDirectory(prefix="sparkfly_nb-")
                    address = str(Path(self._sandbox_folder.name) / "ledger.db")
                self._opened_runs = Runs(self.settings, self._tokens, Ledger(address), self._retry)
            return self._opened_runs

    def _close_runs(self) -> None:
        if self._opened_runs is not None:
            self._opened_runs.ledger.close()
            self._opened_runs = None
        if self._sandbox_folder is not None:
            self._sandbox_folder.cleanup()
            self._sandbox_folder = None
