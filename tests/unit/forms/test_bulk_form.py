"""The form for many rows without a browser: upload, preview, confirmation, result and rejected rows."""

from __future__ import annotations

import threading

import pandas as pd
import pytest
from form_hand import Hand
from scripted_server import RECEIPT, ScriptedResponse, ScriptedServer

from sparkfly_nb import InvalidInput, Session, forms
from sparkfly_nb.bulk.engine.progress import progress_bar, progress_told_to
from sparkfly_nb.forms.bulk_rows import csv_bytes, read_upload
from sparkfly_nb.frames.csv_writer import read_csv
from sparkfly_nb.sandbox.process import SandboxProcess

LOST_AND_UNREADABLE = {"issue_offer:commit_then_drop": 1.0, "list_offer_states:status_401": 1.0}


@pytest.fixture(scope="module")
def service():
    """A sandbox of this module, because other tests change what their members have."""
    with SandboxProcess.start(members=40) as started:
        yield started


@pytest.fixture
def session(service, tmp_path):
    with Session(
        "sandbox",
        base_url=service.base_url,
        identity=service.identity.reveal(),
        key=service.key.reveal(),
        ledger=str(tmp_path / "ledger.db"),
    ) as connected:
        yield connected


@pytest.fixture
def members(service):
    return pd.DataFrame(service.members(6))


def csv_of(frame):
    return frame.to_csv(index=False).encode()


def made_for(service, campaign):
    return [
        state for state in service.truth(generated=False)["offer_states"]
        if state["campaign_xid"] == campaign and state["status"] != "voided"
    ]  # fmt: skip


def issue(session, rows, campaign, **typed):
    """Preview the rows, confirm their number, and run."""
    hand = Hand(forms.BulkForm(session, rows, campaign_id=campaign)).type(**typed).press("preview")
    return hand.confirm(hand.screen["confirm"]["label"].split()[-1]).press("run")


def test_bulk_issue_issues_each_row_and_keeps_the_index(session, service, members):
    rows = members[["member_id"]].set_index(pd.Index(list("abcdef")))
    hand = issue(session, rows, "VIP26")

    assert hand.notice["title"] == "Ended: 6 issued."
    assert list(hand.form.result.index) == list("abcdef")
    assert {state["member_id"] for state in made_for(service, "VIP26")} == set(members.member_id)


def test_bulk_preview_sends_nothing(session, service, members):
    hand = Hand(forms.BulkForm(session, members[["member_id"]], campaign_id="TENCUPS")).press("preview")

    assert hand.notice["title"] == "6 rows looked at; nothing was sent yet."
    assert made_for(service, "TENCUPS") == []


def test_bulk_run_requires_the_exact_number_of_rows(session, service, members):
    hand = Hand(forms.BulkForm(session, members[["member_id"]], campaign_id="TENCUPS")).press("preview")
    for wrong in ("", "5", "66", "six"):
        hand.confirm(wrong).press("run")
        assert not hand.can("run")
    assert made_for(service, "TENCUPS") == []

    assert hand.confirm("6").can("run")


def test_upload_keeps_leading_zeros_and_is_issued(session, service):
    identifiers = [member["member_identifier"] for member in service.members(3)]
    hand = Hand(forms.BulkForm(session, campaign_id="BIRTHDAY"))
    assert not hand.can("preview")
    hand.upload(csv_of(pd.DataFrame({"member_identifier": identifiers})))
    assert hand.screen["hint"] == "3 rows in members.csv"
    hand.press("preview").confirm("3").press("run")

    assert hand.notice["title"] == "Ended: 3 issued."
    assert hand.form.result.member_identifier.tolist() == identifiers
    assert read_upload(b"\xef\xbb\xbfmember_identifier\n007\n").member_identifier.tolist() == ["007"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows"),
        (b"member_id\n", "no rows"),
        ("member_id\nZürich\n".encode("latin-1"), "not UTF-8"),
        (b'a,b\n"1,2\n', "not valid CSV"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells"),
        (b"a,b\n\n1\n", "line 3 has 1 cells"),
    ],
)
def test_invalid_upload_is_rejected_beside_its_field(session, content, words):
    hand = Hand(forms.BulkForm(session, campaign_id="VIP26")).upload(content)

    assert words in hand.problem("rows")
    assert not hand.can("preview")


def test_upload_accepts_semicolon_separated_csv():
    assert read_upload(b"member_id;reason\n1009;a, b\n").to_dict("records") == [{"member_id": "1009", "reason": "a, b"}]


def test_upload_without_a_required_column_names_the_column(session):
    hand = Hand(forms.BulkForm(session, campaign_id="VIP26")).upload(b"name\nAnn\n").press("preview")

    assert "needs a column member_id" in hand.said
    assert not hand.can("run")


def test_bulk_form_sends_nothing_until_bad_rows_are_left_out(session, service, members):
    rows = pd.DataFrame({"member_id": [*members.member_id.astype(str), "nobody", "1001"], "note": range(8)})
    hand = Hand(forms.BulkForm(session, rows, campaign_id="WELCOME26")).press("preview")
    assert "6 valid, 1 invalid, 1 duplicate" in hand.said
    assert [row[1] for row in hand.screen["tables"][0]["rows"][:2]] == ["invalid", "duplicate"]
    assert not hand.can("run")

    hand.press("back").type(leave_out="yes").press("preview").confirm("6").press("run")

    assert hand.notice["title"] == "Ended: 6 issued."
    assert hand.form.rejected[["member_id", "note", "outcome"]].to_numpy().tolist() == [
        ["nobody", 6, "left out"], ["1001", 7, "left out"],
    ]  # fmt: skip
    assert len(made_for(service, "WELCOME26")) == 6


def test_rejected_rows_are_saved_as_csv_with_the_reason(session, members, tmp_path):
    rows = pd.DataFrame({"member_id": [members.member_id[0], 99_999_999], "name": ["=1+1", "Zoë"]})
    hand = issue(session, rows, "WINBACK26")
    sent = []
    hand.form.send = lambda message, buffers: sent.append((message, buffers))
    hand.press("save")

    [(message, [content])] = sent
    (tmp_path / "rejected.csv").write_bytes(content)
    saved = read_csv(tmp_path / "rejected.csv", {"member_id": "Int64"})
    assert message["name"] == "rejected.csv"
    assert saved[["member_id", "name", "outcome"]].to_numpy().tolist() == [[99_999_999, "Zoë", "rejected"]]
    assert "Member not found" in saved.error[0]
    assert hand.notice["title"].startswith("1 rejected row handed")


def test_rejected_rows_with_naive_times_can_be_saved(tmp_path):
    frame = pd.DataFrame({"when": pd.to_datetime(["2027-01-01"]), "name": ["=cmd()"]})

    assert csv_bytes(frame).decode().splitlines()[1].startswith("2027-01-01")
    assert "\r\n" in csv_bytes(frame).decode()


def test_bulk_form_shows_progress(session, members):
    hand = Hand(forms.BulkForm(session, members[["member_id"]], campaign_id="VIP26"))
    seen = []
    hand.form.observe(lambda change: seen.append(dict(change.new)), "progress")
    hand.press("preview").confirm("6").press("run")

    assert seen[0] == {"done": 0, "total": 6, "unit": "row"}
    assert seen[-1] == {"done": 6, "total": 6, "unit": "row"}


def test_bulk_form_runs_once_when_pressed_twice(session, service, members):
    hand = Hand(forms.BulkForm(session, members[["member_id"]], campaign_id="SUMMER26", operation="issue"))
    hand.press("preview").confirm("6")
    turn = hand.screen["turn"]
    hand.press("run", turn=turn).press("run", turn=turn).press("run")

    assert len(session.runs()) == 1
    assert len(made_for(service, "SUMMER26")) == 6


def test_bulk_void_preview_shows_statuses_and_missing_states(session, service, members):
    issued = issue(session, members[["member_id"]].head(3), "TENCUPS").form.result
    session.void_offer_state(issued.member_id[0], issued.offer_state_id[0])
    wrong = issued.tail(1).assign(offer_state_id=999_999_999)
    hand = Hand(forms.BulkForm(session, pd.concat([issued, wrong], ignore_index=True), operation="void"))
    hand.press("preview")

    [table] = hand.screen["tables"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    assert [row["Verdict"] for row in rows] == ["not found", "valid", "valid", "valid"]
    assert [row["Status"] for row in rows] == ["", "voided", "incomplete", "incomplete"]
    assert "voided already" in rows[1]["Problem"]

    hand.press("back").type(leave_out="yes").press("preview").confirm("3").press("run")

    assert hand.notice["title"] == "Ended: 3 voided."
    assert made_for(service, "TENCUPS") == []
    assert hand.form.rejected.offer_state_id.tolist() == [999_999_999]


def test_bulk_form_shows_its_python_line(session, members):
    hand = Hand(forms.BulkForm(session, members[["member_id"]], campaign_id="VIP26")).type(reason="June")
    assert hand.screen["python"] == {
        "line": "result = session.issue_many(plan, campaign_id='VIP26', reason='June', confirm=...)", "ready": False,
    }  # fmt: skip
    hand.press("preview")

    assert hand.screen["python"]["line"].endswith("confirm=6)")
    assert hand.screen["python"]["ready"]


def test_bulk_form_passes_the_confirmation_on_production(service, members, tmp_path):
    with Session(
        "production", base_url=service.base_url, identity=service.identity.reveal(), key=service.key.reveal(),
        ledger=str(tmp_path / "ledger.db"),
    ) as session:  # fmt: skip
        hand = issue(session, members[["member_id"]], "WINBACK26")

        assert hand.screen["banner"] == "PRODUCTION"
        assert hand.notice["title"] == "Ended: 6 issued."


@pytest.mark.slow
def test_button_settles_unknown_rows(members, tmp_path):
    with (
        SandboxProcess.start(members=10, faults=LOST_AND_UNREADABLE) as broken,
        Session("sandbox", base_url=broken.base_url, identity=broken.identity.reveal(), key=broken.key.reveal(),
                ledger=str(tmp_path / "ledger.db")) as session,
    ):  # fmt: skip
        run = session.issue_many
        session.issue_many = lambda rows, **options: run(rows, **options, settle_pause=0.0)
        hand = issue(session, members[["member_id"]].head(2), "SUMMER26")
        assert hand.notice["kind"] in ("unknown", "refused")
        assert hand.can("settle")
        broken.set_faults({})
        hand.press("settle")

        assert hand.notice["title"] == "Ended: 2 issued."
        assert not hand.can("settle")
        assert len(made_for(broken, "SUMMER26")) == 2


def test_halted_bulk_run_shows_the_reason_and_keeps_results(tmp_path):
    refused = ScriptedResponse(403, {"error": "campaign is <b>not</b> yours"})
    with (
        ScriptedServer(answer=lambda _received: refused) as server,
        Session("sandbox", base_url=server.base_url, token="t", ledger=str(tmp_path / "l.db")) as session,
    ):
        rows = pd.DataFrame({"member_id": range(1, 401)})
        hand = issue(session, rows, "SUMMER26")

        assert "most rows fail" in hand.said
        assert len(hand.form.result) == 400
        assert len(hand.form.rejected)


def test_bulk_form_rejects_other_inputs_and_operations(session):
    with pytest.raises(InvalidInput, match="frame must be a DataFrame, not list"):
        forms.BulkForm(session, [1, 2])
    with pytest.raises(InvalidInput, match="operation 'redeem' has no bulk form"):
        forms.BulkForm(session, operation="redeem")


def test_change_of_the_frame_after_the_preview_is_not_sent(tmp_path):
    receipt = ScriptedResponse(201, {"offer_state": RECEIPT})
    with (
        ScriptedServer(receipt) as server,
        Session("sandbox", base_url=server.base_url, token="t", ledger=str(tmp_path / "l.db")) as session,
    ):
        rows = pd.DataFrame({"member_id": [2]})
        hand = Hand(forms.BulkForm(session, rows, campaign_id="SUMMER26")).press("preview")
        rows.loc[0, "member_id"] = 3
        hand.confirm("1").press("run")

        assert server.received[0].json["offer_state"]["member_id"] == 2


def test_progress_listener_gets_only_events_of_its_own_thread():
    heard = []
    with progress_told_to(lambda *told: heard.append(told)):
        with progress_bar(3, "label", "row", shown=True) as bar:
            bar.update(2)
            bar.update(0)
        other = threading.Thread(target=lambda: progress_bar(1, "x", "row", shown=False).close())
        other.start()
        other.join()

    assert heard == [(0, 3, "row"), (2, 3, "row")]
