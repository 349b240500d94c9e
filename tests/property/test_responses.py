"""For any response, single calls return their frame or raise a SparkflyError, and bulk rows get their true outcome."""

from __future__ import annotations

import asyncio
import json
import pickle
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import pandas as pd
import pytest
from any_response import JSON, RIGHT, STATUSES, bodies
from bulk_world import CAMPAIGN, assert_true, members, tiny_service
from depth import examples
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import VALUES, ScriptedResponse, ScriptedServer

from sparkfly_nb import Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.engine.reconcile import Proof, mismatch_of, prove, shows
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.records import Row
from sparkfly_nb.bulk.worker import list_shard, send_shard
from sparkfly_nb.bulk.worker.cancellation import Deadline
from sparkfly_nb.bulk.worker.messages import ListJob, SendJob, WorkerConfig
from sparkfly_nb.errors import (
    API_ERRORS,
    ApiError,
    DataWarning,
    OutcomeUnknown,
    RateLimited,
    RequestFailed,
    ServerError,
    SparkflyError,
)
from sparkfly_nb.frames.builder import empty_frame, join_parts
from sparkfly_nb.http import redaction, sync_connection
from sparkfly_nb.http.async_client import AsyncClientConfig, AsyncResponse, RequestNotSent, ResponseLost
from sparkfly_nb.schema import OFFER_STATE, OUTCOMES, RECEIPT, RESULT, VOIDED
from sparkfly_nb.settings import Secret

COLUMNS = {"receipt": RECEIPT, "offer_state": OFFER_STATE, "offer_states": OFFER_STATE, "nothing": VOIDED}
NO_PAUSE = RetryPolicy(attempts=2, base_delay=0, max_delay=0)
SECRET = Secret("given-token")


# ---- single calls ----------------------------------------------------------------------------------------------------


class ScriptedConnection:
    """Replaces the connections, and returns one response to each request."""

    is_closed = False

    def __init__(self):
        self.response = None
        self.requests = 0

    def ensure_open(self):
        pass

    def close(self):
        pass

    def attempt(self, request, base_url, secrets):
        self.requests += 1
        if self.response.status < 300:
            return self.response
        return self.response._replace(body=redaction.cleared(self.response.body, secrets.values()))


@pytest.fixture(scope="module")
def scripted():
    with Session("sandbox", base_url="http://127.0.0.1:9/v1.0", token="given-token", retry=NO_PAUSE) as session:
        session._client._connection = session._client._sender._connection = connection = ScriptedConnection()
        yield session, connection


def assert_promised(frame, table):
    pd.testing.assert_series_equal(frame.dtypes[: len(table)], empty_frame(table).dtypes)


def call(session, name):
    """Return the frame or the SparkflyError of a single call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            return getattr(session, name)(**VALUES[name]), None
        except SparkflyError as error:
            return None, error


@pytest.mark.parametrize("name", list(ENDPOINTS))
@examples(60)
@given(data=st.data(), status=STATUSES, retry_after=st.none() | st.sampled_from(("1", "0", "soon", "-1")))
def test_a_single_call_returns_its_frame_or_our_error(scripted, name, data, status, retry_after):
    session, connection = scripted
    endpoint = ENDPOINTS[name]
    connection.response = sync_connection.Response(
        status, {"Retry-After": retry_after} if retry_after else {}, data.draw(bodies(endpoint.answer))
    )
    connection.requests = 0

    frame, error = call(session, name)

    if error:
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        str(error).encode()
        assert_right_error(error, endpoint, status, waits=retry_after in ("0", "1"))
    else:
        assert status in (200, 201) or (endpoint.effect == "void" and status in (204, 422))
        assert_promised(frame, COLUMNS[endpoint.answer])
        assert len(frame) == 1 or endpoint.effect == "read"
    if endpoint.effect == "change" and status not in (429, 503):
        assert connection.requests == 1


def assert_right_error(error, endpoint, status, *, waits):
    if status == 429:
        assert isinstance(error, RateLimited)
    elif 400 <= status < 500 and (status != 408 or endpoint.effect == "read"):
        assert type(error) is API_ERRORS.get(status, ApiError)
        assert error.status == status
    elif endpoint.effect == "change":
        assert isinstance(error, ServerError if status == 503 and waits else OutcomeUnknown)
        assert error.status == status
    else:
        assert isinstance(error, (RequestFailed, ApiError))
        assert not isinstance(error, ApiError) or error.status == status


@examples(40)
@given(endpoint=st.sampled_from(list(ENDPOINTS.values())))
def test_a_valid_response_is_always_read(scripted, endpoint):
    session, connection = scripted
    connection.response = sync_connection.Response(endpoint.success, {}, json.dumps(RIGHT[endpoint.answer]).encode())

    frame, _ = call(session, endpoint.name)

    assert frame["offer_state_id"].tolist() == [7]


@examples(40)
@given(data=st.data(), endpoint=st.sampled_from(list(ENDPOINTS.values())))
def test_a_call_over_http_returns_its_frame_or_our_error(echo, data, endpoint):
    session, server = echo
    server.body = data.draw(bodies(endpoint.answer))
    server.status = data.draw(st.sampled_from((200, 201, 400, 403, 404, 409, 422)))

    frame, error = call(session, endpoint.name)

    if error:
        assert_right_error(error, endpoint, server.status, waits=False)
    else:
        assert_promised(frame, COLUMNS[endpoint.answer])


@pytest.fixture(scope="module")
def echo():
    def answer(_received):
        return ScriptedResponse(server.status, server.body)

    with (
        ScriptedServer(answer=answer) as server,
        Session("sandbox", base_url=server.base_url, token="given-token", retry=NO_PAUSE) as session,
    ):
        yield session, server


# ---- one shard -------------------------------------------------------------------------------------------------------

ROWS = {
    "issue": {
        "campaign_id": "SUMMER26",
        "member_id": 2,
        "external_ref_id": "r-1",
        "expires_at": "2030-01-01T00:00:00Z",
    },
    "issue by identifier": {"campaign_id": "SUMMER26", "member_identifier": "m-2", "external_ref_id": "r-1"},
    "void": {"member_id": 2, "offerstate_id": 7},
    "void by identifier": {"member_identifier": "m-2", "offerstate_id": 7},
    "update": {"member_id": 2, "offerstate_id": 7, "value": 5, "expires_at": "2030-01-01T00:00:00Z", "locked": True},
    "redeem": {"member_id": 2, "offerstate_id": 7},
}


class ScriptedClient:
    """Replaces a worker's client: returns the steps in turn, and repeats the last one."""

    def __init__(self, steps):
        self.steps = list(steps)
        self.paths = []

    async def send(self, request):
        self.paths.append(request.path)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        status, body, retry_after_s = step
        return AsyncResponse(status, redaction.recordable(request.method, status, body, SECRET), retry_after_s)


def run_shard(work, job, steps, monkeypatch):
    client = ScriptedClient(steps)

    @asynccontextmanager
    async def open_client(_config):
        yield client

    for module in (send_shard, list_shard):
        monkeypatch.setattr(module, "open_client", open_client)
    report = asyncio.run(work(job, Deadline("nobody", 60)))
    return report, client


def worker():
    return WorkerConfig(AsyncClientConfig("http://127.0.0.1:9/v1.0", SECRET, 1, 1, True), 1, None, NO_PAUSE, "nobody")


def steps(kind):
    responses = st.tuples(STATUSES, bodies(kind), st.sampled_from((None, None, None, 0.0)))
    return responses | st.sampled_from((ResponseLost("it broke"), RequestNotSent("no connection")))


@pytest.mark.parametrize("kind", list(ROWS))
@examples(80)
@given(data=st.data())
def test_the_outcome_of_a_row_follows_from_its_response(kind, data, monkeypatch):
    operation = OPERATIONS[kind.partition(" ")[0]]
    endpoint = operation.endpoint_for(ROWS[kind])
    step = data.draw(steps(endpoint.answer))
    job = SendJob(worker(), operation.name, 0, [Row(5, ROWS[kind])])

    report, _ = run_shard(send_shard._send, job, [step], monkeypatch)

    report = pickle.loads(pickle.dumps(report))
    [outcome] = report.outcomes or [None]
    name = outcome.outcome if outcome else "handed back"
    if isinstance(step, Exception):
        expected = {"handed back"} if isinstance(step, RequestNotSent) else {"unknown"}
    else:
        expected = expected_outcomes(operation, endpoint, *step)
    assert name in expected
    if outcome is not None:
        assert outcome.position == 5
        assert_recordable(outcome)


def expected_outcomes(operation, endpoint, status, body, retry_after_s):
    if status in (200, 201) or (status == 204 and endpoint.effect == "void"):
        is_usual = body == json.dumps(RIGHT[endpoint.answer]).encode()
        return {operation.done} if is_usual else outcomes_for(operation, body)
    if status in (401, 429) or (status == 503 and retry_after_s is not None):
        return {"handed back"}
    if status == 422 and endpoint.effect == "void":
        return {"voided"}
    return {"rejected"} if 400 <= status < 500 and status != 408 else {"unknown"}


def outcomes_for(operation, body):
    """Return the outcomes that an unusual response may lead to. Success needs the ID of an offer state."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if operation.name == "void":
        bare = not isinstance(said, dict) or not (said.get("error") or said.get("errors"))
        return {"voided", "unknown"} if bare and (said is not None or body.strip() in (b"", b"null")) else {"unknown"}
    if said is None or (isinstance(said, dict) and said.get("errors")) or b"id" not in body:
        return {"unknown"}
    return {operation.done, "unknown"}


def assert_recordable(outcome):
    """Check that both databases can store an outcome: 64 bits, no NUL, no lone surrogates."""
    for name, value in outcome._asdict().items():
        assert value is None or type(value) in (int, str), name
        if isinstance(value, int):
            assert -(2**63) <= value < 2**63
        elif value is not None:
            assert "\x00" not in value
            value.encode()
    orjson.dumps(list(outcome))


@pytest.mark.parametrize("kind", list(ROWS))
@examples(80)
@given(data=st.data())
def test_a_readback_proves_an_outcome_or_explains_why_not(kind, data, monkeypatch):
    operation = OPERATIONS[kind.partition(" ")[0]]
    row = Row(5, ROWS[kind])
    first, then = (
        data.draw(steps(data.draw(st.sampled_from(("offer_state", "offer_states"))))),
        data.draw(steps("offer_states")),
    )
    job = SendJob(worker(), operation.name, 0, [row], purpose="readback")

    report, client = run_shard(send_shard._send, job, [first, then], monkeypatch)

    assert all(path.count("/") <= 4 and ".." not in path for path in client.paths)
    for reading in pickle.loads(pickle.dumps(report)).evidence:
        proof = prove(operation, row, reading)
        mismatch_of(row, {"offer_state_id": 7}, reading)
        if isinstance(proof, Proof):
            assert proof is Proof.UNKNOWN or reading.found is not None
            assert proof is Proof.ABSENT or reading.found != []
        else:
            assert proof.outcome == operation.done
            assert_recordable(proof)
        for text in (reading.error, reading.trace):
            assert text is None or "\x00" not in text


@pytest.mark.parametrize("name", ["status", "expires_at", "credential_identifier", "surprise"])
def test_deep_nesting_in_a_readback_reaches_the_driver(name, monkeypatch):
    deep = b'{"offer_state": {"offer_state_id": 7, "member_id": 2, "%s": %s}}' % (
        name.encode(),
        b"[" * 900 + b"]" * 900,
    )
    job = SendJob(worker(), "update", 0, [Row(5, ROWS["update"])], purpose="readback")

    report, _ = run_shard(send_shard._send, job, [(200, deep, None)], monkeypatch)

    [reading] = pickle.loads(pickle.dumps(report)).evidence
    assert reading.found == [{"offer_state_id": 7, "member_id": 2}]


@examples(150)
@given(name=st.sampled_from(("expires_at", "activates_at", "value", "locked", "status")), found=JSON)
def test_shows_matches_only_the_requested_value(name, found):
    requested = {"value": 5, "locked": True, "status": "open"}.get(name, "2030-01-01T00:00:00Z")

    assert shows({name: requested}, name, requested) is True
    assert shows({}, name, requested) is None
    if found not in (requested, 5, 1):
        assert not shows({name: found}, name, requested)


@examples(120)
@given(data=st.data())
def test_listed_members_have_the_promised_columns_or_are_unread(data, monkeypatch):
    pages = data.draw(st.lists(steps("offer_states"), min_size=1, max_size=4))
    job = ListJob(worker(), [2, 3])

    report, _ = run_shard(list_shard._list, job, pages, monkeypatch)

    assert set(report.done) <= {2, 3}
    assert {unread.member_id for unread in report.unread} <= set(report.done)
    assert report.unauthenticated or set(report.done) == {2, 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        frame = join_parts([report.part], OFFER_STATE, where="test")
    assert_promised(frame, OFFER_STATE)


# ---- a whole run -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acted(ScriptedResponse):
    """A response after the service has processed the request."""

    commits: bool = True


UNREADABLE = bodies("receipt").filter(lambda body: outcomes_for(OPERATIONS["issue"], body) == {"unknown"})
LOST = st.tuples(st.sampled_from((200, 201, 202, 307, 408, 500, 502, 503)), UNREADABLE).map(
    lambda pair: ScriptedResponse(*pair)
)
# Responses to an issue instead of a receipt, whether it was processed or not. None is the true response.
LIES = (
    LOST
    | LOST.map(lambda response: Acted(response.status, response.body))
    | st.tuples(st.sampled_from((400, 403, 404, 409, 422)), bodies("receipt")).map(lambda pair: ScriptedResponse(*pair))
    | st.none()
)


@examples(12)
@given(lies=st.lists(LIES, max_size=6))
def test_outcomes_of_a_run_are_true_for_any_response(tmp_path_factory, bulk_requests, lies):
    plan = members([5, 3, 9, 7], note=["a", "b", "c", "d"]).set_index("note")
    waiting = list(lies)
    retry = RetryPolicy(base_delay=0, max_delay=0)
    with tiny_service(tmp_path_factory.mktemp("run") / "ledger.db", retry=retry) as (session, service):
        service.on_issue = lambda _number, _record: waiting.pop(0) if waiting else None

        result = session.issue_many(plan, CAMPAIGN, concurrency=1, settle_pause=0, halt_above=1, progress=False)

        assert_true(result, service.states)
    assert result.index is plan.index
    assert result["member_id"].tolist() == [5, 3, 9, 7]
    assert_promised(result, RESULT)
    assert set(result["outcome"]) <= {"issued", "rejected"} <= set(OUTCOMES)
