"""From a person's frame to a plan: every row checked before anything is sent, with a digest of what is asked."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InvalidInput
from ...frames.input_columns import ReadColumn, read_flags, read_integers, read_texts, read_times
from ...frames.invalid_rows import InvalidCell, invalid_rows, label_at
from ...frames.scalars import as_text, shown, to_rfc3339
from ...schema import FLAG, INTEGER, PAYLOAD, TEXT, TIME
from ..records import PlannedRow

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from ...errors import InvalidRows
    from ..operations import Operation

__all__ = ["Plan", "RowProblem", "make_plan", "reference_of", "report_of"]

READERS: Final[dict[str, Callable[[pd.Series, dt.tzinfo | None], ReadColumn]]] = {
    INTEGER: lambda series, _tz: read_integers(series),
    TEXT: lambda series, _tz: read_texts(series),
    FLAG: lambda series, _tz: read_flags(series),
    TIME: lambda series, tz: read_times(series, tz=tz),
}
CHUNK_ROWS: Final = 20_000


class RowProblem(NamedTuple):
    """Why a row is refused before sending."""

    position: int
    column: str
    value: Any
    problem: str
    fix: str
    kind: str = "invalid"


@dataclass
class Plan:
    """The rows of a bulk change, checked and typed, in the order of the frame."""

    operation: Operation
    campaign_id: str | None
    index: pd.Index
    columns: dict[str, pd.Series]
    digest: str
    problems: list[RowProblem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    def label(self, position: int) -> Any:
        """Give the label of a row in the person's index, as Python shows it."""
        return label_at(self.index, position)

    def rows(self, run: str) -> Iterator[list[PlannedRow]]:
        """Give the rows as they enter the ledger, some at a time; issues get their reference from the run's name."""
        keys = ("member_id", "member_identifier", "offer_state_id", "external_ref_id")
        texts = {name: _wire_values(self.columns[name]) for name in self.columns if name not in keys}
        for first in range(0, len(self), CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            member_ids, identifiers, states, references = (self._plain(name, part) for name in keys)
            payloads: list[dict[str, Any]] = [{} for _ in member_ids]
            for name, values in texts.items():
                for payload, value in zip(payloads, values(part), strict=True):
                    if value is not None:
                        payload[name] = value
            if self.operation.issues:
                references = [
                    reference or reference_of(run, position, member_id, identifier)
                    for position, (reference, member_id, identifier) in enumerate(
                        zip(references, member_ids, identifiers, strict=True), start=first
                    )
                ]
            yield [
                PlannedRow(position, *row)
                for position, row in enumerate(
                    zip(member_ids, identifiers, states, references, payloads, strict=True), start=first
                )
            ]

    def _plain(self, name: str, part: slice) -> list[Any]:
        """Give some values of a column as Python has them, None where missing or where there is no such column."""
        if name not in self.columns:
            return [None] * len(range(*part.indices(len(self))))
        return plain_values(self.columns[name].iloc[part])


def plain_values(series: pd.Series) -> list[Any]:
    """Give the values of a typed column as Python has them, None where missing."""
    values: list[Any] = series.astype("object").where(series.notna(), None).tolist()
    return values


def _wire_values(series: pd.Series) -> Any:
    """Make a function that gives a slice of a column as it is sent; equal times are written once."""
    if str(series.dtype) != TIME:
        return lambda part: plain_values(series.iloc[part])
    codes, stamps = pd.factorize(series)
    texts = [to_rfc3339(stamp) for stamp in stamps]
    return lambda part: [texts[code] if code >= 0 else None for code in codes[part]]


def reference_of(run: str, position: int, member_id: int | None, identifier: str | None) -> str:
    """Derive the reference of a row from the run and the row: another machine with the same plan makes the same."""
    member = str(member_id) if member_id is not None else f"\N{NUMBER SIGN}{identifier}"
    digest = hashlib.blake2b(f"{run}\n{position}\n{member}".encode(), digest_size=15).digest()
    return "nb-" + base64.b32encode(digest).decode().lower()


def make_plan(
    operation: Operation,
    frame: pd.DataFrame,
    *,
    address: str,
    campaign_id: str | None = None,
    columns: Sequence[str] | None = None,
    tz: dt.tzinfo | None = None,
    allow_duplicates: bool = False,
) -> Plan:
    """Check a frame, all of it, and make the plan; what is wrong with rows stands in `Plan.problems`.

    Parameters
    ----------
    operation : Operation
        What is to be done.
    frame : pandas.DataFrame
        One row per change. Columns that the operation does not know are left alone.
    address : str
        The address of the service, part of the digest.
    campaign_id : str, optional
        The campaign's XID, for issues.
    columns : sequence of str, optional
        What is to be set, for updates and redemptions; default: all that the frame has.
    tz : tzinfo, optional
        The time zone of times that carry no offset.
    allow_duplicates : bool
        Whether a member may stand in the frame twice.

    Raises
    ------
    InvalidInput
        The frame lacks a column, has one twice, or is no frame.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(f"a DataFrame is needed, not {type(frame).__name__}; make one with pd.DataFrame(...)")
    if operation.issues:
        try:
            campaign_id = as_text(campaign_id)
        except InvalidInput as error:
            raise InvalidInput(f"campaign_id: {error}") from None
    if isinstance(columns, (str, bytes)) or not isinstance(columns, (Iterable, type(None))):
        raise InvalidInput(f"columns must be a list of names, as in ['expires_at'], not {shown(columns)}")
    wanted = operation.columns if columns is None else tuple(columns)
    strange = [name for name in wanted if name not in operation.columns or (columns is not None and name not in frame)]
    if strange:
        raise InvalidInput(f"columns: {strange} cannot be set; the frame may give {list(operation.columns)}")
    keys = ("member_id", "member_identifier") if operation.by_identifier else ("member_id",)
    needed = () if operation.issues else ("offer_state_id",)
    used = [name for name in (*keys, *needed, *wanted) if name in frame.columns]
    compared = ["campaign_id"] if operation.issues and "campaign_id" in frame.columns else []
    _check_columns(frame, operation, keys, needed, [*used, *compared])
    plan = Plan(operation, campaign_id, frame.index, {}, "")
    for name in used:
        read = READERS[PAYLOAD[name]](frame[name].reset_index(drop=True), tz)
        plan.columns[name] = read.values  # noqa: PD011 - a field of ours
        plan.problems += [RowProblem(found[0], name, *found[1:]) for found in read.problems]
    if compared:
        plan.problems += _other_campaign(frame, str(campaign_id))
    plan.problems += _missing(plan, frame, keys, needed)
    plan.problems += _contradictions(plan)
    plan.problems += _shared_references(plan)
    if not allow_duplicates:
        plan.problems += _repeated(plan, frame)
    plan.problems.sort(key=lambda problem: problem.position)
    plan.digest = _digest(plan, address)
    return plan


def _check_columns(
    frame: pd.DataFrame, operation: Operation, keys: tuple[str, ...], needed: tuple[str, ...], used: list[str]
) -> None:
    """Refuse a frame whose columns cannot be understood."""
    if not any(name in frame.columns for name in keys):
        raise InvalidInput(f"{operation.name}: the frame needs a column {' or '.join(keys)}; it has {_listed(frame)}")
    for name in needed:
        if name not in frame.columns:
            raise InvalidInput(f"{operation.name}: the frame needs a column {name}; it has {_listed(frame)}")
    twice = [name for name in used if isinstance(frame[name], pd.DataFrame)]
    if twice:
        raise InvalidInput(f"{operation.name}: the frame has more than one column {', '.join(twice)}; keep one of each")
    if operation.name == "update" and not set(used) & set(operation.columns):
        raise InvalidInput(f"update: nothing is to be set; the frame may give {list(operation.columns)}")


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns[:20])) or "none"


def _missing(plan: Plan, frame: pd.DataFrame, keys: tuple[str, ...], needed: tuple[str, ...]) -> list[RowProblem]:
    """Find rows that name no member or no offer state, or set nothing."""
    unreadable = {(problem.position, problem.column) for problem in plan.problems}
    found = []
    groups = [(keys, "the row names no member")] + [((name,), f"{name} is missing") for name in needed]
    if plan.operation.name == "update":
        groups.append((tuple(plan.operation.columns), "the row sets nothing"))
    for names, problem in groups:
        present = [plan.columns[name].notna().to_numpy() for name in names if name in plan.columns]
        for position in np.flatnonzero(~np.logical_or.reduce(present)):
            if not any((int(position), name) in unreadable for name in names):
                column = next(name for name in names if name in plan.columns)
                fix = f"give {' or '.join(names)}, or drop the row"
                found.append(RowProblem(int(position), column, frame[column].iloc[position], problem, fix))
    return found


def _contradictions(plan: Plan) -> list[RowProblem]:
    """Find rows whose dates cannot be."""
    starts, ends = plan.columns.get("activates_at"), plan.columns.get("expires_at")
    if starts is None or ends is None:
        return []
    wrong = np.flatnonzero((starts >= ends).fillna(value=False).to_numpy(dtype=bool))
    return [
        RowProblem(
            int(position), "expires_at", ends.iloc[position], "the offer would expire before it activates",
            "make expires_at later than activates_at", "inverted dates",
        )
        for position in wrong
    ]  # fmt: skip


def _repeated(plan: Plan, frame: pd.DataFrame) -> list[RowProblem]:
    """Find rows that ask for the same thing again: the same member of a campaign, or the same offer state."""
    names = ("member_id", "member_identifier") if plan.operation.issues else ("offer_state_id",)
    meant = ", or give allow_duplicates=True if it is meant" if plan.operation.issues else ""
    found = []
    for name in names:
        series = plan.columns.get(name)
        if series is None:
            continue
        again = np.flatnonzero((series.duplicated() & series.notna()).to_numpy(dtype=bool))
        if not len(again):
            continue
        first = dict(zip(series[::-1], range(len(series) - 1, -1, -1), strict=True))
        for position in again:
            there = plan.label(first[series.iloc[position]])
            found.append(
                RowProblem(
                    int(position), name, frame[name].iloc[position],
                    f"the same {name} stands in row {shown(there)} already",
                    f"drop the row{meant}", "duplicate",
                )
            )  # fmt: skip
    return found


def _shared_references(plan: Plan) -> list[RowProblem]:
    """Find rows that have another row's reference: by it a row is found again, so each needs its own."""
    references = plan.columns.get("external_ref_id")
    if references is None:
        return []
    return [
        RowProblem(
            int(position), "external_ref_id", references.iloc[position], "another row has this reference already",
            "give each row its own, or leave the column out: references are made then", "duplicate",
        )
        for position in np.flatnonzero((references.duplicated() & references.notna()).to_numpy(dtype=bool))
    ]  # fmt: skip


def _other_campaign(frame: pd.DataFrame, campaign_id: str) -> list[RowProblem]:
    """Find rows that name another campaign than the call."""
    named, problems = read_texts(frame["campaign_id"].reset_index(drop=True))
    wrong = np.flatnonzero((named.notna() & (named != campaign_id)).to_numpy(dtype=bool))
    return [RowProblem(found[0], "campaign_id", *found[1:]) for found in problems] + [
        RowProblem(
            int(position), "campaign_id", named.iloc[position], f"the call names campaign {campaign_id!r}",
            "issue each campaign's rows in a call of their own, or drop the column",
        )
        for position in wrong
    ]  # fmt: skip


def _digest(plan: Plan, address: str) -> str:
    """Make one number of all that is asked: operation, address, campaign and rows in their order."""
    asked = hashlib.sha256()
    asked.update(repr((plan.operation.name, address, plan.campaign_id, len(plan))).encode())
    for name in sorted(plan.columns):
        series = plan.columns[name]
        if not series.notna().any():  # a column without values asks for nothing
            continue
        asked.update(name.encode())
        for first in range(0, len(series), CHUNK_ROWS):
            part = series.iloc[first : first + CHUNK_ROWS]
            values = part.astype("int64").tolist() if str(part.dtype) == TIME else plain_values(part)
            asked.update(repr(values).encode("utf-8", "surrogatepass"))
    return asked.hexdigest()


def report_of(plan: Plan, problems: Sequence[RowProblem]) -> InvalidRows:
    """Make the error that shows what is wrong, row by row."""
    count = len({problem.position for problem in problems})
    return invalid_rows(
        f"{count} of {len(plan)} rows cannot be sent, so nothing was sent",
        [InvalidCell(plan.label(problem.position), *problem[1:5]) for problem in problems],
    )
