"""Tests of the findings: each kind of exception, with the expected and the found text."""

from __future__ import annotations

import random
from collections import Counter

import pandas as pd
import pytest
from audit_world import NOW, World, at, kinds, result_rows, state

from sparkfly_nb.audit.schema import EXCEPTION, KINDS


def only(audit, kind):
    """Return the only finding, and check its kind."""
    found = audit.exceptions()
    assert found["kind"].tolist() == [kind], found.to_string()
    return found.iloc[0]


def test_clean_campaign_has_no_exceptions_but_all_columns():
    found = World([state(1), state(2, redeemed="06-10")]).audit([1, 2]).exceptions()

    assert found.empty
    assert list(found.columns) == list(EXCEPTION)


def test_planned_member_without_offer_state_is_missing():
    finding = only(World([state(1)]).audit([1, 2]), "missing")

    assert (finding.member_id, finding.severity, finding.found) == (2, "error", "none")


def test_missing_member_shows_outcome_and_error_of_the_ledger():
    rows = result_rows({"member_id": 2, "outcome": "rejected", "error": "Campaign is suspended"})

    finding = only(World([], runs={"june": rows}).audit(run="june"), "missing")

    assert finding.found == "none; ledger: rejected: Campaign is suspended"


def test_unread_member_is_not_missing():
    audit = World([state(1)], unread={2: (500, "broken")}).audit([1, 2])

    assert kinds(audit) == {}


def test_newer_of_two_open_offer_states_is_the_duplicate():
    first, second = state(1, created_at=at("06-01")), state(1, created_at=at("06-02"))

    finding = only(World([second, first]).audit([1]), "duplicate")

    assert finding.offer_state_id == second["offer_state_id"]
    assert finding.expected == "1 open or redeemed"


def test_open_offer_state_beside_a_redeemed_one_is_the_duplicate():
    opened = state(1, created_at=at("06-01"))
    used = state(1, created_at=at("06-02"), redeemed="06-10")

    finding = only(World([opened, used]).audit([1]), "duplicate")

    assert finding.offer_state_id == opened["offer_state_id"]
    assert f"{used['offer_state_id']} redeemed" in finding.found


def test_three_open_offer_states_are_two_duplicates():
    assert kinds(World([state(1), state(1), state(1)]).audit([1])) == {"duplicate": 2}


@pytest.mark.parametrize("old", [{"voided": "06-05"}, {"expires_at": at("06-20")}], ids=["voided", "expired unused"])
def test_voided_or_expired_offer_state_makes_no_duplicate(old):
    assert kinds(World([state(1, **old), state(1)]).audit([1])) == {}


def test_offer_state_with_planned_reference_is_not_the_duplicate():
    older, planned = state(1, created_at=at("06-01")), state(1, created_at=at("06-02"), external_ref_id="mine")
    plan = pd.DataFrame({"member_id": [1], "external_ref_id": ["mine"]})

    finding = only(World([older, planned]).audit(plan), "duplicate")

    assert finding.offer_state_id == older["offer_state_id"]


def test_offer_states_of_different_campaigns_are_not_duplicates():
    states = [state(1), state(1, campaign_id=42, campaign_xid="VIP26")]

    assert kinds(World(states).audit([1], campaign_id=None)) == {}


def test_duplicates_are_found_per_campaign_in_an_audit_of_all_campaigns():
    states = [state(1), state(1, campaign_id=42, campaign_xid="VIP26"), state(1)]

    assert kinds(World(states).audit([1], campaign_id=None)) == {"duplicate": 1}


def test_control_group_member_with_offer_state_is_foreign():
    held = state(2)
    plan = pd.DataFrame({"member_id": [1, 2], "planned": [True, False]})

    finding = only(World([state(1), held]).audit(plan), "foreign")

    assert (finding.member_id, finding.offer_state_id) == (2, held["offer_state_id"])


def test_control_group_without_offer_states_has_no_exceptions():
    plan = pd.DataFrame({"member_id": [1, 2], "planned": [True, False]})

    assert kinds(World([state(1)]).audit(plan)) == {}


def test_extra_members_of_a_run_audit_are_not_planned():
    rows = result_rows({"member_id": 1, "outcome": "rejected"})
    world = World([state(1, external_ref_id=None), state(2)], runs={"june": rows})

    audit = world.audit([1, 2], run="june")

    assert kinds(audit) == {"foreign": 1, "not_in_ledger": 1}
    assert audit.exceptions().query("kind == 'foreign'")["member_id"].tolist() == [2]


def test_member_planned_for_another_campaign_is_foreign():
    plan = pd.DataFrame({"member_id": [1, 2], "campaign_id": ["SUMMER26", "VIP26"]})

    assert kinds(World([state(1), state(2)]).audit(plan)) == {"foreign": 1}


def test_offer_state_of_member_outside_the_plan_is_foreign():
    strange = {**state(99), "listed_for": 1}

    finding = only(World([state(1), strange]).audit([1]), "foreign")

    assert finding.expected == "none: the member is not in the plan"


@pytest.mark.parametrize("column", ["activates_at", "expires_at"])
def test_unplanned_date_is_wrong_dates(column):
    plan = pd.DataFrame({"member_id": [1], column: [at("11-01")]})

    finding = only(World([state(1, **{column: at("11-02")})]).audit(plan), "wrong_dates")

    assert (finding.expected, finding.found) == (f"{column} {at('11-01')}", f"{column} {at('11-02')}")


def test_absent_date_is_wrong_dates():
    plan = pd.DataFrame({"member_id": [1], "activates_at": [at("06-01")]})

    assert only(World([state(1)]).audit(plan), "wrong_dates").found == "activates_at none"


def test_dates_equal_within_a_second_and_across_time_zones():
    plan = pd.DataFrame({"member_id": [1], "expires_at": ["2026-10-31T19:00:00.123456789-05:00"]})

    assert kinds(World([state(1, expires_at=at("11-01"))]).audit(plan)) == {}


def test_effective_date_is_compared_if_own_date_is_absent():
    plan = pd.DataFrame({"member_id": [1], "expires_at": [at("11-01")]})
    held = state(1, expires_at=None, effective_expires_at=at("11-01"))

    assert kinds(World([held]).audit(plan)) == {}


@pytest.mark.parametrize(("found", "shown"), [("theirs", "theirs"), (None, "none")])
def test_other_reference_is_wrong_reference(found, shown):
    plan = pd.DataFrame({"member_id": [1], "external_ref_id": ["ours"]})

    finding = only(World([state(1, external_ref_id=found)]).audit(plan), "wrong_reference")

    assert (finding.expected, finding.found) == ("ours", shown)


def test_two_rows_of_a_member_are_paired_by_reference():
    plan = pd.DataFrame({"member_id": [1, 1], "external_ref_id": ["a", "b"], "expires_at": [at("11-01"), at("11-02")]})
    states = [
        state(1, external_ref_id="b", expires_at=at("11-02")),
        state(1, external_ref_id="a", expires_at=at("11-01")),
    ]

    audit = World(states).audit(plan)

    assert kinds(audit) == {"planned_twice": 1}
    assert audit.exceptions()["found"].tolist() == ["2 rows in the plan; has 2 offer states"]


def test_redemption_after_expiry_is_found_by_its_activity():
    late = state(1, redeemed="06-20", expires_at=at("06-15"))

    finding = only(World([late]).audit([1]), "redeemed_after_expiry")

    assert (finding.expected, finding.found) == (f"redeemed before {at('06-15')}", f"redeemed {at('06-20')}")


def test_redemption_without_activity_is_not_redeemed_after_expiry():
    held = state(1, "redeemed", updated_at=at("06-20"), expires_at=at("06-15"), offer_activities=[])

    assert kinds(World([held]).audit([1])) == {}


def test_planned_member_with_only_voided_states_is_reported_once():
    states = [state(1, voided="06-05", created_at=at("06-01")), state(1, voided="06-06", created_at=at("06-02"))]

    finding = only(World(states).audit([1]), "voided_though_planned")

    assert finding.offer_state_id == states[1]["offer_state_id"]


def test_issued_offer_state_that_the_service_lacks_is_not_at_service():
    held = state(1)
    rows = result_rows(
        {"member_id": 1, "outcome": "issued", "offer_state_id": held["offer_state_id"]},
        {"member_id": 2, "outcome": "issued", "offer_state_id": 987654},
    )

    audit = World([held], runs={"june": rows}).audit(run="june")

    assert kinds(audit) == {"missing": 1, "not_at_service": 1}
    assert audit.exceptions().query("kind == 'not_at_service'")["offer_state_id"].tolist() == [987654]


def test_issued_offer_state_outside_the_time_span_is_at_service():
    held = state(1, created_at=at("06-01"))
    rows = result_rows({"member_id": 1, "outcome": "issued", "offer_state_id": held["offer_state_id"]})

    audit = World([held], runs={"june": rows}).audit(run="june", since=at("06-15"))

    assert "not_at_service" not in kinds(audit)


@pytest.mark.parametrize("outcome", ["unknown", "rejected", "planned"])
def test_offer_state_the_ledger_calls_not_issued_is_found_by_reference(outcome):
    held = state(1, external_ref_id="run-1")
    rows = result_rows({"member_id": 1, "outcome": outcome, "external_ref_id": "run-1"})

    finding = only(World([held], runs={"june": rows}).audit(run="june"), "ledger_says_not_issued")

    assert (finding.offer_state_id, finding.expected) == (held["offer_state_id"], f"ledger: {outcome}")


def test_offer_state_without_row_in_the_run_is_not_in_ledger():
    mine, other = state(1), state(1, redeemed="06-02")
    rows = result_rows({"member_id": 1, "outcome": "issued", "offer_state_id": mine["offer_state_id"]})

    audit = World([mine, other], runs={"june": rows}).audit(run="june")

    assert kinds(audit) == {"duplicate": 1, "not_in_ledger": 1}


def test_voided_offer_state_that_is_still_open_is_not_at_service():
    gone, still = state(1, voided="06-05"), state(2)
    rows = result_rows(
        *(
            {"member_id": one["member_id"], "outcome": "voided", "offer_state_id": one["offer_state_id"]}
            for one in (gone, still)
        )
    )

    finding = only(World([gone, still], runs={"undo": rows}).audit(run="undo"), "not_at_service")

    assert (finding.expected, finding.found) == (
        "ledger: voided",
        f"offer state {still['offer_state_id']} (incomplete)",
    )


def test_result_frame_is_compared_like_a_run():
    held = state(1)
    result = result_rows({"member_id": 1, "outcome": "issued", "offer_state_id": held["offer_state_id"] + 5})

    assert kinds(World([held]).audit(result)) == {"not_at_service": 1, "not_in_ledger": 1}


def test_findings_are_sorted_by_kind_then_member():
    plan = pd.DataFrame({"member_id": [5, 3, 4, 2], "expires_at": [at("11-01")] * 4})
    audit = World([state(5), state(3), state(2), state(2)]).audit(plan)

    found = audit.exceptions()

    assert found["kind"].tolist() == ["missing", "duplicate", *["wrong_dates"] * 3]
    assert found["member_id"].tolist() == [4, 2, 2, 3, 5]


def test_every_kind_has_a_severity_and_a_meaning():
    assert {kind.severity for kind in KINDS.values()} == {"error", "warning"}
    assert all(kind.meaning for kind in KINDS.values())


def _random_world(chance):
    """Return random offer states, a plan, and the number of findings of each kind."""
    states, rows, truth = [], [], Counter()
    for member in range(1, chance.randrange(2, 40)):
        planned = chance.random() < 0.8
        expected_ref = f"plan-{member}" if chance.random() < 0.5 else None
        rows.append({"member_id": member, "planned": planned, "external_ref_id": expected_ref})
        live, held, held_refs, any_state = 0, 0, [], False
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            fate = chance.choice(["open", "open", "redeemed", "late", "voided", "expired"])
            reference = chance.choice([f"plan-{member}", f"other-{member}"])
            fields = {"external_ref_id": reference, "created_at": at(f"05-{chance.randrange(1, 28):02d}")}
            if fate == "redeemed":
                fields["redeemed"] = "06-10"
            elif fate == "late":
                fields |= {"redeemed": "06-10", "expires_at": at("06-09")}
                truth["redeemed_after_expiry"] += 1
            elif fate == "voided":
                fields["voided"] = "06-10"
            elif fate == "expired":
                fields["expires_at"] = at("06-30")
            states.append(state(member, **fields))
            any_state = True
            live += fate in ("open", "redeemed", "late")
            held += fate != "voided"
            if fate != "voided":
                held_refs.append(reference)
                truth["foreign"] += not planned
        if planned:
            truth["missing"] += not any_state
            truth["voided_though_planned"] += any_state and not held
            truth["wrong_reference"] += bool(expected_ref and held_refs and expected_ref not in held_refs)
        truth["duplicate"] += max(0, live - 1)
    chance.shuffle(states)
    return states, pd.DataFrame(rows), +truth


@pytest.mark.parametrize("seed", range(25))
def test_findings_of_random_campaigns_are_counted_exactly(seed):
    states, plan, truth = _random_world(random.Random(seed))

    audit = World(states, members_per_part=4).audit(plan)

    assert kinds(audit) == dict(truth)


def test_findings_name_existing_offer_states_of_the_member():
    states, plan, _ = _random_world(random.Random(99))
    owner = {one["offer_state_id"]: one["member_id"] for one in states}

    found = World(states).audit(plan).exceptions().dropna(subset=["offer_state_id"])

    assert len(found) > 5
    assert all(owner[row.offer_state_id] == row.member_id for row in found.itertuples())


def test_offer_state_expires_at_the_time_of_the_audit():
    held = state(1, expires_at=NOW.isoformat())

    assert World([held]).audit([1]).evidence.states["lifecycle"].tolist() == ["expired"]
    earlier = World([held]).audit([1], taken_at=NOW - pd.Timedelta(seconds=1))
    assert earlier.evidence.states["lifecycle"].tolist() == ["open"]


@pytest.mark.parametrize(
    ("status", "activity", "lifecycle"),
    [
        ("Redeemed", None, "redeemed"),
        (" VOIDED ", None, "voided"),
        ("incomplete", None, "open"),
        ("something new", None, "open"),
        ("something new", "offer_redeemed", "redeemed"),
        ("something new", "Void", "voided"),
        ("something new", "redemption_failed", "open"),
        (None, "redemption", "redeemed"),
        ("incomplete", "redeemed", "open"),
    ],
)
def test_lifecycle_follows_known_status_otherwise_activities(status, activity, lifecycle):
    events = [{"offer_activity": {"activity_type": activity, "occurred_at": at("06-10")}}] if activity else None

    audit = World([state(1, status, offer_activities=events)]).audit([1])

    assert audit.evidence.states["lifecycle"].tolist() == [lifecycle]


def test_repeated_member_is_planned_twice():
    audit = World([state(1)]).audit([1, 1, 1])

    finding = only(audit, "planned_twice")

    assert (finding.member_id, finding.found) == (1, "3 rows in the plan; has 1 offer state")
