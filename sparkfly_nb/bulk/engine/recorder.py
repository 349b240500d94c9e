"""Reports go into the ledger while the next shard is on the wire."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..worker.messages import SendReport

__all__ = ["Recorder"]


class Recorder:
    """Records reports in a thread of its own; what it could not record is raised when the block ends.

    Parameters
    ----------
    record : callable
        Records one report.
    """

    def __init__(self, record: Callable[[SendReport], None]) -> None:
        self._record = record
        self._reports: queue.SimpleQueue[SendReport | None] = queue.SimpleQueue()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._body, name="sparkfly-nb-recorder")

    @property
    def failed(self) -> bool:
        """Whether the ledger could not be written: then nothing more may be sent."""
        return self._fault is not None

    def put(self, report: SendReport) -> None:
        """Take a report; it is recorded soon."""
        self._reports.put(report)

    def _body(self) -> None:
        while (report := self._reports.get()) is not None:
            if self._fault is None:
                try:
                    self._record(report)
                except BaseException as fault:  # noqa: BLE001 - carried over to the executor's thread, which raises it
                    self._fault = fault

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._reports.put(None)
        self._thread.join()
        if self._fault is not None:
            raise self._fault
