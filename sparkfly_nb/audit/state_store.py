"""The offer states of an audit in little memory: some columns for computing, everything compressed in chunks."""

from __future__ import annotations

import pickle
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..frames.builder import empty_frame
from ..frames.output_columns import json_text
from ..schema import LIST, OFFER_STATE, TEXT, TIME
from .activities import EventFields, events_frame, turning_points
from .schema import ACTIVITY, dtype_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["NARROW", "StateStore", "conformed"]

#: Offer states per compressed chunk. Smaller parts are joined first.
CHUNK_ROWS: Final = 20_000

#: The columns of an offer state that findings, summary, timeline, comparison and plots need.
NARROW: Final = (
    "offer_state_id",
    "member_id",
    "offer_id",
    "campaign_id",
    "campaign_xid",
    "offer_campaign_name",
    "offer_name",
    "status",
    "value",
    "external_ref_id",
    "created_at",
    "updated_at",
    "activates_at",
    "expires_at",
    "effective_activates_at",
    "effective_expires_at",
)


def conformed(states: pd.DataFrame, extra: dict[str, str] | None = None) -> pd.DataFrame:
    """Convert offer states to the columns and dtypes of `schema.OFFER_STATE`, followed by the extra columns."""
    if extra is None:
        extra = {str(name): str(states[name].dtype) for name in states.columns if name not in OFFER_STATE}
    columns = OFFER_STATE | extra
    # Most parts conform already, and converting every column is slow.
    if list(states.columns) == list(columns) and all(
        states[name].dtype == dtype_of(dtype) for name, dtype in columns.items()
    ):
        return states.reset_index(drop=True)
    return pd.DataFrame({name: _column(states, name, dtype) for name, dtype in columns.items()}).reset_index(drop=True)


def _column(states: pd.DataFrame, name: str, dtype: str) -> pd.Series:
    if name not in states.columns:
        return pd.Series([None] * len(states), index=states.index, dtype=dtype_of(dtype))
    cells = states[name]
    if dtype == LIST:
        cells = cells.astype("object")
        return cells.where(cells.notna(), None)
    if dtype == TIME:
        cells = cells.dt.tz_convert("UTC")
    if dtype == TEXT and cells.dtype.kind != "O":  # other chunks have text in this field
        cells = cells.astype("object")
    if dtype == TEXT:
        cells = cells.map(_as_text, na_action="ignore")
    return cells.astype(dtype_of(dtype))


def _as_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json_text(cell)


class StateStore:
    """Offer states that are added part by part, and read as narrow columns, chunk by chunk, or as one frame.

    A million offer states with text, addresses and events take gigabytes as one frame, but a few hundred megabytes
    here.
    """

    def __init__(self) -> None:
        self._waiting: list[pd.DataFrame] = []
        self._waiting_rows = 0
        self._packed: list[bytes] = []
        self._narrow: list[pd.DataFrame] = []
        self._extra: dict[str, set[str]] = {}
        self._fields = EventFields()

    def __len__(self) -> int:
        return sum(map(len, self._narrow)) + self._waiting_rows

    def add(self, states: pd.DataFrame) -> None:
        """Add offer states."""
        if len(states):
            self._waiting.append(states)
            self._waiting_rows += len(states)
        if self._waiting_rows >= CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if waiting:
            self._append(waiting[0] if len(waiting) == 1 else pd.concat(map(conformed, waiting), ignore_index=True))

    def _append(self, states: pd.DataFrame) -> None:
        states = conformed(states)
        for name in states.columns[len(OFFER_STATE) :]:
            kinds = self._extra.setdefault(str(name), set())
            known = states[name].dropna()
            if str(known.dtype) != LIST:
                kinds |= {str(known.dtype)} if len(known) else set()
                continue
            kinds |= {LIST if isinstance(cell, list) else TEXT for cell in known}
            states[name] = states[name].where(states[name].notna(), None)  # concat turns None into NaN
        self._fields.note(states)
        self._narrow.append(states[list(NARROW)].assign(**turning_points(states)))
        self._packed.append(_pack(states))

    @property
    def extra(self) -> dict[str, str]:
        """The columns that are not in `OFFER_STATE`, with their dtypes. A column of mixed types is text."""
        return {name: next(iter(kinds)) if len(kinds) == 1 else TEXT for name, kinds in self._extra.items()}

    def narrow(self) -> pd.DataFrame:
        """Return the columns of `NARROW`, ``redeemed_at`` and ``voided_at`` for all offer states, in their order."""
        self._flush()
        if not self._narrow:
            nothing = empty_frame()
            self._narrow.append(nothing[list(NARROW)].assign(**turning_points(nothing)))
        if len(self._narrow) > 1:
            self._narrow = [pd.concat(self._narrow, ignore_index=True)]
        return self._narrow[0]

    def keep(self, rows: NDArray[np.bool_]) -> StateStore:
        """Return a store with the marked rows. If all rows are marked, that is this store."""
        self._flush()
        if rows.all():
            return self
        kept, start = StateStore(), 0
        for chunk in self.chunks():
            kept.add(chunk[rows[start : start + len(chunk)]])
            start += len(chunk)
        kept._flush()
        return kept

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Yield the offer states with all columns, in chunks that have the same columns and dtypes."""
        self._flush()
        extra = self.extra
        for packed in self._packed:
            yield conformed(_unpack(packed), extra)

    def frame(self) -> pd.DataFrame:
        """Return all offer states as one frame."""
        shared: dict[str, dict[Any, Any]] = {}
        chunks = [_share_texts(chunk, shared) for chunk in self.chunks()]
        return pd.concat(chunks, ignore_index=True) if chunks else self.empty()

    def empty(self) -> pd.DataFrame:
        """Return an empty frame with the columns and dtypes of the chunks."""
        return conformed(empty_frame(), self.extra)

    def event_columns(self) -> dict[str, str]:
        """Return the columns of the events with their dtypes: those of `ACTIVITY`, then the events' own fields."""
        self._flush()
        return ACTIVITY | dict(self._fields.columns().values())

    def count_events(self) -> int:
        """Count the events of all offer states."""
        self._flush()
        return self._fields.events

    def events_in(self, chunk: pd.DataFrame) -> pd.DataFrame:
        """Return the events of one chunk, with the same columns and dtypes for every chunk."""
        return events_frame(chunk, self._fields.columns())

    def event_chunks(self) -> Iterator[pd.DataFrame]:
        """Yield the events, one frame per chunk of offer states, after an empty frame that has the columns."""
        yield self.events_in(empty_frame())
        yield from map(self.events_in, self.chunks())


def _share_texts(chunk: pd.DataFrame, shared: dict[str, dict[Any, Any]]) -> pd.DataFrame:
    """Replace equal text in different chunks with one object, to save memory in the full frame."""
    replaced = {}
    for name in chunk.columns:
        if chunk[name].dtype == dtype_of(TEXT) and len(chunk):
            texts = chunk[name].to_numpy(dtype=object)
            known = shared.setdefault(str(name), {})
            if len(known) < CHUNK_ROWS:  # with more distinct values, text seldom repeats and the table costs memory
                cells = np.fromiter((known.setdefault(text, text) for text in texts), dtype=object, count=len(texts))
                replaced[name] = pd.array(cells, dtype=dtype_of(TEXT), copy=False)
    return chunk.assign(**replaced)


def _pack(states: pd.DataFrame) -> bytes:
    columns = {name: states[name].array for name in states.columns}
    return zlib.compress(pickle.dumps(columns, protocol=5), level=1)


def _unpack(packed: bytes) -> pd.DataFrame:
    columns = pickle.loads(zlib.decompress(packed))  # noqa: S301 - pickled by this object, never left memory
    return pd.DataFrame(columns, copy=False)
