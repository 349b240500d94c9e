"""Ledgers from other people are checked, and cannot change what is sent."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3

import pytest
from bulk_world import CALM, CAMPAIGN, LATER, members, tiny_service

from sparkfly_nb import LedgerError
from sparkfly_nb.errors import SparkflyError

PLAN = members([11, 12, 13, 14], expires_at=LATER)
RUN = "copied"


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A ledger with a run of which nothing is sent yet, because the token was rejected."""
    path = tmp_path_factory.mktemp("original") / "ledger.db"
    with tiny_service(path) as (session, service):
        service.tokens = set()
        with pytest.raises(SparkflyError):
            session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)
        address = service.server.base_url
        with contextlib.closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT DISTINCT outcome FROM rows").fetchall() == [("planned",)]
    return path, address


REFUSED_AT_ONCE = {
    "a trigger": "CREATE TRIGGER t AFTER UPDATE ON rows BEGIN UPDATE rows SET outcome = 'planned'; END",
    "a view": "ALTER TABLE rows RENAME TO kept; CREATE VIEW rows AS SELECT * FROM kept",
    "a view in capitals": "ALTER TABLE rows RENAME TO kept; CREATE VIEW ROWS AS SELECT * FROM kept",
    "an older table": "ALTER TABLE rows DROP COLUMN undone",
    "a newer table": "ALTER TABLE rows ADD COLUMN checked BOOLEAN",
    "a computed column": "ALTER TABLE claimants ADD COLUMN x AS (pid + 1)",
    "a reference that deletes": "DROP TABLE claimants; CREATE TABLE claimants (claimant TEXT NOT NULL PRIMARY KEY "
    "REFERENCES runs (run) ON DELETE CASCADE, host TEXT NOT NULL, pid BIGINT NOT NULL, seen_at FLOAT NOT NULL, "
    "linger_s FLOAT NOT NULL)",
    "a text as a number": "UPDATE rows SET member_id = '../../auth' WHERE position = 2",
    "bytes as a text": "UPDATE rows SET external_ref_id = x'00ff'",
    "an invalid time": "UPDATE runs SET started_at = x'00'",
    "an invalid shard": "UPDATE shards SET first = 'x'",
    "an invalid lease": "INSERT INTO claimants VALUES ('c', 'h', 'pid', 'now', 0.0)",
    "an unknown operation": "UPDATE runs SET operation = 'eval'",
    "no JSON": "UPDATE rows SET payload = 'nonsense'",
    "a list as payload": "UPDATE rows SET payload = '[1]'",
    "shards that overlap": "INSERT INTO shards SELECT run_no, shard + 100, first, last, state, claimant, claims, NULL "
    "FROM shards",
}
REFUSED_FOR_THE_PLAN = {
    "a path in the payload": """UPDATE rows SET payload = '{"member_id": ".."}'""",
    "a change in the payload": """UPDATE rows SET payload = '{"status": "redeemed"}'""",
    "another member": "UPDATE rows SET member_id = 99 WHERE position = 2",
    "another reference": "UPDATE rows SET external_ref_id = 'mine'",
    "other dates": """UPDATE rows SET payload = '{"expires_at": "2099-01-01T00:00:00Z"}'""",
    "another campaign": "UPDATE runs SET campaign_id = 'EXPENSIVE'",
    "another operation": "UPDATE runs SET operation = 'void'",
    "more rows": "INSERT INTO rows (run_no, position, member_id, external_ref_id, outcome, attempts, resends, undone) "
    "SELECT run_no, 4, 99, 'more', 'planned', 0, 0, 0 FROM runs",
    "an unknown row of another member": "UPDATE rows SET member_id = 99, outcome = 'unknown' WHERE position = 2",
}  # fmt: skip


@contextlib.contextmanager
def copied(unfinished, tmp_path, sql):
    """Open a Session on a changed copy of the ledger."""
    original, address = unfinished
    path = shutil.copy(original, tmp_path / "ledger.db")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(sql)
        database.commit()
    with tiny_service(path) as (session, service):
        with contextlib.closing(sqlite3.connect(path)) as database:  # the original address was that of another server
            database.execute("UPDATE runs SET address = ? WHERE address = ?", (service.server.base_url, address))
            database.execute("UPDATE runs SET digest = ?", (_digest(session),))
            database.commit()
        yield session, service


def _digest(session):
    return session._runs.plan("issue", PLAN, campaign_id=CAMPAIGN).digest


def test_a_copied_ledger_is_continued(unfinished, tmp_path):
    with copied(unfinished, tmp_path, "") as (session, service):
        result = session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert result.outcome.tolist() == ["issued"] * 4
    assert sorted(record["member_id"] for record in service.states) == [11, 12, 13, 14]


@pytest.mark.parametrize("sql", REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE)
def test_every_call_refuses_a_ledger_that_no_version_wrote(sql, unfinished, tmp_path):
    with copied(unfinished, tmp_path, sql) as (session, service):
        calls = [
            lambda: session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM),
            lambda: session.settle(RUN),
            lambda: session.void_run(RUN, **CALM),
        ]
        for call in calls:
            with pytest.raises(LedgerError):
                call()

    assert service.asked == []


@pytest.mark.parametrize("sql", REFUSED_FOR_THE_PLAN.values(), ids=REFUSED_FOR_THE_PLAN)
def test_a_ledger_cannot_change_what_is_sent(sql, unfinished, tmp_path):
    with (
        copied(unfinished, tmp_path, sql) as (session, service),
        pytest.raises(LedgerError, match=r"different plan|damaged"),
    ):
        session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert service.asked == []


@pytest.mark.parametrize("payload", ['{"member_id": ".."}', '{"offerstate_id": 1}', '{"campaign_id": "X"}'])
def test_a_readback_refuses_a_payload_of_another_kind(payload, unfinished, tmp_path):
    sql = f"UPDATE rows SET outcome = 'unknown', member_id = NULL, member_identifier = 'M-1', payload = '{payload}'"
    with copied(unfinished, tmp_path, sql) as (session, service), pytest.raises(LedgerError, match="damaged"):
        session.settle(RUN)

    assert service.asked == []


@pytest.mark.parametrize("settle_after", ["1e18", "9e999"])
def test_a_ledger_cannot_make_a_run_wait_forever(settle_after, unfinished, tmp_path):
    sql = f"UPDATE shards SET state = 'settled', settle_after = {settle_after}; UPDATE rows SET outcome = 'unknown'"
    with (
        copied(unfinished, tmp_path, sql) as (session, _service),
        pytest.raises(LedgerError, match="still be sent for days"),
    ):
        session.settle(RUN)


def test_an_impossible_process_id_counts_as_dead(unfinished, tmp_path):
    from sparkfly_nb.bulk.ledger.claims import this_host

    claimant = f"INSERT INTO claimants VALUES ('c', '{this_host()}', {2**62}, 9e9, 0.0)"
    sql = f"{claimant}; UPDATE shards SET state = 'sent', claimant = 'c'"
    with copied(unfinished, tmp_path, sql) as (session, service):
        result = session.issue_many(PLAN, CAMPAIGN, run=RUN, **CALM)

    assert result.outcome.tolist() == ["issued"] * 4
    assert len(service.states) == 4


def test_huge_values_in_a_ledger_can_be_read(unfinished, tmp_path):
    sql = "UPDATE rows SET error = hex(zeroblob(5000000)), outcome = 'rejected', http_status = 9223372036854775807"
    with copied(unfinished, tmp_path, sql) as (session, _service):
        result = session.run(RUN)

    assert result["error"].str.len().tolist() == [10_000_000] * 4


def test_single_calls_work_with_a_damaged_ledger(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\x00" + os.urandom(5000))
    with tiny_service(tmp_path / "ledger.db") as (session, _service):
        assert session.list_offer_states(11).empty
        with pytest.raises(LedgerError):
            session.runs()
