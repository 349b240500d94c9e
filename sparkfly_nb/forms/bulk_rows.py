"""The rows of a bulk form: read from an upload, looked at before they are sent, sorted out when they were rejected."""

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

VERDICTS_OF_OURS = ("outcome", "error", "trace")


class Looked(NamedTuple):
    """Rows that were looked at and not sent.

    Attributes
    ----------
    rows : pandas.DataFrame
        As they were given.
    preview : pandas.DataFrame
        In the same order: ``row`` (the label), ``verdict``, ``problem``, and what would be sent.
    can_go : numpy.ndarray
        Whether each row can be sent.
    """

    rows: pd.DataFrame
    preview: pd.DataFrame
    can_go: np.ndarray[Any, np.dtype[np.bool_]]

    def rejected(self, sent: pd.DataFrame, result: pd.DataFrame) -> pd.DataFrame:
        """Give the rows that were left out or rejected, as they were given, each with what was said about it."""
        said = pd.DataFrame(index=range(len(self.rows)), columns=list(VERDICTS_OF_OURS), dtype="string")
        left_out = ~self.can_go
        said.loc[left_out, "outcome"] = "left out"
        said.loc[left_out, "error"] = self.preview["problem"].to_numpy()[left_out]
        if len(sent):
            said.loc[self.can_go] = result[list(VERDICTS_OF_OURS)].to_numpy(dtype=object)
        chosen = said["outcome"].isin(["left out", "rejected"]).to_numpy()
        given = self.rows.drop(columns=[name for name in VERDICTS_OF_OURS if name in self.rows])
        return given.reset_index(drop=True).join(said)[chosen].reset_index(drop=True)


def read_upload(content: bytes) -> pd.DataFrame:
    """Read a CSV file as text, so that no leading zero of an identifier is lost.

    Raises
    ------
    InvalidInput
        It is no CSV file in UTF-8, or it has no rows.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput("the file is not UTF-8; in Excel, save it as “CSV UTF-8”") from None
    header = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=_separator_of(header))
    try:
        # Not with pandas: it drops the cells of a row that has too many, and fills up one that has too few.
        numbered = [(lines.line_num, cells) for cells in lines if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise InvalidInput(f"this is no CSV file that can be read: line {lines.line_num}: {error}") from None
    if len(numbered) < 2:
        raise InvalidInput("the file has no rows below a header line")
    names = [name.strip() for name in numbered[0][1]]
    for number, cells in numbered[1:]:
        if len(cells) != len(names):
            raise InvalidInput(f"line {number} has {len(cells)} cells, and the header has {len(names)}; mend the line")
    rows = [[cell.strip() or None for cell in cells] for _, cells in numbered[1:]]
    return pd.DataFrame(rows, columns=names, dtype="string")


def _separator_of(header: str) -> str:
    """Tell the semicolons that Excel writes in much of Europe."""
    return ";" if ";" in header and "," not in header else ","


def look_at(session: Session, frame: pd.DataFrame, operation: str, campaign_id: str) -> Looked:
    """Look at every row and send nothing that changes anything.

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
    """Check the rows, and read what they would void where the member is known by Sparkfly's key."""
    settings = session.settings
    plan = make_plan(OPERATIONS["void"], frame, address=settings.base_url, tz=settings.tz)
    preview = pd.DataFrame({name: values.to_numpy() for name, values in plan.columns.items()}).convert_dtypes()
    verdicts, problems = ["valid"] * len(frame), [""] * len(frame)
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
    """Write a frame as CSV, exact and harmless in a spreadsheet; times without an offset are written as they stand."""
    plain = frame.copy()
    for name in plain.columns:
        if isinstance(plain[name].dtype, np.dtype) and plain[name].dtype.kind == "M":
            plain[name] = plain[name].astype("string")
    with tempfile.TemporaryDirectory(prefix="sparkfly_nb-") as folder:
        path = Path(folder) / "rows.csv"
        write_csv(plain, path)
        return path.read_bytes()
