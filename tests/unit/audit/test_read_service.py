"""Tests of reading an audit: unread members, and the returned offer states and events."""

from __future__ import annotations

import pandas as pd
from audit_world import World, at, state

from sparkfly_nb.schema import OFFER_STATE, UNREAD


def test_unread_members_are_listed_with_the_reason():
    audit = World([state(1)], unread={3: (404, "Member not found"), 2: (None, "the list changed")}).audit([1, 2, 3])

    assert not audit.complete
    assert audit.unread[["member_id", "reason"]].to_numpy().tolist() == [
        [2, "the list changed"],
        [3, "Member not found"],
    ]
    assert audit.unread["http_status"].tolist() == [pd.NA, 404]
    assert audit.unread.dtypes.astype(str).tolist() == list(UNREAD.values())


def test_member_who_is_read_and_unread_counts_as_unread():
    class Contradicting(World):
        def read_states(self, member_ids):
            for states, _ in super().read_states(member_ids):
                yield states, pd.DataFrame([(1, None, "half of it", None)], columns=list(UNREAD))

    audit = Contradicting([state(1), state(2)]).audit([1, 2])

    assert audit.states["member_id"].tolist() == [2]
    assert audit.unread["member_id"].tolist() == [1]


def test_member_with_repeated_offer_state_is_unread():
    one = state(1)

    audit = World([one, one, state(2)]).audit([1, 2])

    assert audit.states["member_id"].tolist() == [2]
    assert "listed twice" in audit.unread["reason"].iloc[0]


def test_offer_state_listed_for_two_members_leaves_both_unread():
    one = state(1)

    audit = World([one, {**one, "member_id": 2}, state(3)], members_per_part=1).audit([1, 2, 3])

    assert audit.unread["member_id"].tolist() == [1, 2]
    assert audit.states["member_id"].tolist() == [3]


# ---- offer states and events -----------------------------------------------------------------------------------------


def test_states_have_the_columns_of_other_reads_even_if_empty():
    full, empty = World([state(1)]).audit([1]).states, World([]).audit([1]).states

    assert list(full.columns) == list(OFFER_STATE)
    assert full.dtypes.equals(empty.dtypes)
    assert len(empty) == 0


def test_states_are_sorted_by_member_and_offer_state():
    states = [state(3), state(1), state(2), state(1)]

    frame = World(states[::-1]).audit([3, 2, 1]).states

    assert frame[["member_id", "offer_state_id"]].equals(
        frame[["member_id", "offer_state_id"]].sort_values(["member_id", "offer_state_id"])
    )


def test_changing_a_returned_frame_does_not_change_the_audit():
    audit = World([state(1)]).audit([1, 2])
    for frame in (audit.states, audit.plan, audit.unread, audit.exceptions()):
        frame["member_id"] = 99

    assert audit.states["member_id"].tolist() == [1]
    assert audit.exceptions()["member_id"].tolist() == [2]
    assert audit.plan["member_id"].tolist() == [1, 2]


def test_new_fields_are_kept_as_last_columns_with_any_content():
    states = [state(1, tier="gold", extra={"a": 1}), state(2, extra=7), state(3, links=["x"])]

    frame = World(states, members_per_part=1).audit([1, 2, 3]).states

    assert frame["tier"].tolist()[0] == "gold"
    assert frame["extra"].fillna("").tolist() == ['{"a":1}', "7", ""]
    assert frame["links"].tolist() == [None, None, ["x"]]


def test_activities_have_one_row_per_event_with_its_own_fields():
    events = [
        {"type": "issued", "created_at": at("06-01"), "member_id": "m-1"},
        {
            "offer_activity": {
                "type": "redeemed",
                "occurred_at": "2026-06-02T01:00:00+02:00",
                "pos": {"till": 4},
                "n": 3,
            }
        },
        "odd",
    ]

    found = World([state(1, offer_activities=events)]).audit([1]).activities()

    assert found["position"].tolist() == [1, 2, 3]
    assert found["activity"].fillna("").tolist() == ["issued", "redeemed", ""]
    assert found["happened_at"].iloc[1] == pd.Timestamp("2026-06-01T23:00:00Z")
    assert found["pos"].iloc[1] == '{"till":4}'
    assert found["n"].dtype == "Int64"
    assert found["activity_member_id"].iloc[0] == "m-1"
    assert found["value"].iloc[2] == "odd"


def test_large_audit_is_complete_after_compression_in_chunks(monkeypatch):
    monkeypatch.setattr("sparkfly_nb.audit.state_store.CHUNK_ROWS", 50)
    states = [state(1 + number // 3, value=number, offer_name=f"name {number % 3}") for number in range(500)]

    audit = World(states, members_per_part=7).audit(range(1, 168))

    assert audit.states["value"].tolist() == list(range(500))
    assert len(audit.activities()) == 500


def test_listing_with_another_text_dtype_is_converted():
    class Arrow(World):
        def read_states(self, member_ids):
            for states, unread in super().read_states(member_ids):
                yield states.astype({"status": "object", "campaign_xid": "object"}), unread

    assert Arrow([state(1)]).audit([1]).states.dtypes.equals(World([state(1)]).audit([1]).states.dtypes)
