"""Plans: a DataFrame whose rows were all checked before anything is sent, with a digest of its values."""

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
#: Rows that are converted at once, to bound the memory of a large plan. Never change it: the digest depends on it.
CHUNK_ROWS: Final = 20_000


class RowProblem(NamedTuple):
    """Why a row is rejected before anything is sent."""

    #: From 0, whatever the index of the DataFrame is.
    position: int
    column: str
    value: Any
    #: Plain language: forms show both texts to analysts. Neither contains a Python expression.
    problem: str
    fix: str
    #: The verdict of a preview.
    kind: str = "invalid"


@dataclass
class Plan:
    """The rows of a bulk change, checked and typed, in the order of the DataFrame."""

    operation: Operation
    campaign_id: str | None
    index: pd.Index
    columns: dict[str, pd.Series]
    digest: str
    problems: list[RowProblem] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    def label(self, position: int) -> Any:
        """Return the label of a row in the user's index."""
        return label_at(self.index, position)

    def rows(self, run: str) -> Iterator[list[PlannedRow]]:
        """Yield the rows for the ledger in chunks. Rows of an issue get references derived from the run's name."""
        keys = ("member_id", "member_identifier", "offer_state_id", "external_ref_id")
        texts = {name: _sent_values(self.columns[name]) for name in self.columns if name not in keys}
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
        """Return some values of a column as Python objects, None where a value or the whole column is missing."""
        if name not in self.columns:
            return [None] * len(range(*part.indices(len(self))))
        return plain_values(self.columns[name].iloc[part])


def plain_values(series: pd.Series) -> list[Any]:
    """Return the values of a typed column as Python objects, None where missing."""
    values: list[Any] = series.astype("object").where(series.notna(), None).tolist()
    return values


def _sent_values(series: pd.Series) -> Any:
    """Return a function that returns a slice of a column as it is sent."""
    if str(series.dtype) != TIME:
        return lambda part: plain_values(series.iloc[part])
    # Many rows share the same few times, so each distinct time is formatted once.
    codes, stamps = pd.factorize(series)
    texts = [to_rfc3339(stamp) for stamp in stamps]
    return lambda part: [texts[code] if code >= 0 else None for code in codes[part]]


def reference_of(run: str, position: int, member_id: int | None, identifier: str | None) -> str:
    """Derive the reference of a row from the run, the position and the member."""
    # Another machine with the same plan must derive the same reference, to find what was already issued. Runs in
    # existing ledgers depend on every byte of this text.
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
    """Check all rows of a DataFrame and build the plan. `Plan.problems` lists the problems of single rows.

    Parameters
    ----------
    operation : Operation
        The operation.
    frame : pandas.DataFrame
        One row per change. Columns that the operation does not know are ignored.
    address : str
        The address of the service, which is part of the digest.
    campaign_id : str, optional
        The campaign's XID, for issues.
    columns : sequence of str, optional
        The columns to set, for updates and redemptions. The default is all columns of the DataFrame that can be set.
    tz : tzinfo, optional
        The time zone of times without an offset.
    allow_duplicates : bool
        Whether a member may appear more than once.

    Raises
    ------
    InvalidInput
        A column is missing or appears more than once, or `frame` is not a DataFrame.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(_needs_pandas(frame))
    if operation.issues:
        try:
            campaign_id = as_text(campaign_id)
        except InvalidInput as error:
            raise InvalidInput(f"campaign_id: {error}") from None
    if isinstance(columns, (str, bytes)) or not isinstance(columns, (Iterable, type(None))):
        raise InvalidInput(f"columns must be a list of names, as in ['expires_at'], not {shown(columns)}")
    wanted = operation.columns if columns is None else tuple(columns)
    unusable = [name for name in wanted if name not in operation.columns or (columns is not None and name not in frame)]
    if unusable:
        raise InvalidInput(
            f"columns contains {unusable}, which {operation.name} cannot set or the DataFrame does not have; "
            f"choose from {list(operation.columns)}"
        )
    keys = ("member_id", "member_identifier") if operation.by_identifier else ("member_id",)
    needed = () if operation.issues else ("offer_state_id",)
    used = [name for name in (*keys, *needed, *wanted) if name in frame.columns]
    # A campaign in the rows is not sent. It only guards against issuing them under the wrong campaign.
    compared = ["campaign_id"] if operation.issues and "campaign_id" in frame.columns else []
    _check_columns(frame, operation, keys, needed, [*used, *compared])
    plan = Plan(operation, campaign_id, frame.index, {}, "")
    for name in used:
        # Without the user's index: problems are reported by position, and labels may be duplicated.
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


def _needs_pandas(value: object) -> str:
    """Return the error message for a value that is not a pandas DataFrame."""
    kind = type(value)
    # With the module, because other packages call their class DataFrame as well.
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    fix = "convert it with .to_pandas()" if hasattr(value, "to_pandas") else "make one with pd.DataFrame(...)"
    return f"a pandas DataFrame is needed, not {name}; {fix}"


def _check_columns(
    frame: pd.DataFrame, operation: Operation, keys: tuple[str, ...], needed: tuple[str, ...], used: list[str]
) -> None:
    """Raise InvalidInput if a column is missing or ambiguous."""
    for names in (keys, *((name,) for name in needed)):
        if not any(name in frame.columns for name in names):
            raise InvalidInput(
                f"{operation.name}: the table needs a column {' or '.join(names)}; it has {_listed(frame)}"
            )
    twice = [name for name in used if isinstance(frame[name], pd.DataFrame)]
    if twice:
        raise InvalidInput(f"{operation.name}: the table has more than one column {', '.join(twice)}; keep one of each")
    if operation.name == "update" and not set(used) & set(operation.columns):
        raise InvalidInput(f"update: the table has no column to set; add one of {', '.join(operation.columns)}")


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(map(str, frame.columns[:20])) or "none"


def _missing(plan: Plan, frame: pd.DataFrame, keys: tuple[str, ...], needed: tuple[str, ...]) -> list[RowProblem]:
    """Find rows without a member, without an offer state, or without a value to set."""
    # A cell that could not be read is missing in the plan as well. It already has a problem of its own.
    unreadable = {(problem.position, problem.column) for problem in plan.problems}
    found = []
    groups = [(keys, "the row names no member")] + [((name,), f"{name} is missing") for name in needed]
    if plan.operation.name == "update":
        groups.append((tuple(plan.operation.columns), "the row has no value to set"))
    for names, problem in groups:
        present = [plan.columns[name].notna().to_numpy() for name in names if name in plan.columns]
        for position in np.flatnonzero(~np.logical_or.reduce(present)):
            if not any((int(position), name) in unreadable for name in names):
                column = next(name for name in names if name in plan.columns)
                fix = f"fill in {' or '.join(names)}, or remove the row"
                found.append(RowProblem(int(position), column, frame[column].iloc[position], problem, fix))
    return found


def _contradictions(plan: Plan) -> list[RowProblem]:
    """Find rows whose offer would expire before it activates."""
    starts, ends = plan.columns.get("activates_at"), plan.columns.get("expires_at")
    if starts is None or ends is None:
        return []
    wrong = np.flatnonzero((starts >= ends).fillna(value=False).to_numpy(dtype=bool))
    return [
        RowProblem(
            int(position), "expires_at", ends.iloc[position], "the offer would expire before it activates",
            "correct activates_at or expires_at", "inverted dates",
        )
        for position in wrong
    ]  # fmt: skip


def _repeated(plan: Plan, frame: pd.DataFrame) -> list[RowProblem]:
    """Find rows that repeat the member of an earlier row or, for changes of offer states, its offer state."""
    names = ("member_id", "member_identifier") if plan.operation.issues else ("offer_state_id",)
    intended = ", or pass allow_duplicates=True if a second offer is intended" if plan.operation.issues else ""
    found = []
    for name in names:
        series = plan.columns.get(name)
        if series is None:
            continue
        again = np.flatnonzero((series.duplicated() & series.notna()).to_numpy(dtype=bool))
        if not len(again):
            continue
        # Reversed, so that the first of several equal values wins.
        first = dict(zip(series[::-1], range(len(series) - 1, -1, -1), strict=True))
        for position in again:
            there = plan.label(first[series.iloc[position]])
            found.append(
                RowProblem(
                    int(position), name, frame[name].iloc[position],
                    f"row {shown(there)} has the same {name}",
                    f"remove one of the rows{intended}", "duplicate",
                )
            )  # fmt: skip
    return found


def _shared_references(plan: Plan) -> list[RowProblem]:
    """Find rows with the external_ref_id of an earlier row."""
    # Even with allowed duplicates: a lost row is found by its reference, so no two rows may share one.
    references = plan.columns.get("external_ref_id")
    if references is None:
        return []
    return [
        RowProblem(
            int(position), "external_ref_id", references.iloc[position], "an earlier row has the same reference",
            "use a different value in each row, or remove the column to have references generated", "duplicate",
        )
        for position in np.flatnonzero((references.duplicated() & references.notna()).to_numpy(dtype=bool))
    ]  # fmt: skip


def _other_campaign(frame: pd.DataFrame, campaign_id: str) -> list[RowProblem]:
    """Find rows that name a different campaign."""
    named, problems = read_texts(frame["campaign_id"].reset_index(drop=True))
    wrong = np.flatnonzero((named.notna() & (named != campaign_id)).to_numpy(dtype=bool))
    return [RowProblem(found[0], "campaign_id", *found[1:]) for found in problems] + [
        RowProblem(
            int(position), "campaign_id", named.iloc[position], f"the row is not for campaign {campaign_id}",
            "issue the rows of each campaign separately, or remove the column",
        )
        for position in wrong
    ]  # fmt: skip


def _digest(plan: Plan, address: str) -> str:
    """Return a hash of the operation, the address, the campaign and the rows in their order."""
    # Runs in existing ledgers are found by their digest, so every byte that is hashed must stay as it is.
    digest = hashlib.sha256()
    digest.update(repr((plan.operation.name, address, plan.campaign_id, len(plan))).encode())
    for name in sorted(plan.columns):
        series = plan.columns[name]
        if not series.notna().any():  # a column without values changes nothing
            continue
        digest.update(name.encode())
        for first in range(0, len(series), CHUNK_ROWS):
            part = series.iloc[first : first + CHUNK_ROWS]
            values = part.astype("int64").tolist() if str(part.dtype) == TIME else plain_values(part)
            digest.update(repr(values).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def report_of(plan: Plan, problems: Sequence[RowProblem]) -> InvalidRows:
    """Build the error that lists the problems row by row."""
    count = len({problem.position for problem in problems})
    return invalid_rows(
        f"{count} of {len(plan)} rows cannot be sent, so nothing was sent",
        [InvalidCell(plan.label(problem.position), *problem[1:5]) for problem in problems],
    )
