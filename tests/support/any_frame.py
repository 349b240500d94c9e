"""Frames as users have them, for property tests: columns of any dtype in any order, under any index."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from any_column import BAD, MISSING, Writer, columns_of
from hypothesis import strategies as st

from sparkfly_nb.frames.scalars import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass
class Drawn:
    """A frame, and the meanings of its cells by column, in row order."""

    frame: pd.DataFrame
    meanings: dict[str, list[Any]]
    writers: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        columns = [(name, list(map(shown, self.frame.iloc[:, at]))) for at, name in enumerate(self.frame.columns)]
        return f"Drawn({columns}, index={self.frame.index!r}, meanings={self.meanings}, writers={self.writers})"

    def of(self, name: str) -> list[Any]:
        return self.meanings.get(name, [MISSING] * len(self))

    def label(self, position: int) -> Any:
        label = self.frame.index[position]
        return label.item() if isinstance(label, np.generic) else label


def indexes(rows: int) -> st.SearchStrategy[pd.Index]:
    """Draw an index: sorted or not, unique or not, of any type, named or not."""

    def of(labels: st.SearchStrategy[Any], make: Callable[[list[Any]], pd.Index]) -> st.SearchStrategy[pd.Index]:
        return st.lists(labels, min_size=rows, max_size=rows).map(make)

    hours = st.integers(0, 40)
    return st.one_of(
        st.just(pd.RangeIndex(rows)),
        st.integers(-5, 5).map(lambda start: pd.RangeIndex(start, start + 3 * rows, 3)),
        of(st.sampled_from("aab"), lambda labels: pd.Index(labels, dtype=object)),
        of(st.text(max_size=3), lambda labels: pd.Index(labels, dtype=object, name="member_id")),
        of(st.sampled_from((None, float("nan"), "x", 1, 1.5, (1, 2), True)),
           lambda labels: pd.Index(labels, dtype=object, tupleize_cols=False)),
        of(st.integers(-3, 3), lambda labels: pd.Index(labels, dtype="int64", name=0)),
        of(st.floats(), lambda labels: pd.Index(labels, dtype="float64", name="offer_state_id")),
        of(hours, lambda labels: pd.DatetimeIndex(pd.to_datetime(labels, unit="h", utc=True), name="when")),
        of(hours, lambda labels: pd.PeriodIndex.from_ordinals(labels, freq="M")),
        of(hours, lambda labels: pd.to_timedelta(labels, unit="h")),
        of(st.sampled_from("xy"), lambda labels: pd.CategoricalIndex(labels, categories=["x", "y"])),
        of(st.integers(0, 9), lambda labels: pd.IntervalIndex.from_arrays(labels, [label + 1 for label in labels])),
        of(st.tuples(st.sampled_from("ab"), st.integers(0, 2)),
           lambda labels: pd.MultiIndex.from_tuples(labels, names=["member_id", None])
           if labels else pd.MultiIndex.from_arrays([[], []])),
        of(st.sampled_from(("x", "y", None)), lambda labels: pd.Index(labels, dtype=pd.StringDtype("python"))),
    )  # fmt: skip


OTHER_NAMES = st.sampled_from(
    (
        "note",
        "segment",
        "Member_ID",
        "member_id ",
        0,
        7,
        1.5,
        None,
        ("member_id", "x"),
        dt.date(2026, 1, 1),
        float("nan"),
        "",
        True,
    )
)
OTHER_COLUMNS = (
    lambda rows: pd.Series([object()] * rows, dtype=object),
    lambda rows: pd.Series([["a"]] * rows, dtype=object),
    lambda rows: pd.Series(["\ud800"] * rows, dtype=object),
    lambda rows: pd.Series(np.arange(rows) * 1j),
    lambda rows: pd.Series(np.arange(rows), dtype="category"),
    lambda rows: pd.Series([pd.NaT] * rows, dtype="datetime64[s]"),
)


@st.composite
def frames(
    draw: Any,
    required: Mapping[str, Sequence[Writer]],
    optional: Mapping[str, Sequence[Writer]],
    *,
    max_rows: int = 7,
    bad: bool | None = None,
) -> Drawn:
    """Draw a frame with the required and some optional columns, among unrelated columns, in any order.

    Parameters
    ----------
    required, optional
        The writers by column.
    max_rows
        The most rows.
    bad
        Whether there are bad cells. By default, half of the frames have some.
    """
    rows = draw(st.sampled_from((0, 1, 2, max_rows)) | st.integers(0, max_rows))
    has_bad = draw(st.booleans()) if bad is None else bad
    fewer = st.sampled_from(("good",) * 8 + (MISSING,) + (BAD,) * has_bad)
    names = [*required, *(name for name in optional if draw(st.booleans()))]
    drawn = {}
    for name in names:
        writers = (required | optional)[name] if isinstance(required, dict) else {**required, **optional}[name]
        kinds = draw(st.sampled_from((fewer, st.just("good"), st.just("good") | st.just(MISSING))))
        drawn[name] = draw(columns_of(writers, rows, kinds))
    pieces: list[tuple[Any, pd.Series]] = [(name, column.series) for name, column in drawn.items()]
    others = draw(st.lists(st.sampled_from(OTHER_COLUMNS), max_size=2))
    pieces += [(draw(OTHER_NAMES), make(rows)) for make in others]
    pieces = draw(st.permutations(pieces))
    frame = pd.concat([series for _, series in pieces], axis=1, keys=range(len(pieces)))
    frame.columns = pd.Index([name for name, _ in pieces], tupleize_cols=False)
    frame.index = draw(indexes(rows))
    taken = list(range(rows))
    look = draw(st.sampled_from(("as it is", "filtered", "backwards", "every other", "sorted")))
    if look == "filtered":
        mask = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), dtype=bool)
        frame, taken = frame[mask], np.flatnonzero(mask).tolist()
    elif look == "backwards":
        frame, taken = frame.iloc[::-1], taken[::-1]
    elif look == "every other":
        frame, taken = frame.iloc[1::2], taken[1::2]
    frame.attrs["source"] = "crm"
    meanings = {name: [column.meanings[at] for at in taken] for name, column in drawn.items()}
    return Drawn(frame, meanings, {name: column.writer for name, column in drawn.items()})


def fingerprint(frame: pd.DataFrame) -> list[Any]:
    """Return everything about a frame that could change. Cells of object columns are compared by identity."""
    seen: list[Any] = [
        id(frame.index), list(frame.index.names), id(frame.columns), list(frame.columns.names), dict(frame.attrs),
        frame.shape,
    ]  # fmt: skip
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        seen.append(str(column.dtype))
        seen.append([id(cell) for cell in column.array] if column.dtype == object else repr(column.array.tolist()))
    return seen
