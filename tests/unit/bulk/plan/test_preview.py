"""A preview shows what would happen to each row, and changes nothing at the service."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from bulk_world import way_to

import sparkfly_nb as sf
from sparkfly_nb.errors import ConfirmationRequired, InvalidInput, InvalidRows, PlanChanged
from sparkfly_nb.sandbox.process import SandboxProcess

CAMPAIGN = "SUMMER26"
OFF = {"progress": False}


@pytest.fixture(scope="module")
def service():
    with SandboxProcess.start(members=400, seed=3) as started:
        yield started


@pytest.fixture
def session(service, tmp_path):
    with sf.Session("sandbox", **way_to(service), ledger=str(tmp_path / "ledger.db")) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def members_left(service):
    return iter(service.members())


@pytest.fixture
def members(members_left):
    """Twelve members that no other test issues to."""
    return pd.DataFrame(itertools.islice(members_left, 12))[["member_id", "member_identifier"]]


def verdicts(preview):
    return preview["verdict"].tolist()


def test_preview_gives_each_row_a_verdict_and_keeps_the_index(session, members):
    plan = pd.DataFrame(
        {
            "member_id": [1001, 1001, None, "x", 1002, 1003],
            "activates_at": [None, None, None, None, "2099-02-01T00:00Z", None],
            "expires_at": [None, None, None, None, "2099-01-01T00:00Z", "2020-01-01T00:00Z"],
        },
        index=list("abcdef"),
    )
    preview = session.preview_issue(plan, CAMPAIGN)
    assert dict(preview["verdict"]) == {
        "a": "valid",
        "b": "duplicate",
        "c": "invalid",
        "d": "invalid",
        "e": "inverted dates",
        "f": "expired",
    }
    assert preview["problem"].isna().tolist() == [True, False, False, False, False, False]


def test_preview_changes_nothing(service, session, members):
    before = service.truth()["offer_states"]
    session.preview_issue(members, CAMPAIGN, check_live=True, **OFF)
    assert service.truth()["offer_states"] == before
    assert session.runs().empty


def test_preview_shows_the_references_that_are_sent(session, members):
    preview = session.preview_issue(members, CAMPAIGN)
    result = session.issue_many(members, CAMPAIGN, **OFF)
    pd.testing.assert_series_equal(preview["external_ref_id"], result["external_ref_id"])
    assert result.attrs["run"] == preview.attrs["run"]


def test_issue_refuses_rows_other_than_those_approved(session, members):
    approved = session.preview_issue(members, CAMPAIGN).attrs["digest"]
    with pytest.raises(PlanChanged, match="not those of the preview"):
        session.issue_many(members.iloc[1:], CAMPAIGN, approve=approved, **OFF)
    result = session.issue_many(members, CAMPAIGN, approve=approved, **OFF)
    assert (result["outcome"] == "issued").all()


def test_members_of_another_run_are_shown_and_refused(session, members):
    first = session.issue_many(members.iloc[:5], CAMPAIGN, **OFF)
    preview = session.preview_issue(members, CAMPAIGN)
    assert verdicts(preview) == ["already issued"] * 5 + ["valid"] * 7
    assert first.attrs["run"] in preview["problem"].iloc[0]
    with pytest.raises(InvalidRows, match="already issued, or may have issued, an offer") as caught:
        session.issue_many(members, CAMPAIGN, **OFF)
    assert caught.value.report["row"].tolist() == [0, 1, 2, 3, 4]
    rest = session.issue_many(members[preview["verdict"] == "valid"], CAMPAIGN, **OFF)
    assert (rest["outcome"] == "issued").all()


def test_second_offer_is_issued_with_allow_duplicates(session, members):
    session.issue_many(members, CAMPAIGN, **OFF)
    meant = {"run": "a second one", "allow_duplicates": True}
    assert verdicts(session.preview_issue(members, CAMPAIGN, **meant)) == ["valid"] * 12
    again = session.issue_many(members, CAMPAIGN, **meant, **OFF)
    assert (again["outcome"] == "issued").all()


def test_undone_rows_may_be_issued_again(session, members):
    run = session.issue_many(members, CAMPAIGN, **OFF).attrs["run"]
    session.void_run(run, **OFF)
    again = session.issue_many(members, CAMPAIGN, run="again", **OFF)
    assert (again["outcome"] == "issued").all()


def test_check_live_finds_open_offer_states(session, members):
    listed = session.list_many(members, **OFF)
    listed = listed[(listed["campaign_xid"] == "VIP26")]
    session.void_many(listed[listed["status"] == "incomplete"], **OFF)
    session.issue_offer(campaign_id="VIP26", member_id=int(members["member_id"].iloc[3]))
    preview = session.preview_issue(members, "VIP26", check_live=True, **OFF)
    assert verdicts(preview) == ["valid"] * 3 + ["already holding"] + ["valid"] * 8


def test_check_live_skips_rows_with_identifier_only(session, members):
    preview = session.preview_issue(members[["member_identifier"]], "VIP26", check_live=True, **OFF)
    assert verdicts(preview) == ["valid"] * 12


@pytest.mark.parametrize("run", ["\ud800", "a\nb", "", 1.5])
def test_invalid_run_name_is_refused_by_every_call(session, members, run):
    for call in (
        lambda: session.preview_issue(members, CAMPAIGN, run=run),
        lambda: session.issue_many(members, CAMPAIGN, run=run, **OFF),
        lambda: session.run(run),
        lambda: session.settle(run, **OFF),
    ):
        with pytest.raises(InvalidInput, match="run: "):
            call()
    assert session.runs().empty


def test_run_name_leaves_room_for_the_name_of_its_undo(session, members):
    for call in (
        lambda: session.preview_issue(members, CAMPAIGN, run="x" * 201),
        lambda: session.issue_many(members, CAMPAIGN, run="x" * 201, **OFF),
    ):
        with pytest.raises(InvalidInput, match="run: the name is longer than 200 characters"):
            call()
    assert session.runs().empty
    session.issue_many(members, CAMPAIGN, run="x" * 200, **OFF)
    undo = session.void_run("x" * 200, **OFF).attrs["run"]
    assert session.run(undo).outcome.eq("voided").all()


def test_campaign_and_run_may_be_numbers(session, members):
    assert session.preview_issue(members, 26, run=5).attrs["run"] == "5"


def test_production_requires_confirm_with_row_count(members):
    with sf.Session("production", token="t-1") as session:
        for confirm in (None, 11):
            with pytest.raises(ConfirmationRequired, match="confirm=12") as caught:
                session.issue_many(members, CAMPAIGN, confirm=confirm, **OFF)
            assert caught.value.rows == 12
        assert session.runs().empty
