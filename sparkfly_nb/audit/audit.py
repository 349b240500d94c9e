"""The result of an audit: who should have an offer, who has it, who used it, and what is wrong."""

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
    """The offer states of a campaign at the service, compared with the plan and the ledger.

    ``session.audit(...)`` and `read_audit` return an audit. An audit does not change and sends no more requests.

    The lifecycle of an offer state is *open*, *redeemed*, *expired* (without being redeemed) or *voided*. A member
    *holds* the offer states that are not voided.

    Attributes
    ----------
    metadata : AuditMetadata
        Scope, environment, address, user, time zone, and the times at which reading began and ended.
    evidence, store : AuditEvidence, StateStore
        The data that the methods compute from. Internal.
    """

    def compare(self, earlier: Audit) -> Comparison:
        """Return what changed since an earlier audit of the same scope.

        Returns
        -------
        Comparison
            ``states`` has one row per difference. ``totals`` has the summary of both audits.

        Raises
        ------
        InvalidInput
            The earlier audit has another scope or read another service.
        """
        return compare(self, earlier)

    def plot(
        self, by: str | None = None, *, freq: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> Figure:
        """Draw the lifecycle by segment, the funnel from planned to redeemed, and the timeline.

        Parameters
        ----------
        by : str, optional
            The column of the plan for the first chart. Default: ``segment``, if the plan has that column.
        freq : str, optional
            The period of the timeline, as in `timeline`. Default: the shortest period, from days up, that is readable.
        path : path, optional
            Also write the figure to this file: ``.png``, ``.pdf`` or ``.svg``.

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
        """Write a folder of CSV files with a manifest, or only the offer states as one CSV file.

        Parameters
        ----------
        target : path
            If the name ends in ``.csv``: one file with the offer states. Otherwise a folder with ``states.csv``,
            ``summary.csv``, ``exceptions.csv``, ``timeline.csv``, ``activities.csv``, ``plan.csv``, ``unread.csv`` and
            ``manifest.json``. ``verify`` checks the folder, and ``read_audit`` reads it.

        Returns
        -------
        Path
            The file or folder. Each file is complete or absent.

        Raises
        ------
        AuditFileError
            The files cannot be written there.
        """
        path = as_path(target)
        return write_states(self, path) if path.suffix.lower() == ".csv" else write_folder(self, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the offer states as one Parquet file, with lists as JSON.

        Raises
        ------
        ConfigurationError
            pyarrow is not installed.
        AuditFileError
            The file cannot be written.
        """
        return write_parquet(self, as_path(path))

    def to_excel(self, path: str | os.PathLike[str]) -> Path:
        """Write a workbook with summary, exceptions, timeline, offer states, activities and unread members.

        Raises
        ------
        ConfigurationError
            openpyxl is not installed.
        InvalidInput
            There are more rows than fit on a sheet.
        AuditFileError
            The file cannot be written.
        """
        return write_excel(self, as_path(path))

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)
