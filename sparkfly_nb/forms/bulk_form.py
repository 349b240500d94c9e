"""The form for many rows: upload or DataFrame, preview, confirmation by the number of rows, result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd

from ..bulk.engine.progress import progress_told_to
from ..errors import InvalidInput, RunHalted
from .bulk_rows import Looked, csv_bytes, look_at, read_upload
from .call_code import call_line
from .rendering import error_notice, list_table, notice
from .widget import Button, FormWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..session.session import Session

__all__ = ["BulkForm"]

TITLES: Final[dict[str, tuple[str, str, str]]] = {
    "issue": ("Issue to many", "Issue an offer of a campaign to each row, once", "Issue"),
    "void": ("Void many", "Void the offer state of each row", "Void"),
}
FILE_HELP: Final[dict[str, str]] = {
    "issue": "With a column member_id or member_identifier; external_ref_id, activates_at and expires_at as you like",
    "void": "With the columns offer_state_id and member_id or member_identifier, as an audit writes them",
}
METHODS: Final[dict[str, str]] = {"issue": "issue_many", "void": "void_many"}
PREVIEWED: Final = ("row", "verdict", "problem", "member_id", "member_identifier", "offer_state_id", "status",
                    "external_ref_id", "activates_at", "expires_at")  # fmt: skip
ENDED: Final = ("row", "outcome", "member_id", "member_identifier", "offer_state_id", "error", "trace")


class BulkForm(FormWidget):
    """A form that issues or voids many rows.

    Parameters
    ----------
    session : Session
        The session that sends the rows.
    frame : pandas.DataFrame, optional
        The rows. By default, the form asks for a CSV file.
    operation : {"issue", "void"}
        The operation for each row.
    campaign_id : str, optional
        The initial campaign XID, for issues.

    Attributes
    ----------
    result : pandas.DataFrame or None
        The result frame of the run, as ``issue_many`` and ``void_many`` return it.
    rejected : pandas.DataFrame
        The input rows that were left out or rejected, with ``outcome``, ``error`` and ``trace``.
    """

    def __init__(
        self,
        session: Session,
        frame: pd.DataFrame | None = None,
        *,
        operation: Literal["issue", "void"] = "issue",
        campaign_id: str | None = None,
    ) -> None:
        if operation not in TITLES:
            raise InvalidInput(f"operation {operation!r} has no bulk form; use one of {', '.join(TITLES)}")
        if frame is not None and not isinstance(frame, pd.DataFrame):
            raise InvalidInput(f"frame must be a DataFrame, not {type(frame).__name__}; use pd.DataFrame(...)")
        super().__init__(session.settings)
        self.rejected = pd.DataFrame()
        self._session = session
        self._operation = operation
        self._frame = frame
        self._file_name = ""
        self._upload_problem = ""
        self._looked: Looked | None = None
        self._rows = pd.DataFrame()
        title, summary, _ = TITLES[operation]
        self.spec = {"title": title, "summary": summary, "fields": self._fields(campaign_id), "one_of": ""}
        self._seen = self._seen._replace(typed={"campaign_id": campaign_id or ""})
        self._show()

    def _fields(self, campaign_id: str | None) -> list[dict[str, Any]]:
        common = {"choices": (), "unit": "", "placeholder": "", "required": False, "one_of": False, "value": ""}
        fields = []
        if self._operation == "issue":
            fields.append(
                common
                | {"name": "campaign_id", "label": "Campaign ID", "input": "text", "required": True,
                   "help": "The campaign's XID; it must be active", "placeholder": "SUMMER26",
                   "value": campaign_id or ""}
            )  # fmt: skip
        if self._frame is None:
            fields.append(
                common
                | {"name": "rows", "label": "CSV file", "input": "file", "required": True, "accept": ".csv,text/csv",
                   "help": FILE_HELP[self._operation]}
            )  # fmt: skip
        return [
            *fields,
            common
            | {"name": "reason", "label": "Reason", "input": "text", "help": "Kept with the run in the ledger",
               "placeholder": "June mailing"},
            common
            | {"name": "leave_out", "label": "Leave out rows that cannot be sent", "input": "check",
               "help": "Otherwise nothing is sent while one row has a problem"},
        ]  # fmt: skip

    # ---- description of the screen

    @property
    def _campaign_id(self) -> str:
        return self._seen.typed.get("campaign_id", "").strip()

    @property
    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"campaign_id": self._campaign_id} if self._operation == "issue" else {}
        reason = self._seen.typed.get("reason", "").strip()
        return options | ({"reason": reason} if reason else {})

    def _described(self) -> dict[str, Any]:
        problems = {}
        if self._operation == "issue" and not self._campaign_id:
            problems["campaign_id"] = {"level": "needed", "text": "needed: the campaign's XID"}
        if self._upload_problem:
            problems["rows"] = {"level": "wrong", "text": self._upload_problem}
        elif self._frame is None:
            problems["rows"] = {"level": "needed", "text": "needed: a CSV file with a header line"}
        described: dict[str, Any] = {
            "problems": problems,
            "python": self._python(),
            "locked": self._looked is not None,
            "confirm": None,
            "hint": "" if self._frame is None else f"{_rows(len(self._frame))} {self._where_from()}",
        }
        if self._looked is not None:
            return described | {"hint": ""} | self._described_in_review()
        actions = [Button("preview", "Preview", enabled=not problems)]
        if self.result is not None and (self.result["outcome"] == "unknown").any():
            actions.append(Button("settle", "Read back the unknown rows"))
        if len(self.rejected):
            actions.append(Button("save", f"Save {_rows(len(self.rejected), 'rejected')} as CSV", "plain"))
        return described | {"actions": actions}

    def _described_in_review(self) -> dict[str, Any]:
        count = len(self._rows)
        actions, confirm = [Button("back", "Back", "plain")], None
        if count:
            confirm = {"label": f"Type the number of rows that are sent: {count}"}
            typed = self._seen.confirmation.replace(",", "")  # the label of the button has thousands separators
            look = "danger" if self._operation == "void" or self._banner() else "main"
            actions.insert(0, Button("run", f"{TITLES[self._operation][2]} {_rows(count)}", look, typed == str(count)))
        return {"actions": actions, "confirm": confirm}

    def _where_from(self) -> str:
        return f"in {self._file_name}" if self._file_name else "in the frame"

    def _python(self) -> dict[str, Any]:
        count = len(self._rows) if self._looked is not None else ...
        given = {name: value or ... for name, value in self._options.items()}
        call = call_line(METHODS[self._operation], **given, confirm=count).replace("(", "(plan, ", 1)
        reading = f"plan = pd.read_csv({self._file_name!r}, dtype=str)\n" if self._file_name else ""
        return {"line": f"{reading}result = {call}", "ready": self._looked is not None}

    # ---- events

    def _handlers(self) -> Mapping[str, Callable[[], None]]:
        return {
            "preview": self._on_preview,
            "run": self._on_run,
            "back": self._on_back,
            "settle": self._on_settle,
            "save": self._on_save,
        }

    def _on_uploaded(self, name: str, content: bytes) -> None:
        self._frame, self._file_name, self._upload_problem = None, name, ""
        try:
            self._frame = read_upload(content)
        except InvalidInput as error:
            self._upload_problem = str(error)

    def _on_back(self) -> None:
        self._looked = None

    def _on_preview(self) -> None:
        if self._frame is None:
            return
        self.result, self.rejected = None, pd.DataFrame()
        # A copy, so that a later change of the caller's DataFrame cannot change what was previewed.
        with progress_told_to(self._tell_progress):
            looked = look_at(self._session, self._frame.copy(), self._operation, self._campaign_id)
        bad = len(looked.rows) - int(looked.can_go.sum())
        leave_out = self._seen.typed.get("leave_out") == "yes"
        self._looked = looked
        self._rows = looked.rows[looked.can_go] if leave_out or not bad else looked.rows.iloc[:0]
        lines = [
            ", ".join(f"{count:,} {verdict}" for verdict, count in looked.preview["verdict"].value_counts().items())
        ]
        if bad and leave_out:
            lines.append(f"{_rows(bad)} left out, {_rows(len(self._rows))} to send.")
        elif bad:
            lines.append("Nothing can be sent while a row has a problem: fix the file, or leave these rows out.")
        self._focus = "confirm" if len(self._rows) else "notice"
        self._notice = notice("info", f"{_rows(len(looked.rows))} looked at; nothing was sent yet.", *lines)
        first = looked.preview.sort_values("verdict", key=lambda verdicts: verdicts == "valid", kind="stable")
        shown = [name for name in PREVIEWED if name in first and first[name].notna().any()]
        self._tables = [list_table(first, shown, "Preview, rows with a problem first", self._zone, "the file")]

    @property
    def _zone(self) -> Any:
        return self._session.settings.tz

    def _on_run(self) -> None:
        looked, rows = self._looked, self._rows
        if looked is None:
            return
        self._looked = None
        halted: RunHalted | None = None
        with progress_told_to(self._tell_progress):
            try:
                self.result = getattr(self._session, METHODS[self._operation])(rows, **self._options, confirm=len(rows))
            except RunHalted as error:
                halted, self.result = error, error.result
        self.rejected = looked.rejected(rows, self.result)
        self._show_outcome(looked, halted)

    def _on_settle(self) -> None:
        if self.result is None:
            return
        with progress_told_to(self._tell_progress):
            settled = self._session.settle(self.result.attrs["run"])
        settled.index = self.result.index
        self.result = settled
        self._show_outcome(None, None)

    def _show_outcome(self, looked: Looked | None, halted: RunHalted | None) -> None:
        if self.result is None:
            return
        counts = self.result["outcome"].value_counts()
        words = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
        left_out = 0 if looked is None else len(looked.rows) - len(self._rows)
        lines = [f"Run {self.result.attrs['run']}.", f"{_rows(left_out)} left out." if left_out else ""]
        open_rows = int(counts.get("unknown", 0)) + int(counts.get("planned", 0))
        if int(counts.get("unknown", 0)):
            lines.append("Unknown rows may have happened: read them back before anything else.")
        kind = "unknown" if open_rows else "refused" if set(counts.index) == {"rejected"} else "done"
        self._notice = notice(kind, f"Ended: {words}.", *lines)
        if halted is not None:
            self._notice = error_notice(halted)
        ended = self.result[self.result["outcome"].isin(["rejected", "unknown", "planned"])]
        if len(ended):
            shown = ended.assign(row=[str(label) for label in ended.index])
            names = [name for name in ENDED if shown[name].notna().any()]
            self._tables = [list_table(shown, names, "Rows that were not carried out", self._zone)]

    def _on_save(self) -> None:
        self._download("rejected.csv", csv_bytes(self.rejected))
        self._notice = notice("info", f"{_rows(len(self.rejected), 'rejected')} handed to the browser as rejected.csv.")
        self._focus = ""


def _rows(count: int, kind: str = "") -> str:
    noun = "row" if count == 1 else "rows"
    return f"{count:,} {kind} {noun}".replace("  ", " ")
