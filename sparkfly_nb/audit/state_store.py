"""The offer states of an audit in little memory: what is computed with as columns, everything else packed by chunk."""

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

CHUNK_ROWS: Final = 20_000
"""Offer states per packed chunk; smaller parts of a source are put together first."""

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
"""What counting, comparing and drawing need of an offer state."""


def conformed(states: pd.DataFrame, extra: dict[str, str] | None = None) -> pd.DataFrame:
    """Give the columns of `schema.OFFER_STATE` with their dtypes, then the extra ones; the same frame where it fits."""
    if extra is None:
        extra = {str(name): str(states[name].dtype) for name in states.columns if name not in OFFER_STATE}
    columns = OFFER_STATE | extra
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
    if dtype == TEXT and cells.dtype.kind != "O":  # a field that is of another kind elsewhere
        cells = cells.astype("object")
    if dtype == TEXT:
        cells = cells.map(_as_text, na_action="ignore")
    return cells.astype(dtype_of(dtype))


def _as_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else json_text(cell)


class StateStore:
    """Offer states that are added part by part, and read as narrow columns, chunk by chunk, or as one frame.

    A million offer states with their texts, addresses and events take gigabytes as one frame, and some hundred
    megabytes here.
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
        """Take some offer states."""
        if len(states):
            self._waiting.append(states)
            self._waiting_rows += len(states)
        if self._waiting_rows >= CHUNK_ROWS:
            self._settle()

    def _settle(self) -> None:
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
            states[name] = states[name].where(states[name].notna(), None)  # joining parts makes NaN of nothing
        self._fields.note(states)
        self._narrow.append(states[list(NARROW)].assign(**turning_points(states)))
        self._packed.append(_pack(states))

    @property
    def extra(self) -> dict[str, str]:
        """Columns that the service sent and no table knows, with their dtypes; what is of several kinds is text."""
        return {name: next(iter(kinds)) if len(kinds) == 1 else TEXT for name, kinds in self._extra.items()}

    def narrow(self) -> pd.DataFrame:
        """Give the columns of `NARROW`, ``redeemed_at`` and ``voided_at`` of all offer states, in their order."""
        self._settle()
        if not self._narrow:
            nothing = empty_frame()
            self._narrow.append(nothing[list(NARROW)].assign(**turning_points(nothing)))
        if len(self._narrow) > 1:
            self._narrow = [pd.concat(self._narrow, ignore_index=True)]
        return self._narrow[0]

    def keep(self, rows: NDArray[np.bool_]) -> StateStore:
        """Give a store of the rows that are marked; the same one when all are."""
        self._settle()
        if rows.all():
            return self
        kept, start = StateStore(), 0
        for chunk in self.chunks():
            kept.add(chunk[rows[start : start + len(chunk)]])
            start += len(chunk)
        kept._settle()
        return kept

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Go through the whole offer states, some thousand at a time, always with the same columns and dtypes."""
        self._settle()
        extra = self.extra
        for packed in self._packed:
            yield conformed(_unpack(packed), extra)

    def frame(self) -> pd.DataFrame:
        """Give all offer states as one frame."""
        shared: dict[str, dict[Any, Any]] = {}
        chunks = [_share_texts(chunk, shared) for chunk in self.chunks()]
        return pd.concat(chunks, ignore_index=True) if chunks else self.empty()

    def empty(self) -> pd.DataFrame:
        """Give a frame without rows, with the columns and dtypes of all others."""
        return conformed(empty_frame(), self.extra)

    def event_columns(self) -> dict[str, str]:
        """Give the columns of the events with their dtypes: what is common, then the events' own fields."""
        self._settle()
        return ACTIVITY | dict(self._fields.columns().values())

    def count_events(self) -> int:
        """Count the events of all offer states."""
        self._settle()
        return self._fields.events

    def events_in(self, chunk: pd.DataFrame) -> pd.DataFrame:
        """Give the events of one chunk, with the same columns and dtypes for each."""
        return events_frame(chunk, self._fields.columns())

    def event_chunks(self) -> Iterator[pd.DataFrame]:
        """Go through the events, one frame per chunk of offer states; at least one frame."""
        yield self.events_in(empty_frame())
        yield from map(self.events_in, self.chunks())


def _share_texts(chunk: pd.DataFrame, shared: dict[str, dict[Any, Any]]) -> pd.DataFrame:
    """Let equal texts of different chunks be one object in memory, in columns where they repeat."""
    replaced = {}
    for name in chunk.columns:
        if chunk[name].dtype == dtype_of(TEXT) and len(chunk):
            texts = chunk[name].to_numpy(dtype=object)
            known = shared.setdefault(str(name), {})
            if len(known) < CHUNK_ROWS:
                cells = np.fromiter((known.setdefault(text, text) for text in texts), dtype=object, count=len(texts))
                replaced[name] = pd.array(cells, dtype=dtype_of(TEXT), copy=False)
    return chunk.assign(**replaced)


def _pack(states: pd.DataFrame) -> bytes:
    columns = {name: states[name].array for name in states.columns}
    return zlib.compress(pickle.dumps(columns, protocol=5), level=1)


def _unpack(packed: bytes) -> pd.DataFrame:
    columns = pickle.loads(zlib.decompress(packed))  # noqa: S301 - packed by this object, never left the memory
    return pd.DataFrame(columns, copy=False)
