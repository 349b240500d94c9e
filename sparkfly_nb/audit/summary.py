"""The summary of an audit as a tidy frame, for all members or by columns of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from ..frames.lifecycle import mask_of
from ..frames.scalars import shown
from .schema import SUMMARY, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .findings import AuditEvidence

__all__ = ["count_members", "groups_of", "incompleteness", "summary_of"]

DAY: Final = pd.Timedelta(days=1)
MAX_DAYS: Final = 36_500


class _Metric(NamedTuple):
    """A line of the summary. `counts` contains the value of each group."""

    metric: str
    detail: str | None
    counts: pd.Series
    unit: str


def incompleteness(unread: pd.DataFrame, plan: pd.DataFrame) -> str | None:
    """Return a warning that an audit is incomplete, or None if it is complete."""
    if unread.empty:
        return None
    count = f"{len(unread):,} of {count_members(plan):,} members"
    return f"INCOMPLETE: {count} could not be read, so every number may be too low. See audit.unread."


def summary_of(
    evidence: AuditEvidence,
    exceptions: pd.DataFrame,
    unread: pd.DataFrame,
    *,
    as_of: pd.Timestamp,
    by: str | Sequence[str] | None = None,
    expiring_days: int = 7,
) -> pd.DataFrame:
    """Count members and offer states; see `Audit.summary`."""
    if type(expiring_days) is not int or not 0 <= expiring_days <= MAX_DAYS:
        raise InvalidInput(
            f"summary: expiring_days is {shown(expiring_days)}. Pass a whole number from 0 to {MAX_DAYS:,}."
        )
    names = [by] if isinstance(by, str) else list(by or [])
    members = _member_keys(evidence.plan)
    codes, labels = groups_of(evidence.plan, names)
    first = ~members.duplicated().to_numpy()
    group_of = pd.Series(codes[first], index=evidence.plan["member_id"].array[first])
    group_of = group_of[group_of.index.notna()]
    unread_codes = _codes(unread["member_id"], group_of, labels)
    known_only_by_identifier = evidence.plan["member_id"].isna().to_numpy()
    unread_codes[unread["member_id"].isna().to_numpy()] = codes[known_only_by_identifier]
    lines = list(
        _lines(
            plan=evidence.plan[first].assign(group=codes[first]),
            states=evidence.states.assign(group=_codes(evidence.states["member_id"], group_of, labels)),
            unread=unread.assign(group=unread_codes),
            exceptions=exceptions.assign(group=_codes(exceptions["member_id"], group_of, labels)),
            unread_ids=evidence.unread_ids,
            as_of=as_of,
            days=expiring_days,
        )
    )
    last = len(labels) - 1  # the group of members who are not in the plan, shown only if it is not empty
    present = [code for code in range(len(labels)) if code < last or any(_nonzero(line, code) for line in lines)]
    present = present or [0]
    incomplete = incompleteness(unread, evidence.plan)
    rows: list[tuple[Any, ...]] = [
        (
            None,
            "incomplete" if incomplete else "complete",
            incomplete or "all members were read",
            len(unread),
            "members unread",
        )
    ]
    rows += [
        (code, line.metric, line.detail, line.counts.get(code, default=None if line.metric in RATIOS else 0), line.unit)
        for code in present
        for line in lines
    ]
    places, *cells = zip(*rows, strict=True)
    summary = typed(dict(zip(SUMMARY, map(list, cells), strict=True)), SUMMARY)
    if not names:
        return summary
    # The first row is for all members. No group has the number -1, so reindex leaves its labels missing.
    grouping = labels.reindex([-1 if place is None else place for place in places]).reset_index(drop=True)
    return pd.concat([grouping.astype(dict(labels.dtypes)), summary], axis=1)


def _nonzero(line: _Metric, code: int) -> bool:
    return bool(line.counts.get(code, 0))


#: Metrics that are missing rather than 0 for a group without offer states to compute them from.
RATIOS: Final = frozenset({"redemption_rate", "median_days_to_redemption"})


def _member_keys(plan: pd.DataFrame) -> pd.Series:
    """Return the member_id of each row of the plan, or the member_identifier if the id is unknown."""
    ids = plan["member_id"].astype("object")
    return ids.where(plan["member_id"].notna(), plan["member_identifier"].astype("object"))


def count_members(plan: pd.DataFrame) -> int:
    """Count the distinct members of a plan."""
    return int(_member_keys(plan).nunique())


def groups_of(plan: pd.DataFrame, names: Sequence[str]) -> tuple[NDArray[np.intp], pd.DataFrame]:
    """Assign the rows of a plan to numbered groups.

    Returns
    -------
    tuple
        The group of each row, and the labels of each group in ascending order, missing labels last. The last group is
        also for members who are not in the plan.

    Raises
    ------
    InvalidInput
        The plan has no such column.
    """
    absent = [name for name in names if name not in plan.columns]
    if absent:
        others = [name for name in plan.columns if name != "member_id"]
        raise InvalidInput(f"summary: the plan has no column {absent[0]!r}. Set by= to one of: {', '.join(others)}.")
    if not names:
        return np.zeros(len(plan), dtype=np.intp), pd.DataFrame(index=[0])
    labels = plan[list(names)].drop_duplicates().sort_values(list(names), na_position="last", ignore_index=True)
    places = plan[list(names)].merge(labels.assign(place=range(len(labels))), on=list(names), how="left")["place"]
    # Members who are not in the plan share the group without labels. Add that group if the plan has no such rows.
    if not labels.isna().all(axis=1).any():
        labels = labels.reindex(range(len(labels) + 1))
    return places.to_numpy(dtype=np.intp), labels


def _codes(member_ids: pd.Series, group_of: pd.Series, labels: pd.DataFrame) -> NDArray[np.intp]:
    """Return the group of each member. Members who are not in the plan are in the last group, which has no labels."""
    codes: NDArray[np.intp] = member_ids.map(group_of).fillna(len(labels) - 1).to_numpy(dtype=np.intp)
    return codes


def _sizes(frame: pd.DataFrame, chosen: Any = slice(None)) -> pd.Series:
    counts: pd.Series = frame["group"][chosen].value_counts()
    return counts


def _lines(
    *,
    plan: pd.DataFrame,
    states: pd.DataFrame,
    unread: pd.DataFrame,
    exceptions: pd.DataFrame,
    unread_ids: frozenset[int],
    as_of: pd.Timestamp,
    days: int,
) -> Iterator[_Metric]:
    lifecycle = states["lifecycle"]
    not_voided = (lifecycle != "voided").to_numpy()
    planned = mask_of(plan["planned"])
    read = (plan["member_id"].notna() & ~plan["member_id"].isin(list(unread_ids))).to_numpy()
    holding = plan["member_id"].isin(states["member_id"][not_voided]).to_numpy()
    yield _Metric("members_planned", None, _sizes(plan, planned), "members")
    yield _Metric("members_holding", "planned", _sizes(plan, planned & holding), "members")
    yield _Metric("members_not_holding", "planned", _sizes(plan, planned & read & ~holding), "members")
    yield _Metric("members_unread", None, _sizes(unread), "members")
    foreign = exceptions[(exceptions["kind"] == "foreign").to_numpy()].drop_duplicates("member_id")
    yield _Metric("members_foreign", "holding, not planned", _sizes(foreign), "members")

    yield _Metric("offer_states", None, _sizes(states), "offer states")
    status = states["status"].fillna("(no status)")
    for word in sorted(status.unique()):
        yield _Metric("status", word, _sizes(states, mask_of(status == word)), "offer states")
    for word in lifecycle.cat.categories:
        yield _Metric("lifecycle", word, _sizes(states, (lifecycle == word).to_numpy()), "offer states")

    redeemed = (lifecycle == "redeemed").to_numpy()
    rate = _sizes(states, redeemed).reindex(_sizes(states, not_voided).index, fill_value=0) / _sizes(states, not_voided)
    yield _Metric("redemption_rate", "redeemed of those not voided", rate, "fraction")
    value = states[redeemed].groupby("group")["value"].sum()
    yield _Metric("value_redeemed", None, value, "offer units")
    soon = (lifecycle == "open").to_numpy() & mask_of(states["ends_at"] <= as_of + days * DAY)
    yield _Metric("expiring", f"within {days} days", _sizes(states, soon), "offer states")
    timed = states[redeemed & states["redeemed_at"].notna().to_numpy() & states["created_at"].notna().to_numpy()]
    days_waited = (timed["redeemed_at"] - timed["created_at"]).dt.total_seconds() / DAY.total_seconds()
    median = days_waited.groupby(timed["group"]).median()
    yield _Metric("median_days_to_redemption", "issue to redemption, if an activity contains the time", median, "days")
    for severity in ("error", "warning"):
        chosen = mask_of(exceptions["severity"] == severity)
        yield _Metric("exceptions", severity, _sizes(exceptions, chosen), "findings")
