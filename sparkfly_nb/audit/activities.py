"""The events in ``offer_activities``: one row per event, and when offer states were redeemed or voided."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import DataWarning
from ..frames.builder import NEW_FIELDS
from ..frames.output_columns import FRACTION, json_text, parse_times
from ..schema import FLAG, INTEGER, TEXT
from .schema import ACTIVITY, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["EventFields", "events_frame", "turning_points"]

# The API does not document the fields of an event. These are the fields that usually contain its name and its time.
#: Fields that may contain the name of an event, the most specific first.
NAME_FIELDS: Final = ("activity_type", "type", "activity", "event_type", "event", "action", "name", "kind", "status")
#: Fields that may contain the time of an event, the most specific first.
TIME_FIELDS: Final = (
    "occurred_at",
    "happened_at",
    "activity_at",
    "performed_at",
    "redeemed_at",
    "voided_at",
    "created_at",
    "timestamp",
    "time",
    "at",
    "date",
    "updated_at",
)
#: Patterns for the names of events that end an offer state, by the column for their time.
TURNS: Final[dict[str, re.Pattern[str]]] = {
    "redeemed_at": re.compile(r"redeem|redemption", re.IGNORECASE),
    "voided_at": re.compile(r"void", re.IGNORECASE),
}
#: A pattern for the names of redemptions and voids that failed or were undone.
NO_TURN: Final = re.compile(r"fail|reject|denied|declin|error|revers|undo|unredeem|unvoid|attempt", re.IGNORECASE)


def _events_of(cell: Any) -> list[dict[str, Any]]:
    """Return the events of one offer state."""
    events = []
    for item in cell if isinstance(cell, list) else ():
        event = item
        # The service wraps offer states in an object with one field, and may wrap events in the same way.
        if isinstance(item, dict) and len(item) == 1:
            (inner,) = item.values()
            event = inner if isinstance(inner, dict) else item
        events.append(event if isinstance(event, dict) else {"value": event})
    return events


def _first_text(event: Mapping[str, Any], fields: tuple[str, ...]) -> str | None:
    for field in fields:
        value = event.get(field)
        if isinstance(value, str) and value:
            return value
    return None


def _walk(states: pd.DataFrame) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield all events: the row of the offer state, the position from 1, the event."""
    for row, cell in enumerate(states["offer_activities"].to_numpy()):
        if cell is not None:
            for position, event in enumerate(_events_of(cell), 1):
                yield row, position, event


def _instants(texts: list[str | None]) -> NDArray[np.datetime64]:
    """Parse times. Text that is not a time becomes a missing value."""
    # Unreadable text is not lost: the event's own column in `events_frame` still contains it.
    known, _ = parse_times({text for text in texts if text is not None})
    missing = int(np.datetime64("NaT", "ns").view(np.int64))
    nanoseconds = [missing if text is None else known.get(text, missing) for text in texts]
    return np.array(nanoseconds, dtype=np.int64).view("datetime64[ns]")


def turning_points(states: pd.DataFrame) -> dict[str, pd.DatetimeIndex]:
    """Return when each offer state was redeemed and voided, according to its last such event.

    Returns
    -------
    dict
        ``redeemed_at`` and ``voided_at`` in UTC, one per row of `states`. Missing where no event contains the time.
    """
    rows: dict[str, list[int]] = {turn: [] for turn in TURNS}
    texts: dict[str, list[str | None]] = {turn: [] for turn in TURNS}
    for row, _, event in _walk(states):
        name = _first_text(event, NAME_FIELDS)
        if name is None or NO_TURN.search(name):
            continue
        for turn, pattern in TURNS.items():
            if pattern.search(name):
                rows[turn].append(row)
                texts[turn].append(_first_text(event, TIME_FIELDS))
    points = {}
    for turn, at in rows.items():
        last = np.full(len(states), np.datetime64("NaT", "ns"))
        instants = _instants(texts[turn])
        by_time = np.argsort(instants, kind="stable")
        by_time = by_time[~np.isnat(instants[by_time])]
        # Where an offer state has several events, the last assignment wins, and that is the latest event.
        last[np.array(at, dtype=np.intp)[by_time]] = instants[by_time]
        points[turn] = pd.DatetimeIndex(last).tz_localize("UTC")
    return points


class EventFields:
    """The fields found in events, with the types of their values, over any number of chunks."""

    def __init__(self) -> None:
        self._kinds: dict[str, set[type]] = {}
        self.events = 0
        self._has_warned = False

    def note(self, states: pd.DataFrame) -> None:
        """Record the fields of the events of more offer states."""
        kinds, are_full = self._kinds, False
        for _, _, event in _walk(states):
            self.events += 1
            for name, value in event.items():
                if name not in kinds and len(kinds) >= NEW_FIELDS:
                    are_full = True
                    continue
                # An integer beyond 64 bits does not fit into an Int64 column, so its column becomes text.
                kinds.setdefault(name, set()).add(
                    type(value) if type(value) is not int or -(2**63) <= value < 2**63 else str
                )

        if are_full and not self._has_warned:
            self._has_warned = True
            message = f"offer_activities: events have more than {NEW_FIELDS:,} different fields. The rest are omitted."
            warnings.warn(message, DataWarning, stacklevel=2)

    def columns(self) -> dict[str, tuple[str, str]]:
        """Return the column name and dtype for each field. A name that the audit itself uses gets a prefix."""
        taken = set(ACTIVITY)
        named = {}
        for name, kinds in self._kinds.items():
            # Half surrogates cannot be encoded as UTF-8, which the files of the audit need.
            column = name.encode(errors="backslashreplace").decode() or "(no name)"
            while column in taken:
                column = f"activity_{column}"
            taken.add(column)
            named[name] = (column, _dtype(kinds - {type(None)}))
        return named


def _dtype(kinds: set[type]) -> str:
    for dtype, allowed in ((FLAG, {bool}), (INTEGER, {int}), (FRACTION, {int, float})):
        if kinds and kinds <= allowed:
            return dtype
    return TEXT


def _cell_of(value: Any, dtype: str) -> Any:
    if dtype != TEXT or value is None or isinstance(value, str):
        return value
    return json_text(value)


def events_frame(states: pd.DataFrame, fields: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Build a frame with one row per event.

    Parameters
    ----------
    states : DataFrame
        Offer states with ``offer_activities``.
    fields : mapping
        The result of `EventFields.columns`.

    Returns
    -------
    pandas.DataFrame
        The columns of `ACTIVITY`, then the event's own fields. Lists and objects are JSON.
    """
    rows, positions, names, times = [], [], [], []
    found: dict[str, list[Any]] = {name: [] for name in fields}
    for row, position, event in _walk(states):
        rows.append(row)
        positions.append(position)
        names.append(_first_text(event, NAME_FIELDS))
        times.append(_first_text(event, TIME_FIELDS))
        for name, cells in found.items():
            cells.append(_cell_of(event.get(name), fields[name][1]))
    owners = states[["member_id", "offer_state_id"]].take(rows)
    return typed(
        {
            "member_id": owners["member_id"].array,
            "offer_state_id": owners["offer_state_id"].array,
            "position": positions,
            "activity": names,
            "happened_at": pd.DatetimeIndex(_instants(times)).tz_localize("UTC"),
            **{fields[name][0]: cells for name, cells in found.items()},
        },
        ACTIVITY | dict(fields.values()),
    )
