"""The plan of an audit, read from a frame, a list, a CSV or Parquet file, or the rows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import ConfigurationError, InvalidInput
from ..files import as_path
from ..frames.builder import holdable
from ..frames.input_columns import ReadColumn, read_flags, read_integers, read_texts, read_times
from ..frames.invalid_rows import InvalidCell, invalid_rows, label_at
from ..frames.output_columns import FRACTION, json_text, object_array
from ..frames.scalars import is_missing, shown
from ..schema import FLAG, INTEGER, TEXT, TIME, UNREAD
from .schema import PLAN, dtype_of, typed

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..frames.argument_types import Members

__all__ = ["read_plan"]

#: The spellings of a flag in a file.
FLAG_WORDS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def read_plan(
    members: Members | None, run_rows: pd.DataFrame | None, *, tz: dt.tzinfo | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Read the audited members and what is expected of each member.

    Parameters
    ----------
    members : DataFrame, Series, Index, array, list, str or Path, optional
        Member ids, or a table with a column ``member_id``. These columns are also used: ``planned`` (false for a
        control group that must not have the offer), ``activates_at``, ``expires_at``, ``external_ref_id``,
        ``campaign_id``, and ``outcome`` with ``offer_state_id`` as in the result of `issue_many`. Other columns are
        kept for grouping.
    run_rows : DataFrame, optional
        The recorded rows of a run. They become the plan. Other `members` are read too, but are not planned.
    tz : tzinfo, optional
        The time zone of times without an offset.

    Returns
    -------
    tuple
        The plan, with the columns of `PLAN` and the other columns. The members that cannot be read because only their
        identifier is known, with the columns of `schema.UNREAD`; the plan contains them without ``member_id``. A
        description of where the members come from.

    Raises
    ------
    InvalidInput
        There are neither members nor a run, or a column cannot be read.
    """
    given, source = (None, "") if members is None else _frame_of_members(members)
    plan = None if given is None else _typed_plan(given, tz)
    if run_rows is not None:
        recorded = _typed_plan(run_rows, tz)
        plan = recorded if plan is None else _joined(recorded, plan)
        source = f"the run and {source}" if source else "the run"
    if plan is None:
        raise InvalidInput("audit needs members= or run=. Pass the members, or the name of a run in the ledger.")
    nameless = plan["member_id"].isna().to_numpy()
    if nameless.any() and plan.loc[nameless, "member_identifier"].isna().any():
        row = plan.index[nameless & plan["member_identifier"].isna().to_numpy()][0]
        raise InvalidInput(f"audit: members: row {row} has no member_id. Add the member_id or remove the row.")
    if len(plan) and nameless.all() and run_rows is None:
        raise InvalidInput(
            "audit: members: the rows have no member_id, and the service lists offer states only by member_id. "
            "Pass the result of issue_many, which has both ids, or run= with the name of the run."
        )
    return plan.reset_index(drop=True), _unlisted(plan[nameless]), source


def _frame_of_members(members: Members) -> tuple[pd.DataFrame, str]:
    if isinstance(members, (str, Path)):
        path = as_path(members)
        return _frame_of_file(path), path.name
    if isinstance(members, pd.DataFrame):
        if members.columns.nlevels > 1:
            raise InvalidInput(
                "audit: members: the columns have several levels. Flatten them, for example: "
                "frame.columns = frame.columns.get_level_values(0)"
            )
        if len(set(map(_name_of, members.columns))) != len(members.columns):
            raise InvalidInput("audit: members: two columns have the same name. Rename one of them.")
        if "member_id" not in members.columns and "member_identifier" not in members.columns:
            raise InvalidInput(
                f"audit: members: no column is named member_id (found: {_listed(members.columns)}). "
                "Rename the column that contains the member ids."
            )
        return members, "a frame"
    if isinstance(members, (dict, bytes)) or not hasattr(members, "__iter__"):
        raise InvalidInput(
            f"audit: members: cannot read members from {type(members).__name__}. "
            "Pass a DataFrame, a list of ids, or the path of a CSV or Parquet file."
        )
    ids = members if isinstance(members, pd.Series) else pd.Series(list(members), dtype="object")
    return ids.rename("member_id").to_frame(), "a list"


def _listed(names: pd.Index) -> str:
    shown = ", ".join(map(str, names[:8]))
    return (shown or "no columns") + (", ..." if len(names) > 8 else "")


def _frame_of_file(path: Path) -> pd.DataFrame:
    """Read the members from a CSV or Parquet file."""
    try:
        if path.suffix.lower() in {".parquet", ".pq"}:
            frame = pd.read_parquet(path)
        else:
            # As text, an id keeps every digit, and text such as "NA" stays text. Only an empty cell is missing.
            frame = pd.read_csv(path, dtype=dtype_of(TEXT), keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except ImportError:
        raise ConfigurationError('reading Parquet needs pyarrow: pip install "sparkfly-nb[parquet]"') from None
    except OSError as error:
        raise InvalidInput(f"audit: members: cannot read {path}: {error.strerror or error}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise InvalidInput(f"audit: members: {path.name} is neither UTF-8 CSV nor Parquet: {error}") from None
    return _frame_of_members(frame)[0]


def _typed_plan(given: pd.DataFrame, tz: dt.tzinfo | None) -> pd.DataFrame:
    """Convert a frame to the columns and dtypes of a plan. Raise an error that names every unreadable cell."""
    columns: dict[str, Any] = {}
    problems: list[InvalidCell] = []
    for name, dtype in PLAN.items():
        if name in given.columns and name != "at_service":
            cells, found = read_times(given[name], tz=tz) if dtype == TIME else READ[dtype](given[name])
            columns[name] = cells.array
            problems += [InvalidCell(label_at(given.index, one.position), name, *one[1:]) for one in found]
    if problems:
        raise invalid_rows("audit: members: some cells cannot be read, so no request was sent", problems)
    columns.setdefault("planned", [True] * len(given))
    plan = typed(columns, PLAN).set_axis(given.index, axis=0)
    # By position, because given[name] does not select a column for every name, such as a tuple or a boolean.
    for at, column in enumerate(given.columns):
        if column not in PLAN:
            plan[_name_of(column)] = _neutral(given.iloc[:, at]).array
    return plan


def _read_flags(cells: pd.Series) -> ReadColumn:
    """Read flags, including the spellings in `FLAG_WORDS`."""

    def flag_of(cell: Any) -> Any:
        return FLAG_WORDS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell

    flags = object_array(map(flag_of, cells.tolist()), len(cells))
    return read_flags(pd.Series(flags, dtype="object", index=cells.index))


#: The parser for each dtype of a plan, except times, which also need a time zone.
READ: Final[dict[str, Callable[[pd.Series], ReadColumn]]] = {
    INTEGER: read_integers,
    FLAG: _read_flags,
    TEXT: read_texts,
}


def _name_of(column: Any) -> str:
    return holdable(str(column))


def _neutral(cells: pd.Series) -> pd.Series:
    """Convert an unknown column to a dtype that a CSV file preserves: number, flag, time or text."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        values = _neutral(pd.Series(cells.cat.categories)).array
        return pd.Series(values.take(cells.cat.codes.to_numpy(), allow_fill=True), index=cells.index)
    if pd.api.types.is_bool_dtype(cells.dtype):
        return cells.astype(FLAG)
    if pd.api.types.is_integer_dtype(cells.dtype) and not pd.api.types.is_unsigned_integer_dtype(cells.dtype):
        return cells.astype(INTEGER)
    if pd.api.types.is_float_dtype(cells.dtype):
        return cells.astype(FRACTION)
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        try:
            return pd.Series(cells.dt.tz_convert("UTC")).astype(TIME)
        except pd.errors.OutOfBoundsDatetime:
            pass  # years beyond the range of nanosecond timestamps become text
    # Series.map() infers a string dtype that cannot store half surrogates.
    texts = list(map(_as_plain_text, cells.tolist()))
    plain: pd.Series = pd.Series(texts, dtype=dtype_of(TEXT), index=cells.index)
    return plain


def _as_plain_text(value: Any) -> Any:
    if is_missing(value):
        return None
    try:
        return json_text(value) if isinstance(value, (list, dict)) else str(value)
    except (ValueError, RecursionError):  # values that JSON cannot represent, or integers with thousands of digits
        return shown(value)


def _joined(recorded: pd.DataFrame, read_too: pd.DataFrame) -> pd.DataFrame:
    """Add the extra columns of the members to the rows of a run, and append the members that are not in the run."""
    more = [name for name in read_too.columns if name not in recorded.columns]
    first = read_too.dropna(subset=["member_id"]).drop_duplicates("member_id")
    rows = recorded.merge(first[["member_id", *more]], on="member_id", how="left")
    others = read_too[~read_too["member_id"].isin(recorded["member_id"])]
    # They are audited, but the run did not plan an offer for them.
    others = typed(
        {name: others[name].array for name in ("member_id", "member_identifier")}
        | {"planned": np.zeros(len(others), dtype=bool)},
        PLAN,
    ).join(others[[name for name in others.columns if name not in PLAN]].reset_index(drop=True))
    return pd.concat([rows, others], ignore_index=True) if len(others) else rows


def _unlisted(rows: pd.DataFrame) -> pd.DataFrame:
    """List the members that cannot be read, because only the merchant's loyalty identifier is known."""
    reasons = [
        f"only member_identifier {identifier!r} is known" + ("" if is_missing(outcome) else f" (ledger: {outcome})")
        for identifier, outcome in zip(rows["member_identifier"], rows["outcome"], strict=True)
    ]
    return typed({"member_id": [None] * len(rows), "reason": reasons}, UNREAD)
