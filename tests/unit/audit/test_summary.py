"""The summary and the timeline count what is there, add up, and say first when something could not be read."""

from __future__ import annotations

import random
import statistics
import zoneinfo
from collections import Counter

import pandas as pd
import pytest
from audit_world import World, at, numbers, state

from sparkfly_nb.errors import InvalidInput

SEGMENTS = ("new", "regular", "vip")


def campaign(seed=5, members=60):
    """Return offer states, plan and unread members of a random campaign, with the fate of each offer state."""
    chance = random.Random(seed)
    states, plan, unread = [], [], {}
    for member in range(1, members + 1):
        plan.append({"member_id": member, "segment": chance.choice(SEGMENTS), "planned": chance.random() < 0.9})
        if chance.random() < 0.05:
            unread[member] = (500, "broken")
        for _ in range(chance.choice([0, 1, 1, 2])):
            day = chance.randrange(1, 20)
            fields = {"created_at": at(f"06-{day:02d}"), "value": chance.randrange(10)}
            fate = chance.choice(["open", "redeemed", "voided", "expired", "soon"])
            if fate in ("redeemed", "voided"):
                fields[fate] = f"06-{day + chance.randrange(1, 9):02d}"
            elif fate == "expired":
                fields["expires_at"] = at(f"06-{day + 5:02d}")
            elif fate == "soon":
                fields["expires_at"] = at("07-05")
            states.append({**state(member, **fields), "_fate": fate, "_day": day, "_turn": fields.get(fate)})
    return states, pd.DataFrame(plan), unread


def told(states):
    return [{name: value for name, value in one.items() if not name.startswith("_")} for one in states]


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
    states, plan, unread = campaign(seed)

    found = numbers(World(told(states), unread=unread).audit(plan))

    expected = truth(states, plan, unread)
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_every_number_of_a_group_is_exact():
    states, plan, unread = campaign(3, members=150)
    audit = World(told(states), unread=unread).audit(plan)

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
    states, plan, unread = campaign(4)
    audit = World(told(states), unread=unread).audit(plan)
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


# ---- the timeline ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("freq", ["h", "D", "W", "M"])
def test_timeline_adds_up_to_the_summary(seed, freq):
    states, plan, unread = campaign(seed)
    audit = World(told(states), unread=unread).audit(plan, tz=zoneinfo.ZoneInfo("America/New_York"))

    timeline, found = audit.timeline(freq), numbers(audit)

    assert timeline["issued"].sum() == found["offer_states", ""]
    for lifecycle in ("redeemed", "voided", "expired"):
        assert timeline[lifecycle].sum() == found["lifecycle", lifecycle]


def test_every_day_is_counted_including_days_without_events():
    states, plan, _ = campaign(1)
    timeline = World(told(states)).audit(plan).timeline().set_index("period")

    days = Counter(one["_day"] for one in states)
    redeemed = Counter(int(one["_turn"][3:]) for one in states if one["_fate"] == "redeemed")

    for period, row in timeline.iterrows():
        day = period.day if period.month == 6 else 0
        assert (row["issued"], row["redeemed"]) == (days[day], redeemed[day])
    assert timeline.index.to_series().diff().dropna().eq(pd.Timedelta(days=1)).all()


def test_day_begins_at_midnight_in_the_time_zone():
    zone = zoneinfo.ZoneInfo("America/New_York")
    audit = World([state(1, created_at="2026-06-02T03:00:00Z")]).audit([1], tz=zone)

    timeline = audit.timeline()

    assert timeline["period"].tolist() == [pd.Timestamp("2026-06-01", tz="America/New_York")]
    assert str(timeline["period"].dtype) == "datetime64[ns, America/New_York]"


def test_clock_change_loses_no_day_or_hour():
    zone = zoneinfo.ZoneInfo("America/New_York")
    instants = pd.date_range("2026-10-31T00:00Z", "2026-11-03T00:00Z", freq="30min")
    audit = World([state(1, created_at=when.isoformat()) for when in instants]).audit(
        [1], tz=zone, taken_at=pd.Timestamp("2026-11-05", tz="UTC")
    )

    hours, days = audit.timeline("h"), audit.timeline("D")

    assert hours["issued"].sum() == days["issued"].sum() == len(instants)
    assert hours["issued"].iloc[:-1].eq(2).all()
    assert days["issued"].tolist() == [8, 48, 50, 39]


def test_day_whose_midnight_is_skipped_begins_later():
    zone = zoneinfo.ZoneInfo("America/Santiago")
    audit = World([state(1, created_at="2026-09-06T12:00:00Z")]).audit(
        [1], tz=zone, taken_at=pd.Timestamp("2026-10-01", tz="UTC")
    )

    assert audit.timeline()["period"].iloc[0] == pd.Timestamp("2026-09-06T04:00Z")


def test_week_begins_on_monday():
    audit = World([state(1, created_at=at("06-07")), state(1, created_at=at("06-08"))]).audit([1])

    assert audit.timeline("W")["period"].dt.day_name().tolist() == ["Monday", "Monday"]


def test_offer_states_without_time_are_in_a_last_row():
    timeline = World([state(1), state(1, created_at=None)]).audit([1]).timeline()

    assert timeline["issued"].tolist() == [1, 1]
    assert pd.isna(timeline["period"].iloc[-1])


def test_redemption_without_activity_is_dated_by_last_update():
    quiet = state(1, "redeemed", updated_at=at("06-20"), offer_activities=None)

    timeline = World([quiet]).audit([1]).timeline().set_index("period")

    assert timeline.loc[pd.Timestamp(at("06-20")), "redeemed"] == 1


def test_empty_timeline_has_the_same_columns():
    full, empty = World([state(1)]).audit([1]).timeline(), World([]).audit([1]).timeline()

    assert full.dtypes.equals(empty.dtypes)
    assert empty.empty


def test_unknown_freq_is_rejected():
    with pytest.raises(InvalidInput, match="one of h, D, W, M, Q, Y"):
        World([]).audit([1]).timeline("fortnight")


# ---- how it shows itself ---------------------------------------------------------------------------------------------


def test_text_shows_campaign_time_and_exceptions():
    text = repr(World([state(1)]).audit([1, 2]))

    assert "Summer 2026: Iced Coffee (campaign SUMMER26)" in text
    assert "2026-07-01 12:00 UTC" in text
    assert "1 missing" in text


def test_html_shows_a_warning_if_incomplete_and_escapes_text():
    hostile = state(1, offer_campaign_name="<script>alert(1)</script>")

    page = World([hostile], unread={2: (500, "<b>broken</b>")}).audit([1, 2])._repr_html_()

    assert "INCOMPLETE" in page
    assert "<script>" not in page
    assert "<b>broken" not in page


@pytest.mark.parametrize(("missing", "rest"), [(0, None), (5, None), (8, 3)])
def test_html_shows_the_first_exceptions_and_counts_the_rest(missing, rest):
    page = World([]).audit(range(1, missing + 1))._repr_html_()

    assert f"Exceptions: {missing}" in page
    assert page.count("<td>missing</td>") == min(missing, 5) + bool(missing)  # and once where they are counted
    assert ("The first" in page) == bool(missing)
    assert (f"and {rest} more in <code>audit.exceptions()</code>" in page) == (" more in " in page) == bool(rest)


def test_audit_of_all_campaigns_is_not_named_after_the_only_one_found():
    text = repr(World([state(1)]).audit([1], campaign_id=None))

    assert "Summer 2026" not in text
    assert "Free Iced Coffee" not in text
