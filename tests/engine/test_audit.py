"""Tests of audits of the local service, also with faults: counts are exact, or the members are unread."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from audit_world import kinds, numbers, state
from bulk_world import QUICK
from pandas.testing import assert_frame_equal
from scripted_server import ScriptedResponse, ScriptedServer

from sparkfly_nb import Session, read_audit
from sparkfly_nb.errors import DataWarning, InvalidInput, LedgerError
from sparkfly_nb.sandbox.process import SandboxProcess

QUIET = {"progress": False}
MEMBERS = 150


@pytest.fixture(scope="module")
def service():
    with SandboxProcess.start(members=MEMBERS, seed=11) as started:
        yield started
        started.set_faults({})


@pytest.fixture
def session(service, tmp_path):
    service.set_faults({})
    with connected(service, tmp_path, retry=QUICK) as one:
        yield one
    service.set_faults({})


def connected(service, tmp_path, **options):
    return Session(
        "sandbox",
        base_url=service.base_url,
        identity=service.identity.reveal(),
        key=service.key.reveal(),
        ledger=str(tmp_path / "ledger.db"),
        **options,
    )


@pytest.fixture(scope="module")
def members(service):
    return pd.DataFrame(service.members())


def truth_of(service, campaign=None, members=None):
    states = service.truth()["offer_states"]
    return [
        one
        for one in states
        if (campaign is None or one["campaign_xid"] == campaign) and (members is None or one["member_id"] in members)
    ]


def lifecycle_of(state, now):
    ends = pd.Timestamp(state["effective_expires_at"])
    return "expired" if state["status"] == "incomplete" and ends <= now else LIFECYCLE[state["status"]]


LIFECYCLE = {"incomplete": "open", "redeemed": "redeemed", "voided": "voided"}


# ---- counts and exceptions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("campaign", ["SUMMER26", "VIP26", "WINTER25"])
def test_every_count_of_a_campaign_is_exact(service, session, members, campaign):
    audit = session.audit(campaign_id=campaign, members=members, **QUIET)

    truth = truth_of(service, campaign)
    lifecycles = Counter(lifecycle_of(one, audit.metadata.taken_at) for one in truth)
    held = {one["member_id"] for one in truth if one["status"] != "voided"}
    found = numbers(audit)
    assert audit.complete
    assert sorted(audit.states["offer_state_id"]) == sorted(one["offer_state_id"] for one in truth)
    for status, count in Counter(one["status"] for one in truth).items():
        assert found["status", status] == count
    for lifecycle in ("open", "redeemed", "expired", "voided"):
        assert found["lifecycle", lifecycle] == lifecycles[lifecycle]
    assert found["members_holding", "planned"] == len(held)
    assert found["members_not_holding", "planned"] == MEMBERS - len(held)
    assert found["value_redeemed", ""] == sum(one["value"] for one in truth if one["status"] == "redeemed")


def test_every_exception_of_a_campaign_is_exact(service, session, members):
    audit = session.audit(campaign_id="SUMMER26", members=members, **QUIET)

    of_member = defaultdict(list)
    for one in truth_of(service, "SUMMER26"):
        of_member[one["member_id"]].append(lifecycle_of(one, audit.metadata.taken_at))
    expected = Counter()
    for member in members["member_id"]:
        lifecycles = Counter(of_member[member])
        expected["missing"] += not of_member[member]
        expected["voided_though_planned"] += bool(of_member[member]) and set(lifecycles) == {"voided"}
        expected["duplicate"] += max(0, lifecycles["open"] + lifecycles["redeemed"] - 1)
    assert kinds(audit) == +expected


def test_campaign_number_finds_the_same_offer_states_as_xid(session, members):
    by_xid = session.audit(campaign_id="SUMMER26", members=members, **QUIET)
    by_number = session.audit(campaign_id=41, members=members, **QUIET)

    assert_frame_equal(by_xid.states, by_number.states)


def test_activities_contain_every_event_of_the_service(service, session, members):
    audit = session.audit(campaign_id="TENCUPS", members=members, **QUIET)

    events = audit.activities()
    truth = {one["offer_state_id"]: one["activities"] for one in truth_of(service, "TENCUPS")}
    assert events["activity"].value_counts().to_dict() == Counter(
        event["type"] for one in truth.values() for event in one
    )
    assert all(
        pd.Timestamp(truth[row.offer_state_id][row.position - 1]["created_at"]) == row.happened_at
        for row in events.itertuples()
    )


def test_summary_by_segment_matches_the_service(service, session, members):
    audit = session.audit(campaign_id="VIP26", members=members, **QUIET)

    lines = audit.summary(by="segment").query("metric == 'offer_states'")

    segment_of = dict(zip(members["member_id"], members["segment"], strict=True))
    expected = Counter(segment_of[one["member_id"]] for one in truth_of(service, "VIP26"))
    assert dict(zip(lines["segment"], lines["value"], strict=True)) == expected


def test_offer_and_time_span_narrow_the_audit(service, session, members):
    middle = pd.Timestamp(service.truth()["now"]) - pd.Timedelta(days=60)

    audit = session.audit(offer_id=302, members=members["member_id"], since=middle, **QUIET)

    expected = [
        one["offer_state_id"]
        for one in truth_of(service)
        if one["offer_id"] == 302 and pd.Timestamp(one["created_at"]) >= middle
    ]
    assert sorted(audit.states["offer_state_id"]) == sorted(expected)
    assert set(audit.states["campaign_xid"]) == {"VIP26", "SPRING26"}


def test_audit_of_the_service_is_read_back_without_secrets(session, members, tmp_path):
    audit = session.audit(members=members, **QUIET)

    other = read_audit(audit.to_csv(tmp_path / "audit"))

    assert_frame_equal(audit.states, other.states)
    assert_frame_equal(audit.summary(by="segment"), other.summary(by="segment"))
    text = (tmp_path / "audit" / "manifest.json").read_text()
    assert session.settings.identity.reveal() not in text
    assert session.settings.key.reveal() not in text


def test_unknown_members_are_unread_with_the_http_status(session, members):
    plan = [*members["member_id"].head(3), 999_999]

    audit = session.audit(campaign_id="SUMMER26", members=plan, **QUIET)

    assert audit.unread[["member_id", "http_status"]].to_numpy().tolist() == [[999_999, 404]]
    assert audit.summary()["metric"].iloc[0] == "incomplete"


# ---- from issue to audit ---------------------------------------------------------------------------------------------


def test_audit_finds_what_was_issued_and_voided(service, session, members, tmp_path):
    plan = members.iloc[40:60].copy()
    plan["expires_at"] = "2035-01-01T00:00:00Z"
    result = session.issue_many(plan, "WELCOME26", run="june", **QUIET)

    before = session.audit(run="june", **QUIET)
    session.void_many(before.states.query("offer_state_id in @result.offer_state_id").head(5), **QUIET)
    after = session.audit(run="june", **QUIET)

    assert sorted(set(result["offer_state_id"]) - set(before.states["offer_state_id"])) == []
    assert "not_at_service" not in kinds(before)
    assert "wrong_dates" not in kinds(before)
    assert "wrong_reference" not in kinds(before)
    changes = after.compare(before).states
    assert changes.query("column == 'status'")[["from", "to"]].to_numpy().tolist() == [["incomplete", "voided"]] * 5
    assert set(changes["column"]) == {"lifecycle", "status"}


def test_result_of_issue_many_is_a_plan(session, members):
    plan = members.iloc[60:70][["member_identifier", "segment"]]
    result = session.issue_many(plan, "WELCOME26", run="by identifier", **QUIET)

    audit = session.audit(campaign_id="WELCOME26", members=result.join(plan["segment"]), **QUIET)

    assert audit.complete
    assert numbers(audit)["members_holding", "planned"] == 10
    assert len(audit.summary(by="segment")) > len(audit.summary())


def test_members_without_any_id_are_rejected_before_any_request(service, session, members):
    before = service.truth(generated=False)["requests"]["list_offer_states"]

    with pytest.raises(InvalidInput, match="issue_many"):
        session.audit(campaign_id="SUMMER26", members=members[["member_identifier"]], **QUIET)
    assert service.truth(generated=False)["requests"]["list_offer_states"] == before


def test_unknown_run_is_rejected(session):
    with pytest.raises(LedgerError):
        session.audit(run="never was", **QUIET)


def test_unknown_rows_that_were_issued_are_found(service, session, members):
    service.set_faults({"issue_offer:commit_then_drop": 1.0, "list_offer_states:unreadable_2xx": 1.0})
    plan = members.iloc[70:72][["member_id"]]
    result = session.issue_many(plan, "WELCOME26", run="lost", halt_above=1, settle_pause=0.05, **QUIET)
    service.set_faults({})

    audit = session.audit(run="lost", **QUIET)

    assert result["outcome"].tolist() == ["unknown", "unknown"]
    assert kinds(audit)["ledger_says_not_issued"] == 2


# ---- faults ----------------------------------------------------------------------------------------------------------

FAULTS = {
    "repeats entries of a page": {"page_repeated": 0.4},
    "shortens a page": {"page_short": 0.4},
    "changes between pages": {"page_changing": 0.4},
    "is at its limit": {"status_429": 0.1},
    "drops connections": {"drop_before": 0.1, "half_body": 0.05},
    "fails now and then": {"error_500_before": 0.1, "status_503": 0.05},
    "forgets tokens": {"status_401": 0.05},
    "sends unreadable responses": {"unreadable_2xx": 0.1, "wrong_content_type": 0.05},
    "has all faults at once": {
        "page_repeated": 0.1,
        "page_changing": 0.1,
        "drop_before": 0.05,
        "status_429": 0.05,
        "unreadable_2xx": 0.05,
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_service_yields_exact_counts_or_unread_members(service, session, members, fault):
    rates = {f"list_offer_states:{name}": rate for name, rate in FAULTS[fault].items()}
    service.set_faults(rates, times={"retry_after_s": 0.01})

    audit = session.audit(members=members, **QUIET)

    unread = set(audit.unread["member_id"])
    read = set(members["member_id"]) - unread
    counts = Counter(audit.states["member_id"])
    truth = Counter(one["member_id"] for one in truth_of(service, members=read))
    assert counts == truth
    assert audit.complete == (not unread)
    assert set(audit.states["member_id"]) & unread == set()
    assert sum(service.truth(generated=False)["faults"].get(name.partition(":")[2], 0) for name in rates) > 0


def test_failed_members_are_unread_and_the_others_are_counted(service, session, members):
    service.set_faults({"list_offer_states:unreadable_2xx": 0.8}, times={"retry_after_s": 0.01})

    audit = session.audit(campaign_id="SUMMER26", members=members, **QUIET)

    assert 0 < len(audit.unread) < MEMBERS
    assert audit.unread["reason"].notna().all()
    read = set(members["member_id"]) - set(audit.unread["member_id"])
    assert sorted(audit.states["offer_state_id"]) == sorted(
        one["offer_state_id"] for one in truth_of(service, "SUMMER26", read)
    )
    assert not set(audit.exceptions()["member_id"]) & set(audit.unread["member_id"])


@pytest.mark.parametrize("fault", ["wrong_types", "unknown_fields"])
def test_odd_values_and_new_fields_change_no_count(service, session, members, tmp_path, fault):
    service.set_faults({f"list_offer_states:{fault}": 1.0})

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        audit = session.audit(campaign_id="SUMMER26", members=members, **QUIET)

    truth = truth_of(service, "SUMMER26")
    assert Counter(audit.states["status"]) == Counter(one["status"] for one in truth)
    assert bool(caught) == (fault == "wrong_types")
    assert ("loyalty_tier" in audit.states.columns) == (fault == "unknown_fields")
    assert_frame_equal(read_audit(audit.to_csv(tmp_path / "audit")).states, audit.states)


def listing(held, **counts):
    return {"page": 1, "per_page": 2, "total_entries": len(held), "total_pages": 1, "offer_states": held, **counts}


def in_pages(held, page):
    return listing(held[2 * page - 2 : 2 * page], page=page, total_entries=5, total_pages=3)


@pytest.mark.parametrize(
    ("pages", "is_read"),
    [
        (in_pages, True),
        (lambda held, _: listing(held[:2], total_entries=5, total_pages=3), False),
        (lambda held, page: listing(held[page - 1 : page + 1], page=page, total_entries=5, total_pages=3), False),
        (lambda held, page: listing(held[: 3 - page], page=page, total_entries=5, total_pages=3), False),
        (lambda held, page: {**in_pages(held, page), "total_entries": 4 + page}, False),
        (lambda held, page: held if page == 1 else [], True),
    ],
    ids=["pages", "ignores page", "repeats entries", "shortens", "changes between pages", "a bare list"],
)
def test_listing_is_read_completely_or_the_member_is_unread(tmp_path, pages, is_read):
    held = {member: [state(member) for _ in range(5)] for member in (1, 2)}

    def respond(received):
        address = urlsplit(received.target)
        member, page = int(address.path.split("/")[3]), int(parse_qs(address.query).get("page", ["1"])[0])
        shown = pages if member == 1 else in_pages
        return ScriptedResponse(200, shown(held[member], page))

    with ScriptedServer(answer=respond) as server:
        options = {"base_url": server.base_url, "token": "given-token", "ledger": str(tmp_path / "ledger.db")}
        with Session("sandbox", **options, retry=QUICK) as session:
            audit = session.audit(campaign_id="SUMMER26", members=[1, 2], **QUIET)

    counts = Counter(audit.states["member_id"])
    assert counts == ({1: 5, 2: 5} if is_read else {2: 5})
    assert audit.complete == is_read
