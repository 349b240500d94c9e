"""A Session: how it is displayed, created, closed and copied, and which names it shows."""

from __future__ import annotations

import copy
import gc
import pickle
import warnings
from dataclasses import replace

import pytest
from scripted_server import VALUES, ScriptedServer, success

import sparkfly_nb
from sparkfly_nb import ConfigurationError, Session, SparkflyError, errors
from sparkfly_nb.api.endpoints import ENDPOINTS

# ---- what it displays ------------------------------------------------------------------------------------------------


def test_repr_shows_environment_address_and_token_expiry(session):
    session._tokens.current()

    for shown in (repr(session), session._repr_html_()):
        assert "sandbox" in shown
        assert session.settings.base_url in shown
        assert "until 20" in shown


@pytest.mark.parametrize(
    ("credentials", "shown"),
    [
        ({"token": "5ecret-5ecret"}, "passed by you, expiry unknown"),
        ({"token": "5ecret-5ecret", "identity": "5ecret-i", "key": "5ecret-k"}, "renewed when refused"),
        ({"identity": "5ecret-i", "key": "5ecret-k"}, "requested with the first call"),
    ],
)
def test_repr_describes_the_token_and_shows_no_secret(credentials, shown):
    with Session(**credentials) as session:
        for text in (repr(session), session._repr_html_(), str(session), repr(session.settings), str(vars(session))):
            assert "5ecret" not in text
        assert shown in repr(session)


def test_html_repr_shows_only_production_in_red():
    with Session("production", token="given") as production, Session(token="given") as staging:
        assert "#b00020" in production._repr_html_()
        assert "#b00020" not in staging._repr_html_()


def test_html_repr_escapes_markup():
    with Session(token="given") as session:
        session.settings = replace(session.settings, base_url="https://h.example/<b>&/v1.0")  # Session() refuses it
        assert "<b>" not in session._repr_html_()
        assert "&lt;b&gt;&amp;" in session._repr_html_()


def test_default_environment_is_staging():
    with Session(token="given") as session:
        assert (session.settings.environment, session.settings.base_url) == (
            "staging",
            "https://api-staging.sparkfly.com/v1.0",
        )


# ---- creating and closing --------------------------------------------------------------------------------------------


def test_from_env_reads_the_environment_variables(monkeypatch):
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


def test_from_env_without_variables_names_the_variables_to_set():
    with pytest.raises(ConfigurationError, match="SPARKFLY_IDENTITY"):
        Session.from_env()


@pytest.mark.parametrize("retry", [3, {"attempts": 3}, "3"])
def test_retry_that_is_not_a_policy_is_refused(retry):
    with pytest.raises(ConfigurationError, match=r"retry is of type \w+; pass a sf\.RetryPolicy"):
        Session(token="given", retry=retry)


def test_close_ends_all_calls_and_can_be_repeated():
    with ScriptedServer() as server:
        session = Session("sandbox", base_url=server.base_url, token="given-token")
        session.close()
        session.close()

        assert "closed" in repr(session)
        for name in ENDPOINTS:
            with pytest.raises(ConfigurationError, match="closed"):
                getattr(session, name)(**VALUES[name])


def test_leaving_the_context_closes_the_session():
    with Session(token="given") as session:
        pass

    with pytest.raises(ConfigurationError, match="closed"):
        session.get_offer_state(2, 7)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_session_cannot_be_pickled_or_copied(carry):
    with Session(token="given") as session, pytest.raises(SparkflyError, match="cannot be pickled"):
        carry(session)


def test_deleted_session_leaves_no_open_connection():
    with ScriptedServer(success(ENDPOINTS["get_offer_state"])) as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        session = Session("sandbox", base_url=server.base_url, token="given-token")
        session.get_offer_state(2, 7)
        del session
        gc.collect()


def test_session_and_every_error_are_public():
    assert {"Session", "__version__", *errors.__all__} <= set(sparkfly_nb.__all__)


# ---- public names ----------------------------------------------------------------------------------------------------


def test_dir_of_a_session_lists_exactly_the_public_names():
    attributes = {"settings", "service", "ledger"}
    lifecycle = {"close", "from_env", "sandbox"}
    many = {"issue_many", "void_many", "update_many", "redeem_many", "void_run", "list_many", "preview_issue"}
    with Session(token="given") as session:
        names = set(dir(session))

    assert names == attributes | lifecycle | many | set(ENDPOINTS) | {"audit", "forms", "run", "runs", "settle"}


def test_dir_of_the_package_lists_exactly_all():
    assert dir(sparkfly_nb) == sorted(sparkfly_nb.__all__)


@pytest.mark.parametrize(
    ("name", "close"), [("Sesion", "Session"), ("read_audits", "read_audit"), ("NotFond", "NotFound")]
)
def test_misspelled_name_of_the_package_suggests_the_close_one(name, close):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'. Did you mean '{close}'"):
        getattr(sparkfly_nb, name)


def test_unknown_name_of_the_package_without_a_close_one_suggests_nothing():
    with pytest.raises(AttributeError, match=r"has no attribute 'xyzzy'$"):
        getattr(sparkfly_nb, "xyzzy")  # noqa: B009 - type checkers refuse the plain attribute
