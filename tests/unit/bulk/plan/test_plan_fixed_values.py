"""The digest and the references of a plan never change, because runs in existing ledgers are found by them.

If a test fails, fix the code, not the values.
"""

from __future__ import annotations

import pandas as pd
import pytest

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan
from sparkfly_nb.bulk.plan.preview import preview_frame
from sparkfly_nb.bulk.runs import run_name

ADDRESS = "http://127.0.0.1/v1.0"

ISSUE = pd.DataFrame(
    {
        "member_id": pd.array([1009, None, 2**53 + 1], dtype="Int64"),
        "member_identifier": [None, "M-1009", "Zoë"],
        "expires_at": ["2027-01-31T23:59:59Z", None, "2027-02-01T00:00:00.5+02:00"],
        "external_ref_id": [None, None, "mine"],
    }
)
CHANGES = {
    "update": (
        {"member_id": [1009, 1010], "offer_state_id": [71, 72], "value": [3, None], "locked": [True, False],
         "status": ["suspended", None]},
        "1105625c6b6a2538217b978c84cf16c2dff713bf873235cd480c32cc5cfde523",
    ),
    "void": (
        {"member_identifier": ["M-1"], "offer_state_id": [71]},
        "2cd44ed34d4c6b284d2cc0d698e875b652c0db847097e6f8db21b4f471fca83e",
    ),
    "redeem": (
        {"member_id": [1009], "offer_state_id": [71], "expires_at": ["2027-01-31T23:59:59Z"]},
        "672a9fa15f4c739a16dabb075302703dea635c3f01b91d440c8e8a3bf618af98",
    ),
}  # fmt: skip


def issue_plan():
    return make_plan(OPERATIONS["issue"], ISSUE, address=ADDRESS, campaign_id="SUMMER26")


def test_digest_and_default_run_name_of_an_issue_are_fixed():
    plan = issue_plan()
    assert plan.digest == "97887ead8de2fb2d367b76d123e498622a7ec7dfa7b38d4f3d977ca0d2f2b13b"
    assert run_name(plan, None) == "issue-97887ead8de2"


def test_digest_of_a_plan_that_is_hashed_in_chunks_is_fixed():
    plan = make_plan(
        OPERATIONS["issue"], pd.DataFrame({"member_id": range(1, 20_002)}), address=ADDRESS, campaign_id="SUMMER26"
    )
    assert plan.digest == "319fe7193f19f3a804d880d7004682ee20a526e5d6b1e002e8241238cc0eedf6"


@pytest.mark.parametrize("operation", CHANGES)
def test_digest_of_a_change_is_fixed(operation):
    columns, digest = CHANGES[operation]
    plan = make_plan(OPERATIONS[operation], pd.DataFrame(columns), address=ADDRESS)
    assert not plan.problems
    assert plan.digest == digest


def test_references_of_rows_and_of_their_preview_are_fixed():
    plan = issue_plan()
    fixed = ["nb-6nqxn2qtm5exnko6ga7p57qx", "nb-u2fsqhxwdupmmcppw74t5mse", "mine"]
    (rows,) = plan.rows("issue-1a2b3c")
    assert [row.external_ref_id for row in rows] == fixed
    assert preview_frame(plan, [], "issue-1a2b3c")["external_ref_id"].tolist() == fixed


def test_times_in_the_ledger_and_in_requests_are_fixed():
    (rows,) = issue_plan().rows("issue-1a2b3c")
    assert [row.payload for row in rows] == [
        {"expires_at": "2027-01-31T23:59:59Z"}, {}, {"expires_at": "2027-01-31T22:00:00.500000Z"},
    ]  # fmt: skip
