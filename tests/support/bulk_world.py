"""Helpers of the bulk tests: a sandbox that reports what really happened, a scripted service, and issuer processes.

An issuer is a separate process that runs one bulk call and can be killed. This file is also its program.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import joblib
import pandas as pd
import psutil
import pytest
from postgres import fresh_database, postgres_server
from sandboxes import start_sandbox
from scripted_server import ScriptedResponse, ScriptedServer

from sparkfly_nb import Session
from sparkfly_nb.api.retry_policy import RetryPolicy

CAMPAIGN = "SUMMER26"
SOON = "2030-06-01T00:00:00Z"
LATER = "2030-09-01T00:00:00Z"
#: Short delays, because tests do not wait for a real service to recover.
QUICK = RetryPolicy(base_delay=0.01, max_delay=0.1)
CALM = {"progress": False, "settle_pause": 0.05}
TIMEOUT = (2, 0.5)
PATIENCE_S = 60
#: Faults after which the response alone does not tell whether the request was carried out.
LOST = ("commit_then_drop", "commit_then_500", "commit_then_503", "commit_then_hang", "half_body", "unreadable_2xx",
        "wrong_content_type", "drop_before", "error_500_before", "status_503_bare")  # fmt: skip
#: Faults after which the request was certainly not carried out.
REFUSED = ("status_429", "status_429_date", "status_429_bare", "status_503", "status_401", "token_revoked")


# ---- ledgers ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres():
    with postgres_server() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request, tmp_path):
    """The address of an empty ledger, once in SQLite and once in PostgreSQL."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
    else:
        with fresh_database(request.getfixturevalue("postgres")) as address:
            yield address


# ---- the sandbox -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bulk_service():
    """One sandbox for each file, because every test reads everything that was created in it."""
    with start_sandbox(members=400, seed=3) as service:
        yield service


class World:
    """The sandbox as one test sees it: everything that happened since the test started."""

    def __init__(self, service, name):
        self.service = service
        self.member_ids = [member["member_id"] for member in service.members()]
        self.identifiers = [member["member_identifier"] for member in service.members()]
        truth = service.truth()
        self._first = 1 + max(state["offer_state_id"] for state in truth["offer_states"])
        self._before = Counter(truth["requests"])
        # References depend on the run's name, and other tests have issued in this sandbox before, so each test needs a
        # name of its own. The name is the same every time, because the contents of a request decide whether a fault
        # hits it.
        self.calm = {**CALM, "run": name}

    def session(self, ledger, *, timeout=TIMEOUT, **arguments):
        return Session("sandbox", **way_to(self.service), ledger=ledger, timeout=timeout, retry=QUICK, **arguments)

    def states(self):
        """Return the offer states that were created since the test started."""
        states = self.service.truth(generated=False)["offer_states"]
        return [state for state in states if state["offer_state_id"] >= self._first]

    def state(self, offer_state_id):
        return next(state for state in self.states() if state["offer_state_id"] == offer_state_id)

    def statuses(self, offer_state_ids):
        """Return the statuses of some of these offer states."""
        status_of = {state["offer_state_id"]: state["status"] for state in self.states()}
        return [status_of[key] for key in offer_state_ids]

    def requests(self, operation):
        """Return the number of requests for an operation since the test started."""
        return self.service.truth(generated=False)["requests"].get(operation, 0) - self._before[operation]

    def wait_for_requests(self, operation, number, unless=lambda: False):
        """Wait for a number of requests, or until `unless` is true."""
        until = time.monotonic() + PATIENCE_S
        while self.requests(operation) < number and not unless():
            assert time.monotonic() < until, f"{operation} was not requested {number} times"
            time.sleep(0.02)


@pytest.fixture
def world(bulk_service, request):
    yield World(bulk_service, request.node.name)
    bulk_service.set_faults({})


def way_to(service):
    """Return the arguments with which a Session reaches a sandbox."""
    return {"base_url": service.base_url, "identity": service.identity.reveal(), "key": service.key.reveal()}


def members(ids, **columns):
    return pd.DataFrame({"member_id": list(ids), **columns})


def assert_true(result, states):
    """Check every outcome of an issue against the store of the service."""
    made = {}
    for state in states:
        made.setdefault(state["external_ref_id"], []).append(state)
    for row in result.itertuples():
        there = made.pop(row.external_ref_id, [])
        ids = [state["offer_state_id"] for state in there]
        if row.outcome == "issued":
            assert row.offer_state_id in ids, row
            assert len(ids) == 1 or "duplicate" in str(row.error), (row, ids)
            assert there[0]["member_id"] == row.member_id, row
        else:
            assert row.outcome == "rejected", row
            assert not ids, row
    assert not made, f"nothing requested {made}"


@contextmanager
def dask_client(**arguments):
    """Start a Dask cluster on this machine. Its ports are free ones, so other clusters may run."""
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        # distributed leaves some of its sockets and event loops to the garbage collector when it starts and stops
        warnings.filterwarnings("ignore", category=ResourceWarning, module=r"(distributed|tornado|asyncio|socket)")
        with (
            distributed.LocalCluster(
                threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1", **arguments
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


# ---- a scripted service ----------------------------------------------------------------------------------------------


class TinyService:
    """A service in this process that issues, lists and queries. A test may change its responses."""

    def __init__(self):
        self.states = []
        self.asked = []
        self.tokens = {"given-token"}
        self.authentications = 0
        #: Called with (number of the issue, record). Its return value, if any, is sent instead of the receipt.
        self.on_issue = None
        self.lock = threading.Lock()

    def __call__(self, received):
        with self.lock:
            self.asked.append((time.monotonic(), received))
        path = urlsplit(received.target)
        if path.path == "/auth":
            self.authentications += 1
            token = f"token-{self.authentications}"
            self.tokens = {token}
            return ScriptedResponse(204, headers={"X-Auth-Token": token})
        if received.headers.get("x-auth-token") not in self.tokens:
            return ScriptedResponse(401)
        if received.method == "POST":
            return self._issue(received.json["offer_state"])
        query = {name: values[0] for name, values in parse_qs(path.query).items()}
        if "external_ref_id" in query:
            found = [state for state in self.states if state["external_ref_id"] == query["external_ref_id"]]
            return (
                ScriptedResponse(200, {"offer_state": found[0]})
                if found
                else ScriptedResponse(404, {"error": "OfferState not found"})
            )
        member_id = int(re.search(r"/members/(\d+)/", path.path)[1])
        listed = [{"offer_state": state} for state in self.states if state["member_id"] == member_id]
        if query.get("page", "1") != "1":
            listed = []
        counts = {"page": 1, "per_page": 5000, "total_entries": len(listed), "total_pages": 1}
        return ScriptedResponse(200, {**counts, "offer_states": listed})

    def _issue(self, asked):
        with self.lock:
            number = len(self.states) + 1
            record = {
                "offer_state_id": number,
                "member_id": asked.get("member_id") or int(asked["member_identifier"].rpartition("-")[2]),
                "offer_id": 301,
                "status": "incomplete",
                "campaign_xid": asked["campaign_id"],
                "external_ref_id": asked["external_ref_id"],
                "activates_at": asked.get("activates_at"),
                "expires_at": asked.get("expires_at"),
            }
            instead = self.on_issue(number, record) if self.on_issue else None
            if instead is None or getattr(instead, "commits", False):
                self.states.append(record)
        return instead or ScriptedResponse(201, {"offer_state": receipt_of(record)})

    def issues(self):
        """Return the time in seconds and the request of each issue."""
        return [(at, received) for at, received in self.asked if received.target.endswith("/issue")]


def receipt_of(record, **changes):
    receipt = {"id": record["offer_state_id"], **{name: record[name] for name in ("member_id", "offer_id")}}
    return {**receipt, "campaign_id": record["campaign_xid"], "credential_identifier": "VK32", **changes}


@contextmanager
def tiny_service(ledger, *, retry=QUICK, **arguments):
    """Open a Session on a `TinyService`."""
    service = TinyService()
    if "identity" not in arguments:
        arguments.setdefault("token", "given-token")
    with (
        ScriptedServer(answer=service) as server,
        Session(
            "sandbox", base_url=server.base_url, ledger=str(ledger), timeout=TIMEOUT, retry=retry, **arguments
        ) as session,
    ):
        service.server = server
        yield session, service


# ---- issuers in processes of their own -------------------------------------------------------------------------------


class Issuer:
    """A process that runs one bulk call and can be interrupted or killed."""

    def __init__(self, world, ledger, place, *, ids, backend=None, void_run=None, **arguments):
        self.result_path = Path(place) / f"result-{os.urandom(4).hex()}.pickle"
        task = {
            "way": way_to(world.service),
            "ledger": ledger,
            "ids": list(ids),
            "backend": backend,
            "void_run": void_run,
            "result": str(self.result_path),
            "arguments": {**(CALM if void_run else world.calm), **arguments},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        try:
            assert self.read_line() == "ready"
        except BaseException:
            self.__exit__()
            raise

    def read_line(self):
        return self.process.stdout.readline().strip()

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)  # as a terminal and Jupyter do

    def has_ended(self):
        return self.process.poll() is not None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def report(self):
        """Wait for the process to end, and return its report."""
        self.process.wait(PATIENCE_S)
        assert self.process.returncode == 0, self.process.returncode
        return pickle.loads(self.result_path.read_bytes())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _issue_in_this_process():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes of a shell ignore SIGINT
    task = json.loads(sys.stdin.readline())
    joblib.parallel_config(task["backend"]) if task["backend"] else None
    with Session("sandbox", **task["way"], ledger=task["ledger"], timeout=TIMEOUT, retry=QUICK) as session:
        session._tokens.current()
        before = _sockets(session)  # the Session's own, for single calls
        _write_line("ready")
        sys.stdin.readline()
        report = {}
        try:
            if task["void_run"]:
                report["result"] = session.void_run(task["void_run"], **task["arguments"])
            else:
                report["result"] = session.issue_many(members(task["ids"]), CAMPAIGN, **task["arguments"])
        except KeyboardInterrupt:
            report["interrupted"] = True
        report["threads"] = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        report["children"] = [" ".join(child.cmdline())[:300] for child in psutil.Process().children(recursive=True)]
        report["sockets"] = list(map(str, _sockets(session) - before))
        Path(task["result"]).write_bytes(pickle.dumps(report))


def _sockets(session):
    port = urlsplit(session.settings.base_url).port
    return {link for link in psutil.Process().net_connections() if link.raddr and link.raddr.port == port}


def _write_line(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _issue_in_this_process()
