"""The sandbox and the page of forms serve this machine alone, and on it only who holds the token."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests
from paths import ROOT

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.sandbox.process import SandboxProcess

PATHS = {
    name: endpoint.path.format(member_id=1009, offerstate_id=1, offer_id=301) for name, endpoint in ENDPOINTS.items()
}
BACK_DOOR = [("GET", "members"), ("GET", "merchant"), ("GET", "truth"), ("POST", "faults"), ("POST", "expire_tokens"),
             ("POST", "refuse_connections")]  # fmt: skip
PATIENCE_S = 60


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess.start(members=10) as service:
        yield service


@pytest.fixture
def outsider():
    """Somebody else on this machine: they know the address, which anybody can find out."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def root_of(sandbox):
    return sandbox.base_url.removesuffix("/v1.0")


def listening(pid):
    return {
        link.laddr.ip
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for link in process.net_connections()
        if link.status == psutil.CONN_LISTEN
    }


# ---- the sandbox -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "x", "None", "\xff" * 10, "0" * 8000], ids=repr)
@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_nothing_is_done_for_who_has_no_token(name, token, sandbox, outsider):
    before = sandbox.truth()["offer_states"]
    headers = {} if token is None else {"X-Auth-Token": token}
    answer = outsider.request(
        ENDPOINTS[name].method, sandbox.base_url + PATHS[name], headers=headers, timeout=10,
        json={"offer_state": {"campaign_id": "SUMMER26", "member_id": 1009}},
    )  # fmt: skip

    assert (answer.status_code, answer.content) == (401, b"")
    assert sandbox.truth()["offer_states"] == before


@pytest.mark.parametrize("secret", [None, "", "x"])
@pytest.mark.parametrize(("method", "name"), BACK_DOOR)
def test_the_back_door_is_shut_for_who_has_no_secret(method, name, secret, sandbox, outsider):
    headers = {} if secret is None else {"X-Sandbox-Secret": secret}
    answer = outsider.request(method, f"{root_of(sandbox)}/_sandbox/{name}", headers=headers, timeout=10)

    assert answer.status_code == 403
    assert sandbox.is_running


def test_the_token_of_a_client_opens_no_back_door(sandbox, outsider):
    given = {"X-Auth-Identity": sandbox.identity.reveal(), "X-Auth-Key": sandbox.key.reveal()}
    token = outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10).headers["X-Auth-Token"]
    for headers in (given, {"X-Auth-Token": token, "X-Sandbox-Secret": token}):
        assert outsider.get(f"{root_of(sandbox)}/_sandbox/truth", headers=headers, timeout=10).status_code == 403


@pytest.mark.parametrize("given", [{}, {"X-Auth-Identity": "sandbox"}, {"X-Auth-Identity": "a", "X-Auth-Key": ""}])
def test_no_token_is_given_without_the_key(given, sandbox, outsider):
    answer = outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10)

    assert answer.status_code == 401
    assert "X-Auth-Token" not in answer.headers


def test_the_token_of_one_sandbox_is_good_for_no_other(sandbox, outsider):
    with SandboxProcess.start(members=1) as other:
        given = {"X-Auth-Identity": other.identity.reveal(), "X-Auth-Key": other.key.reveal()}
        token = outsider.post(root_of(other) + "/auth", headers=given, timeout=10).headers["X-Auth-Token"]
        assert outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10).status_code == 401

    answer = outsider.get(sandbox.base_url + PATHS["list_offer_states"], headers={"X-Auth-Token": token}, timeout=10)
    assert answer.status_code == 401


def test_a_page_in_the_browser_is_not_allowed_to_ask(sandbox, outsider):
    """Another site's script would first have to ask with OPTIONS, for the header that carries the token."""
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
              "Access-Control-Request-Headers": "x-auth-token", "Host": "evil.example"}  # fmt: skip
    for path in ("/auth", "/v1.0" + PATHS["issue_offer"], "/_sandbox/truth"):
        answer = outsider.options(root_of(sandbox) + path, headers=asking, timeout=10)

        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "start",
    [[], ["--port=0", "--members=5"]],
)
def test_what_is_started_by_hand_listens_on_loopback_and_says_so(start):
    command = [sys.executable, "-u", "-m", "sparkfly_nb.sandbox", *start]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        printed = ""
        while "Ctrl-C" not in printed:
            printed += process.stdout.readline()
        bound = listening(process.pid)
        key = re.search(r"SPARKFLY_KEY=(\S+)", printed)[1]
        command_line, environment = process_shows(process.pid)
        process.terminate()
        process.stdout.read()

    assert bound == {"127.0.0.1"}
    assert "bound to 127.0.0.1. Only this machine can reach it." in printed
    assert key not in command_line + environment


def process_shows(pid):
    """What other users can see of a process, and what only its owner can."""
    process = psutil.Process(pid)
    return " ".join(process.cmdline()), repr(process.environ())


def test_no_process_list_shows_what_a_sandbox_is_used_with(sandbox):
    shown = "".join(process_shows(sandbox._process.pid))
    secrets = [sandbox.identity.reveal(), sandbox.key.reveal(), sandbox._admin_secret.reveal()]

    assert listening(sandbox._process.pid) == {"127.0.0.1"}
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.skipif(os.name != "posix", reason="pipes have other names elsewhere")
def test_the_pipe_that_tells_the_secrets_can_be_opened_by_nobody_else(sandbox):
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    for number in (0, 1):
        link = Path(f"/proc/{sandbox._process.pid}/fd/{number}").readlink()
        assert str(link).startswith("pipe:"), "an anonymous pipe, no file that others could open"


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, b"x" * 3_000_000), ({"X-Filler": "x" * 100_000}, b""), ({f"X-{at}": "x" for at in range(5_000)}, b"")],
    ids=["body", "header", "headers"],
)
def test_a_request_that_is_too_large_is_refused_and_the_sandbox_goes_on(headers, body, sandbox, outsider):
    try:
        status = outsider.post(root_of(sandbox) + "/auth", headers=headers, data=body, timeout=10).status_code
    except requests.ConnectionError:
        status = 400

    assert 400 <= status < 500
    assert sandbox.truth(generated=False)["offer_states"] == []


# ---- the page of forms -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def console():
    """The page as ``make console`` serves it, without a browser, on a port of its own."""
    pytest.importorskip("voila")
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    said = subprocess.run([make, "-n", "-C", ROOT, "console"], capture_output=True, text=True, check=True).stdout
    [line] = [line for line in said.splitlines() if "-m voila" in line]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    arguments = [*line.partition(" -m voila ")[2].split(), "--no-browser", f"--port={port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "voila", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        told = ""
        until = time.monotonic() + PATIENCE_S
        while f":{port}/" not in told and time.monotonic() < until and process.poll() is None:
            told += process.stderr.readline()
        yield process, port, told
    finally:
        process.terminate()
        process.stderr.close()
        process.wait()


def test_the_page_is_served_to_this_machine_alone(console):
    process, _port, _told = console

    assert listening(process.pid) == {"127.0.0.1"}


def test_the_page_is_served_only_to_who_has_the_token(console, outsider):
    _process, port, told = console
    for path in ("/", "/voila/render/05_forms.ipynb", "/api/kernels", "/files/05_forms.ipynb"):
        answer = outsider.get(f"http://127.0.0.1:{port}{path}", timeout=30, allow_redirects=False)
        assert answer.status_code in (302, 401, 403, 404), (path, answer.status_code)
        assert "login" in answer.headers.get("Location", "login")
    assert "?token=" in told


def test_the_notebooks_are_served_by_a_server_that_keeps_its_own_token():
    """JupyterLab listens on localhost and makes a token by itself, as long as nothing here tells it otherwise."""
    line = re.search(r"-m jupyterlab .*", (ROOT / "Makefile").read_text())[0]

    assert not re.search(r"--ip|--no-auth|token|password|allow", line)
