"""The ledger records rows before they are sent, and a later call continues the run, on SQLite and on PostgreSQL."""

from __future__ import annotations

import getpass
import pickle
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, SOON, members, tiny_service
from ledger_world import recorded, recorded_shards
from scripted_server import ScriptedResponse

from sparkfly_nb import __version__
from sparkfly_nb.errors import InvalidRows, LedgerError, PlanChanged, RunHalted

# ---- before the first request ----------------------------------------------------------------------------------------


def test_run_rows_and_claim_are_recorded_before_the_first_request(ledger):
    seen = []
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: seen.append((*recorded(ledger), recorded_shards(ledger)))
        session.issue_many(members([11, 12, 13], expires_at=LATER), CAMPAIGN, concurrency=1, **CALM)
    runs, rows, shards = seen[0]
    assert [run["campaign_id"] for run in runs] == [CAMPAIGN]
    assert [(row["member_id"], row["outcome"]) for row in rows] == [(11, "planned"), (12, "planned"), (13, "planned")]
    assert all(row["external_ref_id"] for row in rows)
    assert shards[0][1] == "sent"


def test_rejected_rows_are_recorded_with_status_and_trace(ledger):
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(403, {"error": "not permitted", "trace": "t-1"})
        result = session.issue_many(members([11, 12]), CAMPAIGN, **CALM)
    assert result.outcome.tolist() == ["rejected", "rejected"]
    assert [(row["outcome"], row["http_status"], row["error"], row["trace"]) for row in recorded(ledger)[1]] == [
        ("rejected", 403, "not permitted", "t-1")
    ] * 2


def test_every_sent_reference_was_recorded(ledger):
    with tiny_service(ledger) as (session, service):
        session.issue_many(members(range(11, 31)), CAMPAIGN, **CALM)
        sent = [received.json["offer_state"]["external_ref_id"] for _at, received in service.issues()]
    assert sorted(sent) == sorted(row["external_ref_id"] for row in recorded(ledger)[1])
    assert len(set(sent)) == 20


# ---- repeated and continued calls ------------------------------------------------------------------------------------


def test_repeated_call_sends_nothing_and_returns_the_same_frame(ledger, capsys):
    frame = pd.DataFrame({"member_id": [13, 11, 12], "note": list("abc")}, index=["x", "y", "z"])
    with tiny_service(ledger) as (session, service):
        first = session.issue_many(frame, CAMPAIGN, **CALM)
        requests = len(service.asked)
        capsys.readouterr()
        again = session.issue_many(frame, CAMPAIGN, **CALM)
        assert len(service.asked) == requests
    pd.testing.assert_frame_equal(again, first)
    assert again.attrs == first.attrs
    assert again.index.tolist() == ["x", "y", "z"]
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1
    assert first.attrs["run"] in lines[0]
    assert "nothing is sent" in lines[0]


def test_new_session_returns_the_same_frame_and_lists_the_run(ledger, world):
    with world.session(ledger) as session:
        first = session.issue_many(members([*world.member_ids[:5], 1]), CAMPAIGN, reason="spring", **world.calm)
    with world.session(ledger) as session:
        again = session.issue_many(members([*world.member_ids[:5], 1]), CAMPAIGN, **world.calm)
        kept = session.run(first.attrs["run"])
        runs = session.runs()
    pd.testing.assert_frame_equal(again, first)
    pd.testing.assert_frame_equal(kept, first)
    line = runs.iloc[0]
    assert (line.rows, line.done, line.rejected, line.unknown, line.planned) == (6, 5, 1, 0, 0)
    assert (line.run, line.operation, line.reason) == (first.attrs["run"], "issue", "spring")
    assert world.requests("issue_offer") == 6


def test_new_process_can_read_a_run(ledger, world, tmp_path):
    with world.session(ledger) as session:
        first = session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **{**world.calm, "run": "three"})
    code = (
        "import sys, pickle, sparkfly_nb as sf\n"
        "with sf.Session('sandbox', base_url=sys.argv[1], token='t', ledger=sys.argv[2]) as session:\n"
        "    pickle.dump(session.run('three'), open(sys.argv[3], 'wb'))\n"
    )
    place = tmp_path / "frame.pickle"
    subprocess.run([sys.executable, "-c", code, world.service.base_url, ledger, place], check=True, timeout=60)
    pd.testing.assert_frame_equal(pickle.loads(place.read_bytes()), first)


def test_continued_run_sends_only_its_open_rows(ledger):
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: None if number <= 100 else ScriptedResponse(500)
        with pytest.raises(RunHalted):
            session.issue_many(members(range(1000, 1300)), CAMPAIGN, concurrency=4, **CALM)
        service.on_issue = None
        result = session.issue_many(members(range(1000, 1300)), CAMPAIGN, **CALM)
    assert result.outcome.eq("issued").all()
    assert len(service.states) == len({state["member_id"] for state in service.states}) == 300


def test_same_run_name_with_other_rows_is_refused_with_differences(ledger):
    with tiny_service(ledger) as (session, service):
        session.issue_many(members([11, 12, 13], expires_at=SOON), CAMPAIGN, run="june", **CALM)
        requests = len(service.asked)
        changed = members([11, 14, 13, 15], expires_at=[SOON, SOON, LATER, SOON])
        with pytest.raises(PlanChanged, match=r"'june'.*\(3 rows then, 4 now; 4 differences, see ") as refusal:
            session.issue_many(changed, CAMPAIGN, run="june", **CALM)
        assert len(service.asked) == requests
    found = refusal.value.differences
    assert [tuple(line) for line in found.itertuples(index=False)] == [
        (1, "member_id", 12, 14),
        (2, "expires_at", SOON, LATER),
        (3, "member_id", None, 15),
        (3, "expires_at", None, SOON),
    ]
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(refusal.value)).differences, found)


def test_plan_changed_counts_a_single_row_and_difference(ledger):
    with tiny_service(ledger) as (session, _service):
        session.issue_many(members([11]), CAMPAIGN, run="june", **CALM)
        with pytest.raises(PlanChanged, match=r"\(1 row then, 1 now; 1 difference, see .*Nothing was sent\. Choose"):
            session.issue_many(members([12]), CAMPAIGN, run="june", **CALM)


def test_plan_changed_explains_references_added_as_a_column(ledger):
    with tiny_service(ledger) as (session, service):
        result = session.issue_many(members([11, 12]), CAMPAIGN, run="june", **CALM)
        requests = len(service.asked)
        with pytest.raises(PlanChanged, match=r"same 2 rows but another digest.*external_ref_id was added") as refusal:
            session.issue_many(result[["member_id", "external_ref_id"]], CAMPAIGN, run="june", **CALM)
        assert len(service.asked) == requests
    assert refusal.value.differences.empty


def test_same_run_name_with_other_offer_state_shows_both(ledger):
    with tiny_service(ledger) as (session, service):
        service.server._answer = lambda _received: ScriptedResponse(200)
        frame = pd.DataFrame({"member_id": [11, 12], "offer_state_id": [1, 2]})
        session.void_many(frame, run="june", **CALM)
        with pytest.raises(PlanChanged, match="june") as refusal:
            session.void_many(frame.assign(offer_state_id=[1, 3]), run="june", **CALM)
        assert len(service.server.received) == 2
    assert refusal.value.differences.query("column == 'offer_state_id'").to_numpy().tolist() == [
        [1, "offer_state_id", 2, 3]
    ]


@pytest.mark.parametrize("other", ["campaign", "operation", "address"])
def test_same_run_name_for_other_campaign_operation_or_service(ledger, other):
    with tiny_service(ledger) as (session, service):
        session.issue_many(members([11]), CAMPAIGN, run="june", **CALM)
        base_url = session.settings.base_url
        if other == "address":
            with tiny_service(ledger) as (elsewhere, _service), pytest.raises(PlanChanged) as refusal:
                elsewhere.issue_many(members([11]), CAMPAIGN, run="june", **CALM)
            shown = ("address", base_url, elsewhere.settings.base_url)
        elif other == "campaign":
            with pytest.raises(PlanChanged) as refusal:
                session.issue_many(members([11]), "VIP26", run="june", **CALM)
            shown = ("campaign_id", CAMPAIGN, "VIP26")
        else:
            frame = members([11], offer_state_id=[service.states[0]["offer_state_id"]])
            with pytest.raises(PlanChanged) as refusal:
                session.void_many(frame, run="june", **CALM)
            shown = ("operation", "issue", "void")
    assert shown in [tuple(line)[1:] for line in refusal.value.differences.itertuples(index=False)]


def test_member_of_another_run_is_refused(ledger):
    with tiny_service(ledger) as (session, service):
        first = session.issue_many(members([11, 12]), CAMPAIGN, **CALM)
        with pytest.raises(InvalidRows, match=first.attrs["run"]):
            session.issue_many(members([12, 13]), CAMPAIGN, **CALM)
        session.issue_many(members([12, 13]), CAMPAIGN, allow_duplicates=True, **CALM)
    assert sorted(state["member_id"] for state in service.states) == [11, 12, 12, 13]


def test_missing_run_is_named_in_the_error(ledger, world):
    with world.session(ledger) as session:
        for call in (session.run, session.settle, session.void_run):
            with pytest.raises(LedgerError, match=r"has no run 'nobody'; session\.runs\(\) lists them"):
                call("nobody")


# ---- what is recorded ------------------------------------------------------------------------------------------------


def test_ledger_records_user_time_reason_rows_and_responses(ledger):
    began = pd.Timestamp.now("UTC")
    with tiny_service(ledger) as (session, service):
        session.issue_many(members([11], expires_at=LATER), CAMPAIGN, reason="sorry for the wait", **CALM)
        digest = session.runs().digest[0]
    (run,), (row,) = recorded(ledger)
    assert (run["user_name"], run["host"], run["version"]) == (getpass.getuser(), socket.gethostname(), __version__)
    assert began <= pd.Timestamp(run["started_at"]) <= pd.Timestamp.now("UTC")
    assert (run["reason"], run["digest"], run["address"]) == ("sorry for the wait", digest, service.server.base_url)
    assert len(run["digest"]) == 64
    kept = ("outcome", "http_status", "offer_state_id", "credential_identifier", "settled_by", "attempts")
    assert [row[name] for name in kept] == ["issued", 201, 1, "VK32", "response", 1]


def test_ledger_contains_no_token_and_no_key(world, tmp_path):
    path = tmp_path / "ledger.db"
    world.service.set_faults({"issue_offer:token_revoked": 0.2, "issue_offer:commit_then_500": 0.2})
    with world.session(str(path)) as session:
        session.issue_many(members(world.member_ids[:40]), CAMPAIGN, halt_above=1, **world.calm)
        secrets = [world.service.key.reveal(), world.service.identity.reveal(), session._tokens.current()[0].reveal()]
        files = [file.read_bytes() for file in tmp_path.glob("ledger.db*")]
    assert len(files) >= 2, "the journal next to the ledger is checked as well"
    assert not [secret for secret in secrets for content in files if secret.encode() in content]


def test_ledger_file_is_private_and_its_path_is_shown(world, tmp_path):
    path = tmp_path / "new" / "ledger.db"
    with world.session(str(path)) as session:
        assert session.ledger == str(path)
        session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **world.calm)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {"ledger.db"} < set(modes)
    assert set(modes.values()) == {0o600}


def test_default_ledger_is_in_user_data_directory(world, tmp_path):
    with world.session(None) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
        assert Path(session.ledger) == tmp_path / "data_home" / "sparkfly_nb" / "ledger.db"
        assert Path(session.ledger).exists()


def test_password_of_shared_ledger_is_not_shown(world):
    with world.session("postgresql://team:hush@127.0.0.1:1/ledger") as session:
        assert "hush" not in session.ledger
        assert "127.0.0.1" in session.ledger
