"""The sandbox and the forms are reachable from this machine alone, and only with the token."""

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
CONTROL_API = [("GET", "members"), ("GET", "merchant"), ("GET", "truth"), ("POST", "faults"), ("POST", "expire_tokens"),
             ("POST", "refuse_connections")]  # fmt: skip
START_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess.start(members=10) as service:
        yield service


@pytest.fixture
def outsider():
    """Another user of this machine, who knows the address."""
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
def test_the_sandbox_rejects_requests_without_a_token(name, token, sandbox, outsider):
    before = sandbox.truth()["offer_states"]
    headers = {} if token is None else {"X-Auth-Token": token}
    response = outsider.request(
        ENDPOINTS[name].method, sandbox.base_url + PATHS[name], headers=headers, timeout=10,
        json={"offer_state": {"campaign_id": "SUMMER26", "member_id": 1009}},
    )  # fmt: skip

    assert (response.status_code, response.content) == (401, b"")
    assert sandbox.truth()["offer_states"] == before


@pytest.mark.parametrize("secret", [None, "", "x"])
@pytest.mark.parametrize(("method", "name"), CONTROL_API)
def test_the_control_api_rejects_requests_without_its_secret(method, name, secret, sandbox, outsider):
    headers = {} if secret is None else {"X-Sandbox-Secret": secret}
    response = outsider.request(method, f"{root_of(sandbox)}/_sandbox/{name}", headers=headers, timeout=10)

    assert response.status_code == 403
    assert sandbox.is_running


def test_a_client_token_does_not_open_the_control_api(sandbox, outsider):
    given = {"X-Auth-Identity": sandbox.identity.reveal(), "X-Auth-Key": sandbox.key.reveal()}
    token = outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10).headers["X-Auth-Token"]
    for headers in (given, {"X-Auth-Token": token, "X-Sandbox-Secret": token}):
        assert outsider.get(f"{root_of(sandbox)}/_sandbox/truth", headers=headers, timeout=10).status_code == 403


@pytest.mark.parametrize("given", [{}, {"X-Auth-Identity": "sandbox"}, {"X-Auth-Identity": "a", "X-Auth-Key": ""}])
def test_the_sandbox_issues_no_token_without_the_key(given, sandbox, outsider):
    response = outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10)

    assert response.status_code == 401
    assert "X-Auth-Token" not in response.headers


def test_a_token_is_valid_for_one_sandbox(sandbox, outsider):
    with SandboxProcess.start(members=1) as other:
        given = {"X-Auth-Identity": other.identity.reveal(), "X-Auth-Key": other.key.reveal()}
        token = outsider.post(root_of(other) + "/auth", headers=given, timeout=10).headers["X-Auth-Token"]
        assert outsider.post(root_of(sandbox) + "/auth", headers=given, timeout=10).status_code == 401

    response = outsider.get(sandbox.base_url + PATHS["list_offer_states"], headers={"X-Auth-Token": token}, timeout=10)
    assert response.status_code == 401


def test_the_sandbox_refuses_cross_origin_requests(sandbox, outsider):
    """A browser sends OPTIONS first if a script of another site sets the token header."""
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
              "Access-Control-Request-Headers": "x-auth-token", "Host": "evil.example"}  # fmt: skip
    for path in ("/auth", "/v1.0" + PATHS["issue_offer"], "/_sandbox/truth"):
        response = outsider.options(root_of(sandbox) + path, headers=asking, timeout=10)

        assert response.status_code == 405
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "start",
    [[], ["--port=0", "--members=5"]],
)
def test_a_sandbox_from_the_shell_listens_on_loopback(start):
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
    """Return the command line, which other users can see, and the environment, which the owner can see."""
    process = psutil.Process(pid)
    return " ".join(process.cmdline()), repr(process.environ())


def test_no_process_list_shows_sandbox_secrets(sandbox):
    shown = "".join(process_shows(sandbox._process.pid))
    secrets = [sandbox.identity.reveal(), sandbox.key.reveal(), sandbox._admin_secret.reveal()]

    assert listening(sandbox._process.pid) == {"127.0.0.1"}
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.skipif(os.name != "posix", reason="needs /proc")
def test_the_secrets_of_a_sandbox_use_an_anonymous_pipe(sandbox):
    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    for number in (0, 1):
        link = Path(f"/proc/{sandbox._process.pid}/fd/{number}").readlink()
        assert str(link).startswith("pipe:"), "an anonymous pipe, which others cannot open"


@pytest.mark.parametrize(
    ("headers", "body"),
    [({}, b"x" * 3_000_000), ({"X-Filler": "x" * 100_000}, b""), ({f"X-{at}": "x" for at in range(5_000)}, b"")],
    ids=["body", "header", "headers"],
)
def test_the_sandbox_survives_a_huge_request(headers, body, sandbox, outsider):
    try:
        status = outsider.post(root_of(sandbox) + "/auth", headers=headers, data=body, timeout=10).status_code
    except requests.ConnectionError:
        status = 400

    assert 400 <= status < 500
    assert sandbox.truth(generated=False)["offer_states"] == []


# ---- the forms -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def console():
    """Start the forms as ``make console`` does, without a browser and on another port."""
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
        until = time.monotonic() + START_TIMEOUT_S
        while f":{port}/" not in told and time.monotonic() < until and process.poll() is None:
            told += process.stderr.readline()
        yield process, port, told
    finally:
        process.terminate()
        process.stderr.close()
        process.wait()


def test_the_console_listens_on_loopback(console):
    process, _port, _told = console

    assert listening(process.pid) == {"127.0.0.1"}


def test_the_console_needs_a_token(console, outsider):
    _process, port, told = console
    for path in ("/", "/voila/render/05_forms.ipynb", "/api/kernels", "/files/05_forms.ipynb"):
        response = outsider.get(f"http://127.0.0.1:{port}{path}", timeout=30, allow_redirects=False)
        assert response.status_code in (302, 401, 403, 404), (path, response.status_code)
        assert "login" in response.headers.get("Location", "login")
    assert "?token=" in told


def test_make_lab_keeps_the_token_of_jupyterlab():
    """By default, JupyterLab listens on localhost and creates a token."""
    line = re.search(r"-m jupyterlab .*", (ROOT / "Makefile").read_text())[0]

    assert not re.search(r"--ip|--no-auth|token|password|allow", line)
