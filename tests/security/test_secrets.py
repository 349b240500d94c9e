"""Token, identity and key are in no frame of an error, log, file, process or pickle."""

from __future__ import annotations

import http.client
import logging
import pickle
import sys

import joblib
import psutil
import pytest
from bulk_world import CALM, CAMPAIGN, dask_client, members, tiny_service
from form_hand import Hand
from scripted_server import VALUES, ScriptedResponse, ScriptedServer, success
from tracebacks import everything_about

from sparkfly_nb import LedgerError, SandboxError, Session, SparkflyError, forms
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.ledger.store import Ledger
from sparkfly_nb.bulk.records import Row
from sparkfly_nb.bulk.worker.messages import ListJob, SendJob, WorkerConfig
from sparkfly_nb.bulk.worker.send_shard import send_shard
from sparkfly_nb.errors import ConfigurationError
from sparkfly_nb.http.async_client import AsyncClientConfig
from sparkfly_nb.http.tokens import Tokens
from sparkfly_nb.sandbox.process import SandboxProcess
from sparkfly_nb.settings import Secret, Settings

SECRET = "5ecret"
GIVEN = {"token": "tok-5ecret-5ecret", "identity": "ident-5ecret-5ecret", "key": "key-5ecret-5ecret"}
OFFER_STATE_TOKEN = "b2ZmZXItc3RhdGU="
CREDENTIAL = "VK32A7"


def caught_from(make, *arguments, **named):
    """Return the error of a call. The frame of the test, with its variables, is not part of the traceback."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - any error
        make(*arguments, **named)
    return caught.value


# ---- frames of errors, which rich, IPython and pytest show with variables --------------------------------------------

REFUSED = [
    {"environment": "prod"}, {"environment": "sandbox"}, {"base_url": "http://api.example/v1.0"}, {"timeout": 0},
    {"tz": "Mars/Olympus"}, {"ledger": 5}, {"environment": 5}, {"token": "tok-5ecret\n"}, {"key": None},
    {"identity": "ident-5ecret "}, {"base_url": "https://[::1/v1.0"},
]  # fmt: skip


@pytest.mark.parametrize("make", [Session, Settings.make], ids=["Session", "Settings"])
@pytest.mark.parametrize("change", REFUSED, ids=repr)
def test_frames_of_an_invalid_session_contain_no_secret(change, make):
    error = caught_from(make, **{**GIVEN, **change})

    assert isinstance(error, ConfigurationError)
    assert SECRET not in everything_about(error)


def test_frames_of_an_invalid_environment_contain_no_secret(monkeypatch):
    for name, text in GIVEN.items():
        monkeypatch.setenv(f"SPARKFLY_{name.upper()}", text)
    monkeypatch.setenv("SPARKFLY_ENVIRONMENT", "prod")

    assert SECRET not in everything_about(caught_from(Session.from_env))


def test_frames_of_an_invalid_sandbox_session_contain_no_secret(monkeypatch):
    started, start = [], SandboxProcess.start

    def record(**options):
        started.append(start(**options))
        return started[0]

    monkeypatch.setattr(SandboxProcess, "start", record)
    shown = everything_about(caught_from(Session.sandbox, members=1, timeout=0))

    assert started[0].identity.reveal() not in shown
    assert started[0].key.reveal() not in shown


def test_frames_of_a_stopped_sandbox_contain_no_secret():
    with SandboxProcess.start(members=1) as sandbox:
        pass
    error = caught_from(sandbox.truth)

    assert isinstance(error, SandboxError)
    assert sandbox._admin_secret.reveal() not in everything_about(error)


@pytest.mark.parametrize("foreign", [MemoryError, RuntimeError, SystemExit])
def test_other_errors_in_a_call_lose_the_frames_with_the_headers(foreign, connect, monkeypatch):
    """For example MemoryError, or an error of a timer: neither an error of requests nor ours."""
    with ScriptedServer(answer=lambda _received: success(ENDPOINTS["get_offer_state"])) as server:
        transport = connect(server, token=GIVEN["token"])

        def fail(_self):
            raise foreign("in the middle")

        monkeypatch.setattr(http.client.HTTPConnection, "getresponse", fail)
        error = caught_from(transport.call, ENDPOINTS["get_offer_state"], **VALUES["get_offer_state"])

    assert type(error) is foreign
    assert SECRET not in everything_about(error)


BULK_ENDS = {
    "refused token": ScriptedResponse(401),
    "refused rows": ScriptedResponse(403, {"error": "no"}),
    "lost rows": ScriptedResponse(500, {"error": "no"}),
    "no JSON": ScriptedResponse(201, b"<html>"),
}


@pytest.mark.parametrize("end", BULK_ENDS.values(), ids=BULK_ENDS)
def test_frames_of_a_halted_bulk_call_contain_no_secret(end, tmp_path):
    with ScriptedServer(answer=lambda _received: end) as server:
        given = {**GIVEN, "identity": None, "key": None}
        retry = RetryPolicy(base_delay=0.01, max_delay=0.01)
        with Session(
            "sandbox", base_url=server.base_url, ledger=str(tmp_path / "ledger.db"), retry=retry, **given
        ) as session:
            try:
                session.issue_many(members([1, 2, 3]), CAMPAIGN, halt_above=0.0, canary=1, **CALM)
            except SparkflyError as error:
                shown = everything_about(error)
            else:
                pytest.fail("the call was not halted")

    assert SECRET not in shown


def test_frames_of_the_connect_form_contain_no_secret(sandbox_service, monkeypatch):
    hand = Hand(forms.Connect("sandbox", base_url=sandbox_service.base_url))
    hand.type(identity="given", key="given")
    hand.typed |= {"identity": GIVEN["identity"], "key": GIVEN["key"]}

    def fail(_self):
        raise MemoryError

    monkeypatch.setattr(Tokens, "current", fail)
    monkeypatch.setattr(hand.form, "_on_message", lambda *_arguments: None)
    hand.form._seen = hand.form._seen._replace(typed=dict(hand.typed))
    error = caught_from(hand.form._on_connect_pressed)

    assert SECRET not in everything_about(error)


# ---- logs ------------------------------------------------------------------------------------------------------------


def test_no_library_logs_a_secret_at_debug(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setitem(sys.modules, "uvloop", None)  # the loop of the standard library logs more
    for logger in (None, "sqlalchemy"):  # sets its own level
        caplog.set_level(logging.DEBUG, logger=logger)
    given = {"identity": GIVEN["identity"], "key": GIVEN["key"]}
    with tiny_service(tmp_path / "ledger.db", **given) as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(500) if number % 2 else None
        session.issue_many(members(range(1, 9)), CAMPAIGN, **CALM)
        session.list_many([1, 2], progress=False)
        session.list_offer_states(1)
        tokens = {text.headers.get("x-auth-token", "-" * 9) for _, text in service.asked}

    assert {record.name.partition(".")[0] for record in caplog.records} >= {"urllib3", "sqlalchemy", "asyncio"}
    assert SECRET not in caplog.text
    assert not [token for token in tokens if token in caplog.text]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("query_offer_states", {"token": OFFER_STATE_TOKEN}),
        ("query_offer_states", {"credential_identifier": CREDENTIAL}),
        ("create_offer_state", {"token": OFFER_STATE_TOKEN}),
        ("issue_offer_state", {"member_id": 2, "token": OFFER_STATE_TOKEN}),
        ("void_offer_state_by_identifier", {"offerstate_id": 7, "member_identifier": "person@example.org"}),
    ],
)
def test_no_log_shows_credentials_of_an_offer_state(name, values, connect, caplog):
    """The token of an offer state is enough to take it over, and urllib3 logs whole addresses at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(success(ENDPOINTS[name])) as server:
        connect(server).call(ENDPOINTS[name], **values)

    assert "?..." in caplog.text
    for text in (OFFER_STATE_TOKEN, "b2ZmZXItc3RhdGU", CREDENTIAL, "person"):
        assert text not in caplog.text


def test_log_lines_of_other_code_are_unchanged(caplog):
    caplog.set_level(logging.DEBUG)

    logging.getLogger("urllib3.connectionpool").debug('"%s %s"', "GET", "/theirs?page=2")

    assert "/theirs?page=2" in caplog.text


# ---- the password of a ledger ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["postgresql://team:5ecret@127.0.0.1:1/ledger", "postgresql://team@127.0.0.1:1/ledger?password=5ecret",
     "postgresql://team:5ecret@127.0.0.1:1/ledger?sslpassword=5ecret&connect_timeout=1"],
)  # fmt: skip
def test_the_password_of_a_ledger_is_never_shown(address, caplog):
    pytest.importorskip("psycopg")
    caplog.set_level(logging.DEBUG)
    ledger = Ledger(address)
    error = caught_from(ledger.all_runs)
    ledger.close()

    assert isinstance(error, LedgerError)
    assert SECRET not in f"{ledger} {error} {error!r} {caplog.text}"
    assert "127.0.0.1" in str(ledger)


# ---- files, processes, pickles, peers --------------------------------------------------------------------------------


def test_files_of_a_run_and_an_audit_contain_no_secret(tmp_path):
    given = {"identity": GIVEN["identity"], "key": GIVEN["key"]}
    with tiny_service(tmp_path / "ledger.db", **given) as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(422, {"error": "no"}) if number == 2 else None
        result = session.issue_many(members([1, 2, 3]), CAMPAIGN, halt_above=1.0, **CALM)
        audit = session.audit(campaign_id=CAMPAIGN, members=result, progress=False)
        audit.to_csv(tmp_path / "audit")
        audit.to_csv(tmp_path / "states.csv")
        shown = repr(audit) + audit._repr_html_() + repr(session) + session._repr_html_()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        leaks = [path.name for path in files if SECRET.encode() in path.read_bytes()]

    assert len(files) >= 9
    assert leaks == []
    assert SECRET not in shown


def test_a_worker_process_shows_no_token(tmp_path):
    seen = []

    def record_processes(_number, _record):
        if not seen:
            children = psutil.Process().children(recursive=True)
            seen.extend(" ".join(child.cmdline()) + repr(child.environ()) for child in children)

    with (
        tiny_service(tmp_path / "ledger.db", token=GIVEN["token"]) as (session, service),
        joblib.parallel_config("loky"),
    ):
        service.tokens = {GIVEN["token"]}
        service.on_issue = record_processes
        session.issue_many(members(range(1, 41)), CAMPAIGN, n_jobs=2, **CALM)

    assert seen
    assert not [text for text in seen if SECRET in text]


def test_objects_with_secrets_hide_them_and_cannot_be_pickled(connect):
    with ScriptedServer() as server:
        transport = connect(server, **GIVEN)
        session = Session("sandbox", base_url=server.base_url, **GIVEN)
        holders = [session, session.settings, session._client, session._tokens, transport._connection, session.forms(),
                   forms.IssueOffer(session), forms.BulkForm(session)]  # fmt: skip
        for holder in holders:
            assert SECRET not in f"{holder!r} {holder} {vars(holder) if hasattr(holder, '__dict__') else ''}"
            with pytest.raises((TypeError, AttributeError, ConfigurationError, pickle.PicklingError)):
                pickle.dumps(holder)
        session.close()


def job():
    config = AsyncClientConfig("http://127.0.0.1:1/v1.0", Secret(GIVEN["token"]), 1, 1, True)
    wiring = WorkerConfig(config, 1, None, RetryPolicy(), "none")
    return SendJob(wiring, "no such operation", 0, [Row(0, {"member_id": 1})]), ListJob(wiring, [1])


def test_the_repr_of_a_task_shows_no_token():
    for one in job():
        assert SECRET not in f"{one!r} {one} {one.config!r} {one.config}"


def test_a_dask_cluster_shows_no_token(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    with dask_client(n_workers=1, processes=False, protocol="tcp://") as client:
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("distributed"):
                monkeypatch.setattr(logging.getLogger(name), "propagate", True)
                caplog.set_level(logging.DEBUG, logger=name)
        future = client.submit(send_shard, (job()[0],))
        error = future.exception()
        tasks = [f"{task!r} {task.key} {task.run_spec!r}" for task in client.cluster.scheduler.tasks.values()]
        shown = [*tasks, repr(error), repr(future), repr(client.get_worker_logs()), caplog.text]

    assert isinstance(error, KeyError)
    assert any("Compute Failed" in text for text in shown), "older versions log the arguments"
    assert not [text for text in shown if SECRET in text]


def test_no_format_shows_a_secret():
    secret = Secret("5ecret")

    assert SECRET not in f"{secret} {secret!r} {secret!s:>20} {[secret]} { ({'key': secret}) }"
    assert not hasattr(secret, "__dict__")
