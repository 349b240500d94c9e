"""The eleven single calls of a Session against a scripted server: parameters, frames, pages, errors."""

from __future__ import annotations

import inspect

import pandas as pd
import pytest
from scripted_server import INDEX, RECEIPT, STATE, VALUES, ScriptedResponse, ScriptedServer, success

from sparkfly_nb import IncompleteListing, InvalidInput, Session
from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.schema import OFFER_STATE, VOIDED
from sparkfly_nb.schema import RECEIPT as RECEIPT_COLUMNS
from sparkfly_nb.session.single_changes import SingleChanges
from sparkfly_nb.session.single_reads import SingleReads

#: Fields that the toolkit sets itself, because it reads every page.
PAGING = {"page", "per_page"}


def session_on(server, **arguments):
    return Session("sandbox", base_url=server.base_url, **({"token": "given-token"} | arguments))


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_call_parameters_are_the_fields_of_its_operation(name):
    parameters = dict(inspect.signature(getattr(Session, name)).parameters)
    del parameters["self"]
    fields = {field.name: field for field in ENDPOINTS[name].fields if field.name not in PAGING}

    assert parameters.keys() == fields.keys()
    for parameter in parameters.values():
        field = fields[parameter.name]
        assert (parameter.default is inspect.Parameter.empty) == field.required
        by_position = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        assert by_position == (field.place == "path")


def test_each_operation_has_one_call():
    parts = (SingleReads, SingleChanges)
    calls = {name for part in parts for name, _ in inspect.getmembers(part, inspect.isfunction) if name[0] != "_"}

    assert calls == set(ENDPOINTS)


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_call_docstring_names_its_operation_and_every_parameter(name):
    endpoint, doc = ENDPOINTS[name], inspect.getdoc(getattr(Session, name))

    assert f"``{endpoint.method} {endpoint.path}``" in doc
    assert f"({endpoint.operation})" in doc
    assert all(field.name in doc for field in endpoint.fields if field.name not in PAGING)


COLUMNS = {"receipt": RECEIPT_COLUMNS, "offer_state": OFFER_STATE, "offer_states": OFFER_STATE, "nothing": VOIDED}


@pytest.mark.parametrize("name", list(ENDPOINTS))
def test_every_call_returns_a_frame_with_its_columns_and_dtypes(name):
    with ScriptedServer(success(ENDPOINTS[name])) as server, session_on(server) as session:
        frame = getattr(session, name)(**VALUES[name])

        assert len(frame) == 1
        assert frame.dtypes.astype(str).to_dict() == COLUMNS[ENDPOINTS[name].answer]
        assert frame.offer_state_id.tolist() == [7]


def test_path_ids_can_be_passed_by_position():
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server, session_on(server) as session:
        session.get_offer_state(2, 7)

        assert server.targets == ["/v1.0/members/2/offer_states/7"]


def test_whole_float_is_accepted_as_an_id():
    with ScriptedServer(success(ENDPOINTS["list_offer_states"])) as server, session_on(server) as session:
        session.list_offer_states(1009.0)

        assert server.targets == ["/v1.0/members/1009/offer_states?page=1&per_page=5000"]


@pytest.mark.parametrize("value", [1009.5, float("nan"), True, None, pd.NA, "", " ", "..", "a\nb"])
def test_invalid_id_is_refused_before_anything_is_sent(value):
    with ScriptedServer() as server, session_on(server) as session:
        with pytest.raises(InvalidInput, match="member_id"):
            session.list_offer_states(value)

        assert server.connections == 0


def test_time_without_offset_is_refused_unless_the_session_has_tz():
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
def test_offer_state_is_read_from_every_documented_response_shape(body):
    with ScriptedServer(ScriptedResponse(200, body)) as server, session_on(server) as session:
        assert session.get_offer_state(2, 7).offer_state_id.tolist() == [7]


def test_receipt_may_name_the_offer_state_id_or_offer_state_id():
    for receipt in (RECEIPT, {**RECEIPT, "offer_state_id": 7}):
        with ScriptedServer(ScriptedResponse(200, {"offer_state": receipt})) as server, session_on(server) as session:
            assert session.issue_offer(**VALUES["issue_offer"]).offer_state_id.tolist() == [7]


def pages_of(ids, cap):
    def answer(received):
        page = int(received.target.partition("page=")[2].partition("&")[0])
        chosen = ids[(page - 1) * cap : page * cap]
        states = [{"offer_state": {"offer_state_id": number}} for number in chosen]
        return ScriptedResponse(200, {"page": page, "per_page": cap, "total_entries": len(ids), "offer_states": states})

    return answer


def test_list_contains_the_entries_of_all_pages():
    with ScriptedServer(answer=pages_of(range(1, 124), 50)) as server, session_on(server) as session:
        assert session.list_offer_states(2).offer_state_id.tolist() == list(range(1, 124))
        assert len(server.received) == 3


def test_empty_list_has_the_columns_and_dtypes_of_a_full_one():
    with ScriptedServer(answer=pages_of([], 50)) as server, session_on(server) as session:
        assert session.list_offer_states(2).dtypes.astype(str).to_dict() == OFFER_STATE


def test_incomplete_list_raises():
    with (
        ScriptedServer(answer=lambda _received: ScriptedResponse(200, {**INDEX, "total_entries": 2})) as server,
        session_on(server) as session,
        pytest.raises(IncompleteListing, match="member 2 could not be listed completely"),
    ):
        session.list_offer_states(2)


def test_list_that_changes_while_it_is_read_contains_no_duplicates():
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
    [
        (ScriptedResponse(200), "voided", None),
        (ScriptedResponse(422, {"error": "x", "trace": "t-1"}), "already_voided", "t-1"),
    ],
)
def test_void_returns_the_offer_state_and_whether_it_was_voided_before(name, answer, outcome, trace):
    with ScriptedServer(answer) as server, session_on(server) as session:
        [row] = getattr(session, name)(**VALUES[name]).to_dict("records")

        assert (row["offer_state_id"], row["outcome"]) == (7, outcome)
        assert row["trace"] == trace or (trace is None and row["trace"] is pd.NA)
        assert row["member_id"] == VALUES[name].get("member_id") or row["member_identifier"] == "m-2"
