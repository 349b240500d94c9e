"""Safeguards of a run: canary, circuit breaker, rate, pauses, expired tokens, confirmation on production."""

from __future__ import annotations

import pickle

import pytest
from bulk_world import CALM, CAMPAIGN, LATER, QUICK, SOON, assert_true, members, receipt_of, tiny_service
from scripted_server import DropRead, ScriptedResponse

from sparkfly_nb import Session
from sparkfly_nb.api.retry_policy import RetryPolicy
from sparkfly_nb.bulk.worker.messages import SHARD_SECONDS
from sparkfly_nb.errors import AuthenticationError, ConfigurationError, ConfirmationRequired, RunHalted, SparkflyError

# ---- canary ----------------------------------------------------------------------------------------------------------


def test_canary_rows_are_sent_and_read_back_before_the_rest(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        result = session.issue_many(members(range(11, 111), expires_at=LATER), CAMPAIGN, canary=5, **CALM)
    kinds = [("issue" if received.method == "POST" else "list") for _at, received in service.asked]
    assert kinds[:10] == ["issue"] * 5 + ["list"] * 5
    assert kinds[10:] == ["issue"] * 95
    assert result.outcome.eq("issued").all()


def changes_dates(service, number, record):
    record["expires_at"] = "2030-09-02T00:00:00Z"


def keeps_nothing(service, number, record):
    return ScriptedResponse(201, {"offer_state": receipt_of(record)})


def makes_two(service, number, record):
    service.states.append({**record, "offer_state_id": number + 1000})


def shows_another_state(service, number, record):
    service.states.append({**record, "offer_state_id": number + 1000})
    return ScriptedResponse(201, {"offer_state": receipt_of(record)})


@pytest.mark.parametrize(
    ("service_that", "why"),
    [
        (changes_dates, "expires_at is 2030-09-02T00:00:00Z, not 2030-09-01T00:00:00Z"),
        (keeps_nothing, "the service has 0 offer states instead of one"),
        (makes_two, "the service has 2 offer states instead of one"),
        (shows_another_state, r"the service has offer state 100\d, not \d"),
    ],
)
def test_canary_that_differs_in_readback_halts_the_run(tmp_path, service_that, why):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, record: service_that(service, number, record)
        frame = members(range(11, 111), activates_at=SOON, expires_at=LATER)
        with pytest.raises(RunHalted, match=rf"canary row \d is not as requested: {why}") as halt:
            session.issue_many(frame, CAMPAIGN, canary=5, **CALM)
    assert len(service.issues()) == 5
    assert halt.value.result.outcome.tolist() == ["issued"] * 5 + ["planned"] * 95


def test_rejected_canary_rows_halt_the_run(world, tmp_path):
    with world.session(str(tmp_path / "ledger.db")) as session, pytest.raises(RunHalted, match="canary rows are not"):
        session.issue_many(members([*range(1, 7), *world.member_ids[:50]]), CAMPAIGN, canary=10, **world.calm)
    assert world.requests("issue_offer") == 10


def test_lost_canary_row_is_settled_and_resent_before_the_rest(world, tmp_path):
    world.service.set_faults({"issue_offer:drop_before": 0.1, "issue_offer:commit_then_500": 0.3}, seed=4)
    with world.session(str(tmp_path / "ledger.db")) as session:
        result = session.issue_many(members(world.member_ids[:60]), CAMPAIGN, canary=20, halt_above=1, **world.calm)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()


def test_canary_works_for_every_operation(world, tmp_path):
    with world.session(str(tmp_path / "ledger.db")) as session:
        issued = session.issue_many(members(world.member_ids[:30]), CAMPAIGN, **world.calm)
        frame = issued[["offer_state_id", "member_id"]]
        ends = [
            session.update_many(frame.assign(expires_at=LATER), canary=5, **CALM),
            session.redeem_many(frame[:15], canary=5, **CALM),
            session.void_many(frame[15:], canary=5, **CALM),
        ]
    assert [end.outcome.unique().tolist() for end in ends] == [["updated"], ["redeemed"], ["voided"]]


# ---- breaker ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_mostly_failing_run_is_halted_and_can_be_continued(tmp_path, concurrency):
    frame = members(range(1000, 2000))
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(403, {"error": "not permitted"})
        with pytest.raises(RunHalted, match=r"most rows fail.*not permitted") as halt:
            session.issue_many(frame, CAMPAIGN, concurrency=concurrency, **CALM)
        counts = halt.value.result.outcome.value_counts()
        assert 50 <= counts["rejected"] <= 50 + 64 + 40
        assert counts["planned"] == 1000 - counts["rejected"] == 1000 - len(service.issues())
        service.on_issue = None
        result = session.issue_many(frame, CAMPAIGN, **CALM)
    assert result.outcome.value_counts().to_dict() == {"issued": counts["planned"], "rejected": counts["rejected"]}
    assert pickle.loads(pickle.dumps(halt.value)).result.equals(halt.value.result)


def test_late_failure_of_the_service_halts_the_run_soon(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(403, {"error": "closed"}) if number > 1500 else None
        with pytest.raises(RunHalted):
            session.issue_many(members(range(1000, 5000)), CAMPAIGN, concurrency=4, **CALM)
    assert 1550 <= len(service.issues()) < 2500


def test_occasional_failures_do_not_halt_a_run(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        counter = iter(range(10_000))
        service.on_issue = lambda number, _record: (
            ScriptedResponse(404, {"error": "no"}) if next(counter) % 3 == 0 else None
        )
        result = session.issue_many(members(range(1000, 1300)), CAMPAIGN, concurrency=4, **CALM)
    assert result.outcome.value_counts().to_dict() == {"issued": 200, "rejected": 100}


def test_halt_above_one_never_halts(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(403, {"error": "no"})
        result = session.issue_many(members(range(1000, 1200)), CAMPAIGN, halt_above=1, **CALM)
    assert result.outcome.eq("rejected").all()


def test_service_that_throttles_everything_halts_run_with_rows_planned(tmp_path):
    retry = RetryPolicy(attempts=2, base_delay=0.001, max_delay=0.01)
    with tiny_service(tmp_path / "ledger.db", retry=retry) as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(429)
        with pytest.raises(RunHalted, match="no request gets through to the service: 429 too many requests") as halt:
            session.issue_many(members([11, 12]), CAMPAIGN, concurrency=2, **CALM)
        assert halt.value.result.outcome.tolist() == ["planned"] * 2
        service.on_issue = None
        assert session.issue_many(members([11, 12]), CAMPAIGN, **CALM).outcome.eq("issued").all()


def test_unreachable_service_halts_run_with_rows_planned(tmp_path):
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/v1.0"
        with (
            Session("sandbox", base_url=address, token="t", ledger=str(tmp_path / "ledger.db"), retry=QUICK) as session,
            pytest.raises(RunHalted, match="no request gets through to the service: no connection") as halt,
        ):
            session.issue_many(members([11]), CAMPAIGN, **CALM)
    assert halt.value.result.outcome.tolist() == ["planned"]


# ---- pace ------------------------------------------------------------------------------------------------------------


# The first requests wait for their connections, so the server sees a shorter duration than the client.
LATE = 0.8


def duration_of(service):
    moments = [at for at, _received in service.asked]
    return max(moments) - min(moments)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rate_is_never_exceeded(tmp_path, n_jobs):
    """Only a lower bound is tested, because a busy machine may take longer."""
    import joblib

    with tiny_service(tmp_path / "ledger.db") as (session, service), joblib.parallel_config("threading"):
        session.issue_many(members(range(1000, 1060)), CAMPAIGN, rate=50, concurrency=2, n_jobs=n_jobs, **CALM)
    assert duration_of(service) >= (60 - 1 - n_jobs) / 50 * LATE


def test_rate_applies_across_shards_and_readbacks(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):

        def lost(number, record):
            service.states.append(record)
            return DropRead()

        service.on_issue = lost
        frame = members(range(1000, 1045)).rename(columns={"member_id": "member_identifier"})
        frame["member_identifier"] = "M-" + frame.member_identifier.astype(str)
        result = session.issue_many(frame, CAMPAIGN, rate=100, concurrency=1, **CALM)
        assert result.settled_by.eq("readback").all()
        assert len(service.asked) == 45 * 3
    slots = len(service.asked) - 1 - 2  # two shards and a readback start without a wait
    assert duration_of(service) >= slots / 100 * LATE


@pytest.fixture
def short_shards(monkeypatch):
    """Make workers return their unsent rows after 0.05 seconds instead of five."""
    from sparkfly_nb.bulk.engine import runner

    job = runner.SendJob
    monkeypatch.setattr(runner, "SendJob", lambda *args, **kwargs: job(*args, seconds=0.05, **kwargs))


@pytest.mark.usefixtures("short_shards")
def test_run_that_fails_in_small_batches_is_halted(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: ScriptedResponse(403, {"error": "not permitted"})
        with pytest.raises(RunHalted, match="most rows fail"):
            session.issue_many(members(range(1000, 1200)), CAMPAIGN, rate=200, concurrency=1, **CALM)
    assert 50 <= len(service.issues()) < 100


@pytest.mark.usefixtures("short_shards")
def test_shard_that_ends_early_does_not_raise_a_low_rate(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        session.issue_many(members(range(1000, 1006)), CAMPAIGN, rate=5, **CALM)
    assert 5 / 5 * LATE <= duration_of(service) < 4, "and unused slots are not lost"


def test_after_slowdown_last_rows_do_not_wait_for_ended_lanes(tmp_path):
    """Only lanes that still have rows get permits. Otherwise the last rows would wait for the end of the shard."""
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: (
            ScriptedResponse(429, headers={"Retry-After": "0"}) if len(service.issues()) <= 8 else None
        )
        result = session.issue_many(members(range(11, 19)), CAMPAIGN, **CALM, concurrency=8)
    assert result.outcome.eq("issued").all()
    times = [at for at, _ in service.issues()]
    assert times[-1] - times[0] < SHARD_SECONDS, "the rows were returned when the shard's time was over"


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_all_requests(tmp_path, status):
    with tiny_service(tmp_path / "ledger.db") as (session, service):
        service.on_issue = lambda number, _record: (
            ScriptedResponse(status, headers={"Retry-After": "1"}) if len(service.issues()) == 11 else None
        )
        result = session.issue_many(members(range(1000, 1060)), CAMPAIGN, concurrency=1, **CALM)
    moments = [at for at, _received in service.issues()]
    assert moments[11] - moments[10] >= 1
    assert result.outcome.eq("issued").all()
    assert len(moments) == 61


def test_bare_503_is_read_back_and_slows_the_run(tmp_path):
    retry = RetryPolicy(base_delay=1.0, max_delay=1.0)
    with tiny_service(tmp_path / "ledger.db", retry=retry) as (session, service):

        def busy(number, record):
            if len(service.issues()) == 1:
                service.states.append(record)
                return ScriptedResponse(503, {"error": "busy"})
            return None

        service.on_issue = busy
        result = session.issue_many(members(range(1000, 1003)), CAMPAIGN, concurrency=1, **CALM)
    moments = [at for at, _received in service.issues()]
    assert moments[1] - moments[0] >= 0.5
    assert len(service.states) == len(moments) == 3
    assert result.settled_by.tolist() == ["readback", "response", "response"]


# ---- tokens ----------------------------------------------------------------------------------------------------------


def test_token_expiring_mid_run_is_renewed(tmp_path):
    with tiny_service(tmp_path / "ledger.db", identity="app", key="secret") as (session, service):

        def end_token(number, _record):
            if number in (30, 60, 90):
                service.tokens = set()

        service.on_issue = end_token
        result = session.issue_many(members(range(1000, 1100)), CAMPAIGN, concurrency=8, **CALM)
    assert service.authentications == 4
    assert result.outcome.eq("issued").all()
    assert sorted(state["member_id"] for state in service.states) == list(range(1000, 1100))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_expired_tokens_do_not_issue_a_row_twice(world, tmp_path, n_jobs):
    with world.session(str(tmp_path / "ledger.db")) as session:
        session._tokens.current()
        world.service.expire_tokens()
        result = session.issue_many(members(world.member_ids[:80]), CAMPAIGN, n_jobs=n_jobs, **world.calm)
    assert_true(result, world.states())
    assert result.outcome.eq("issued").all()


def test_expired_token_without_key_stops_run_with_rest_planned(tmp_path):
    frame = members(range(1000, 1100))
    with tiny_service(tmp_path / "ledger.db") as (session, service):

        def end_token(number, _record):
            if number == 40:
                service.tokens = set()

        service.on_issue = end_token
        with pytest.raises(AuthenticationError, match="identity= and key="):
            session.issue_many(frame, CAMPAIGN, concurrency=4, **CALM)
        kept = session.run(session.runs().run[0])
        assert kept.outcome.value_counts().to_dict() == {"issued": 40, "planned": 60}
        service.tokens = {"given-token"}
        assert session.issue_many(frame, CAMPAIGN, **CALM).outcome.eq("issued").all()
    assert len(service.states) == 100


# ---- before anything is sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirm", [None, 1, 3, 0])
def test_wrong_confirm_on_production_sends_and_records_nothing(tmp_path, confirm):
    with (
        Session("production", token="t", ledger=str(tmp_path / "ledger.db"), retry=QUICK) as session,
        pytest.raises(ConfirmationRequired, match="give confirm=2, the number of rows") as refusal,
    ):
        session.issue_many(members([11, 12]), CAMPAIGN, confirm=confirm, **CALM)
    assert refusal.value.rows == 2
    with Session("production", token="t", ledger=str(tmp_path / "ledger.db"), retry=QUICK) as session:
        assert session.runs().empty


def test_right_confirm_on_production_is_accepted(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, _service):
        base_url = session.settings.base_url
        with Session("production", base_url=base_url, token="given-token", ledger=session.ledger) as confirmed:
            assert confirmed.settings.is_production
            result = confirmed.issue_many(members([11, 12]), CAMPAIGN, confirm=2, **CALM)
    assert result.outcome.eq("issued").all()


@pytest.mark.parametrize(
    "option",
    [{"concurrency": 0}, {"rate": 0}, {"n_jobs": 0}, {"canary": -1}, {"halt_above": 1.5}, {"settle_pause": -1},
     {"concurrency": "many"}, {"rate": "fast"}, {"rate": 10**400}, {"halt_above": None}],
)  # fmt: skip
def test_invalid_option_is_refused_before_sending(tmp_path, option):
    (name,) = option
    with tiny_service(tmp_path / "ledger.db") as (session, service), pytest.raises(ConfigurationError, match=name):
        session.issue_many(members([11]), CAMPAIGN, **{**CALM, **option})
    assert not service.asked


@pytest.mark.parametrize("option", [{"allow_duplicates": "no"}, {"allow_duplicates": 1}, {"approve": 5}], ids=repr)
def test_ambiguous_argument_is_refused_before_sending(tmp_path, option):
    with tiny_service(tmp_path / "ledger.db") as (session, service), pytest.raises(SparkflyError):
        session.issue_many(members([11, 12]), CAMPAIGN, **option, **CALM)
    assert not service.asked


def test_canary_larger_than_the_run_covers_all_rows(tmp_path):
    with tiny_service(tmp_path / "ledger.db") as (session, _service):
        assert session.issue_many(members([11, 12]), CAMPAIGN, canary=2**70, **CALM).outcome.eq("issued").all()
