"""The sandbox as a process: storage, access, start and stop."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest
from paths import SUPPORT
from sandbox_client import SandboxClient

from sparkfly_nb.errors import InvalidInput, SandboxError
from sparkfly_nb.sandbox import SandboxProcess
from sparkfly_nb.settings import Settings

pytestmark = pytest.mark.slow

NOON = dt.datetime(2026, 6, 30, 12, tzinfo=dt.timezone.utc)
PATIENCE_S = 60


def until(true, what):
    """Wait until a condition is true. The time limit only ends a failing test."""
    limit_s = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > limit_s:
            pytest.fail(f"{what} did not happen within {PATIENCE_S} s")
        time.sleep(0.02)


def accepts_connections(base_url):
    address = re.search(r"//([\d.]+):(\d+)", base_url)
    with socket.socket() as knock:
        return knock.connect_ex((address[1], int(address[2]))) == 0


# ---- storage ---------------------------------------------------------------------------------------------------------


def test_created_at_uses_the_sandbox_clock():
    with SandboxProcess.start(members=10, now=NOON) as sandbox, SandboxClient(sandbox) as client:
        created_at = client.state(1009, client.issue_new(1009))["created_at"]

    assert created_at.startswith("2026-06-30T12:0")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_database_file_keeps_members_states_credentials_and_tokens(end, tmp_path):
    db = tmp_path / "sandbox.db"
    with SandboxProcess.start(members=10, db=db) as first, SandboxClient(first) as client:
        state_id = client.issue_new(1009, external_ref_id="kept")
        token = client.session.headers["X-Auth-Token"]
        members, states = first.members(), first.truth()["offer_states"]
        if end == "kill":
            first._process.kill()
    with SandboxProcess.start(members=99, seed=99, db=db) as second, SandboxClient(second) as client:
        client.session.headers["X-Auth-Token"] = token
        kept = client.state(1009, state_id)
        same_credentials = (second.identity, second.key) == (first.identity, first.key)

        assert (kept["external_ref_id"], same_credentials) == ("kept", True)
        assert (second.members(), second.truth()["offer_states"]) == (members, states)


def test_database_file_is_private(tmp_path):
    db = tmp_path / "sandbox.db"

    SandboxProcess.start(members=1, db=db).stop()

    assert stat.S_IMODE(db.stat().st_mode) == 0o600


def test_tokens_expire_after_their_lifetime():
    with SandboxProcess.start(members=10, token_lifetime_s=0.2) as sandbox, SandboxClient(sandbox) as client:
        until(lambda: client.call("GET", "/members/1009/offer_states").status_code == 401, "the end of the token")
        client.authenticate()

        assert client.call("GET", "/members/1009/offer_states").status_code == 200


# ---- access ----------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_command_line_repr_or_pickle():
    with SandboxProcess.start(members=1) as sandbox:
        shown = f"{sandbox!r} {sandbox} {vars(sandbox)!r} {sandbox._process.args}"
        secrets = [sandbox.identity.reveal(), sandbox.key.reveal(), sandbox._admin_secret.reveal()]

        assert not [secret for secret in secrets if secret in shown]
        with pytest.raises(SandboxError):
            pickle.dumps(sandbox)


def test_sandbox_binds_only_loopback():
    with SandboxProcess.start(members=1) as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")
        assert accepts_connections(sandbox.base_url)
        assert not accepts_connections(sandbox.base_url.replace("127.0.0.1", "127.0.0.2"))


def test_sandbox_is_outside_the_process_group_of_the_caller():
    with SandboxProcess.start(members=1) as sandbox:
        assert os.getpgid(sandbox._process.pid) != os.getpgid(0)


ISSUES = """
import sys
from types import SimpleNamespace
from sandbox_client import SandboxClient
from sparkfly_nb.settings import Secret
base_url, identity, key = sys.stdin.readline().split()
service = SimpleNamespace(base_url=base_url, identity=Secret(identity), key=Secret(key))
with SandboxClient(service) as client:
    print("ready", flush=True)
    for row in range(int(sys.argv[2])):
        client.issue(member_id=1009, external_ref_id=f"{sys.argv[1]}-{row}")
"""


def issuing(sandbox, name, count):
    process = subprocess.Popen(
        [sys.executable, "-c", ISSUES, name, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )  # fmt: skip
    process.stdin.write(f"{sandbox.base_url} {sandbox.identity.reveal()} {sandbox.key.reveal()}\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def test_killed_client_process_does_not_disturb_others():
    with SandboxProcess.start(members=10) as sandbox:
        processes = [issuing(sandbox, name, 100) for name in ("a", "b")]
        with issuing(sandbox, "endless", 1_000_000) as victim:
            victim.kill()
        for process in processes:
            process.communicate(timeout=PATIENCE_S)
        references = [state["external_ref_id"] for state in sandbox.truth(generated=False)["offer_states"]]

    wanted = {f"{name}-{row}" for name in ("a", "b") for row in range(100)}
    assert wanted <= set(references)
    assert len(references) == len(set(references))


# ---- start and stop --------------------------------------------------------------------------------------------------


def test_second_stop_does_nothing():
    sandbox = SandboxProcess.start(members=1)
    sandbox.stop()
    sandbox.stop()

    assert not sandbox.is_running
    assert sandbox._process.returncode == 0
    with pytest.raises(SandboxError, match="has stopped"):
        sandbox.truth()


def test_sandbox_stops_when_its_parent_is_killed():
    starter = (
        "import time; from sparkfly_nb.sandbox import SandboxProcess;"
        "print(SandboxProcess.start(members=1).base_url, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as parent:
        base_url = parent.stdout.readline().strip()
        running = accepts_connections(base_url)
        parent.kill()

    assert running
    until(lambda: not accepts_connections(base_url), "the end of the sandbox")


def test_sandbox_stops_with_a_script_that_does_not_stop_it():
    script = "from sparkfly_nb.sandbox import SandboxProcess as S; kept = S.start(members=1); print(kept.base_url)"
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )

    assert ended.stderr == ""
    assert not accepts_connections(ended.stdout.strip())


def test_sandbox_that_cannot_start_reports_the_reason(tmp_path):
    no_database = tmp_path / "notes.txt"
    no_database.write_text("These are notes, and they are long enough to be taken for a database by their length." * 20)

    with pytest.raises(SandboxError, match="not a database"):
        SandboxProcess.start(db=no_database)
    with pytest.raises(SandboxError, match="No such file"):
        SandboxProcess.start(db=tmp_path / "missing" / "sandbox.db")
    with pytest.raises(SandboxError, match="startup_timeout_s"):
        SandboxProcess.start(startup_timeout_s=0.0)
    with pytest.raises(InvalidInput, match="offset"):
        SandboxProcess.start(now=dt.datetime(2026, 1, 1))


def test_two_sandboxes_do_not_share_a_file_or_a_port(tmp_path):
    db = tmp_path / "sandbox.db"
    with SandboxProcess.start(members=1, db=db) as first:
        port = int(first.base_url.split(":")[2].partition("/")[0])

        with pytest.raises(SandboxError, match="another sandbox"):
            SandboxProcess.start(db=db)
        with pytest.raises(SandboxError, match="cannot listen"):
            SandboxProcess.start(members=1, port=port)


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_the_connection_and_stops_on_signal(by):
    command = [
        sys.executable,
        "-m",
        "sparkfly_nb.sandbox",
        "--members",
        "10",
        "--fault",
        "get_offer_state:status_401=1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = ""
        while "Ctrl-C" not in printed:
            printed += process.stdout.readline()
        settings = Settings.make(
            **Settings.arguments_from(dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE)))
        )
        with SandboxClient(settings) as client:
            statuses = [client.call("GET", f"/members/1009/offer_states{end}").status_code for end in ("", "/1")]
        process.send_signal(by)
        process.stdout.read()

    assert "Only this machine" in printed
    assert statuses == [200, 401]
    assert process.returncode == 0


@pytest.mark.parametrize("option", ["--now=yesterday", "--now=2026-01-01T00:00:00", "--fault=half_body"])
def test_command_rejects_invalid_options(option):
    ended = subprocess.run(
        [sys.executable, "-m", "sparkfly_nb.sandbox", option], capture_output=True, timeout=PATIENCE_S, check=False
    )

    assert ended.returncode == 2


def test_command_prints_the_openapi_description():
    ended = subprocess.run(
        [sys.executable, "-m", "sparkfly_nb.sandbox", "--describe"], capture_output=True, timeout=PATIENCE_S, check=True
    )

    assert json.loads(ended.stdout)["openapi"].startswith("3.")
