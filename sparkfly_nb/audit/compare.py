"""The changes between two audits of the same scope, per offer state and in total."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from ..frames.lifecycle import mask_of
from ..frames.scalars import to_rfc3339
from ..schema import TIME
from .schema import CHANGE, TOTAL, typed

if TYPE_CHECKING:
    from .audit_data import AuditData

__all__ = ["Comparison", "compare"]

#: The compared columns of an offer state, the most important first.
COMPARED: Final = (
    "lifecycle",
    "status",
    "value",
    "member_id",
    "campaign_id",
    "campaign_xid",
    "external_ref_id",
    "activates_at",
    "expires_at",
    "effective_activates_at",
    "effective_expires_at",
)
#: Categorical columns. They are compared as text.
CATEGORICAL: Final = frozenset({"lifecycle"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """The changes between two audits.

    Attributes
    ----------
    states : DataFrame
        ``offer_state_id``, ``member_id``, ``change`` ("appeared", "gone", "changed"), ``column``, ``from``, ``to``.
        Only members who were read in both audits are compared.
    totals : DataFrame
        The summaries of both audits: ``metric``, ``detail``, ``earlier``, ``now``, ``change``, ``unit``. The first rows
        count the offer states that appeared, are gone and changed.
    """

    states: pd.DataFrame
    totals: pd.DataFrame

    def __repr__(self) -> str:
        return f"{_headline(self)}\n{self.totals.to_string(index=False)}"

    def _repr_html_(self) -> str:
        return f"<p><b>{_headline(self)}</b></p>{self.totals.to_html(index=False, na_rep='')}"


def _headline(comparison: Comparison) -> str:
    counts = comparison.states.drop_duplicates("offer_state_id")["change"].value_counts()
    return ", ".join(f"{counts.get(change, 0):,} {change}" for change in ("appeared", "gone", "changed"))


def compare(now: AuditData, earlier: AuditData) -> Comparison:
    """Return the changes since an earlier audit; see `Audit.compare`."""
    _check_same_scope(now, earlier)
    both = _read_in(now) & _read_in(earlier)
    later, before = (_known(audit, both) for audit in (now, earlier))
    before, later = (frame.set_index("offer_state_id") for frame in (before, later))
    gone, appeared = before.index.difference(later.index), later.index.difference(before.index)
    parts = [
        _whole("appeared", later.loc[appeared], column="to"),
        _whole("gone", before.loc[gone], column="from"),
    ]
    common = later.index.intersection(before.index)
    old, new = before.loc[common], later.loc[common]
    parts += [_changed(name, old, new) for name in COMPARED]
    order = {name: place for place, name in enumerate(COMPARED)}
    states = pd.concat(parts, ignore_index=True)
    states = (
        states.assign(place=states["column"].map(order))
        .sort_values(["member_id", "offer_state_id", "place"], kind="stable", ignore_index=True)
        .drop(columns="place")
    )
    return Comparison(states, _totals(states, now, earlier))


def _check_same_scope(now: AuditData, earlier: AuditData) -> None:
    # The run, the members and the spelling of the campaign may differ: offer states are compared per member.
    ours, theirs = (replace(audit.metadata.scope, run=None, members="", by_number=False) for audit in (now, earlier))
    if ours != theirs:
        raise InvalidInput(
            f"compare: the two audits have different scopes. This audit is of {ours.describe()}, the earlier one of "
            f"{theirs.describe()} or of another time span. Both need the same campaign, offer, since and until."
        )
    if now.metadata.address != earlier.metadata.address:
        raise InvalidInput(
            f"compare: the two audits read different services: {now.metadata.address} and {earlier.metadata.address}. "
            "Compare audits of the same service."
        )


def _read_in(audit: AuditData) -> set[int]:
    members = pd.concat([audit.evidence.plan["member_id"], audit.evidence.states["member_id"]])
    return set(members.dropna().tolist()) - audit.evidence.unread_ids


def _known(audit: AuditData, members: set[int]) -> pd.DataFrame:
    states = audit.evidence.states
    chosen = mask_of(states["member_id"].isin(list(members))) & states["offer_state_id"].notna().to_numpy()
    return states[chosen].drop_duplicates("offer_state_id")


def _texts(cells: pd.Series) -> list[str | None]:
    if str(cells.dtype) == TIME:
        return [None if pd.isna(time) else to_rfc3339(time) for time in cells]
    return [None if pd.isna(cell) else str(cell) for cell in cells]


def _whole(change: str, states: pd.DataFrame, *, column: str) -> pd.DataFrame:
    """Return one row per offer state that only one audit has, with its lifecycle."""
    columns: dict[str, Any] = {
        "offer_state_id": states.index.array,
        "member_id": states["member_id"].array,
        "change": [change] * len(states),
        "column": ["lifecycle"] * len(states),
        column: _texts(states["lifecycle"]),
    }
    return typed(columns, CHANGE)


def _changed(name: str, old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    before, after = old[name], new[name]
    if name in CATEGORICAL:
        before, after = before.astype("object"), after.astype("object")
    same = mask_of(before == after) | (before.isna() & after.isna()).to_numpy()
    rows = np.flatnonzero(~same)
    before, after = before.take(rows), after.take(rows)
    columns: dict[str, Any] = {
        "offer_state_id": after.index.array,
        "member_id": new["member_id"].take(rows).array,
        "change": ["changed"] * len(rows),
        "column": [name] * len(rows),
        "from": _texts(before),
        "to": _texts(after),
    }
    return typed(columns, CHANGE)


def _totals(states: pd.DataFrame, now: AuditData, earlier: AuditData) -> pd.DataFrame:
    keys = ["metric", "detail", "unit"]
    once = states.drop_duplicates(["offer_state_id", "change"])
    first = typed(
        {
            "metric": ["offer_states_" + change for change in ("appeared", "gone", "changed")],
            "change": [(once["change"] == change).sum() for change in ("appeared", "gone", "changed")],
            "unit": ["offer states"] * 3,
        },
        TOTAL,
    )
    ours, theirs = (audit.summary().iloc[1:] for audit in (now, earlier))
    merged = theirs.merge(ours, on=keys, how="outer", suffixes=("_earlier", "_now"), sort=False)
    # Keep the order of the summary. The outer join moves a status that only one audit has away from the others.
    names = pd.concat([ours, theirs])[["metric", "detail"]].fillna("")
    metrics = {metric: place for place, metric in enumerate(names["metric"].unique())}
    lines = {line: place for place, line in enumerate(names.drop_duplicates().itertuples(index=False, name=None))}
    place = [
        (metrics[metric], lines[metric, detail])
        for metric, detail in merged[["metric", "detail"]].fillna("").itertuples(index=False, name=None)
    ]
    merged = merged.iloc[sorted(range(len(merged)), key=place.__getitem__)]
    # A status that only one audit has counted 0 in the other. A missing rate stays missing.
    counts = (merged["metric"] == "status").to_numpy()
    before, after = (
        merged["value_earlier"].mask(counts, merged["value_earlier"].fillna(0)),
        merged["value_now"].mask(counts, merged["value_now"].fillna(0)),
    )
    totals = typed(
        {
            "metric": merged["metric"].array,
            "detail": merged["detail"].array,
            "earlier": before.array,
            "now": after.array,
            "change": (after - before).array,
            "unit": merged["unit"].array,
        },
        TOTAL,
    )
    return pd.concat([first, totals], ignore_index=True)
