"""The lifecycle of an offer state follows from its status, or from its activities and dates."""

from __future__ import annotations

import pandas as pd
import pytest

from sparkfly_nb.frames.lifecycle import (
    LIFECYCLE_OF_STATUS,
    LIFECYCLES,
    expiry_of,
    key_of_campaign,
    lifecycle_of,
    lifecycles_of,
    mask_of,
    with_lifecycle,
)

NOW = pd.Timestamp("2026-07-01T12:00:00Z")
BEFORE, AFTER = NOW - pd.Timedelta("1s"), NOW + pd.Timedelta("1s")


def states(**cells):
    """Return a frame with one offer state, with these cells."""
    times = ["redeemed_at", "voided_at", "expires_at", "effective_expires_at"]
    columns = {name: pd.Series([cells.get(name)], dtype="datetime64[ns, UTC]") for name in times}
    return pd.DataFrame({"status": pd.Series([cells.get("status")], dtype="string"), **columns})


def lifecycle(**cells):
    return with_lifecycle(states(**cells), NOW)["lifecycle"][0]


def test_every_status_maps_to_a_lifecycle():
    assert set(LIFECYCLE_OF_STATUS.values()) == set(LIFECYCLES)


@pytest.mark.parametrize("status", [" Voided ", "VOIDED", "voided"])
def test_status_is_compared_without_case_and_spaces(status):
    assert lifecycle_of(status) == "voided"
    assert lifecycles_of(pd.Series([status], dtype="string")).tolist() == ["voided"]


@pytest.mark.parametrize("status", [None, pd.NA, "", "brand new"], ids=repr)
def test_missing_or_unknown_status_has_no_lifecycle(status):
    assert lifecycle_of(status) is None
    assert lifecycles_of(pd.Series([status], dtype="string")).isna().all()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({}, "open"),
        ({"redeemed_at": BEFORE}, "redeemed"),
        ({"voided_at": BEFORE}, "voided"),
        ({"redeemed_at": BEFORE, "voided_at": BEFORE}, "voided"),
        ({"expires_at": BEFORE}, "expired"),
        ({"redeemed_at": BEFORE, "expires_at": BEFORE}, "redeemed"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "nothing",
)
def test_activities_and_dates_decide_for_an_unknown_status(cells, expected):
    assert lifecycle(status="brand new", **cells) == expected


def test_known_status_decides_before_activities():
    assert lifecycle(status="redeemed", voided_at=BEFORE) == "redeemed"


@pytest.mark.parametrize(("end", "expected"), [(BEFORE, "expired"), (NOW, "expired"), (AFTER, "open")])
def test_open_offer_state_expires_at_its_end(end, expected):
    assert lifecycle(status="incomplete", expires_at=end) == expected


def test_effective_expiry_comes_before_own_expiry():
    assert expiry_of(states(expires_at=BEFORE, effective_expires_at=AFTER)).tolist() == [AFTER]
    assert expiry_of(states(expires_at=BEFORE)).tolist() == [BEFORE]


def test_campaign_is_its_number_or_its_xid():
    frame = pd.DataFrame(
        {
            "campaign_id": pd.array([7, None, None], dtype="Int64"),
            "campaign_xid": pd.array(["SUMMER26", "WINTER26", None], dtype="string"),
        }
    )

    assert key_of_campaign(frame).tolist() == [7, "WINTER26", pd.NA]


def test_missing_flags_are_false_in_a_mask():
    assert mask_of(pd.Series([True, None, False], dtype="boolean")).tolist() == [True, False, False]
