"""What is wrong: the plan, the ledger and the service compared, one row per finding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from ..frames.lifecycle import key_of_campaign, mask_of
from ..frames.scalars import to_rfc3339
from ..schema import TEXT
from .schema import EXCEPTION, KINDS, dtype_of, typed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["AuditEvidence", "exceptions_of", "is_issue_run"]

DATES: Final = ("activates_at", "expires_at")
SAME_TIME: Final = pd.Timedelta(seconds=1)
"""Times less than this apart are the same: the service may drop the fraction of a second."""
SHOWN_STATES: Final = 5
"""Offer states that a duplicate names; the others are counted."""
NOT_ISSUED: Final = ("unknown", "rejected", "planned")
"""Outcomes with which the ledger does not claim that there is an offer state."""


@dataclass(frozen=True, slots=True)
class AuditEvidence:
    """What findings stand on.

    Attributes
    ----------
    plan : DataFrame
        The plan, one row per expected offer state; ``planned`` already tells whether this campaign is expected.
    states : DataFrame
        Narrow columns of the offer states in scope, with ``lifecycle`` and ``ends_at``.
    unread_ids : set of int
        Members about whom nothing can be said.
    narrowed : bool
        Whether a campaign or an offer says what a planned member is to hold.
    """

    plan: pd.DataFrame
    states: pd.DataFrame
    unread_ids: frozenset[int]
    narrowed: bool


@dataclass(slots=True)
class _Findings:
    """Findings, column by column."""

    columns: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in EXCEPTION if name != "severity"}
    )

    def add(
        self,
        kind: str,
        member_ids: Iterable[Any],
        state_ids: Iterable[Any] | None,
        expected: Iterable[str],
        found: Iterable[str],
    ) -> None:
        members = list(member_ids)
        rows: tuple[list[Any], ...] = (
            [kind] * len(members),
            members,
            [None] * len(members) if state_ids is None else list(state_ids),
            list(expected),
            list(found),
        )
        for cells, more in zip(self.columns.values(), rows, strict=True):
            cells.extend(more)

    def frame(self) -> pd.DataFrame:
        severity = [KINDS[kind].severity for kind in self.columns["kind"]]
        found = typed(self.columns | {"severity": severity}, EXCEPTION)
        order = found["kind"].map({kind: place for place, kind in enumerate(KINDS)})
        return (
            found.assign(order=order)
            .sort_values(["order", "member_id", "offer_state_id"], kind="stable", ignore_index=True)
            .drop(columns="order")
        )


def exceptions_of(evidence: AuditEvidence) -> pd.DataFrame:
    """Find everything that is wrong.

    Returns
    -------
    pandas.DataFrame
        The columns of `EXCEPTION`, in the order of `KINDS`, then by member and offer state.
    """
    findings = _Findings()
    plan, states = evidence.plan, evidence.states
    readable = plan[(plan["member_id"].notna() & ~plan["member_id"].isin(list(evidence.unread_ids))).to_numpy()]
    expected = readable[mask_of(readable["planned"])]
    held = states[(states["lifecycle"] != "voided").to_numpy()]
    _members_without(findings, expected, states, held)
    _planned_twice(findings, expected, held)
    _foreign(findings, plan, held)
    pairs = _paired(expected, held, by_turn=evidence.narrowed)
    _duplicates(findings, expected, held, pairs)
    _wrong(findings, expected, held, pairs)
    _redeemed_late(findings, states)
    if plan["outcome"].notna().any():
        _against_ledger(findings, readable, states)
    return findings.frame()


def _state_words(states: pd.DataFrame) -> pd.Series:
    """Describe offer states: their number and what the service calls them."""
    return "offer state " + _id_words(states) + " (" + states["status"].fillna("no status") + ")"


def _id_words(states: pd.DataFrame) -> pd.Series:
    return states["offer_state_id"].astype(dtype_of(TEXT)).fillna("without id")


# ---- who holds -------------------------------------------------------------------------------------------------------


def _members_without(findings: _Findings, expected: pd.DataFrame, states: pd.DataFrame, held: pd.DataFrame) -> None:
    once = expected.drop_duplicates("member_id")
    has_any = once["member_id"].isin(states["member_id"]).to_numpy()
    holds = once["member_id"].isin(held["member_id"]).to_numpy()
    missing = once[~has_any]
    errors = missing["error"] if "error" in missing.columns else missing["outcome"]
    findings.add(
        "missing",
        missing["member_id"],
        None,
        ["1 offer state"] * len(missing),
        [_nothing_but(outcome, error) for outcome, error in zip(missing["outcome"], errors, strict=True)],
    )
    only_voided = states[states["member_id"].isin(once["member_id"][has_any & ~holds])]
    last = only_voided.sort_values("created_at", kind="stable").drop_duplicates("member_id", keep="last")
    findings.add(
        "voided_though_planned",
        last["member_id"],
        last["offer_state_id"],
        ["1 offer state that is not voided"] * len(last),
        _state_words(last),
    )


def _nothing_but(outcome: Any, error: Any) -> str:
    """Say that a member holds nothing, and what the ledger knows about it."""
    if pd.isna(outcome):
        return "none"
    return f"none; ledger: {outcome}" + ("" if pd.isna(error) or error == outcome else f": {error}")


def _planned_twice(findings: _Findings, expected: pd.DataFrame, held: pd.DataFrame) -> None:
    rows = expected["member_id"].value_counts()
    repeated = rows[rows > 1]
    holds = held["member_id"].value_counts().reindex(repeated.index, fill_value=0)
    findings.add(
        "planned_twice",
        repeated.index,
        None,
        ["1 row of the plan"] * len(repeated),
        [f"{planned} rows of the plan; holds {count}" for planned, count in zip(repeated, holds, strict=True)],
    )


def _foreign(findings: _Findings, plan: pd.DataFrame, held: pd.DataFrame) -> None:
    nothing_said = plan["planned"].isna()
    allowed = plan["member_id"][nothing_said | mask_of(plan["planned"])]
    foreign = held[~held["member_id"].isin(allowed).to_numpy()]
    in_plan = foreign["member_id"].isin(plan["member_id"])
    findings.add(
        "foreign",
        foreign["member_id"],
        foreign["offer_state_id"],
        ["none: not planned for this member" if known else "none: the member is not in the plan" for known in in_plan],
        _state_words(foreign),
    )


# ---- which offer state answers which row of the plan -----------------------------------------------------------------


def _paired(expected: pd.DataFrame, held: pd.DataFrame, *, by_turn: bool) -> pd.DataFrame:
    """Pair rows of the plan with held offer states, by reference first.

    Then in turn: what is redeemed, what is open, what has expired, the oldest of each first.

    Returns
    -------
    pandas.DataFrame
        ``row`` and ``state``, positions in `expected` and `held`.
    """
    rows = expected[["member_id", "external_ref_id"]].assign(row=np.arange(len(expected)))
    states = held[["member_id", "external_ref_id", "created_at", "offer_state_id"]].assign(
        state=np.arange(len(held)),
        rank=held["lifecycle"].cat.set_categories(["redeemed", "open", "expired", "voided"]).cat.codes,
    )
    states = states[states["member_id"].isin(rows["member_id"]).to_numpy()].sort_values(
        ["rank", "created_at", "offer_state_id"], kind="stable"
    )
    reference = ["member_id", "external_ref_id"]
    by_reference = _in_turn(rows.dropna(subset=reference), states.dropna(subset=reference), reference)
    if not by_turn:
        return by_reference
    rows = rows[~rows["row"].isin(by_reference["row"])]
    states = states[~states["state"].isin(by_reference["state"])]
    return pd.concat([by_reference, _in_turn(rows, states, ["member_id"])], ignore_index=True)


def _in_turn(rows: pd.DataFrame, states: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Pair the first with the first, the second with the second, within equal keys."""
    rows = rows[[*keys, "row"]].assign(turn=rows.groupby(keys).cumcount())
    states = states[[*keys, "state"]].assign(turn=states.groupby(keys).cumcount())
    return rows.merge(states, on=[*keys, "turn"])[["row", "state"]]


def _is_live(states: pd.DataFrame) -> NDArray[np.bool_]:
    return states["lifecycle"].isin(["open", "redeemed"]).to_numpy()


def _duplicates(findings: _Findings, expected: pd.DataFrame, held: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Find live offer states beyond the planned number.

    What is redeemed cannot be taken back, so that it stays; then what answers the plan, then the oldest.
    """
    answers = np.zeros(len(held), dtype=bool)
    answers[pairs["state"].to_numpy(dtype=np.intp)] = True
    live = held.assign(
        campaign=key_of_campaign(held), answers=answers, used=(held["lifecycle"] == "redeemed").to_numpy()
    )[_is_live(held)]
    planned = live["member_id"].map(expected["member_id"].value_counts()).fillna(1).astype("int64").clip(lower=1)
    group = ["member_id", "campaign"]
    live = live.assign(planned=planned).sort_values(
        [*group, "used", "answers", "created_at", "offer_state_id"],
        ascending=[True, True, False, False, True, True],
        kind="stable",
    )
    by_campaign = live.groupby(group, dropna=False)["used"]
    live = live.assign(turn=by_campaign.cumcount(), count=by_campaign.transform("size"))
    crowded = live[live["count"] > live["planned"]]
    those = _id_words(crowded) + " " + crowded["status"].fillna("no status")
    together = those.groupby([crowded[name] for name in group], dropna=False).transform(_together)
    surplus = (crowded["turn"] >= crowded["planned"]).to_numpy()
    crowded, together = crowded[surplus], together[surplus]
    findings.add(
        "duplicate",
        crowded["member_id"],
        crowded["offer_state_id"],
        [f"{number} live" for number in crowded["planned"]],
        [f"{count} live: {words}" for count, words in zip(crowded["count"], together, strict=True)],
    )


def _together(words: pd.Series) -> str:
    """Name some offer states in one text."""
    shown, rest = words.head(SHOWN_STATES), len(words) - SHOWN_STATES
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")


# ---- what an offer state says ----------------------------------------------------------------------------------------


def _wrong(findings: _Findings, expected: pd.DataFrame, held: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Compare dates and references of offer states with the rows of the plan that they answer."""
    wanted = expected.take(pairs["row"].to_numpy(dtype=np.intp)).reset_index(drop=True)
    actual = held.take(pairs["state"].to_numpy(dtype=np.intp)).reset_index(drop=True)
    for name in DATES:
        own = actual[name].fillna(actual[f"effective_{name}"])
        apart = (own - wanted[name]).abs()
        wrong = wanted[name].notna().to_numpy() & ~mask_of(apart < SAME_TIME)
        findings.add(
            "wrong_dates",
            actual["member_id"][wrong],
            actual["offer_state_id"][wrong],
            _dates(name, wanted[name][wrong]),
            _dates(name, own[wrong]),
        )
    same = mask_of(wanted["external_ref_id"] == actual["external_ref_id"])
    wrong = wanted["external_ref_id"].notna().to_numpy() & ~same
    findings.add(
        "wrong_reference",
        actual["member_id"][wrong],
        actual["offer_state_id"][wrong],
        wanted["external_ref_id"][wrong],
        actual["external_ref_id"][wrong].fillna("none"),
    )


def _dates(name: str, times: pd.Series) -> list[str]:
    return [f"{name} {to_rfc3339(time) if pd.notna(time) else 'none'}" for time in times]


def _redeemed_late(findings: _Findings, states: pd.DataFrame) -> None:
    late = states[mask_of(states["redeemed_at"] > states["ends_at"]) & (states["lifecycle"] == "redeemed").to_numpy()]
    findings.add(
        "redeemed_after_expiry",
        late["member_id"],
        late["offer_state_id"],
        _dates("redeemed before", late["ends_at"]),
        _dates("redeemed", late["redeemed_at"]),
    )


# ---- what the ledger says --------------------------------------------------------------------------------------------


def _against_ledger(findings: _Findings, readable: pd.DataFrame, states: pd.DataFrame) -> None:
    recorded = readable[readable["outcome"].notna()]
    named = recorded[recorded["offer_state_id"].notna()]
    issued = named[~mask_of(named["at_service"]) & ~named["outcome"].isin(NOT_ISSUED)]
    findings.add(
        "not_at_service",
        issued["member_id"],
        issued["offer_state_id"],
        "ledger: " + issued["outcome"],
        ["the member does not hold it"] * len(issued),
    )
    current = states.dropna(subset=["offer_state_id"]).drop_duplicates("offer_state_id").set_index("offer_state_id")
    for outcome, lifecycle in (("voided", "voided"), ("redeemed", "redeemed")):
        rows = named[mask_of(named["outcome"] == outcome) & named["offer_state_id"].isin(current.index).to_numpy()]
        shown = current.loc[rows["offer_state_id"]]
        differs = (shown["lifecycle"] != lifecycle).to_numpy()
        findings.add(
            "not_at_service",
            rows["member_id"][differs],
            rows["offer_state_id"][differs],
            ["ledger: " + outcome] * int(differs.sum()),
            _state_words(shown.reset_index()[differs]),
        )
    if not is_issue_run(recorded):
        return
    held = states[(states["lifecycle"] != "voided").to_numpy()]
    theirs = held[
        (
            held["member_id"].isin(recorded["member_id"]) & ~held["offer_state_id"].isin(named["offer_state_id"])
        ).to_numpy()
    ]
    unsettled = recorded[
        recorded["outcome"].isin(NOT_ISSUED).to_numpy() & recorded["external_ref_id"].notna().to_numpy()
    ]
    key = ["member_id", "external_ref_id"]
    told = theirs.merge(unsettled[[*key, "outcome"]].drop_duplicates(key), on=key, how="left")
    known = told["outcome"].notna().to_numpy()
    for kind, rows, words in (
        ("ledger_says_not_issued", told[known], "ledger: " + told["outcome"][known]),
        ("not_in_ledger", told[~known], ["ledger: no row"] * int((~known).sum())),
    ):
        findings.add(kind, rows["member_id"], rows["offer_state_id"], words, _state_words(rows))


def is_issue_run(recorded: pd.DataFrame) -> bool:
    """Say whether the rows made new offer states: only then may the run be asked to account for all of them."""
    return bool((recorded["outcome"] == "issued").any() or recorded["offer_state_id"].isna().any())
