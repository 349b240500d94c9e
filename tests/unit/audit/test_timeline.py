"""Tests of the timeline: exact counts per period, time zones and clock changes."""

from __future__ import annotations

import zoneinfo
from collections import Counter

import pandas as pd
import pytest
from audit_world import World, at, numbers, random_campaign, sent_fields, state

from sparkfly_nb.errors import InvalidInput


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("freq", ["h", "D", "W", "M"])
def test_timeline_adds_up_to_the_summary(seed, freq):
    states, plan, unread = random_campaign(seed)
    audit = World(sent_fields(states), unread=unread).audit(plan, tz=zoneinfo.ZoneInfo("America/New_York"))

    timeline, found = audit.timeline(freq), numbers(audit)

    assert timeline["issued"].sum() == found["offer_states", ""]
    for lifecycle in ("redeemed", "voided", "expired"):
        assert timeline[lifecycle].sum() == found["lifecycle", lifecycle]


def test_every_day_is_counted_including_days_without_events():
    states, plan, _ = random_campaign(1)
    timeline = World(sent_fields(states)).audit(plan).timeline().set_index("period")

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
