"""The rows of a bulk form: read an upload, preview the rows, and select the rejected ones."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ..bulk.operations import OPERATIONS
from ..bulk.plan.plan import make_plan
from ..errors import InvalidInput
from ..frames.csv_writer import write_csv
from .review import warnings_of

if TYPE_CHECKING:
    from ..session.session import Session

__all__ = ["Looked", "csv_bytes", "look_at", "read_upload"]

VERDICT_COLUMNS = ("outcome", "error", "trace")


class Looked(NamedTuple):
    """Rows with their preview. None of them was sent.

    Attributes
    ----------
    rows : pandas.DataFrame
        The input rows.
    preview : pandas.DataFrame
        The preview in the same order: ``row`` (the label), ``verdict``, ``problem``, and the values to send.
    can_go : numpy.ndarray
        Whether each row can be sent.
    """

    rows: pd.DataFrame
    preview: pd.DataFrame
    can_go: np.ndarray[Any, np.dtype[np.bool_]]

    def rejected(self, sent: pd.DataFrame, result: pd.DataFrame) -> pd.DataFrame:
        """Return the input rows that were left out or rejected, each with its outcome, error and trace."""
        verdicts = pd.DataFrame(index=range(len(self.rows)), columns=list(VERDICT_COLUMNS), dtype="string")
        left_out = ~self.can_go
        verdicts.loc[left_out, "outcome"] = "left out"
        verdicts.loc[left_out, "error"] = self.preview["problem"].to_numpy()[left_out]
        if len(sent):
            verdicts.loc[self.can_go] = result[list(VERDICT_COLUMNS)].to_numpy(dtype=object)
        chosen = verdicts["outcome"].isin(["left out", "rejected"]).to_numpy()
        # A file of rejected rows that was fixed and uploaded again already has these columns.
        given = self.rows.drop(columns=[name for name in VERDICT_COLUMNS if name in self.rows])
        return given.reset_index(drop=True).join(verdicts)[chosen].reset_index(drop=True)


def read_upload(content: bytes) -> pd.DataFrame:
    """Read a CSV file. All values stay text, so that identifiers keep their leading zeros.

    Raises
    ------
    InvalidInput
        The content is not CSV in UTF-8, has no rows, or has a line with too many or too few cells.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8; in Excel, save it as “CSV UTF-8”") from None
    header = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_separator_of(header))
    try:
        # Not with pandas, which drops surplus cells of a row and fills up missing ones without an error.
        numbered = [(lines.line_num, cells) for cells in lines if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InvalidInput(f"the file is not valid CSV: line {lines.line_num}: {error}") from None
    if len(numbered) < 2:
        raise InvalidInput("the file has no rows below a header line")
    names = [name.strip() for name in numbered[0][1]]
    for number, cells in numbered[1:]:
        if len(cells) != len(names):
            raise InvalidInput(f"line {number} has {len(cells)} cells, and the header has {len(names)}; fix the line")
    rows = [[cell.strip() or None for cell in cells] for _, cells in numbered[1:]]
    return pd.DataFrame(rows, columns=names, dtype="string")


def _separator_of(header: str) -> str:
    # Excel separates the cells with semicolons in much of Europe.
    return ";" if ";" in header and "," not in header else ","


def look_at(session: Session, frame: pd.DataFrame, operation: str, campaign_id: str) -> Looked:
    """Preview each row. Nothing is changed at the service.

    Raises
    ------
    InvalidInput
        The frame lacks a column.
    """
    look = _look_at_issue if operation == "issue" else _look_at_void
    preview = look(session, frame, campaign_id)
    preview.insert(0, "row", pd.Series([str(label) for label in frame.index], dtype="string").to_numpy())
    return Looked(frame, preview, (preview["verdict"] == "valid").to_numpy(dtype=bool))


def _look_at_issue(session: Session, frame: pd.DataFrame, campaign_id: str) -> pd.DataFrame:
    return session.preview_issue(frame, campaign_id, progress=False).reset_index(drop=True)


def _look_at_void(session: Session, frame: pd.DataFrame, _campaign_id: str) -> pd.DataFrame:
    """Validate the rows, and read the offer states that they would void."""
    # The service lists offer states by Sparkfly's member ID only, so rows with a loyalty identifier are not read.
    settings = session.settings
    plan = make_plan(OPERATIONS["void"], frame, address=settings.base_url, tz=settings.tz)
    preview = pd.DataFrame({name: values.to_numpy() for name, values in plan.columns.items()}).convert_dtypes()
    verdicts, problems = ["valid"] * len(frame), [""] * len(frame)
    # In reverse, so that the first problem of a row remains.
    for problem in reversed(plan.problems):
        verdicts[problem.position] = problem.kind
        problems[problem.position] = f"{problem.column}: {problem.problem}; {problem.fix}"
    members = plan.columns.get("member_id")
    if members is not None and members.notna().any():
        states = session.list_many(members.dropna(), errors="collect", progress=False)
        by_id = states.drop_duplicates("offer_state_id").set_index("offer_state_id")[["member_id", "status", "locked"]]
        found = by_id.to_dict("index")
        unread = {record["member_id"] for record in states.attrs["unread"]}
        keys = list(zip(plan.columns["offer_state_id"], members, strict=True))
        preview["status"] = pd.Series([found.get(state, {}).get("status") for state, _ in keys], dtype="string")
        for at, (state, member) in enumerate(keys):
            if problems[at] or pd.isna(member) or member in unread:
                continue
            if state not in found or found[state]["member_id"] != member:
                verdicts[at], problems[at] = "not found", f"offer_state_id: member {member} does not hold {state}"
            else:
                problems[at] = " ".join(warnings_of(found[state]))
    preview.insert(0, "verdict", pd.Series(verdicts, dtype="string"))
    preview.insert(1, "problem", pd.Series([text or None for text in problems], dtype="string"))
    return preview


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV that a spreadsheet can open without executing formulas."""
    plain = frame.copy()
    # write_csv rejects times without an offset. Here they are the user's own values and must not change.
    for name in plain.columns:
        if isinstance(plain[name].dtype, np.dtype) and plain[name].dtype.kind == "M":
            plain[name] = plain[name].astype("string")
    with tempfile.TemporaryDirectory(prefix="sparkfly_nb-") as folder:
        path = Path(folder) / "rows.csv"
        write_csv(plain, path)
        return path.read_bytes()
