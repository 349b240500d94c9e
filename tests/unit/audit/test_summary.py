"""Tests of the summary: exact counts, groups, and whether the audit is complete."""

from __future__ import annotations

import statistics
from collections import Counter

import pandas as pd
import pytest
from audit_world import SEGMENTS, World, at, numbers, random_campaign, sent_fields, state

from sparkfly_nb.errors import InvalidInput


def truth(states, plan, unread):
    """Count every number of the summary independently."""
    states = [one for one in states if one["member_id"] not in unread]
    fates = Counter(one["_fate"] for one in states)
    held = {one["member_id"] for one in states if one["_fate"] != "voided"}
    planned = set(plan.loc[plan["planned"], "member_id"])
    redeemed = [one for one in states if one["_fate"] == "redeemed"]
    return {
        ("members_planned", ""): len(planned),
        ("members_holding", "planned"): len(planned & held),
        ("members_not_holding", "planned"): len(planned - held - set(unread)),
        ("members_unread", ""): len(set(unread) & set(plan["member_id"])),
        ("members_foreign", ""): len(held - planned),
        ("offer_states", ""): len(states),
        ("status", "incomplete"): fates["open"] + fates["expired"] + fates["soon"],
        ("status", "redeemed"): fates["redeemed"],
        ("status", "voided"): fates["voided"],
        ("lifecycle", "open"): fates["open"] + fates["soon"],
        ("lifecycle", "redeemed"): fates["redeemed"],
        ("lifecycle", "expired"): fates["expired"],
        ("lifecycle", "voided"): fates["voided"],
        ("redemption_rate", ""): fates["redeemed"] / (len(states) - fates["voided"]),
        ("value_redeemed", ""): sum(one["value"] for one in redeemed),
        ("expiring", ""): fates["soon"],
        ("median_days_to_redemption", ""): statistics.median(int(one["_turn"][3:]) - one["_day"] for one in redeemed),
    }


@pytest.mark.parametrize("seed", range(8))
def test_every_number_of_the_summary_is_exact(seed):
    states, plan, unread = random_campaign(seed)

    found = numbers(World(sent_fields(states), unread=unread).audit(plan))

    expected = truth(states, plan, unread)
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_every_number_of_a_group_is_exact():
    states, plan, unread = random_campaign(3, members=150)
    audit = World(sent_fields(states), unread=unread).audit(plan)

    by_segment = audit.summary(by="segment")

    for segment in SEGMENTS:
        members = set(plan.loc[plan["segment"] == segment, "member_id"])
        expected = truth(
            [one for one in states if one["member_id"] in members],
            plan[plan["member_id"].isin(members)],
            {member: why for member, why in unread.items() if member in members},
        )
        lines = by_segment[(by_segment["segment"] == segment).fillna(False)]
        found = {
            (line.metric, "" if pd.isna(line.detail) or " " in line.detail else line.detail): line.value
            for line in lines.itertuples()
        }
        assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_groups_add_up_to_the_total():
    states, plan, unread = random_campaign(4)
    audit = World(sent_fields(states), unread=unread).audit(plan)
    counted = {
        "members_planned",
        "members_holding",
        "offer_states",
        "status",
        "lifecycle",
        "exceptions",
        "value_redeemed",
    }

    whole, groups = (
        lines[lines["metric"].isin(counted)].groupby("metric")["value"].sum()
        for lines in (audit.summary(), audit.summary(by="segment"))
    )

    pd.testing.assert_series_equal(whole, groups)
    assert len(whole) == len(counted)


def test_first_row_shows_that_the_audit_is_complete():
    first = World([state(1)]).audit([1]).summary().iloc[0]

    assert (first["metric"], first["value"]) == ("complete", 0)


@pytest.mark.parametrize("by", [None, "segment"])
def test_first_row_shows_that_the_audit_is_incomplete(by):
    audit = World([state(1)], unread={2: (404, "Member not found")}).audit(
        pd.DataFrame({"member_id": [1, 2], "segment": ["a", "b"]})
    )

    first = audit.summary(by=by).iloc[0]

    assert (first["metric"], first["value"]) == ("incomplete", 1)
    assert first["detail"].startswith("INCOMPLETE: 1 of 2 members could not be read")


def test_empty_summary_has_the_same_columns_and_dtypes():
    full, empty = World([state(1)]).audit([1]).summary(), World([]).audit([]).summary()

    assert list(full.columns) == ["metric", "detail", "value", "unit"]
    assert full.dtypes.equals(empty.dtypes)


def test_rate_without_offer_states_is_missing_not_zero():
    found = World([]).audit([1]).summary().set_index("metric")["value"]

    assert pd.isna(found["redemption_rate"])
    assert pd.isna(found["median_days_to_redemption"])
    assert found["value_redeemed"] == 0


def test_unknown_status_is_counted_under_its_own_name():
    found = numbers(World([state(1, "on hold"), state(2, None), state(3, "Redeemed")]).audit([1, 2, 3]))

    assert len(World([state(1, "on_hold")]).audit([1]).summary().query("detail == 'on_hold'")) == 1
    assert found["status", "Redeemed"] == 1


def test_members_without_group_or_outside_the_plan_share_a_group():
    plan = pd.DataFrame({"member_id": [1, 2], "segment": ["a", None]})
    audit = World([state(1), state(2), {**state(9), "listed_for": 1}]).audit(plan)

    lines = audit.summary(by="segment").iloc[1:]

    states = lines[lines["metric"] == "offer_states"]
    assert states["segment"].fillna("none").tolist() == ["a", "none"]
    assert states["value"].tolist() == [1, 2]


def test_summary_groups_by_several_columns():
    plan = pd.DataFrame({"member_id": [1, 2, 3], "segment": ["a", "a", "b"], "store": [5, 6, 5]})

    lines = World([state(1), state(3)]).audit(plan).summary(by=["segment", "store"]).query("metric == 'offer_states'")

    assert lines[["segment", "store"]].to_numpy().tolist() == [["a", 5], ["a", 6], ["b", 5]]
    assert lines["value"].tolist() == [1, 0, 1]


def test_unknown_grouping_column_is_rejected_with_the_alternatives():
    with pytest.raises(InvalidInput, match=r"no column 'sgment'.*segment"):
        World([]).audit(pd.DataFrame({"member_id": [1], "segment": ["a"]})).summary(by="sgment")


@pytest.mark.parametrize(("days", "count"), [(1, 0), (4, 1), (30, 2)])
def test_expiring_counts_the_requested_number_of_days(days, count):
    audit = World([state(1, expires_at=at("07-05")), state(2, expires_at=at("07-20"))]).audit([1, 2])

    line = audit.summary(expiring_days=days).query("metric == 'expiring'").iloc[0]

    assert (line["detail"], line["value"]) == (f"within {days} days", count)


@pytest.mark.parametrize("days", [-1, 10**30, "soon", 1.5, True])
def test_invalid_expiring_days_are_rejected(days):
    with pytest.raises(InvalidInput, match="expiring_days"):
        World([]).audit([1]).summary(expiring_days=days)


def test_repeated_member_is_counted_once():
    assert numbers(World([state(1)]).audit([1, 1, 2]))["members_planned", ""] == 2
