"""Each fault does what its help text says, at its rate, and ``truth()`` counts it."""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import socket
import time

import pytest
import requests
from sandbox_client import SandboxClient

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.errors import InvalidInput
from sparkfly_nb.sandbox import SandboxProcess
from sparkfly_nb.sandbox.faults import FAULTS, FaultPlan
from sparkfly_nb.schema import OFFER_STATE

MEMBER = 1009
LISTING = f"/members/{MEMBER}/offer_states"
TIMES = {"hang_s": 30, "slow_s": 0.2, "retry_after_s": 3, "skew_s": -7200, "refuse_s": 0.3}


@pytest.fixture(scope="module")
def running():
    with SandboxProcess.start(members=30, fault_times=TIMES) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running):
    yield running
    running.set_faults()


@pytest.fixture
def client(sandbox):
    # A short timeout, because one response never arrives.
    with SandboxClient(sandbox, timeout_s=1) as connected:
        yield connected


def outcome_of(send):
    """Return what a client sees: a status, or the kind of error that requests raises."""
    try:
        return send().status_code
    except requests.exceptions.ChunkedEncodingError:
        return "broken"
    except requests.ConnectionError as error:
        return "broken" if "IncompleteRead" in str(error) else "cut"
    except requests.Timeout:
        return "silence"


def made(sandbox, reference):
    states = sandbox.truth(generated=False)["offer_states"]
    return sum(state["external_ref_id"] == reference for state in states)


# What the client of an issue sees, and how many offer states exist afterwards.
SEEN = {
    "drop_before": ("cut", 0),
    "connection_refused": ("cut", 0),
    "error_500_before": (500, 0),
    "status_401": (401, 0),
    "token_revoked": (401, 0),
    "status_429": (429, 0),
    "status_429_date": (429, 0),
    "status_429_bare": (429, 0),
    "status_503": (503, 0),
    "status_503_bare": (503, 0),
    "clock_skew": (201, 1),
    "duplicate": (201, 2),
    "wrong_types": (201, 1),
    "unknown_fields": (201, 1),
    "commit_then_drop": ("cut", 1),
    "commit_then_500": (500, 1),
    "commit_then_503": (503, 1),
    "commit_then_hang": ("silence", 1),
    "half_body": ("broken", 1),
    "wrong_content_type": (201, 1),
    "unreadable_2xx": (201, 1),
    "slow_bytes": (201, 1),
}


def test_every_fault_has_a_test():
    assert FAULTS.keys() == SEEN.keys() | {"page_repeated", "page_short", "page_changing"}


@pytest.mark.parametrize("fault", SEEN)
def test_fault_has_the_documented_response_and_effect(fault, sandbox, client):
    before = sandbox.truth(generated=False)["faults"].get(fault, 0)
    sandbox.set_faults({fault: 1})

    seen = outcome_of(lambda: client.issue(member_id=MEMBER, external_ref_id=fault))

    assert (seen, made(sandbox, fault)) == SEEN[fault]
    assert sandbox.truth(generated=False)["faults"][fault] == before + 1


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.stage == "response"])
def test_void_with_a_faulty_response_has_happened(fault, sandbox, client):
    state_id = client.issue_new(MEMBER)
    sandbox.set_faults({f"void_offer_state:{fault}": 1})

    outcome_of(lambda: client.call("POST", f"{LISTING}/{state_id}/void"))

    assert client.state(MEMBER, state_id)["status"] == "voided"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("status_429", "3"),
        ("status_503", "3"),
        ("status_429_bare", None),
        ("status_503_bare", None),
        ("commit_then_503", None),
    ],
)
def test_retry_after_is_in_seconds_or_missing(fault, expected, sandbox, client):
    sandbox.set_faults({fault: 1})

    assert client.issue(member_id=MEMBER).headers.get("Retry-After") == expected


def test_retry_after_can_be_a_date(sandbox, client):
    sandbox.set_faults({"status_429_date": 1})

    moment = email.utils.parsedate_to_datetime(client.issue(member_id=MEMBER).headers["Retry-After"])

    assert abs(moment - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=1)


def test_token_revoked_invalidates_the_token_but_status_401_does_not(sandbox, client):
    sandbox.set_faults({"issue_offer:status_401": 1})
    client.issue(member_id=MEMBER)
    after_401 = client.call("GET", LISTING).status_code
    sandbox.set_faults({"issue_offer:token_revoked": 1})
    client.issue(member_id=MEMBER)
    after_revocation = client.call("GET", LISTING).status_code

    assert (after_401, after_revocation) == (200, 401)


def test_half_body_announces_more_than_it_sends(sandbox, client):
    sandbox.set_faults({"half_body": 1})
    connection = http.client.HTTPConnection("127.0.0.1", int(client.root.rpartition(":")[2]), timeout=10)
    connection.request("GET", f"/v1.0{LISTING}", headers=client.session.headers)
    response = connection.getresponse()

    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    connection.close()

    assert len(caught.value.partial) > 0


@pytest.mark.parametrize(
    ("fault", "kind"), [("wrong_content_type", "text/html; charset=utf-8"), ("unreadable_2xx", "application/json")]
)
def test_unreadable_success_is_not_json(fault, kind, sandbox, client):
    sandbox.set_faults({fault: 1})

    response = client.issue(member_id=MEMBER)

    assert response.headers["Content-Type"] == kind
    with pytest.raises(requests.JSONDecodeError):
        response.json()


def test_slow_bytes_delays_the_complete_response(sandbox, client):
    sandbox.set_faults({"slow_bytes": 1})
    began = time.monotonic()

    assert client.call("GET", LISTING).json()["total_entries"] > 0
    assert time.monotonic() - began >= TIMES["slow_s"]


def test_slow_bytes_delays_an_empty_response_too(sandbox, client):
    state_id = client.issue_new(MEMBER)
    sandbox.set_faults({"slow_bytes": 1})
    began = time.monotonic()

    response = client.call("POST", f"{LISTING}/{state_id}/void")

    assert response.ok
    assert not response.content
    assert time.monotonic() - began >= TIMES["slow_s"]


def test_commit_then_hang_keeps_the_connection_open(sandbox, client):
    sandbox.set_faults({"commit_then_hang": 1}, times={"hang_s": 0.2})
    began = time.monotonic()
    seen = outcome_of(lambda: client.issue(member_id=MEMBER, external_ref_id="held"))
    sandbox.set_faults(times=TIMES)

    assert (seen, made(sandbox, "held")) == ("cut", 1)
    assert time.monotonic() - began >= 0.2


def test_clock_skew_changes_created_at(sandbox, client):
    sandbox.set_faults({"issue_offer:clock_skew": 1})

    state = client.state(MEMBER, client.issue_new(MEMBER))

    behind = dt.datetime.fromisoformat(sandbox.truth()["now"][:19]) - dt.datetime.fromisoformat(
        state["created_at"][:19]
    )
    assert dt.timedelta(hours=1, minutes=59) < behind < dt.timedelta(hours=2, minutes=1)


def ids(page):
    return [entry["offer_state"]["offer_state_id"] for entry in page["offer_states"]]


def pages(client, per_page=5):
    first, second = (client.call("GET", LISTING, query={"page": page, "per_page": per_page}).json() for page in (1, 2))
    return first, second


def test_page_short_omits_an_entry_but_keeps_the_total(sandbox, client):
    right, _ = pages(client)
    sandbox.set_faults({"page_short": 1})

    short, _ = pages(client)

    assert ids(short) == ids(right)[:-1]
    assert short["total_entries"] == right["total_entries"]


def test_page_repeated_repeats_earlier_entries(sandbox, client):
    right, _ = pages(client)
    sandbox.set_faults({"list_offer_states:page_repeated": 1})

    first, second = pages(client)

    assert ids(second) == ids(right)
    assert len(first["offer_states"]) == 5
    assert len(set(ids(first))) == 3


def test_page_changing_repeats_an_entry_and_increases_the_total(sandbox, client):
    right, _ = pages(client)
    sandbox.set_faults({"page_changing": 1})

    _, second = pages(client)

    assert ids(second)[0] == ids(right)[-1]
    assert second["total_entries"] == right["total_entries"] + 1


def test_wrong_types_keeps_ids_status_and_reference(sandbox, client):
    right = client.call("GET", LISTING).json()["offer_states"]
    sandbox.set_faults({"wrong_types": 1})

    wrong = client.call("GET", LISTING).json()["offer_states"]

    kept = ("offer_state_id", "member_id", "campaign_id", "status", "external_ref_id")
    for before, after in zip(right, wrong, strict=True):
        assert [before["offer_state"][name] for name in kept] == [after["offer_state"][name] for name in kept]
        changed = [
            name for name, value in before["offer_state"].items() if repr(value) != repr(after["offer_state"][name])
        ]
        assert 1 <= len(changed) <= 3


def test_unknown_fields_adds_fields(sandbox, client):
    sandbox.set_faults({"unknown_fields": 1})

    state = client.call("GET", LISTING).json()["offer_states"][0]["offer_state"]

    assert state.keys() > OFFER_STATE.keys()


def test_authentication_fails_only_if_a_rate_names_it(sandbox, client):
    sandbox.set_faults({"error_500_before": 1})
    general = client.authenticate().status_code
    sandbox.set_faults({"auth:error_500_before": 1})
    named = client.authenticate().status_code

    assert (general, named) == (204, 500)


def test_sandbox_accepts_connections_again_after_refusing(sandbox, client):
    sandbox.refuse_connections(0.3)
    first = seen = outcome_of(lambda: client.call("GET", LISTING))
    while seen == "cut":
        seen = outcome_of(lambda: client.call("GET", LISTING))

    assert (first, seen) == ("cut", 200)


def test_connection_refused_closes_and_refuses_connections_for_a_while(sandbox, client):
    with SandboxClient(sandbox, timeout_s=10) as other, socket.create_connection(client.address) as idle:
        sandbox.set_faults({"issue_offer:connection_refused": 1})
        hit = outcome_of(lambda: client.issue(member_id=MEMBER, external_ref_id="refused"))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(client.address)
        idle.settimeout(10)
        cut = idle.recv(1)
        sandbox.set_faults()  # waits until the sandbox accepts connections again
        back = other.call("GET", LISTING).status_code

    assert (hit, cut, back) == ("cut", b"", 200)
    assert made(sandbox, "refused") == 0


# ---- the plan --------------------------------------------------------------------------------------------------------


def drawn(plan, count=2000, operation="issue_offer"):
    return [plan.draw(operation, b"path", str(number).encode()).faults for number in range(count)]


def test_faults_of_one_stage_exclude_each_other_at_their_rates():
    hits = drawn(FaultPlan({"half_body": 0.1, "commit_then_drop": 0.2, "duplicate": 0.5}, seed=3))

    shares = {
        name: sum(name in hit.values() for hit in hits) / len(hits)
        for name in ("half_body", "commit_then_drop", "duplicate")
    }
    assert shares == pytest.approx({"half_body": 0.1, "commit_then_drop": 0.2, "duplicate": 0.5}, abs=0.03)


def test_faults_depend_on_the_request_and_not_on_the_order():
    rates = {"half_body": 0.3}
    forwards, backwards = FaultPlan(rates, seed=1), FaultPlan(rates, seed=1)
    bodies = [str(number).encode() for number in range(200)]

    one = {body: forwards.draw("issue_offer", body) for body in bodies}
    other = {body: backwards.draw("issue_offer", body) for body in reversed(bodies)}

    assert one == other


def test_retry_may_get_another_fault():
    plan = FaultPlan({"half_body": 0.5})

    assert len({tuple(plan.draw("issue_offer", b"same").faults) for _ in range(50)}) == 2


def test_different_seed_affects_different_requests():
    rates = {"half_body": 0.3}

    assert drawn(FaultPlan(rates, seed=1), 200) != drawn(FaultPlan(rates, seed=2), 200)


def test_rate_of_one_operation_overrides_the_general_rate():
    plan = FaultPlan({"half_body": 1, "void_offer_state:half_body": 0})

    hit = {name for name in ENDPOINTS if plan.draw(name).faults}

    assert hit == ENDPOINTS.keys() - {"void_offer_state"}


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ({"no_such_fault": 0.1}, "commit_then_drop"),
        ({"no_such_operation:half_body": 0.1}, "issue_offer"),
        ({"get_offer_state:duplicate": 0.1}, "cannot affect"),
        ({"half_body": 1.5}, "from 0 to 1"),
        ({"half_body": "often"}, "from 0 to 1"),
        ({"half_body": 0.6, "commit_then_drop": 0.6}, "add up"),
    ],
)
def test_invalid_faults_are_rejected_before_the_start(rates, said):
    with pytest.raises(InvalidInput, match=said):
        SandboxProcess.start(faults=rates)


def test_rejected_faults_leave_the_running_faults_unchanged(sandbox, client):
    with pytest.raises(InvalidInput, match="skew_s"):
        sandbox.set_faults({"half_body": 1}, times={"delay_s": 1})

    assert client.issue(member_id=MEMBER).status_code == 201
