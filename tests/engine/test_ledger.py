"""The ledger: written before the wire, finished by whoever comes next, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import getpass
import pickle
import resource
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from bulk_world import CALM, CAMPAIGN, LATER, SOON, Issuer, assert_true, members, tiny_service
from scripted_server import Answer

from sparkfly_nb import Session, __version__
from sparkfly_nb.bulk.ledger import tables
from sparkfly_nb.errors import ConfigurationError, InvalidRows, LedgerError, PlanChanged, RunHalted


def recorded(address):
    """Read a ledger's runs and rows past the toolkit, in a connection of their own."""
    queries = ("SELECT * FROM runs ORDER BY run_no", "SELECT * FROM rows ORDER BY run_no, position")
    if address.startswith("postgresql"):
        with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
            return [connection.execute(query).fetchall() for query in queries]
    with contextlib.closing(sqlite3.connect(address)) as connection:
        connection.row_factory = sqlite3.Row
        return [[dict(row) for row in connection.execute(query)] for query in queries]


def recorded_shards(address):
    query = "SELECT shard, state, claimant FROM shards ORDER BY shard"
    if address.startswith("postgresql"):
        with psycopg.connect(address) as connection:
            return connection.execute(query).fetchall()
    with contextlib.closing(sqlite3.connect(address)) as connection:
        return connection.execute(query).fetchall()


# ---- before the wire -------------------------------------------------------------------------------------------------


def test_the_run_its_rows_and_its_claim_are_recorded_when_the_first_byte_arrives(ledger):
    seen = []
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: seen.append((*recorded(ledger), recorded_shards(ledger)))
        session.issue_many(members([11, 12, 13], expires_at=LATER), CAMPAIGN, concurrency=1, **CALM)
    runs, rows, shards = seen[0]
    assert [run["campaign_id"] for run in runs] == [CAMPAIGN]
    assert [(row["member_id"], row["outcome"]) for row in rows] == [(11, "planned"), (12, "planned"), (13, "planned")]
    assert all(row["external_ref_id"] for row in rows)
    assert shards[0][1] == "sent"


def test_rows_are_recorded_even_where_the_service_refuses_everything(ledger):
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: Answer(403, {"error": "not permitted", "trace": "t-1"})
        result = session.issue_many(members([11, 12]), CAMPAIGN, **CALM)
    assert result.outcome.tolist() == ["rejected", "rejected"]
    assert [(row["outcome"], row["http_status"], row["error"], row["trace"]) for row in recorded(ledger)[1]] == [
        ("rejected", 403, "not permitted", "t-1")
    ] * 2


def test_every_reference_that_is_sent_is_one_that_was_recorded(ledger):
    with tiny_service(ledger) as (session, service):
        session.issue_many(members(range(11, 31)), CAMPAIGN, **CALM)
        sent = [received.json["offer_state"]["external_ref_id"] for _at, received in service.issues()]
    assert sorted(sent) == sorted(row["external_ref_id"] for row in recorded(ledger)[1])
    assert len(set(sent)) == 20


# ---- again -----------------------------------------------------------------------------------------------------------


def test_the_same_cell_again_sends_nothing_and_gives_the_same_frame_and_one_line(ledger, capsys):
    frame = pd.DataFrame({"member_id": [13, 11, 12], "note": list("abc")}, index=["x", "y", "z"])
    with tiny_service(ledger) as (session, service):
        first = session.issue_many(frame, CAMPAIGN, **CALM)
        asked = len(service.asked)
        capsys.readouterr()
        again = session.issue_many(frame, CAMPAIGN, **CALM)
        assert len(service.asked) == asked
    pd.testing.assert_frame_equal(again, first)
    assert again.attrs == first.attrs
    assert again.index.tolist() == ["x", "y", "z"]
    told = capsys.readouterr().out.strip().splitlines()
    assert len(told) == 1
    assert first.attrs["run"] in told[0]
    assert "nothing is sent" in told[0]


def test_a_new_session_gives_the_same_frame_and_lists_the_run(ledger, world):
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


def test_a_run_is_readable_from_a_new_process(ledger, world, tmp_path):
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


def test_an_unfinished_run_is_finished_and_only_its_open_rows_are_sent(ledger):
    with tiny_service(ledger) as (session, service):
        service.on_issue = lambda number, _record: None if number <= 100 else Answer(500)
        with pytest.raises(RunHalted):
            session.issue_many(members(range(1000, 1300)), CAMPAIGN, concurrency=4, **CALM)
        service.on_issue = None
        result = session.issue_many(members(range(1000, 1300)), CAMPAIGN, **CALM)
    assert result.outcome.eq("issued").all()
    assert len(service.states) == len({state["member_id"] for state in service.states}) == 300


def test_the_same_name_with_other_rows_is_refused_and_shows_the_difference(ledger):
    with tiny_service(ledger) as (session, service):
        session.issue_many(members([11, 12, 13], expires_at=SOON), CAMPAIGN, run="june", **CALM)
        asked = len(service.asked)
        changed = members([11, 14, 13, 15], expires_at=[SOON, SOON, LATER, SOON])
        with pytest.raises(PlanChanged, match=r"'june'.*3 then, 4 now") as refusal:
            session.issue_many(changed, CAMPAIGN, run="june", **CALM)
        assert len(service.asked) == asked
    found = refusal.value.differences
    assert [tuple(line) for line in found.itertuples(index=False)] == [
        (1, "member_id", 12, 14),
        (2, "expires_at", SOON, LATER),
        (3, "member_id", None, 15),
        (3, "expires_at", None, SOON),
    ]
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(refusal.value)).differences, found)


def test_a_void_of_the_same_name_with_another_offer_state_shows_both(ledger):
    with tiny_service(ledger) as (session, service):
        service.server._answer = lambda _received: Answer(200)
        frame = pd.DataFrame({"member_id": [11, 12], "offer_state_id": [1, 2]})
        session.void_many(frame, run="june", **CALM)
        with pytest.raises(PlanChanged, match="june") as refusal:
            session.void_many(frame.assign(offer_state_id=[1, 3]), run="june", **CALM)
        assert len(service.server.received) == 2
    assert refusal.value.differences.query("column == 'offer_state_id'").to_numpy().tolist() == [
        [1, "offer_state_id", 2, 3]
    ]


@pytest.mark.parametrize("other", ["campaign", "operation", "address"])
def test_a_name_used_for_another_campaign_operation_or_service_shows_that(ledger, other):
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


def test_a_member_that_another_run_issued_to_is_refused(ledger):
    with tiny_service(ledger) as (session, service):
        first = session.issue_many(members([11, 12]), CAMPAIGN, **CALM)
        with pytest.raises(InvalidRows, match=first.attrs["run"]):
            session.issue_many(members([12, 13]), CAMPAIGN, **CALM)
        session.issue_many(members([12, 13]), CAMPAIGN, allow_duplicates=True, **CALM)
    assert sorted(state["member_id"] for state in service.states) == [11, 12, 12, 13]


# ---- what is kept ----------------------------------------------------------------------------------------------------


def test_who_when_why_what_and_the_answer_are_kept(ledger):
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


def test_no_token_and_no_key_is_in_the_ledger(world, tmp_path):
    path = tmp_path / "ledger.db"
    world.service.set_faults({"issue_offer:token_revoked": 0.2, "issue_offer:commit_then_500": 0.2})
    with world.session(str(path)) as session:
        session.issue_many(members(world.member_ids[:40]), CAMPAIGN, halt_above=1, **world.calm)
        secrets = [world.service.key.reveal(), world.service.identity.reveal(), session._tokens.current()[0].reveal()]
        files = [file.read_bytes() for file in tmp_path.glob("ledger.db*")]
    assert len(files) >= 2, "the journal beside the ledger is looked at as well"
    assert not [secret for secret in secrets for content in files if secret.encode() in content]


def test_the_ledger_is_private_and_its_place_is_shown(world, tmp_path):
    path = tmp_path / "new" / "ledger.db"
    with world.session(str(path)) as session:
        assert session.ledger == str(path)
        session.issue_many(members(world.member_ids[:3]), CAMPAIGN, **world.calm)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert {"ledger.db"} < set(modes)
    assert set(modes.values()) == {0o600}


def test_by_default_the_ledger_is_in_the_users_data_directory(world, tmp_path):
    with world.session(None) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
        assert Path(session.ledger) == tmp_path / "data_home" / "sparkfly_nb" / "ledger.db"
        assert Path(session.ledger).exists()


def test_the_password_of_a_shared_ledger_is_not_shown(world):
    with world.session("postgresql://team:hush@127.0.0.1:1/ledger") as session:
        assert "hush" not in session.ledger
        assert "127.0.0.1" in session.ledger


# ---- a ledger that cannot be used ------------------------------------------------------------------------------------


def test_a_locked_ledger_stops_the_run_before_anything_is_sent(tmp_path):
    path = tmp_path / "ledger.db"
    with tiny_service(f"sqlite:///{path}?timeout=0.1") as (session, service):
        session.issue_many(members([11]), CAMPAIGN, **CALM)
        asked = len(service.asked)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerError, match=r"ledger\.db cannot be used: database is locked"):
                session.issue_many(members([12]), CAMPAIGN, **CALM)
            assert len(service.asked) == asked
            other.execute("ROLLBACK")
        assert session.issue_many(members([12]), CAMPAIGN, **CALM).outcome.tolist() == ["issued"]


def test_an_unreachable_ledger_stops_the_run_before_anything_is_sent():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"postgresql://team:hush@127.0.0.1:{closed.getsockname()[1]}/ledger"
        with tiny_service(address) as (session, service), pytest.raises(LedgerError) as refusal:
            session.issue_many(members([11]), CAMPAIGN, **CALM)
    assert not service.asked
    assert "hush" not in str(refusal.value)


def test_a_full_disk_stops_the_run_before_anything_is_sent(tmp_path):
    path = tmp_path / "ledger.db"
    with tiny_service(path) as (session, service):
        session.issue_many(members([11]), CAMPAIGN, **CALM)
        asked = len(service.asked)
        _limit_pages(session)
        with pytest.raises(LedgerError, match="full"):
            session.issue_many(members(range(100, 3100)), CAMPAIGN, **CALM)
        assert len(service.asked) == asked
    assert len(recorded(str(path))[0]) == 1, "a run is recorded whole or not at all"


def test_a_disk_that_fills_up_in_mid_run_stops_it_and_what_was_sent_is_read_back_later(tmp_path):
    path = tmp_path / "ledger.db"
    frame = members(range(100, 2100))
    with tiny_service(path) as (session, service):
        service.on_issue = lambda number, _record: _limit_pages(session) if number == 100 else None
        with pytest.raises(LedgerError, match="full"):
            session.issue_many(frame, CAMPAIGN, concurrency=4, **CALM)
        stopped_at = len(service.states)
        assert 100 <= stopped_at < 2000
        _limit_pages(session, 1_000_000)
        result = session.issue_many(frame, CAMPAIGN, **CALM)
    assert_true(result, service.states)
    assert len(service.states) == 2000
    assert result.settled_by.value_counts()["readback"] >= 1


def _limit_pages(session, pages=None):
    """Let SQLite find its disk full: every connection of the session is limited to the pages that there are."""
    engine = session._runs.ledger._engine
    engine.dispose()
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def limit(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages or 1}")  # never below what the file has


def test_a_file_that_may_not_grow_stops_the_run_before_anything_is_sent(tmp_path, world):
    """The operating system's own refusal, in a process whose files are limited."""
    code = textwrap.dedent("""
        import resource, signal, sys, pandas as pd, sparkfly_nb as sf
        from sparkfly_nb.errors import LedgerError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with sf.Session("sandbox", base_url=sys.argv[1], token="t", ledger=sys.argv[2]) as session:
            session.runs()
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
            try:
                session.issue_many(pd.DataFrame({"member_id": range(1, 5001)}), "SUMMER26", progress=False)
            except LedgerError as refusal:
                print("refused:", refusal)
    """)
    path = tmp_path / "ledger.db"
    arguments = [world.service.base_url, str(path), str(200_000)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"refused: the ledger {path} cannot be used"), done.stdout
    assert world.requests("issue_offer") == 0
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("nosuchdatabase://x/y", "neither a path nor an address"),
        ("postgresql://x:y/z", "neither a path nor an address"),
    ],
)
def test_an_address_that_can_be_no_ledger_is_refused(world, address, why):
    with pytest.raises(ConfigurationError, match=why), world.session(address) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
    assert world.requests("issue_offer") == 0


@pytest.mark.parametrize("what", ["a directory", "no database", "a link"])
def test_a_file_that_is_no_ledger_is_refused(world, tmp_path, what):
    path = tmp_path / "ledger.db"
    if what == "a directory":
        path.mkdir()
    elif what == "a link":
        path.symlink_to(tmp_path / "elsewhere.db")
    else:
        path.write_bytes(b"member_id,campaign\n" * 1000)
    with pytest.raises(LedgerError, match=r"ledger\.db"), world.session(str(path)) as session:
        session.issue_many(members(world.member_ids[:1]), CAMPAIGN, **world.calm)
    assert world.requests("issue_offer") == 0


def test_a_run_that_is_not_there_is_said_so(ledger, world):
    with world.session(ledger) as session:
        for ask in (session.run, session.settle, session.void_run):
            with pytest.raises(LedgerError, match=r"has no run 'nobody'; session\.runs\(\) lists them"):
                ask("nobody")


# ---- two at once, and the dead ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("canary", [0, 10])
def test_two_processes_on_one_run_send_each_row_once_and_both_give_all_of_it(ledger, world, tmp_path, canary):
    ids = world.member_ids[:240]
    task = {"ids": ids, "concurrency": 4, "canary": canary}
    with Issuer(world, ledger, tmp_path, **task) as one, Issuer(world, ledger, tmp_path, **task) as other:
        one.go()
        other.go()
        first, second = (issuer.report()["result"] for issuer in (one, other))
    pd.testing.assert_frame_equal(first, second)
    assert_true(first, world.states())
    assert first.outcome.eq("issued").all()
    assert world.requests("issue_offer") == len(ids)


def test_two_sessions_of_one_process_on_one_run_send_each_row_once(ledger, world):
    from concurrent.futures import ThreadPoolExecutor

    def issue(_number):
        with world.session(ledger) as session:
            return session.issue_many(members(world.member_ids[:200]), CAMPAIGN, concurrency=2, **world.calm)

    with ThreadPoolExecutor(3) as pool:
        frames = list(pool.map(issue, range(3)))
    for frame in frames[1:]:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert world.requests("issue_offer") == 200
    assert_true(frames[0], world.states())


def test_what_a_dead_process_had_sent_is_read_back_not_sent_again(ledger, world, tmp_path):
    ids = world.member_ids[:120]
    world.service.set_faults({"issue_offer:commit_then_hang": 1.0})
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=20) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 20)
        issuer.kill()
    world.service.set_faults({})
    with world.session(ledger) as session:
        runs = session.runs()
        assert runs.planned[0] == 120, "the dead process recorded nothing of what it sent"
        result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()
    assert result.settled_by.value_counts()["readback"] >= 20
    assert world.requests("issue_offer") == 120


def test_a_live_process_is_not_taken_for_dead(ledger, world, tmp_path):
    ids = world.member_ids[:60]
    with Issuer(world, ledger, tmp_path, ids=ids, concurrency=2, rate=80) as issuer:
        issuer.go()
        world.wait_for_requests("issue_offer", 5)
        with world.session(ledger) as session:
            result = session.issue_many(members(ids), CAMPAIGN, **world.calm)
        other = issuer.report()["result"]
    pd.testing.assert_frame_equal(result, other)
    assert world.requests("issue_offer") == 60
    assert result.settled_by.eq("response").all()


def test_nothing_is_left_of_claimants_that_are_through(ledger, world):
    with world.session(ledger) as session:
        session.issue_many(members(world.member_ids[:10]), CAMPAIGN, **world.calm)
        from sparkfly_nb.bulk.ledger.tables import claimants

        with session._runs.ledger.transaction() as connection:
            assert not connection.execute(claimants.select()).all()


def test_a_session_on_a_closed_ledger_is_refused(world, ledger):
    session = world.session(ledger)
    session.close()
    with pytest.raises(ConfigurationError, match="closed"):
        session.issue_many(members([1]), CAMPAIGN, **world.calm)
    assert isinstance(session, Session)


def test_a_file_system_that_can_hold_no_write_ahead_log_is_an_error_and_no_wait_without_end(tmp_path):
    address = f"file:{tmp_path / 'ledger.db'}?vfs=unix-none"  # SQLite without locks or shared memory, as on some shares
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=0.05)) as connection,
        pytest.raises(sqlite3.OperationalError, match="no write-ahead log"),
    ):
        tables._write_ahead(connection)
