"""A Session with a sandbox: its start and end, its options, and calls against it."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from sparkfly_nb import ConfigurationError, SandboxError, Session
from sparkfly_nb.sandbox import SandboxProcess
from sparkfly_nb.schema import OFFER_STATE

# ---- start and end ---------------------------------------------------------------------------------------------------


def test_sandbox_is_started_used_and_stopped():
    with Session.sandbox(members=5) as session:
        service = session.service
        [member, *_] = service.members(1)

        assert session.settings.environment == "sandbox"
        assert len(session.list_offer_states(member["member_id"]).columns) >= len(OFFER_STATE)
        assert service.is_running
    assert not service.is_running


def test_sandbox_is_stopped_if_its_session_cannot_be_created(monkeypatch):
    started = []
    start = SandboxProcess.start

    def remembered(**options):
        started.append(start(**options))
        return started[-1]

    monkeypatch.setattr(SandboxProcess, "start", remembered)
    with pytest.raises(ConfigurationError, match="timeout"):
        Session.sandbox(members=5, timeout=-1)

    assert [service.is_running for service in started] == [False]


def test_sandbox_that_cannot_start_raises_sandbox_error(tmp_path):
    with pytest.raises(SandboxError):
        Session.sandbox(db=tmp_path / "no" / "such" / "folder" / "x.db")


# ---- options ---------------------------------------------------------------------------------------------------------


def test_session_sandbox_has_the_options_of_sandbox_process_start():
    start = inspect.signature(SandboxProcess.start).parameters
    options = inspect.signature(Session.sandbox).parameters

    assert {name: str(parameter) for name, parameter in options.items() if name in start} == {
        name: str(parameter) for name, parameter in start.items()
    }


def test_misspelled_sandbox_option_names_the_close_one_and_all_options():
    with pytest.raises(ConfigurationError, match=r"no option 'mebers'\. Did you mean 'members'") as caught:
        Session.sandbox(mebers=5)

    options = inspect.signature(Session.sandbox).parameters.keys() - {"unknown"}
    assert all(option in str(caught.value) for option in options)


def test_unknown_sandbox_option_without_a_close_one_names_all_options():
    with pytest.raises(ConfigurationError, match=r"no option 'xyzzy'\. The options are members, seed"):
        Session.sandbox(xyzzy=1)


# ---- calls -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def member(sandbox_service):
    return sandbox_service.members(1)[0]


@pytest.fixture
def campaign(sandbox_service):
    return next(each for each in sandbox_service.campaigns() if each["status"] == "active")


def test_issued_offer_can_be_found_changed_and_voided(session, member, campaign):
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


def test_session_can_be_used_by_many_threads_at_once(session, sandbox_service):
    member_ids = [member["member_id"] for member in sandbox_service.members(40)]

    with ThreadPoolExecutor(16) as pool:
        frames = list(pool.map(session.list_offer_states, member_ids))

    for member_id, frame in zip(member_ids, frames, strict=True):
        assert set(frame.member_id) <= {member_id}


def test_expired_token_is_renewed_automatically(session, sandbox_service, member):
    before = session.list_offer_states(member["member_id"])
    sandbox_service.expire_tokens()

    assert len(session.list_offer_states(member["member_id"])) == len(before)
