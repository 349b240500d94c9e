"""All rows of a DataFrame are checked before anything is sent, and problems name the row, the column and the fix."""

from __future__ import annotations

import enum
import pickle

import pandas as pd
import pytest

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan, reference_of, report_of
from sparkfly_nb.bulk.plan.preview import expired_rows
from sparkfly_nb.errors import InvalidInput


class Key(str, enum.Enum):
    FIRST = "M-1"


class DataFrame:
    """A DataFrame of another library, such as polars."""

    def to_pandas(self):
        raise NotImplementedError


ADDRESS = "https://api-staging.sparkfly.com/v1.0"


def plan_of(frame, operation="issue", **details):
    if operation == "issue":
        details.setdefault("campaign_id", "SUMMER26")
    return make_plan(OPERATIONS[operation], frame, address=ADDRESS, **details)


def ascii_of(value):
    return type(value).__name__


def problems_of(plan):
    return [(problem.position, problem.column, problem.kind) for problem in plan.problems]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1009, 1010]),
        pd.Series([1009.0, 1010.0]),
        pd.Series(["1009", "1010"]),
        pd.Series([1009, 1010], dtype="Int64"),
        pd.Series([1009, 1010], dtype="category"),
        pd.Series([1009, "1010"], dtype="object"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_member_ids_of_any_dtype_make_the_same_plan(column):
    plan = plan_of(pd.DataFrame({"member_id": column}))
    assert not plan.problems
    assert plan.digest == plan_of(pd.DataFrame({"member_id": [1009, 1010]})).digest


@pytest.mark.parametrize("value", [1009.5, True, "M-1", 2**63, -1.5, "1009,5"])
def test_invalid_member_id_is_reported_with_its_row(value):
    plan = plan_of(pd.DataFrame({"member_id": pd.array([1009, value], dtype="object")}, index=["a", "b"]))
    error = report_of(plan, plan.problems)
    assert problems_of(plan) == [(1, "member_id", "invalid")]
    assert error.report["row"].tolist() == ["b"]
    assert "row 'b', column member_id" in str(error)


def test_row_without_member_is_reported_once():
    plan = plan_of(pd.DataFrame({"member_id": [1009, None], "member_identifier": ["M-1", None]}))
    assert problems_of(plan) == [(1, "member_id", "invalid")]


def test_identifier_is_enough_where_member_id_is_missing():
    plan = plan_of(pd.DataFrame({"member_id": [1009, None], "member_identifier": [None, "M-2"]}))
    assert not plan.problems


def test_repeated_member_is_reported_unless_duplicates_are_allowed():
    frame = pd.DataFrame({"member_id": [7, 8, 7]}, index=[10, 20, 30])
    plan = plan_of(frame)
    assert problems_of(plan) == [(2, "member_id", "duplicate")]
    assert "row 10" in plan.problems[0].problem
    assert not plan_of(frame, allow_duplicates=True).problems


def test_repeated_reference_is_reported_even_with_duplicates_allowed():
    frame = pd.DataFrame({"member_id": [7, 8], "external_ref_id": ["r", "r"]})
    assert (1, "external_ref_id", "duplicate") in problems_of(plan_of(frame, allow_duplicates=True))


def test_inverted_dates_are_reported():
    frame = pd.DataFrame({"member_id": [7], "activates_at": ["2027-01-02T00:00Z"], "expires_at": ["2027-01-01T00:00Z"]})
    assert problems_of(plan_of(frame)) == [(0, "expires_at", "inverted dates")]


def test_time_without_offset_needs_a_session_time_zone():
    frame = pd.DataFrame({"member_id": [7], "expires_at": ["2027-01-01"]})
    assert problems_of(plan_of(frame)) == [(0, "expires_at", "invalid")]
    (row,) = next(plan_of(frame, tz=pd.Timestamp("2027", tz="Europe/Berlin").tzinfo).rows("run"))
    assert row.payload == {"expires_at": "2026-12-31T23:00:00Z"}


def test_expired_rows_finds_past_expiry():
    plan = plan_of(pd.DataFrame({"member_id": [7, 8], "expires_at": ["2020-01-01T00:00Z", "2099-01-01T00:00Z"]}))
    assert [found.position for found in expired_rows(plan, pd.Timestamp("2026-11-23", tz="UTC"))] == [0]


def test_row_of_another_campaign_is_reported():
    frame = pd.DataFrame({"member_id": [7, 8], "campaign_id": ["SUMMER26", "VIP26"]})
    assert problems_of(plan_of(frame)) == [(1, "campaign_id", "invalid")]


@pytest.mark.parametrize(
    ("operation", "frame", "words"),
    [
        ("issue", pd.DataFrame({"member": [1]}), "needs a column member_id or member_identifier; it has member"),
        ("void", pd.DataFrame({"member_id": [1]}), "needs a column offer_state_id"),
        ("update", pd.DataFrame({"member_id": [1], "offer_state_id": [2]}), "no column to set"),
        ("redeem", pd.DataFrame({"member_identifier": ["M"], "offer_state_id": [2]}), "needs a column member_id"),
        ("issue", pd.DataFrame([[1, 2]], columns=["member_id", "member_id"]), "more than one column member_id"),
        ("issue", [1, 2], r"a pandas DataFrame is needed, not list; make one with pd\.DataFrame"),
        ("issue", DataFrame(), r"not \S*test_plan\.DataFrame; convert it with \.to_pandas\(\)$"),
    ],
)
def test_unusable_frame_raises_invalid_input(operation, frame, words):
    with pytest.raises(InvalidInput, match=words):
        plan_of(frame, operation)


def test_repeated_campaign_column_is_refused():
    frame = pd.DataFrame([[1, "SUMMER26", "VIP26"]], columns=["member_id", "campaign_id", "campaign_id"])
    with pytest.raises(InvalidInput, match="more than one column campaign_id"):
        plan_of(frame)


def test_numeric_campaign_column_with_gaps_matches_the_campaign():
    assert not plan_of(pd.DataFrame({"member_id": [7, 8], "campaign_id": [41.0, None]}), campaign_id="41").problems


@pytest.mark.parametrize("cell", ["\ud800", 10**5000, [[10**5000]], b"x", float("inf")], ids=ascii_of)
@pytest.mark.parametrize("name", ["member_identifier", "campaign_id", "expires_at"])
def test_cell_that_is_hard_to_print_is_still_named(name, cell):
    cells = pd.Series([None, cell], index=["a", "b"], dtype="object")
    plan = plan_of(pd.DataFrame({"member_id": pd.Series([1, 2], index=["a", "b"]), name: cells}))
    error = pickle.loads(pickle.dumps(report_of(plan, plan.problems)))
    assert error.report[["row", "column"]].to_numpy().tolist() == [["b", name]]
    assert f"row 'b', column {name}" in str(error)
    str(error).encode()


def test_report_keeps_labels_and_values():
    frame = pd.DataFrame({"member_id": [1, 1.5, None]}, index=pd.Index([1, 2.5, None], dtype="object"))
    plan = plan_of(frame)
    report = report_of(plan, plan.problems).report
    assert report["row"].tolist() == [2.5, None]
    assert report["value"].iloc[0] == 1.5


def test_string_enum_is_read_as_its_string():
    plain, enumerated = (
        pd.DataFrame({"member_identifier": pd.Series([key], dtype="object")}) for key in ("M-1", Key.FIRST)
    )
    assert plan_of(enumerated).digest == plan_of(plain).digest
    assert type(next(plan_of(enumerated).rows("run"))[0].member_identifier) is str


def test_columns_argument_must_be_a_list():
    frame = pd.DataFrame({"member_id": [1], "offer_state_id": [2], "value": [3]})
    for columns in ("value", 5):
        with pytest.raises(InvalidInput, match="columns must be a list of names"):
            plan_of(frame, "update", columns=columns)


def test_columns_that_cannot_be_set_are_refused():
    frame = pd.DataFrame({"member_id": [1], "offer_state_id": [2], "created_at": ["2026-01-01T00:00Z"]})
    with pytest.raises(InvalidInput, match="created_at"):
        plan_of(frame, "update", columns=["created_at"])


def test_update_row_without_values_is_reported():
    frame = pd.DataFrame({"member_id": [1, 1], "offer_state_id": [2, 3], "value": [5, None]})
    assert problems_of(plan_of(frame, "update")) == [(1, "value", "invalid")]


def test_blank_campaign_is_refused():
    with pytest.raises(InvalidInput, match="campaign_id"):
        plan_of(pd.DataFrame({"member_id": [1]}), campaign_id="  ")


def test_digest_depends_only_on_requested_values():
    frame = pd.DataFrame({"member_id": [1, 2], "segment": ["a", "b"]})
    digest = plan_of(frame).digest
    assert plan_of(frame.set_index(pd.Index(["x", "y"]))).digest == digest
    assert plan_of(frame.assign(segment="c")).digest == digest
    assert plan_of(frame.assign(expires_at=pd.NaT)).digest == digest
    assert plan_of(frame.iloc[::-1]).digest != digest
    assert plan_of(frame, campaign_id="VIP26").digest != digest
    assert plan_of(frame.assign(expires_at="2099-01-01T00:00Z")).digest != digest
    assert plan_of(frame, allow_duplicates=True).digest == digest  # a second issue needs another run name


def test_references_are_reproducible_and_unique():
    frame = pd.DataFrame({"member_id": range(1, 3001)})
    first = [row.external_ref_id for chunk in plan_of(frame).rows("SUMMER26 wave 1") for row in chunk]
    second = [row.external_ref_id for chunk in plan_of(frame).rows("SUMMER26 wave 1") for row in chunk]
    other = [row.external_ref_id for chunk in plan_of(frame).rows("SUMMER26 wave 2") for row in chunk]
    assert first == second
    assert len(set(first) | set(other)) == 6000


def test_reference_depends_on_run_row_and_member():
    made = {
        reference_of("run", 0, 7, None),
        reference_of("run", 1, 7, None),
        reference_of("run", 0, 8, None),
        reference_of("other", 0, 7, None),
        reference_of("run", 0, None, "7"),
    }
    assert len(made) == 5
    assert all(len(reference) == 27 for reference in made)


def test_own_references_are_kept_and_gaps_filled():
    frame = pd.DataFrame({"member_id": [1, 2], "external_ref_id": ["mine", None]})
    rows = next(plan_of(frame).rows("run"))
    assert rows[0].external_ref_id == "mine"
    assert rows[1].external_ref_id == reference_of("run", 1, 2, None)


def test_ids_above_float_precision_stay_exact():
    big = 2**53 + 1
    assert next(plan_of(pd.DataFrame({"member_id": [big]})).rows("run"))[0].member_id == big
    assert (
        next(
            plan_of(
                pd.DataFrame(
                    {"member_id": pd.array([big, None], dtype="Int64"), "member_identifier": "x"}, index=[0, 1]
                ),
                allow_duplicates=True,
            ).rows("run")
        )[0].member_id
        == big
    )


def test_empty_frame_makes_empty_plan():
    plan = plan_of(pd.DataFrame({"member_id": pd.Series([], dtype="int64")}))
    assert len(plan) == 0
    assert list(plan.rows("run")) == []
