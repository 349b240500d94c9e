"""Recorded responses: every operation, its success and its documented errors, replayed without a network."""

from __future__ import annotations

import re
import socket

import pytest
import record_cassettes
import urllib3
import vcr.stubs
import yaml
from cassette_scenarios import ALL, BULK, DOCUMENTED, SANDBOX_WORLD, SCENARIOS, Scenario
from recording import CASSETTES, RECORDED_ROOT, REPLACEMENT, SECRET_HEADERS, replayed

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.errors import NotFound, OutcomeUnknown, SparkflyError
from sparkfly_nb.schema import OFFER_STATE, RECEIPT, RESULT, VOIDED

COLUMNS = {"receipt": RECEIPT, "offer_state": OFFER_STATE, "offer_states": OFFER_STATE, "nothing": VOIDED}


@pytest.fixture(autouse=True)
def no_socket(monkeypatch, request):
    """Refuse all connections during a replay, even to this machine."""
    if "sandbox_service" in request.fixturenames:
        return

    def refuse(*_arguments):
        raise AssertionError("a replayed test opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def every_cassette():
    return sorted(CASSETTES.rglob("*.yaml"))


# ---- contents --------------------------------------------------------------------------------------------------------


def test_every_operation_has_its_success_and_each_documented_error():
    recorded = {name: {each.status for each in SCENARIOS.values() if each.operation == name} for name in ENDPOINTS}

    missing = {name: DOCUMENTED[name] - statuses for name, statuses in recorded.items()}

    assert not any(missing.values()), missing


def test_cassettes_and_scenarios_match():
    assert {path.relative_to(CASSETTES).with_suffix("").as_posix() for path in every_cassette()} == ALL.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_last_response_has_the_status_in_the_cassette_name(name):
    recorded = yaml.safe_load((CASSETTES / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"]

    assert recorded[-1]["response"]["status"]["code"] == SCENARIOS[name].status


# ---- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.raises is None])
def test_replayed_success_has_the_documented_columns(name, tmp_path):
    scenario = SCENARIOS[name]

    with replayed(name, tmp_path) as (session, world, _):
        frame = scenario.call(session, world)

    assert len(frame)
    expected = COLUMNS[ENDPOINTS[scenario.operation].answer]
    assert {column: str(dtype) for column, dtype in frame.dtypes.items()} == expected


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.raises is not None])
def test_replayed_error_raises_the_class_of_its_status(name, tmp_path):
    scenario = SCENARIOS[name]

    with replayed(name, tmp_path) as (session, world, _), pytest.raises(SparkflyError) as caught:
        scenario.call(session, world)

    assert type(caught.value) is scenario.raises
    assert caught.value.status == scenario.status
    assert bool(getattr(caught.value, "trace", None)) == scenario.has_trace


@pytest.mark.parametrize("name", ["void_offer_state/422", "void_offer_state_by_identifier/422"])
def test_second_void_returns_already_voided_with_a_trace(name, tmp_path):
    with replayed(name, tmp_path) as (session, world, _):
        frame = SCENARIOS[name].call(session, world)

    assert frame["outcome"].tolist() == ["already_voided"]
    assert frame["trace"].str.fullmatch("[0-9a-f]{30}").all()


def test_change_with_a_lost_response_is_sent_once(tmp_path):
    with replayed("issue_offer/500", tmp_path) as (session, world, cassette):
        with pytest.raises(OutcomeUnknown):
            SCENARIOS["issue_offer/500"].call(session, world)

        assert [request.path for request in cassette.requests].count("/v1.0/members/offer_states/issue") == 1


def test_replayed_bulk_run_issues_lists_and_voids(tmp_path):
    with replayed("bulk/issue_list_void", tmp_path) as (session, world, _):
        rows = BULK["bulk/issue_list_void"].call(session, world)

    assert rows["outcome"].tolist() == ["issued", "issued", "rejected", "voided", "voided"]
    assert {column: str(dtype) for column, dtype in rows.dtypes.items()} == RESULT
    assert rows["error"].iloc[2] == "Member not found - not found"


def test_replayed_bulk_run_settles_lost_responses_by_readback(tmp_path):
    with replayed("bulk/lost_answers", tmp_path) as (session, world, cassette):
        rows = BULK["bulk/lost_answers"].call(session, world)

    assert rows["outcome"].tolist() == ["issued", "issued"]
    assert rows["settled_by"].tolist() == ["readback", "readback"]
    assert [request.method for request in cassette.requests] == ["POST"] * 3 + ["GET"] * 2


# ---- failures --------------------------------------------------------------------------------------------------------


def test_request_that_was_not_recorded_fails_with_a_hint(tmp_path):
    unmatched = pytest.raises(AssertionError, match=r"GET .*/members/77/offer_states(?s:.*)make cassettes")
    with unmatched, replayed("list_offer_states/200", tmp_path) as (session, _, _):
        session.list_offer_states(77)


def test_recorded_request_that_is_not_sent_fails(tmp_path):
    unused = pytest.raises(AssertionError, match=r"recorded but not sent: .*/void")
    with unused, replayed("void_offer_state/200", tmp_path) as (session, world, _):
        SCENARIOS["issue_offer_state/200"].call(session, world)


def test_missing_cassette_fails_with_a_hint(tmp_path):
    missing = pytest.raises(AssertionError, match="record it with: make cassettes")
    with missing, replayed("issue_offer/201", tmp_path, folder=tmp_path):
        pass


def test_replay_writes_nothing(tmp_path):
    before = {path: path.read_bytes() for path in every_cassette()}

    with pytest.raises(AssertionError), replayed("list_offer_states/200", tmp_path) as (session, _, _):
        session.list_offer_states(77)

    assert {path: path.read_bytes() for path in every_cassette()} == before


# ---- secrets ---------------------------------------------------------------------------------------------------------


def test_no_cassette_contains_a_secret():
    for path in every_cassette():
        for interaction in yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"]:
            for side in ("request", "response"):
                for name, values in interaction[side]["headers"].items():
                    assert name.lower() not in SECRET_HEADERS or values == [REPLACEMENT], path


def test_no_cassette_contains_a_random_looking_text():
    looks_random = re.compile(r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{24,}")

    found = {path.name: looks_random.findall(path.read_text(encoding="utf-8")) for path in every_cassette()}

    assert not any(found.values()), found


def test_every_recorded_address_is_unreachable():
    for path in every_cassette():
        addresses = re.findall(r"^ *uri: (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert addresses
        assert all(address.startswith(f"{RECORDED_ROOT}/") for address in addresses), path


@pytest.fixture
def connection(sandbox_service):
    return {
        "environment": "sandbox",
        "base_url": sandbox_service.base_url,
        "identity": sandbox_service.identity.reveal(),
        "key": sandbox_service.key.reveal(),
    }


def test_recording_replaces_every_secret_token_and_credential(sandbox_service, connection, tmp_path):
    seen = []

    def call(session, world):
        state = session.issue_offer_state(world.member_id, offer_id=world.offer_id)
        seen.extend([session._tokens.current()[0].reveal(), state["token"].iloc[0]])
        seen.append(state["credential_identifier"].iloc[0])
        return session.query_offer_states(token=state["token"].iloc[0])

    record_cassettes.record(
        Scenario("query_offer_states", 200, call), "query_offer_states/200", tmp_path, SANDBOX_WORLD,
        source="a test", tmp_path=tmp_path, **connection,
    )  # fmt: skip

    text = (tmp_path / "query_offer_states" / "200.yaml").read_text(encoding="utf-8")
    assert len(seen) == 3
    assert not [secret for secret in [*seen, connection["identity"], connection["key"]] if secret in text]
    assert connection["base_url"].removeprefix("http://").removesuffix("/v1.0") not in text
    assert "token=offer-state-token-" in text


def test_recording_with_a_secret_is_not_written(sandbox_service, connection, tmp_path):
    def call(session, _world):
        return session.query_offer_states(external_ref_id=connection["key"])

    with pytest.raises(RuntimeError, match="would contain a secret"):
        record_cassettes.record(
            Scenario("query_offer_states", 404, call, NotFound), "query_offer_states/404", tmp_path, SANDBOX_WORLD,
            source="a test", tmp_path=tmp_path, **connection,
        )  # fmt: skip

    assert not list(tmp_path.rglob("*.yaml"))
    assert not issubclass(urllib3.HTTPConnectionPool.ConnectionCls, vcr.stubs.VCRConnection), "what follows is recorded"


def test_unexpected_response_is_not_recorded(sandbox_service, connection, tmp_path):
    surprise = Scenario("list_offer_states", 404, SCENARIOS["list_offer_states/200"].call, NotFound)

    with pytest.raises(record_cassettes.NotAsExpected):
        record_cassettes.record(
            surprise, "list_offer_states/404", tmp_path, SANDBOX_WORLD,
            source="a test", tmp_path=tmp_path, **connection,
        )  # fmt: skip

    assert not list(tmp_path.rglob("*.yaml"))
