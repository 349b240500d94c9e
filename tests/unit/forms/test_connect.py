"""The form that connects without a browser: it creates a Session, and only the Session keeps the key."""

from __future__ import annotations

import gc
import logging
import pickle

import pytest
from form_hand import Hand

from sparkfly_nb import ConfigurationError, forms

WRONG = "5ecret-wrong-key"


@pytest.fixture
def credentials(sandbox_service):
    return {"identity": sandbox_service.identity.reveal(), "key": sandbox_service.key.reveal()}


@pytest.fixture
def hand(sandbox_service):
    hand = Hand(forms.Connect("sandbox", base_url=sandbox_service.base_url))
    yield hand
    if hand.form.session is not None:
        hand.form.session.close()


def connect(hand, **secrets):
    """Type and press as a page does: only the press contains the secrets."""
    hand.type(**dict.fromkeys(secrets, "given"))
    hand.typed |= secrets
    hand.press("connect")
    hand.typed |= dict.fromkeys(secrets, "")
    return hand


def test_connect_creates_a_session(hand, credentials):
    heard = []
    hand.form.on_connect(heard.append)
    connect(hand, **credentials)

    assert hand.notice["title"] == "Connected to sandbox."
    assert heard == [hand.form.session]
    assert len(hand.form.session.list_offer_states(1001)) > 0


def test_connect_button_requires_identity_and_key(hand):
    assert not hand.can("connect")
    assert not hand.type(identity="given").can("connect")
    assert hand.type(key="given").can("connect")


def test_rejected_credentials_create_no_session_and_are_not_shown(hand, credentials):
    connect(hand, identity=credentials["identity"], key=WRONG)

    assert hand.notice["kind"] == "refused"
    assert "were not accepted" in hand.said
    assert hand.form.session is None
    assert WRONG not in hand.shown()


def test_secrets_are_in_no_state_repr_or_log(hand, credentials, caplog):
    states = []
    hand.form.observe(lambda _change: states.append(hand.shown()))
    with caplog.at_level(logging.DEBUG):
        connect(hand, **credentials)

    everything = [*states, hand.shown(), repr(hand.form), repr(vars(hand.form)), caplog.text]
    for secret in credentials.values():
        assert not any(secret in text for text in everything)


def test_form_does_not_keep_the_key_after_a_failed_attempt(hand, credentials):
    connect(hand, identity=credentials["identity"], key=WRONG)
    gc.collect()

    assert WRONG not in repr(hand.form._seen)
    assert WRONG not in str(hand.form.__dict__)


def test_connect_shows_the_production_banner_when_selected(sandbox_service):
    hand = Hand(forms.Connect())
    assert [value for value, _ in hand.form.spec["fields"][0]["choices"]] == ["staging", "production"]
    assert hand.screen["banner"] == ""
    hand.type(environment="production")

    assert hand.screen["banner"] == "PRODUCTION"
    assert hand.screen["actions"][0]["label"] == "Connect to production"


def test_connect_python_line_reads_secrets_from_the_environment(hand, credentials):
    connect(hand, **credentials)

    line = hand.screen["python"]["line"]
    assert 'key=os.environ["SPARKFLY_KEY"]' in line
    compile(line, "pasted", "exec")


def test_key_is_a_password_field_without_initial_value(hand):
    fields = {field["name"]: field for field in hand.form.spec["fields"]}

    assert fields["key"]["input"] == "password"
    assert fields["key"]["secret"]
    assert fields["key"]["value"] == fields["identity"]["value"] == ""


def test_connect_to_sandbox_requires_base_url():
    with pytest.raises(ConfigurationError, match=r"Session\.sandbox\(\)"):
        forms.Connect("sandbox")


def test_key_with_a_line_break_is_rejected_and_not_shown(hand):
    connect(hand, identity="me", key="5ecret\nkey")

    assert hand.notice["kind"] == "refused"
    assert "5ecret" not in hand.shown()
    assert hand.form.session is None


def test_connect_form_cannot_be_pickled(hand, credentials):
    connect(hand, **credentials)

    with pytest.raises((TypeError, AttributeError, ConfigurationError, pickle.PicklingError)):
        pickle.dumps(hand.form)
