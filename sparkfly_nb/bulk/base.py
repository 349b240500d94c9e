"""What the bulk parts of a Session stand on: a run book, opened with the first bulk call, closed with the Session."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .ledger.store import Ledger
from .runs import RunBook

if TYPE_CHECKING:
    from ..http.sync_client import Transport
    from ..http.tokens import Tokens
    from ..settings import Settings

__all__ = ["BulkPart"]

_OPENING = threading.Lock()


class BulkPart:
    """A part of the Session that has runs."""

    settings: Settings
    transport: Transport
    service: object | None = None
    _run_book: RunBook | None = None
    _forgotten_with_service: tempfile.TemporaryDirectory[str] | None = None

    @property
    def tokens(self) -> Tokens:
        """The token in use, and how it is renewed."""
        return self.transport.tokens

    @property
    def _runs(self) -> RunBook:
        if self.transport.is_closed:
            raise ConfigurationError("the Session is closed; make a new one")
        with _OPENING:
            if self._run_book is None:
                address = self.settings.ledger
                if address is None and self.service is not None:
                    # what a sandbox of this Session did is forgotten with it, and stays out of the user's own ledger
                    self._forgotten_with_service = tempfile.TemporaryDirectory(prefix="sparkfly_nb-")
                    address = str(Path(self._forgotten_with_service.name) / "ledger.db")
                self._run_book = RunBook(self.settings, self.tokens, Ledger(address))
            return self._run_book

    def _close_runs(self) -> None:
        if self._run_book is not None:
            self._run_book.ledger.close()
            self._run_book = None
        if self._forgotten_with_service is not None:
            self._forgotten_with_service.cleanup()
            self._forgotten_with_service = None
