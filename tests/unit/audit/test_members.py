"""Tests of the plan: members from frames, lists and files, and from the rows of a run."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from audit_world import World, kinds, result_rows, state

from sparkfly_nb.errors import ConfigurationError, InvalidInput, InvalidRows, LedgerError


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

    assert world.requested == [1, 2]


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
    [
        ("id\n1\n", r"no column is named member_id \(found: id\)"),
        ("", "neither UTF-8 CSV"),
        ("member_id\n1\n2,3\n", "neither UTF-8 CSV"),
    ],
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

    audit = World([mine, state(1, campaign_id=42, campaign_xid="VIP26")], runs={"june": rows}).audit(
        run="june", campaign_id=None
    )

    assert audit.states["offer_state_id"].tolist() == [mine["offer_state_id"]]
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
