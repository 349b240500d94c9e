"""Tests of the command line: the folder, the printed text, and the exit code."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

from sparkfly_nb import __main__ as command
from sparkfly_nb import read_audit
from sparkfly_nb.sandbox.process import SandboxProcess


@pytest.fixture(scope="module")
def service():
    with SandboxProcess.start(members=20, seed=2) as started:
        yield started


@pytest.fixture
def connection(service, monkeypatch, tmp_path):
    variables = {
        "SPARKFLY_ENVIRONMENT": "sandbox",
        "SPARKFLY_BASE_URL": service.base_url,
        "SPARKFLY_IDENTITY": service.identity.reveal(),
        "SPARKFLY_KEY": service.key.reveal(),
        "SPARKFLY_LEDGER": str(tmp_path / "ledger.db"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def members_of(service, tmp_path, choose):
    """Write a plan of the members that are chosen by their number of open or redeemed offer states."""
    now = service.truth()["now"]
    live = {member["member_id"]: 0 for member in service.members()}
    for state in service.truth()["offer_states"]:
        if state["campaign_xid"] == "SUMMER26":
            counted = state["status"] == "redeemed" or (
                state["status"] != "voided" and state["effective_expires_at"] > now
            )
            live[state["member_id"]] += counted
    path = tmp_path / "members.csv"
    pd.DataFrame({"member_id": [member for member, number in live.items() if choose(number)]}).to_csv(path, index=False)
    return str(path)


def test_clean_campaign_exits_with_0(service, connection, tmp_path, capsys):
    members = members_of(service, tmp_path, lambda number: number == 1)

    code = command.main(["audit", members, "--campaign", "SUMMER26", "--out", str(tmp_path / "audit")])

    assert code == 0
    assert "exceptions: none" in capsys.readouterr().out
    assert read_audit(tmp_path / "audit").complete


def test_exceptions_exit_with_1(service, connection, tmp_path, capsys):
    members = members_of(service, tmp_path, lambda number: number != 1)

    code = command.main(["audit", members, "--campaign=41", f"--out={tmp_path / 'audit'}", "--tz=Europe/Berlin"])

    assert code == 1
    assert " missing" in capsys.readouterr().out
    assert str(read_audit(tmp_path / "audit").metadata.tz) == "Europe/Berlin"


def test_incomplete_audit_is_written_and_exits_with_2(connection, tmp_path, capsys):
    (tmp_path / "members.csv").write_text("member_id\n1001\n999999\n")

    code = command.main(["audit", str(tmp_path / "members.csv"), "--campaign=SUMMER26", f"--out={tmp_path / 'audit'}"])

    assert code == 2
    assert "INCOMPLETE: 1 of 2 members" in capsys.readouterr().out
    assert not read_audit(tmp_path / "audit").complete


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "none.csv", "--out=audit"], "cannot read none.csv"),
        (["audit", "--run=never", "--out=audit"], "never"),
        (["audit", "--out=audit"], "audit needs members= or run="),
        (["audit", "none.csv", "--tz=Mars/Base", "--out=audit"], "not a time zone"),
        (["verify", "none"], "not an audit"),
    ],
)
def test_failure_exits_with_2_and_a_reason(connection, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)

    code = command.main(arguments)

    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "audit").exists()


def test_missing_credentials_name_the_variables_to_set(tmp_path, capsys):
    assert command.main(["audit", "members.csv", f"--out={tmp_path}"]) == 2
    assert "SPARKFLY_TOKEN" in capsys.readouterr().err


def test_verify_exits_with_0_for_an_unchanged_folder_otherwise_2(service, connection, tmp_path, capsys):
    members, folder = members_of(service, tmp_path, lambda number: number == 1), tmp_path / "audit"
    command.main(["audit", members, "--campaign=SUMMER26", f"--out={folder}"])

    unchanged = command.main(["verify", str(folder)])
    (folder / "states.csv").write_text("")
    damaged = command.main(["verify", str(folder)])

    assert (unchanged, damaged) == (0, 2)
    assert "states.csv: changed" in capsys.readouterr().err


def test_python_exception_exits_with_2_not_1(connection, tmp_path, monkeypatch, capsys):
    def crash(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(command.Session, "audit", crash)

    assert command.main(["audit", "members.csv", f"--out={tmp_path}"]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_module_runs_as_a_program_and_shows_no_secret(service, connection, tmp_path):
    members = members_of(service, tmp_path, lambda number: number == 1)

    done = subprocess.run(
        [sys.executable, "-m", "sparkfly_nb", "audit", members, "--campaign=SUMMER26", f"--out={tmp_path / 'audit'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **connection},
    )

    assert done.returncode == 0, done.stderr
    assert connection["SPARKFLY_KEY"] not in done.stdout + done.stderr
    assert not done.stderr
