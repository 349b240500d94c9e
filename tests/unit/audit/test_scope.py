"""An audit looks at what it was asked for, campaign, offer, time and members, and names what it could not read."""

from __future__ import annotations

import datetime as dt
import sys
import zoneinfo

import numpy as np
import pandas as pd
import pytest
from audit_world import World, at, kinds, result_rows, state

from sparkfly_nb.errors import ConfigurationError, InvalidInput, InvalidRows, LedgerError
from sparkfly_nb.schema import OFFER_STATE, UNREAD

OTHER = {"campaign_id": 42, "campaign_xid": "VIP26"}


def ids(audit):
    return audit.states["offer_state_id"].tolist()


# ---- which campaign --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("campaign", ["SUMMER26", 41, "41", np.int64(41), 41.0])
def test_campaign_is_found_by_xid_and_by_number(campaign):
    mine, other = state(1), state(1, **OTHER)

    assert ids(World([mine, other]).audit([1], campaign_id=campaign)) == [mine["offer_state_id"]]


def test_text_is_an_xid_before_it_is_a_number():
    by_xid = state(1, campaign_id=7, campaign_xid="1009")
    by_number = state(1, campaign_id=1009, campaign_xid="OTHER")

    assert ids(World([by_xid, by_number]).audit([1], campaign_id="1009")) == [by_xid["offer_state_id"]]
    assert ids(World([by_xid, by_number]).audit([1], campaign_id=1009)) == [by_number["offer_state_id"]]


def test_xid_is_recognized_across_all_parts_of_the_listing():
    states = [state(1, campaign_id=1009, campaign_xid="OTHER"), state(50, campaign_id=7, campaign_xid="1009")]

    assert ids(World(states, members_per_part=1).audit([1, 50], campaign_id="1009")) == [states[1]["offer_state_id"]]


@pytest.mark.parametrize("blank", [None, "", " "])
def test_offer_state_without_xid_matches_by_number_of_others(blank):
    states = [state(1), state(2, campaign_xid=blank), state(3, campaign_xid=blank, campaign_id=42)]

    audit = World(states).audit([1, 2, 3])

    assert ids(audit) == [states[0]["offer_state_id"], states[1]["offer_state_id"]]
    assert audit.complete


def test_member_with_uncertain_campaign_is_unread_not_missing():
    audit = World([state(1, campaign_xid="", campaign_id=42)]).audit([1, 2])

    assert kinds(audit) == {"missing": 1}
    assert audit.unread["member_id"].tolist() == [1]
    assert "only the campaign's number or only its XID" in audit.unread["reason"].iloc[0]


def test_offer_state_without_any_campaign_is_out_of_scope():
    audit = World([state(1, campaign_xid="", campaign_id=None)]).audit([1])

    assert audit.complete
    assert ids(audit) == []


def test_all_offer_states_are_in_scope_without_a_campaign():
    assert len(World([state(1), state(1, **OTHER), state(2)]).audit([1], campaign_id=None).states) == 2


def test_offer_id_narrows_the_scope():
    mine, other = state(1, offer_id=5), state(1)

    assert ids(World([mine, other]).audit([1], campaign_id=None, offer_id=5.0)) == [mine["offer_state_id"]]


def test_since_is_inclusive_and_until_exclusive():
    states = [state(1, created_at=at(day)) for day in ("06-01", "06-02", "06-03")]

    audit = World(states).audit([1], since=at("06-02"), until=dt.datetime(2026, 6, 3, tzinfo=dt.timezone.utc))

    assert ids(audit) == [states[1]["offer_state_id"]]


def test_offer_state_without_creation_time_is_in_every_time_span():
    assert len(World([state(1, created_at=None)]).audit([1], since=at("06-01")).states) == 1


def test_naive_time_is_in_the_time_zone_of_the_session():
    states = [state(1, created_at="2026-06-01T03:59:59Z"), state(1, created_at="2026-06-01T04:00:00Z")]

    audit = World(states).audit([1], since="2026-06-01", tz=zoneinfo.ZoneInfo("America/New_York"))

    assert ids(audit) == [states[1]["offer_state_id"]]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"since": "2026-06-01"}, "since: .*no time zone"),
        ({"since": at("06-02"), "until": at("06-01")}, "until must be later"),
        ({"offer_id": "abc"}, "offer_id: .*not a whole number"),
        ({"campaign_id": "a\nb"}, "campaign_id: .*control character"),
        ({"campaign_id": True}, "campaign_id"),
        ({"members": None}, "audit needs members= or run="),
    ],
)
def test_invalid_scope_is_rejected_before_any_request(scope, words):
    world = World([state(1)])

    with pytest.raises(InvalidInput, match=words):
        world.audit(**{"members": [1], **scope})
    assert world.asked == []


# ---- which members ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        [2, 1, 2],
        ("2", "1"),
        np.array([1.0, 2.0]),
        pd.Series(["1", "2"], index=["x", "y"]),
        pd.Index([1, 2]),
        pd.DataFrame({"member_id": pd.Categorical([1, 2])}),
        {1, 2}.__iter__(),
    ],
    ids=["list", "texts", "floats", "series", "index", "categories", "iterator"],
)
def test_members_of_any_usual_type_are_each_read_once(members):
    world = World([state(1), state(2)])

    world.audit(members)

    assert world.asked == [1, 2]


def test_csv_keeps_all_digits_and_leading_zeros(tmp_path):
    path = tmp_path / "members.csv"
    path.write_text(
        "\ufeffmember_id,store,expires_at\n9007199254740993,007,\n12,NA,2026-12-31T00:00:00Z\n", encoding="utf-8"
    )

    audit = World([]).audit(path)

    assert audit.plan["member_id"].tolist() == [9007199254740993, 12]
    assert audit.plan["store"].tolist() == ["007", "NA"]
    assert audit.plan["expires_at"].isna().tolist() == [True, False]


def test_csv_spells_planned_as_yes_or_false(tmp_path):
    path = tmp_path / "members.csv"
    path.write_text("member_id,planned\n1,yes\n2,FALSE\n3,\n")

    assert World([]).audit(str(path)).plan["planned"].tolist() == [True, False, pd.NA]


def test_parquet_file_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "members.parquet"
    pd.DataFrame({"member_id": [1, 2], "segment": ["a", None]}).to_parquet(path)

    assert World([]).audit(path).plan["segment"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [("id\n1\n", r"no column is named member_id \(found: id\)"), ("", "neither UTF-8 CSV"), ("member_id\n1\n2,3\n", "neither UTF-8 CSV")],
)
def test_unusable_file_is_rejected(tmp_path, text, words):
    path = tmp_path / "members.csv"
    path.write_text(text)

    with pytest.raises(InvalidInput, match=words):
        World([]).audit(path)


def test_parquet_without_pyarrow_names_the_package_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "members.parquet").write_bytes(b"PAR1")

    with pytest.raises(ConfigurationError, match=r'pip install "sparkfly-nb\[parquet\]"'):
        World([]).audit(tmp_path / "members.parquet")


def test_missing_file_is_rejected(tmp_path):
    with pytest.raises(InvalidInput, match="No such file"):
        World([]).audit(tmp_path / "none.csv")


def test_bad_cells_of_a_plan_are_reported_by_row_and_column():
    plan = pd.DataFrame({"member_id": [1, 1.5, 3], "expires_at": ["soon", None, None]}, index=["a", "b", "c"])

    with pytest.raises(InvalidRows, match="row 'b', column member_id") as refused:
        World([]).audit(plan)
    assert refused.value.report[["row", "column"]].to_numpy().tolist() == [["b", "member_id"], ["a", "expires_at"]]


def test_half_surrogate_is_kept_in_extra_columns_but_rejected_in_planned():
    plan = pd.DataFrame({"member_id": [1, 2], "note": pd.Series(["\ud800", None], dtype="object")})

    assert World([state(1)]).audit(plan).plan["note"].tolist() == ["\ud800", pd.NA]

    with pytest.raises(InvalidRows, match="row 0, column planned"):
        World([]).audit(plan.rename(columns={"note": "planned"}))


def test_extra_columns_are_kept_with_any_content():
    plan = pd.DataFrame(
        {
            "member_id": [1, 2],
            "tier": pd.Categorical([1, None]),
            "since": pd.Series(np.array(["9999-01-01", "NaT"], dtype="datetime64[s]")).dt.tz_localize("UTC"),
            "note": pd.Series([10**5000, [object()]], dtype="object"),
            0: [0.5, None],
        }
    )
    plan.columns = pd.Index([*plan.columns[:-1], "\ud800"], dtype="object")

    audit = World([state(1)]).audit(plan)

    assert audit.plan["tier"].dtype == "Int64"
    assert audit.plan["since"].tolist() == ["9999-01-01 00:00:00+00:00", pd.NA]
    assert audit.plan["note"].str.startswith(("a very long int", "[<object")).all()
    assert audit.plan.columns[-1] == "\\ud800"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["member_id", 1, "1"], "two columns have the same name"),
        (pd.MultiIndex.from_tuples([("member_id", "a"), ("member_id", "b"), ("x", "")]), "several levels"),
    ],
)
def test_ambiguous_column_names_are_rejected(columns, words):
    with pytest.raises(InvalidInput, match=words):
        World([]).audit(pd.DataFrame([[1, 2, 3]], columns=columns))


def test_row_without_member_is_rejected():
    with pytest.raises(InvalidInput, match="row 1 has no member_id"):
        World([]).audit(pd.DataFrame({"member_id": [1, None]}))


def test_members_without_any_id_are_rejected_with_advice():
    with pytest.raises(InvalidInput, match=r"issue_many.*run="):
        World([]).audit(pd.DataFrame({"member_identifier": ["LOY-1"]}))


def test_result_rows_without_id_are_planned_and_unread():
    result = result_rows(
        {"member_id": 1, "member_identifier": "LOY-1", "outcome": "issued"},
        {"member_identifier": "LOY-2", "outcome": "unknown"},
    )

    audit = World([state(1)]).audit(result)

    assert audit.unread["reason"].tolist() == ["only member_identifier 'LOY-2' is known (ledger: unknown)"]
    assert audit.summary().query("metric == 'members_planned'")["value"].tolist() == [2]


@pytest.mark.parametrize("members", [7, {"member_id": [1]}, b"members.csv", pd.DataFrame({"x": [1]})])
def test_members_of_other_types_are_rejected(members):
    with pytest.raises(InvalidInput, match="members"):
        World([]).audit(members)


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_run_provides_members_and_campaign():
    mine = state(1)
    rows = result_rows(
        {"member_id": 1, "outcome": "issued", "offer_state_id": mine["offer_state_id"], "campaign_id": "SUMMER26"}
    )

    audit = World([mine, state(1, **OTHER)], runs={"june": rows}).audit(run="june", campaign_id=None)

    assert ids(audit) == [mine["offer_state_id"]]
    assert kinds(audit) == {}


def test_run_with_xid_is_audited_by_number():
    mine = state(1)
    rows = result_rows(
        {"member_id": 1, "outcome": "issued", "offer_state_id": mine["offer_state_id"], "campaign_id": "SUMMER26"}
    )

    assert kinds(World([mine], runs={"june": rows}).audit(run="june", campaign_id=41)) == {}


def test_run_keeps_the_grouping_columns_of_members():
    rows = result_rows({"member_id": 1, "outcome": "issued"}, {"member_id": 2, "outcome": "issued"})
    members = pd.DataFrame({"member_id": [2, 1, 3], "segment": ["b", "a", "c"]})

    plan = World([], runs={"june": rows}).audit(members, run="june").plan

    assert plan["segment"].tolist() == ["a", "b", "c"]
    assert plan["planned"].tolist() == [True, True, False]


def test_run_of_several_campaigns_needs_campaign_id():
    rows = result_rows({"member_id": 1, "campaign_id": "A"}, {"member_id": 2, "campaign_id": "B"})

    with pytest.raises(InvalidInput, match="2 campaigns"):
        World([], runs={"both": rows}).audit(run="both", campaign_id=None)


def test_unknown_run_is_rejected():
    with pytest.raises(LedgerError, match="no run"):
        World([]).audit(run="never")


# ---- complete or not -------------------------------------------------------------------------------------------------


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


# ---- what comes back -------------------------------------------------------------------------------------------------


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
