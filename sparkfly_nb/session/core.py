"""The base class of the Session's parts: settings, the client for single calls, and the runs of the ledger."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

__all__ = ["SessionCore"]

_COLUMNS: Final = {"receipt": RECEIPT, "offer_state": OFFER_STATE}
# One lock for all Sessions: it is held only while a ledger is opened, which happens once per Session.
_OPENING: Final = threading.Lock()


class SessionCore:
    """The base class of the Session's parts, which add the calls."""

    #: The checked settings.
    settings: Settings
    #: The sandbox that this Session started, or None.
    service: object | None = None
    _client: SyncClient
    _retry: RetryPolicy
    _opened_runs: Runs | None = None
    _sandbox_folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def _tokens(self) -> Tokens:
        """The current token, with its renewal."""
        return self._client.tokens

    def _call(self, name: str, /, **values: Any) -> pd.DataFrame:
        """Carry out one operation and return the response as a typed frame."""
        endpoint = ENDPOINTS[name]
        parsed = self._client.call(endpoint, **values).parsed
        return frame_of(parsed if isinstance(parsed, list) else [parsed], _COLUMNS[endpoint.answer], where=name)

    def _void(self, name: str, /, **values: Any) -> pd.DataFrame:
        """Carry out one of the two voids, and build a frame from the request because the response has no body."""
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
        """The runs of this Session. The first bulk call opens the ledger."""
        if self._client.is_closed:
            raise ConfigurationError("the Session is closed; create a new one")
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
