"""The settings of a Session: which values are accepted, and how errors and reprs keep secrets."""

from __future__ import annotations

import copy
import datetime as dt
import inspect
import os
import pickle
from pathlib import Path
from typing import get_args

import pytest

from sparkfly_nb.errors import ConfigurationError
from sparkfly_nb.settings import ADDRESSES, VARIABLES, Environment, Secret, Settings, user_name


def make(*arguments, **more):
    return Settings.make(*arguments, **({"token": "given-token"} | more))


@pytest.mark.parametrize(
    ("environment", "address"),
    [("staging", "https://api-staging.sparkfly.com/v1.0"), ("production", "https://api.sparkfly.com/v1.0")],
)
def test_environments_have_the_published_addresses(environment, address):
    settings = make(environment)

    assert settings.base_url == address
    assert settings.root_url == address.removesuffix("/v1.0")
    assert not settings.is_loopback


def test_default_environment_is_staging():
    assert make().environment == "staging"


def test_sandbox_needs_an_address():
    with pytest.raises(ConfigurationError, match=r"Session\.sandbox\(\)"):
        make("sandbox")


def test_unknown_environment_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="staging, production, sandbox"):
        make("prod")


@pytest.mark.parametrize(
    "address",
    [
        "https://proxy.example/v1.0",
        "https://proxy.example:8443/sparkfly/v1.0",
        "http://127.0.0.1:8080/v1.0",
        "http://localhost/v1.0",
        "http://[::1]:8080/v1.0",
        "http://127.9.9.9/v1.0",
    ],
)
def test_valid_address_is_accepted(address):
    assert make(base_url=address).base_url == address


def test_trailing_slash_of_an_address_is_removed():
    assert make(base_url="https://h.example/v1.0/").base_url == "https://h.example/v1.0"


@pytest.mark.parametrize(
    "address",
    ["HTTPS://h.example/v1.0", "https://H.Example/v1.0", "https://h.example:443/v1.0", "https://h.example./v1.0//"],
)
def test_address_is_stored_in_one_canonical_spelling(address):
    """The digest of a run contains the address: with another spelling, the same rows would be issued again."""
    assert make(base_url=address).base_url == "https://h.example/v1.0"


@pytest.mark.parametrize(
    "address", ["https://bücher.example/v1.0", "https://h.example/%2e%2e/v1.0", "http://[::1%25lo]/v1.0"]
)
def test_address_that_libraries_parse_differently_is_refused(address):
    with pytest.raises(ConfigurationError, match="HTTP libraries parse differently"):
        make(base_url=address)


def test_default_port_of_the_other_scheme_is_kept():
    assert make(base_url="http://[::1]:443/v1.0").base_url == "http://[::1]:443/v1.0"


@pytest.mark.parametrize(
    "address",
    ["https://api.sparkfly.com/v1.0", "https://API.sparkfly.com/v1.0", "https://api.sparkfly.com:443/v1.0",
     "https://api.sparkfly.com./v1.0", "https://api.sparkfly.com:8443/v1.0", "https://api.sparkfly.com/other/v1.0"],
)  # fmt: skip
def test_production_is_recognized_in_every_spelling_of_its_address(address):
    assert make("staging", base_url=address).is_production


def test_production_with_another_address_is_still_production():
    assert make("production", base_url="https://proxy.example/v1.0").is_production


@pytest.mark.parametrize("address", [None, "https://proxy.example/v1.0", "https://api.sparkfly.com.example/v1.0"])
def test_other_addresses_are_not_production(address):
    assert not make("staging", base_url=address).is_production


@pytest.mark.parametrize(
    "address",
    [
        "http://api.sparkfly.com/v1.0",
        "https://api.sparkfly.com/v1.0?",
        "https://api.sparkfly.com/v1.0#",
        "https://api.sparkfly.com/x/../v1.0",
        "http://127.0.0.1.evil.example/v1.0",
        "http://localhost.evil.example/v1.0",
        "http://0.0.0.0/v1.0",
        "http://192.168.1.1/v1.0",
        "https://api.sparkfly.com",
        "https://api.sparkfly.com/v2",
        "https://api.sparkfly.com/v1.0?x=/v1.0",
        "https://api.sparkfly.com/#/v1.0",
        "https://user:5ecret@api.sparkfly.com/v1.0",
        "ftp://api.sparkfly.com/v1.0",
        "api.sparkfly.com/v1.0",
        "https:///v1.0",
        "https://h.example:99999/v1.0",
        "https://h.example:x/v1.0",
        "https://[::1/v1.0",
        "https://h.example/v1.0\r\nX-Evil: 1/v1.0",
        "https://h.example\\@evil.example/v1.0",
        "https://h example/v1.0",
        "file:///v1.0",
    ],
)
def test_unsafe_or_malformed_address_is_refused(address):
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        make(base_url=address)

    assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize("name", ["token", "identity", "key"])
@pytest.mark.parametrize(
    "text", ["", " ", "5ecret ", " 5ecret", "5ecret\n", "a\r\nX-Evil: 5ecret", "5ecret\x00", "5ecrét"]
)
def test_credential_that_no_header_can_carry_is_refused_and_not_shown(name, text):
    given = {"identity": "an-identity", "key": "a-key", name: text}

    with pytest.raises(ConfigurationError, match=f"{name} is empty, starts or ends with") as caught:
        Settings.make(**given)

    assert "5ecr" not in str(caught.value)


@pytest.mark.parametrize(("given", "missing"), [("identity", "key"), ("key", "identity")])
def test_identity_without_key_or_key_without_identity_is_refused(given, missing):
    with pytest.raises(ConfigurationError, match=f"{missing} is missing"):
        Settings.make(**{given: "one-of-two"})


def test_missing_credentials_are_refused_with_the_ways_to_pass_them():
    with pytest.raises(ConfigurationError, match="SPARKFLY_TOKEN"):
        Settings.make()


@pytest.mark.parametrize(("timeout", "pair"), [(7, (7.0, 7.0)), (0.5, (0.5, 0.5)), ((1, 2.5), (1.0, 2.5))])
def test_timeout_is_one_number_or_two(timeout, pair):
    settings = make(timeout=timeout)

    assert (settings.connect_timeout_s, settings.read_timeout_s) == pair


@pytest.mark.parametrize(
    "timeout", [0, -1, (1, 0), (1, 2, 3), (), None, "5", True, float("nan"), float("inf"), (1, None)]
)
def test_zero_infinite_or_malformed_timeout_is_refused(timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        make(timeout=timeout)


def test_time_zone_is_a_name_or_a_tzinfo():
    offset = dt.timezone(dt.timedelta(hours=2))

    assert str(make(tz="America/New_York").tz) == "America/New_York"
    assert make(tz=offset).tz is offset


@pytest.mark.parametrize("tz", ["Mars/Olympus", "../etc/passwd", "", 5, True, b"UTC"])
def test_unknown_time_zone_is_refused(tz):
    with pytest.raises(ConfigurationError, match="tz"):
        make(tz=tz)


def test_repr_of_settings_shows_no_secret():
    settings = Settings.make(token="5ecret-t", identity="5ecret-i", key="5ecret-k")

    assert "5ecret" not in repr(settings)


def test_repr_of_settings_does_not_show_the_ledger_password():
    assert "5ecret" not in repr(make(ledger="postgresql://analyst:5ecret@db.example/ledger"))


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_settings_cannot_be_pickled_or_copied(carry):
    with pytest.raises(ConfigurationError, match="credentials"):
        carry(make())


@pytest.mark.parametrize("name", ["environment", "base_url", "token", "identity", "key", "ledger"])
@pytest.mark.parametrize("value", [5, b"5ecret", ["5ecret"], Path("5ecret")])
def test_value_that_is_not_text_is_refused_and_not_shown(name, value):
    with pytest.raises(ConfigurationError, match=name) as caught:
        make(**{name: value})

    assert "5ecret" not in str(caught.value)


def test_secrets_compare_by_their_text():
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"


def test_empty_variables_count_as_not_set():
    variables = {"SPARKFLY_TOKEN": "", "SPARKFLY_KEY": "a-key", "OTHER": "x"}

    assert Settings.arguments_from(variables) == {"key": "a-key"}


def test_every_variable_is_an_argument_of_make():
    assert VARIABLES.keys() <= inspect.signature(Settings.make).parameters.keys()


def test_every_environment_has_an_entry_in_addresses():
    assert set(get_args(Environment)) == ADDRESSES.keys()


def test_user_name_is_unknown_if_the_system_has_no_entry(monkeypatch):
    pwd = pytest.importorskip("pwd")
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert user_name() == pwd.getpwuid(os.getuid()).pw_name

    def find_no_user(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", find_no_user)
    assert user_name() == "unknown"
