"""The events of offer states: ``offer_activities`` as one row per event, and when each state was redeemed or voided."""

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

NAME_FIELDS: Final = ("activity_type", "type", "activity", "event_type", "event", "action", "name", "kind", "status")
"""Where an event may say what happened, most telling first: the service documents no field of it."""
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
"""Where an event may say when it happened, most telling first."""
TURNS: Final[dict[str, re.Pattern[str]]] = {
    "redeemed_at": re.compile(r"redeem|redemption", re.IGNORECASE),
    "voided_at": re.compile(r"void", re.IGNORECASE),
}
NO_TURN: Final = re.compile(r"fail|reject|denied|declin|error|revers|undo|unredeem|unvoid|attempt", re.IGNORECASE)
"""Events that speak of a redemption or a void which did not happen, or which was undone."""


def _events_of(cell: Any) -> list[dict[str, Any]]:
    """Give the events of one offer state; wrapped ones are unwrapped, as the service wraps offer states."""
    events = []
    for item in cell if isinstance(cell, list) else ():
        event = item
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
    """Go through all events: the row of the offer state, the position from 1, the event."""
    for row, cell in enumerate(states["offer_activities"].to_numpy()):
        if cell is not None:
            for position, event in enumerate(_events_of(cell), 1):
                yield row, position, event


def _instants(texts: list[str | None]) -> NDArray[np.datetime64]:
    """Read times; a text that is no time becomes missing, and still stands in its own column."""
    known, _ = parse_times({text for text in texts if text is not None})
    missing = int(np.datetime64("NaT", "ns").view(np.int64))
    nanoseconds = [missing if text is None else known.get(text, missing) for text in texts]
    return np.array(nanoseconds, dtype=np.int64).view("datetime64[ns]")


def turning_points(states: pd.DataFrame) -> dict[str, pd.DatetimeIndex]:
    """Find when each offer state was redeemed and voided, by its last such event.

    Returns
    -------
    dict
        ``redeemed_at`` and ``voided_at`` in UTC, one per row of `states`; missing where no event says it.
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
        by_time = np.argsort(instants, kind="stable")  # missing times come last: take them out
        by_time = by_time[~np.isnat(instants[by_time])]
        last[np.array(at, dtype=np.intp)[by_time]] = instants[by_time]
        points[turn] = pd.DatetimeIndex(last).tz_localize("UTC")
    return points


class EventFields:
    """The fields that events were found to have, with the types of their values, over any number of chunks."""

    def __init__(self) -> None:
        self._kinds: dict[str, set[type]] = {}
        self.events = 0
        self._has_warned = False

    def note(self, states: pd.DataFrame) -> None:
        """Look at the events of some more offer states."""
        kinds, are_full = self._kinds, False
        for _, _, event in _walk(states):
            self.events += 1
            for name, value in event.items():
                if name not in kinds and len(kinds) >= NEW_FIELDS:
                    are_full = True
                    continue
                kinds.setdefault(name, set()).add(
                    type(value) if type(value) is not int or -(2**63) <= value < 2**63 else str
                )

        if are_full and not self._has_warned:
            self._has_warned = True
            words = f"offer_activities: events hold more than {NEW_FIELDS:,} different fields; the others are left out"
            warnings.warn(words, DataWarning, stacklevel=2)

    def columns(self) -> dict[str, tuple[str, str]]:
        """Give, by field, the column that holds it and its dtype; a name that the audit uses itself gets a prefix."""
        taken = set(ACTIVITY)
        named = {}
        for name, kinds in self._kinds.items():
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


def _as_found(value: Any, dtype: str) -> Any:
    if dtype != TEXT or value is None or isinstance(value, str):
        return value
    return json_text(value)


def events_frame(states: pd.DataFrame, fields: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Make one row per event.

    Parameters
    ----------
    states : DataFrame
        Offer states with ``offer_activities``.
    fields : mapping
        What `EventFields.columns` gives.

    Returns
    -------
    pandas.DataFrame
        The columns of `ACTIVITY`, then the event's own fields; lists and objects in them as JSON.
    """
    rows, positions, names, times = [], [], [], []
    found: dict[str, list[Any]] = {name: [] for name in fields}
    for row, position, event in _walk(states):
        rows.append(row)
        positions.append(position)
        names.append(_first_text(event, NAME_FIELDS))
        times.append(_first_text(event, TIME_FIELDS))
        for name, cells in found.items():
            cells.append(_as_found(event.get(name), fields[name][1]))
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
