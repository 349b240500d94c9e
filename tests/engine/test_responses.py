"""The body of a response counts as well as its status, and secrets that the service echoes are stored nowhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from bulk_world import CALM, QUICK
from scripted_server import ScriptedResponse, ScriptedServer

from sparkfly_nb import Session

TOKEN = "tok-5ecret-token-2026"
ROW = pd.DataFrame({"member_id": [7], "offer_state_id": [9]})


def connected(server, tmp_path):
    return Session("sandbox", base_url=server.base_url, token=TOKEN, ledger=str(tmp_path / "ledger.db"), retry=QUICK)


@pytest.mark.parametrize(
    "body",
    [b'{"error": "it is locked"}', b'{"error": "it is lo', b'{"error": ' + b"[" * 300 + b"1" + b"]" * 300 + b"}",
     b'{"\\u0065rror": "it is locked"}'],
    ids=["plain", "half", "nested", "spelled"],
)  # fmt: skip
def test_void_response_with_error_body_is_not_voided(tmp_path, body):
    def answer(received):
        if received.method == "POST":
            return ScriptedResponse(200, body)
        return ScriptedResponse(200, {"offer_state": {"offer_state_id": 9, "member_id": 7, "status": "incomplete"}})

    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.void_many(ROW, halt_above=1.0, **CALM)
    assert result["outcome"].tolist() == ["rejected"]
    assert result["error"].str.contains("does not show the change").all()


@pytest.mark.parametrize("refusal", [403, 404, 409])
@pytest.mark.parametrize(("status", "outcome"), [("voided", "voided"), ("incomplete", "rejected")])
def test_void_refused_after_a_lost_attempt_is_checked(tmp_path, refusal, status, outcome):
    """The first attempt may have voided it, and the refusal may be the consequence."""
    voids = []

    def answer(received):
        if received.method == "POST":
            voids.append(received)
            return ScriptedResponse(500 if len(voids) == 1 else refusal, {"error": "OfferState not found - not found"})
        return ScriptedResponse(200, {"offer_state": {"offer_state_id": 9, "member_id": 7, "status": status}})

    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.void_many(ROW, halt_above=1.0, **CALM)
    assert result["outcome"].tolist() == [outcome]


def test_void_by_identifier_is_resent_despite_a_long_retry_after(tmp_path):
    """The delay of one row ends with its shard, so it must not keep the row from being sent again."""
    voids = []

    def answer(received):
        voids.append(received)
        return ScriptedResponse(502, b"", {"Retry-After": "30"}) if len(voids) < 4 else ScriptedResponse(200, b"")

    by_identifier = pd.DataFrame({"member_identifier": ["M-7"], "offer_state_id": [9]})
    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.void_many(by_identifier, halt_above=1.0, **CALM)
    assert result["outcome"].tolist() == ["voided"]
    assert len(voids) == 4


@pytest.mark.parametrize(
    "echo",
    [TOKEN, TOKEN.replace("t", "\\u0074"), f"/{TOKEN}/".replace("/", "\\/")],
    ids=["plain", "escaped", "slashed"],
)
@pytest.mark.parametrize("status", [403, 422, 500, 200])
def test_token_echoed_by_service_reaches_neither_result_nor_ledger(tmp_path, status, echo):
    body = f'{{"error": "no rights for {echo}", "errors": {{"token": "{echo}"}}}}'.encode()
    with (
        ScriptedServer(answer=lambda _: ScriptedResponse(status, body)) as server,
        connected(server, tmp_path) as session,
    ):
        result = session.update_many(ROW.assign(value=3), halt_above=1.0, **CALM)
        assert "no rights" in str(result["error"].iloc[0]) or status in (200, 500)
        assert TOKEN not in result.to_csv()
    for path in Path(tmp_path).iterdir():
        assert TOKEN.encode() not in path.read_bytes()


def test_absence_by_reference_needs_a_confirmed_row_found(tmp_path):
    """One API description requires member_id in this query. Then a 404 proves nothing, and no row may be resent."""
    issues = []

    def answer(received):
        if received.method != "POST":
            return ScriptedResponse(404, {"error": "OfferState not found - not found"})
        asked = received.json["offer_state"]
        issues.append(asked["member_identifier"])
        if asked["member_identifier"] == "M-2":
            return ScriptedResponse(500, {"error": "lost"})
        return ScriptedResponse(201, {"offer_state": {"id": len(issues), "member_id": 70 + len(issues), "offer_id": 3}})

    plan = pd.DataFrame({"member_identifier": ["M-1", "M-2", "M-3"]})
    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.issue_many(plan, "SUMMER26", halt_above=1.0, **CALM)
    assert result["outcome"].tolist() == ["issued", "unknown", "issued"]
    assert sorted(issues) == ["M-1", "M-2", "M-3"]


@pytest.mark.parametrize(
    "member", [b"[" * 1000 + b"]" * 1000, b'"\\u0000"', b'"../.."', b"true"], ids=["deep", "NUL", "path", "flag"]
)
def test_response_without_valid_member_affects_only_its_row(tmp_path, member):
    issued = []

    def answer(received):
        if received.method == "GET":
            return ScriptedResponse(200, {"total_entries": 0, "offer_states": []})
        asked = received.json["offer_state"]["member_id"]
        issued.append(asked)
        named = member if asked == 8 else str(asked).encode()
        return ScriptedResponse(201, b'{"offer_state": {"id": %d, "member_id": %s}}' % (len(issued), named))

    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.issue_many(pd.DataFrame({"member_id": [7, 8, 9]}), "SUMMER26", halt_above=1.0, **CALM)
    assert result["settled_by"].tolist() == ["response", "readback", "response"]
    assert (issued.count(7), issued.count(9)) == (1, 1)


def test_readback_of_another_offer_state_proves_nothing(tmp_path):
    """If it counted as absence, the row would be resent."""
    changes = []

    def answer(received):
        if received.method == "GET":
            return ScriptedResponse(200, {"offer_state": {"offer_state_id": 10, "member_id": 7, "value": 0}})
        changes.append(received)
        return ScriptedResponse(500, {"error": "lost"})

    with ScriptedServer(answer=answer) as server, connected(server, tmp_path) as session:
        result = session.update_many(ROW.assign(value=3), halt_above=1.0, **CALM)
    assert result["outcome"].tolist() == ["unknown"]
    assert result["error"].str.contains("another offer state than the one requested").all()
    assert len(changes) == 1


def test_listed_state_without_member_gets_the_requested_member(tmp_path):
    listing = {"total_entries": 1, "offer_states": [{"offer_state": {"offer_state_id": 9, "status": "incomplete"}}]}
    with (
        ScriptedServer(answer=lambda _received: ScriptedResponse(200, listing)) as server,
        connected(server, tmp_path) as session,
    ):
        listed = session.list_many([7], progress=False)
    assert listed[["member_id", "offer_state_id"]].to_numpy().tolist() == [[7, 9]]


@pytest.mark.parametrize(
    ("offer", "kept"), [('"301"', 301), ('"three"', None), (f'"{2**64}"', None), ("3.5", None), ("null", None)]
)
def test_ids_sent_as_text_are_read_and_invalid_ids_are_missing(tmp_path, offer, kept):
    body = f'{{"offer_state": {{"id": "17", "member_id": "7", "offer_id": {offer}}}}}'.encode()
    with (
        ScriptedServer(answer=lambda _received: ScriptedResponse(201, body)) as server,
        connected(server, tmp_path) as session,
    ):
        row = session.issue_many(pd.DataFrame({"member_id": [7]}), "SUMMER26", **CALM).iloc[0]
    assert (row.outcome, row.offer_state_id, row.member_id) == ("issued", 17, 7)
    assert (None if pd.isna(row.offer_id) else row.offer_id) == kept
