"""A Session: what it shows, what it refuses, how it ends; its eleven calls are the service's eleven operations."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
from scripted_server import INDEX, RECEIPT, STATE, VALUES, Answer, ScriptedServer, success

import sparkfly_nb
from sparkfly_nb import (
    ConfigurationError,
    IncompleteListing,
    InvalidInput,
    SandboxError,
    Session,
    SparkflyError,
    errors,
)
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.schema import OFFER_STATE, VOIDED
from sparkfly_nb.schema import RECEIPT as RECEIPT_COLUMNS
from sparkfly_nb.session.single_changes import SingleChanges
from sparkfly_nb.session.single_reads import SingleReads

PAGING = {"page", "per_page"}
"""Not for the caller: every page is read."""


def session_on(server, **arguments):
    return Session("sandbox", base_url=server.base_url, **({"token": "given-token"} | arguments))


# ---- the calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_a_call_takes_exactly_what_its_operation_takes(name):
    parameters = dict(inspect.signature(getattr(Session, name)).parameters)
    del parameters["self"]
    fields = {field.name: field for field in ENDPOINTS[name].fields if field.name not in PAGING}

    assert parameters.keys() == fields.keys()
    for parameter in parameters.values():
        field = fields[parameter.name]
        assert (parameter.default is inspect.Parameter.empty) == field.required
        by_position = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert by_position == (field.place == "path")


def test_there_is_a_call_for_every_operation_and_no_other():
    parts = (SingleReads, SingleChanges)
    calls = {name for part in parts for name, _ in inspect.getmembers(part, inspect.isfunction) if name[0] != "_"}

    assert calls == set(ENDPOINTS)


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_the_docstring_of_a_call_names_its_operation_and_every_parameter(name):
    endpoint, doc = ENDPOINTS[name], inspect.getdoc(getattr(Session, name))

    assert f"``{endpoint.method} {endpoint.path}``" in doc
    assert f"({endpoint.operation})" in doc
    assert all(field.name in doc for field in endpoint.fields if field.name not in PAGING)


COLUMNS = {"receipt": RECEIPT_COLUMNS, "offer_state": OFFER_STATE, "offer_states": OFFER_STATE, "nothing": VOIDED}


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_every_call_gives_a_frame_with_its_columns_and_dtypes(name):
    with ScriptedServer(success(ENDPOINTS[name])) as server, session_on(server) as session:
        frame = getattr(session, name)(**VALUES[name])

        assert len(frame) == 1
        assert frame.dtypes.astype(str).to_dict() == COLUMNS[ENDPOINTS[name].answer]
        assert frame.offer_state_id.tolist() == [7]


def test_path_ids_may_be_given_by_position():
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server, session_on(server) as session:
        session.get_offer_state(2, 7)

        assert server.targets == ["/v1.0/members/2/offer_states/7"]


def test_ids_that_pandas_turned_into_floats_are_whole_numbers():
    with ScriptedServer(success(ENDPOINTS["list_offer_states"])) as server, session_on(server) as session:
        session.list_offer_states(1009.0)

        assert server.targets == ["/v1.0/members/1009/offer_states?page=1&per_page=5000"]


@pytest.mark.parametrize("value", [1009.5, float("nan"), True, None, pd.NA, "", " ", "..", "a\nb"])
def test_what_is_no_id_is_refused_before_anything_is_sent(value):
    with ScriptedServer() as server, session_on(server) as session:
        with pytest.raises(InvalidInput, match="member_id"):
            session.list_offer_states(value)

        assert server.connections == 0


def test_a_time_without_an_offset_is_refused_unless_the_session_has_a_time_zone():
    given = {**VALUES["issue_offer"], "expires_at": "2027-01-01 00:00"}
    with ScriptedServer(success(ENDPOINTS["issue_offer"])) as server:
        with session_on(server) as session, pytest.raises(InvalidInput, match="no time zone"):
            session.issue_offer(**given)
        with session_on(server, tz="America/New_York") as session:
            session.issue_offer(**given)

        assert server.received[0].json["offer_state"]["expires_at"] == "2027-01-01T05:00:00Z"


@pytest.mark.parametrize(
    "body", [{"offer_state": STATE, "errors": {}}, STATE, INDEX, [STATE], {"offer_states": [STATE]}]
)
def test_one_offer_state_is_read_from_every_shape_that_the_sources_give(body):
    with ScriptedServer(Answer(200, body)) as server, session_on(server) as session:
        assert session.get_offer_state(2, 7).offer_state_id.tolist() == [7]


def test_a_receipt_names_the_offer_state_by_either_name():
    for receipt in (RECEIPT, {**RECEIPT, "offer_state_id": 7}):
        with ScriptedServer(Answer(200, {"offer_state": receipt})) as server, session_on(server) as session:
            assert session.issue_offer(**VALUES["issue_offer"]).offer_state_id.tolist() == [7]


def pages_of(ids, cap):
    def answer(received):
        page = int(received.target.partition("page=")[2].partition("&")[0])
        chosen = ids[(page - 1) * cap : page * cap]
        states = [{"offer_state": {"offer_state_id": number}} for number in chosen]
        return Answer(200, {"page": page, "per_page": cap, "total_entries": len(ids), "offer_states": states})

    return answer


def test_a_list_holds_the_entries_of_all_pages():
    with ScriptedServer(answer=pages_of(range(1, 124), 50)) as server, session_on(server) as session:
        assert session.list_offer_states(2).offer_state_id.tolist() == list(range(1, 124))
        assert len(server.received) == 3


def test_an_empty_list_has_the_columns_and_dtypes_of_a_full_one():
    with ScriptedServer(answer=pages_of([], 50)) as server, session_on(server) as session:
        assert session.list_offer_states(2).dtypes.astype(str).to_dict() == OFFER_STATE


def test_a_list_that_cannot_be_whole_is_an_error():
    with (
        ScriptedServer(answer=lambda _received: Answer(200, {**INDEX, "total_entries": 2})) as server,
        session_on(server) as session,
        pytest.raises(IncompleteListing, match="member 2 could not be listed completely"),
    ):
        session.list_offer_states(2)


def test_a_list_that_changed_while_it_was_read_holds_nothing_twice():
    ids = list(range(1, 101))

    def answer(received):
        if len(server.received) == 2:
            ids.insert(0, 500)
        return pages_of(ids, 50)(received)

    with ScriptedServer(answer=answer) as server, session_on(server) as session:
        assert session.list_offer_states(2).offer_state_id.tolist() == ids


@pytest.mark.parametrize("name", ["void_offer_state", "void_offer_state_by_identifier"])
@pytest.mark.parametrize(
    ("answer", "outcome", "trace"),
    [(Answer(200), "voided", None), (Answer(422, {"error": "x", "trace": "t-1"}), "already_voided", "t-1")],
)
def test_a_void_says_what_was_voided_and_whether_it_was_before(name, answer, outcome, trace):
    with ScriptedServer(answer) as server, session_on(server) as session:
        [row] = getattr(session, name)(**VALUES[name]).to_dict("records")

        assert (row["offer_state_id"], row["outcome"]) == (7, outcome)
        assert row["trace"] == trace or (trace is None and row["trace"] is pd.NA)
        assert row["member_id"] == VALUES[name].get("member_id") or row["member_identifier"] == "m-2"


# ---- what it shows ---------------------------------------------------------------------------------------------------


def test_it_shows_environment_address_and_how_long_the_token_lives(session):
    session._tokens.current()

    for shown in (repr(session), session._repr_html_()):
        assert "sandbox" in shown
        assert session.settings.base_url in shown
        assert "until 20" in shown


@pytest.mark.parametrize(
    ("credentials", "shown"),
    [
        ({"token": "5ecret-5ecret"}, "as given, its end is not known"),
        ({"token": "5ecret-5ecret", "identity": "5ecret-i", "key": "5ecret-k"}, "renewed when refused"),
        ({"identity": "5ecret-i", "key": "5ecret-k"}, "got with the first call"),
    ],
)
def test_it_shows_what_is_known_of_the_token_and_never_a_secret(credentials, shown):
    with Session(**credentials) as session:
        for text in (repr(session), session._repr_html_(), str(session), repr(session.settings), str(vars(session))):
            assert "5ecret" not in text
        assert shown in repr(session)


def test_production_is_red_and_nothing_else_is():
    with Session("production", token="given") as production, Session(token="given") as staging:
        assert "#b00020" in production._repr_html_()
        assert "#b00020" not in staging._repr_html_()


def test_the_html_shows_markup_as_text():
    with Session(token="given") as session:
        session.settings = replace(session.settings, base_url="https://h.example/<b>&/v1.0")  # which is refused
        assert "<b>" not in session._repr_html_()
        assert "&lt;b&gt;&amp;" in session._repr_html_()


def test_staging_is_the_default():
    with Session(token="given") as session:
        assert (session.settings.environment, session.settings.base_url) == (
            "staging",
            "https://api-staging.sparkfly.com/v1.0",
        )


# ---- how it begins and ends ------------------------------------------------------------------------------------------


def test_it_is_made_from_the_environment(monkeypatch):
    variables = {
        "SPARKFLY_ENVIRONMENT": "production",
        "SPARKFLY_BASE_URL": "https://proxy.example/v1.0",
        "SPARKFLY_IDENTITY": "an-identity",
        "SPARKFLY_KEY": "a-key",
        "SPARKFLY_LEDGER": "runs.db",
        "SPARKFLY_TOKEN": "",
    }
    for variable, text in variables.items():
        monkeypatch.setenv(variable, text)

    with Session.from_env(tz="UTC") as session:
        settings = session.settings
        assert (settings.environment, settings.base_url) == ("production", "https://proxy.example/v1.0")
        assert (settings.identity.reveal(), settings.key.reveal(), settings.token) == ("an-identity", "a-key", None)
        assert settings.ledger == "runs.db"


def test_an_empty_environment_says_what_to_set():
    with pytest.raises(ConfigurationError, match="SPARKFLY_IDENTITY"):
        Session.from_env()


def test_close_may_be_called_again_and_ends_all_calls():
    with ScriptedServer() as server:
        session = session_on(server)
        session.close()
        session.close()

        assert "closed" in repr(session)
        for name in ENDPOINTS:
            with pytest.raises(ConfigurationError, match="closed"):
                getattr(session, name)(**VALUES[name])


def test_leaving_the_context_closes_it():
    with Session(token="given") as session:
        pass

    with pytest.raises(ConfigurationError, match="closed"):
        session.get_offer_state(2, 7)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_pickled_or_copied(carry):
    with Session(token="given") as session, pytest.raises(SparkflyError, match="not pickled"):
        carry(session)


def test_a_forgotten_session_leaves_no_open_connection_behind():
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        session = session_on(server)
        session.get_offer_state(2, 7)
        del session
        gc.collect()


def test_the_sandbox_is_started_used_and_stopped():
    with Session.sandbox(members=5) as session:
        service = session.service
        [member, *_] = service.members(1)

        assert session.settings.environment == "sandbox"
        assert len(session.list_offer_states(member["member_id"]).columns) >= len(OFFER_STATE)
        assert service.is_running
    assert not service.is_running


def test_a_sandbox_whose_session_cannot_be_made_is_stopped(monkeypatch):
    from sparkfly_nb.sandbox.process import SandboxProcess

    started = []
    start = SandboxProcess.start

    def remembered(**options):
        started.append(start(**options))
        return started[-1]

    monkeypatch.setattr(SandboxProcess, "start", remembered)
    with pytest.raises(ConfigurationError, match="timeout"):
        Session.sandbox(members=5, timeout=-1)

    assert [service.is_running for service in started] == [False]


def test_a_sandbox_that_does_not_start_is_an_error_of_ours(tmp_path):
    with pytest.raises(SandboxError):
        Session.sandbox(db=tmp_path / "no" / "such" / "folder" / "x.db")


def test_the_session_and_every_error_are_public():
    assert {"Session", "__version__", *errors.__all__} <= set(sparkfly_nb.__all__)
    assert all(hasattr(sparkfly_nb, name) for name in sparkfly_nb.__all__)


# ---- on the sandbox --------------------------------------------------------------------------------------------------


@pytest.fixture
def member(sandbox_service):
    return sandbox_service.members(1)[0]


@pytest.fixture
def campaign(sandbox_service):
    return next(each for each in sandbox_service.campaigns() if each["status"] == "active")


def test_what_is_issued_is_found_changed_and_voided(session, member, campaign):
    issued = session.issue_offer(
        campaign_id=campaign["campaign_xid"], member_identifier=member["member_identifier"], external_ref_id="story-1"
    )
    [state_id] = issued.offer_state_id

    assert session.get_offer_state(member["member_id"], state_id).external_ref_id.tolist() == ["story-1"]
    assert state_id in session.list_offer_states(member["member_id"]).offer_state_id.tolist()
    changed = session.update_offer_state(member["member_id"], state_id, expires_at="2031-01-01T00:00:00Z")
    assert changed.expires_at.tolist() == [pd.Timestamp("2031-01-01", tz="UTC")]
    assert session.void_offer_state(member["member_id"], state_id).outcome.tolist() == ["voided"]
    again = session.void_offer_state_by_identifier(state_id, member_identifier=member["member_identifier"])
    assert again.outcome.tolist() == ["already_voided"]


def test_a_session_is_used_by_many_threads_at_once(session, sandbox_service):
    member_ids = [member["member_id"] for member in sandbox_service.members(40)]

    with ThreadPoolExecutor(16) as pool:
        frames = list(pool.map(session.list_offer_states, member_ids))

    for member_id, frame in zip(member_ids, frames, strict=True):
        assert set(frame.member_id) <= {member_id}


def test_tokens_that_expire_are_not_noticed(session, sandbox_service, member):
    before = session.list_offer_states(member["member_id"])
    sandbox_service.expire_tokens()

    assert len(session.list_offer_states(member["member_id"])) == len(before)
