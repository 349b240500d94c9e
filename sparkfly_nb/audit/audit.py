"""The audit itself: who was meant to get an offer, who has it, who used it, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..files import as_path
from .audit_data import AuditData
from .compare import Comparison, compare
from .output.display import html_of, text_of
from .output.folder_writer import write_folder, write_states
from .output.workbook import write_excel, write_parquet

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["Audit"]


class Audit(AuditData):
    """What the service shows of a campaign, against the plan and the ledger.

    Made by ``session.audit(...)`` and by `read_audit`; it does not change and asks the service nothing more.

    Words: an offer state is *open*, *redeemed*, *expired* (and was not used) or *voided*. *Held* is what is not voided;
    *live* is what is open or redeemed.

    Attributes
    ----------
    metadata : AuditMetadata
        Scope, environment, address, user, time zone, and the times at which reading began and ended.
    evidence, store : AuditEvidence, StateStore
        What the other methods compute from; for the modules of the audit.
    """

    def compare(self, earlier: Audit) -> Comparison:
        """Say what changed since an earlier audit of the same scope.

        Returns
        -------
        Comparison
            ``states``, one row per difference; ``totals``, the summary in both.

        Raises
        ------
        InvalidInput
            The other audit has another scope.
        """
        return compare(self, earlier)

    def plot(
        self, by: str | None = None, *, freq: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> Figure:
        """Draw status by segment, the timeline, and the funnel from planned to redeemed.

        Parameters
        ----------
        by : str, optional
            The column of the plan for the first picture; by default ``segment`` where there is one.
        freq : str, optional
            The period of the timeline, as in `timeline`; by default days, weeks or months, whatever is readable.
        path : path, optional
            A file to write as well: ``.png``, ``.pdf`` or ``.svg``.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ConfigurationError
            matplotlib is not installed.
        """
        from .output.plots import draw  # noqa: PLC0415 - matplotlib is optional

        return draw(self, by=by, freq=freq, path=path)

    def to_csv(self, target: str | os.PathLike[str]) -> Path:
        """Hand the audit over: a folder of CSV files with a manifest, or the offer states as one file.

        Parameters
        ----------
        target : path
            A name that ends in ``.csv`` is one file with the offer states. Any other is a folder: ``states.csv``,
            ``summary.csv``, ``exceptions.csv``, ``timeline.csv``, ``activities.csv``, ``plan.csv``, ``unread.csv`` and
            ``manifest.json``, which ``verify`` checks and ``read_audit`` reads.

        Returns
        -------
        Path
            What was written. Each file is whole or absent.

        Raises
        ------
        AuditFileError
            The files cannot be written there.
        """
        path = as_path(target)
        return write_states(self, path) if path.suffix.lower() == ".csv" else write_folder(self, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the offer states as one Parquet file; lists as JSON.

        Raises
        ------
        ConfigurationError
            pyarrow is not installed.
        AuditFileError
            The file cannot be written.
        """
        return write_parquet(self, as_path(path))

    def to_excel(self, path: str | os.PathLike[str]) -> Path:
        """Write a workbook: summary, exceptions, timeline, offer states, activities, members that were not read.

        Raises
        ------
        ConfigurationError
            openpyxl is not installed.
        InvalidInput
            There are more rows than a sheet holds.
        AuditFileError
            The file cannot be written.
        """
        return write_excel(self, as_path(path))

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)
