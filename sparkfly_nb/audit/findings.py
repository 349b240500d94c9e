"""The findings of an audit: differences between the plan, the ledger and the service, one row each."""

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
#: Times that differ by less than this are equal, because the service may drop fractions of a second.
SAME_TIME: Final = pd.Timedelta(seconds=1)
#: The number of offer states that a duplicate lists. The others are counted.
SHOWN_STATES: Final = 5
#: Outcomes with which the ledger does not record an existing offer state.
NOT_ISSUED: Final = ("unknown", "rejected", "planned")


@dataclass(frozen=True, slots=True)
class AuditEvidence:
    """The data that findings and the summary are computed from.

    Attributes
    ----------
    plan : DataFrame
        The plan, one row per expected offer state. ``planned`` applies to the scope of the audit.
    states : DataFrame
        Narrow columns of the offer states in scope, with ``lifecycle`` and ``ends_at``.
    unread_ids : set of int
        Members that could not be read. They have no findings.
    narrowed : bool
        Whether the scope names a campaign or an offer.
    """

    plan: pd.DataFrame
    states: pd.DataFrame
    unread_ids: frozenset[int]
    narrowed: bool


@dataclass(slots=True)
class _Findings:
    """Findings as columns, collected kind by kind."""

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
    """Return everything that is wrong.

    Returns
    -------
    pandas.DataFrame
        The columns of `EXCEPTION`, in the order of `KINDS`, then by member and offer state.
    """
    findings = _Findings()
    plan, states = evidence.plan, evidence.states
    readable = plan[(plan["member_id"].notna() & ~plan["member_id"].isin(list(evidence.unread_ids))).to_numpy()]
    expected = readable[mask_of(readable["planned"])]
    not_voided = states[(states["lifecycle"] != "voided").to_numpy()]
    _add_missing(findings, expected, states, not_voided)
    _add_planned_twice(findings, expected, not_voided)
    _add_foreign(findings, plan, not_voided)
    # Without a campaign or an offer, a planned row may be for any of the member's offer states. Only a reference shows
    # which one, so the rest stays unpaired.
    pairs = _paired(expected, not_voided, in_turn=evidence.narrowed)
    _add_duplicates(findings, expected, not_voided, pairs)
    _add_wrong_values(findings, expected, not_voided, pairs)
    _add_redeemed_late(findings, states)
    if plan["outcome"].notna().any():
        _add_ledger_differences(findings, readable, states)
    return findings.frame()


def _state_words(states: pd.DataFrame) -> pd.Series:
    """Describe offer states by their ID and the status at the service."""
    return "offer state " + _id_words(states) + " (" + states["status"].fillna("no status") + ")"


def _id_words(states: pd.DataFrame) -> pd.Series:
    return states["offer_state_id"].astype(dtype_of(TEXT)).fillna("without ID")


# ---- which members ---------------------------------------------------------------------------------------------------


def _add_missing(findings: _Findings, expected: pd.DataFrame, states: pd.DataFrame, not_voided: pd.DataFrame) -> None:
    once = expected.drop_duplicates("member_id")
    has_any = once["member_id"].isin(states["member_id"]).to_numpy()
    holds = once["member_id"].isin(not_voided["member_id"]).to_numpy()
    missing = once[~has_any]
    errors = missing["error"] if "error" in missing.columns else missing["outcome"]
    findings.add(
        "missing",
        missing["member_id"],
        None,
        ["1 offer state"] * len(missing),
        [_none_and_outcome(outcome, error) for outcome, error in zip(missing["outcome"], errors, strict=True)],
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


def _none_and_outcome(outcome: Any, error: Any) -> str:
    """Describe that a member has no offer state, with the outcome and the error in the ledger."""
    if pd.isna(outcome):
        return "none"
    return f"none; ledger: {outcome}" + ("" if pd.isna(error) or error == outcome else f": {error}")


def _add_planned_twice(findings: _Findings, expected: pd.DataFrame, not_voided: pd.DataFrame) -> None:
    rows = expected["member_id"].value_counts()
    repeated = rows[rows > 1]
    holds = not_voided["member_id"].value_counts().reindex(repeated.index, fill_value=0)
    findings.add(
        "planned_twice",
        repeated.index,
        None,
        ["1 row in the plan"] * len(repeated),
        [f"{planned} rows in the plan; has {_counted(count)}" for planned, count in zip(repeated, holds, strict=True)],
    )


def _counted(states: int) -> str:
    return "1 offer state" if states == 1 else f"{states:,} offer states"


def _add_foreign(findings: _Findings, plan: pd.DataFrame, not_voided: pd.DataFrame) -> None:
    # A row without `planned` states no expectation, so whatever its member has is not a finding.
    no_expectation = plan["planned"].isna()
    allowed = plan["member_id"][no_expectation | mask_of(plan["planned"])]
    foreign = not_voided[~not_voided["member_id"].isin(allowed).to_numpy()]
    in_plan = foreign["member_id"].isin(plan["member_id"])
    findings.add(
        "foreign",
        foreign["member_id"],
        foreign["offer_state_id"],
        ["none: not planned for this member" if known else "none: the member is not in the plan" for known in in_plan],
        _state_words(foreign),
    )


# ---- which offer state belongs to which row of the plan --------------------------------------------------------------


def _paired(expected: pd.DataFrame, not_voided: pd.DataFrame, *, in_turn: bool) -> pd.DataFrame:
    """Pair rows of the plan with offer states that are not voided, by reference first.

    If `in_turn`, pair the remaining rows with redeemed, open, then expired offer states, the oldest of each first.

    Returns
    -------
    pandas.DataFrame
        ``row`` and ``state``, positions in `expected` and `not_voided`.
    """
    rows = expected[["member_id", "external_ref_id"]].assign(row=np.arange(len(expected)))
    states = not_voided[["member_id", "external_ref_id", "created_at", "offer_state_id"]].assign(
        state=np.arange(len(not_voided)),
        rank=not_voided["lifecycle"].cat.set_categories(["redeemed", "open", "expired", "voided"]).cat.codes,
    )
    states = states[states["member_id"].isin(rows["member_id"]).to_numpy()].sort_values(
        ["rank", "created_at", "offer_state_id"], kind="stable"
    )
    reference = ["member_id", "external_ref_id"]
    by_reference = _in_turn(rows.dropna(subset=reference), states.dropna(subset=reference), reference)
    if not in_turn:
        return by_reference
    rows = rows[~rows["row"].isin(by_reference["row"])]
    states = states[~states["state"].isin(by_reference["state"])]
    return pd.concat([by_reference, _in_turn(rows, states, ["member_id"])], ignore_index=True)


def _in_turn(rows: pd.DataFrame, states: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Pair rows and offer states with equal keys: the first with the first, the second with the second."""
    rows = rows[[*keys, "row"]].assign(turn=rows.groupby(keys).cumcount())
    states = states[[*keys, "state"]].assign(turn=states.groupby(keys).cumcount())
    return rows.merge(states, on=[*keys, "turn"])[["row", "state"]]


def _is_open_or_redeemed(states: pd.DataFrame) -> NDArray[np.bool_]:
    return states["lifecycle"].isin(["open", "redeemed"]).to_numpy()


def _add_duplicates(findings: _Findings, expected: pd.DataFrame, not_voided: pd.DataFrame, pairs: pd.DataFrame) -> None:
    """Find open or redeemed offer states beyond the planned number."""
    is_paired = np.zeros(len(not_voided), dtype=bool)
    is_paired[pairs["state"].to_numpy(dtype=np.intp)] = True
    open_or_redeemed = not_voided.assign(
        campaign=key_of_campaign(not_voided),
        is_paired=is_paired,
        used=(not_voided["lifecycle"] == "redeemed").to_numpy(),
    )[_is_open_or_redeemed(not_voided)]
    planned = (
        open_or_redeemed["member_id"].map(expected["member_id"].value_counts()).fillna(1).astype("int64").clip(lower=1)
    )
    group = ["member_id", "campaign"]
    # The surplus is at the end of each group, and somebody may void it. Redeemed offer states cannot be voided, so they
    # come first, then those of the plan, then the oldest.
    open_or_redeemed = open_or_redeemed.assign(planned=planned).sort_values(
        [*group, "used", "is_paired", "created_at", "offer_state_id"],
        ascending=[True, True, False, False, True, True],
        kind="stable",
    )
    by_campaign = open_or_redeemed.groupby(group, dropna=False)["used"]
    open_or_redeemed = open_or_redeemed.assign(turn=by_campaign.cumcount(), count=by_campaign.transform("size"))
    crowded = open_or_redeemed[open_or_redeemed["count"] > open_or_redeemed["planned"]]
    names = _id_words(crowded) + " " + crowded["status"].fillna("no status")
    together = names.groupby([crowded[name] for name in group], dropna=False).transform(_together)
    surplus = (crowded["turn"] >= crowded["planned"]).to_numpy()
    crowded, together = crowded[surplus], together[surplus]
    findings.add(
        "duplicate",
        crowded["member_id"],
        crowded["offer_state_id"],
        [f"{number} open or redeemed" for number in crowded["planned"]],
        [f"{count} open or redeemed: {words}" for count, words in zip(crowded["count"], together, strict=True)],
    )


def _together(words: pd.Series) -> str:
    """Join the first descriptions of offer states, and count the rest."""
    shown, rest = words.head(SHOWN_STATES), len(words) - SHOWN_STATES
    return ", ".join(shown) + (f" and {rest:,} more" if rest > 0 else "")


# ---- values of an offer state ----------------------------------------------------------------------------------------


def _add_wrong_values(
    findings: _Findings, expected: pd.DataFrame, not_voided: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    """Compare the dates and references of offer states with their rows of the plan."""
    wanted = expected.take(pairs["row"].to_numpy(dtype=np.intp)).reset_index(drop=True)
    actual = not_voided.take(pairs["state"].to_numpy(dtype=np.intp)).reset_index(drop=True)
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


def _add_redeemed_late(findings: _Findings, states: pd.DataFrame) -> None:
    late = states[mask_of(states["redeemed_at"] > states["ends_at"]) & (states["lifecycle"] == "redeemed").to_numpy()]
    findings.add(
        "redeemed_after_expiry",
        late["member_id"],
        late["offer_state_id"],
        _dates("redeemed before", late["ends_at"]),
        _dates("redeemed", late["redeemed_at"]),
    )


# ---- the ledger ------------------------------------------------------------------------------------------------------


def _add_ledger_differences(findings: _Findings, readable: pd.DataFrame, states: pd.DataFrame) -> None:
    recorded = readable[readable["outcome"].notna()]
    named = recorded[recorded["offer_state_id"].notna()]
    issued = named[~mask_of(named["at_service"]) & ~named["outcome"].isin(NOT_ISSUED)]
    findings.add(
        "not_at_service",
        issued["member_id"],
        issued["offer_state_id"],
        "ledger: " + issued["outcome"],
        ["the member does not have it"] * len(issued),
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
    not_voided = states[(states["lifecycle"] != "voided").to_numpy()]
    theirs = not_voided[
        (
            not_voided["member_id"].isin(recorded["member_id"])
            & ~not_voided["offer_state_id"].isin(named["offer_state_id"])
        ).to_numpy()
    ]
    unsettled = recorded[
        recorded["outcome"].isin(NOT_ISSUED).to_numpy() & recorded["external_ref_id"].notna().to_numpy()
    ]
    key = ["member_id", "external_ref_id"]
    matched = theirs.merge(unsettled[[*key, "outcome"]].drop_duplicates(key), on=key, how="left")
    known = matched["outcome"].notna().to_numpy()
    for kind, rows, words in (
        ("ledger_says_not_issued", matched[known], "ledger: " + matched["outcome"][known]),
        ("not_in_ledger", matched[~known], ["ledger: no row"] * int((~known).sum())),
    ):
        findings.add(kind, rows["member_id"], rows["offer_state_id"], words, _state_words(rows))


def is_issue_run(recorded: pd.DataFrame) -> bool:
    """Return True if the recorded rows created offer states.

    A run that voids or changes offer states does not account for all offer states of its members.
    """
    return bool((recorded["outcome"] == "issued").any() or recorded["offer_state_id"].isna().any())
