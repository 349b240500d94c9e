"""Where the service is and who asks: environment, address, credentials, times. Nothing here talks to the network."""

from __future__ import annotations

import datetime as dt
import getpass
import ipaddress
import re
import zoneinfo
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADDRESSES", "VARIABLES", "Secret", "Settings", "hidden", "user_name"]

ADDRESSES: Final[dict[str, str | None]] = {
    "staging": "https://api-staging.sparkfly.com/v1.0",
    "production": "https://api.sparkfly.com/v1.0",
    "sandbox": None,  # wherever the local service was started
}
"""The environments, and where each is."""

VARIABLES: Final[dict[str, str]] = {
    "environment": "SPARKFLY_ENVIRONMENT",
    "base_url": "SPARKFLY_BASE_URL",
    "token": "SPARKFLY_TOKEN",
    "identity": "SPARKFLY_IDENTITY",
    "key": "SPARKFLY_KEY",
    "ledger": "SPARKFLY_LEDGER",
}
"""The environment variable of each setting that ``Session.from_env`` reads."""


SECRETS: Final = ("token", "identity", "key")
"""The settings that are shown nowhere."""


class Secret:
    """A text that shows itself to nobody; `reveal` gives it to the one place that sends it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def hidden(given: object) -> Any:
    """Hide a text at once, so that no frame of a traceback shows it; what is no text is refused later, by its type."""
    return Secret(given) if isinstance(given, str) else given


@dataclass(frozen=True, slots=True)
class Settings:
    """What a Session was made with, checked."""

    environment: str
    base_url: str
    token: Secret | None
    identity: Secret | None
    key: Secret | None
    connect_timeout_s: float
    read_timeout_s: float
    tz: dt.tzinfo | None
    ledger: str | None = field(repr=False)  # an address of a database may hold its password

    @property
    def root_url(self) -> str:
        """The address without ``/v1.0``, where authentication lives."""
        return self.base_url.removesuffix("/v1.0")

    @property
    def is_production(self) -> bool:
        """Whether this changes what real members hold."""
        return self.environment == "production" or _host_of(self.base_url) == _host_of(ADDRESSES["production"])

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        return _is_loopback(_host_of(self.base_url))

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError("settings are not pickled or copied: they hold credentials; make them where needed")

    @classmethod
    def make(
        cls,
        environment: str = "staging",
        *,
        base_url: str | None = None,
        token: str | Secret | None = None,
        identity: str | Secret | None = None,
        key: str | Secret | None = None,
        timeout: float | tuple[float, float] = (5, 30),
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
    ) -> Settings:
        """Check what a person gave.

        Raises
        ------
        ConfigurationError
            Something cannot be used; the message says what and how to mend it, and shows no secret.
        """
        token, identity, key = hidden(token), hidden(identity), hidden(key)
        texts: dict[str, object] = {
            "environment": environment, "base_url": base_url, "token": token, "identity": identity, "key": key,
            "ledger": hidden(ledger),
        }  # fmt: skip
        for name, given in texts.items():
            if not isinstance(given, Secret if name in SECRETS else (str, Secret)) and given is not None:
                raise ConfigurationError(f"{name} is of type {type(given).__name__}; give a text")
        if environment not in ADDRESSES:
            raise ConfigurationError(f"environment {environment!r} is not known; use one of {', '.join(ADDRESSES)}")
        address = base_url or ADDRESSES[environment]
        if address is None:
            raise ConfigurationError(
                'environment "sandbox" needs base_url, the address that the sandbox printed; '
                "Session.sandbox() starts one and connects to it"
            )
        if (identity is None) != (key is None):
            missing = "key" if key is None else "identity"
            raise ConfigurationError(f"identity and key go together; {missing} is missing")
        if token is None and identity is None:
            raise ConfigurationError(
                "no credentials: give token=, or identity= and key=, or set "
                "SPARKFLY_TOKEN, or SPARKFLY_IDENTITY and SPARKFLY_KEY, and use Session.from_env(); "
                "Session.sandbox() needs none"
            )
        connect_s, read_s = _timeouts(timeout)
        return cls(
            environment=environment,
            base_url=_checked_address(address),
            token=_checked("token", token),
            identity=_checked("identity", identity),
            key=_checked("key", key),
            connect_timeout_s=connect_s,
            read_timeout_s=read_s,
            tz=_zone(tz),
            ledger=ledger,
        )

    @classmethod
    def arguments_from(cls, variables: Mapping[str, str]) -> dict[str, str]:
        """Pick the arguments of `make` out of environment variables; empty ones count as not set."""
        return {name: variables[variable] for name, variable in VARIABLES.items() if variables.get(variable)}


def user_name() -> str:
    """Name the person whose process this is, as ledgers and audits keep it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such entry, in a container for instance
        return "unknown"


def _host_of(address: str | None) -> str:
    return (urlsplit(address or "").hostname or "").rstrip(".")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)  # is_loopback says other things in other versions of Python


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, port = _host_of(address), parts.port
    except ValueError:
        raise ConfigurationError("base_url is not an address; write it as https://api.sparkfly.com/v1.0") from None
    if re.search(r"[\s\x00-\x1f\x7f\\]", address) or parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError("base_url is not an address; write it as https://api.sparkfly.com/v1.0")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("base_url must not carry a user or a password; give token=, or identity= and key=")
    if "?" in address or "#" in address:
        raise ConfigurationError(f"base_url {address!r} must not have a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"base_url {address!r} would send the token unencrypted; use https (plain http is for this machine only)"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/v1.0") or {".", ".."} & set(path.split("/")):
        raise ConfigurationError(f"base_url {address!r} must end in /v1.0 and hold no steps such as ..")
    if not _PLAIN_HOST.fullmatch(host) or not _PLAIN_PATH.fullmatch(path):
        raise ConfigurationError(
            f"base_url {address!r} holds signs that not every library reads alike; use letters, digits and -._~ only, "
            "and the xn-- form of a name in other letters"
        )
    # Written in one way, since the name of a run is made from it: another spelling would issue everything again.
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_PORTS: Final = {"http": 80, "https": 443}
_PLAIN_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*")


def _checked(name: str, secret: Any) -> Any:
    if secret is not None and not _fits_a_header(secret):
        raise ConfigurationError(
            f"{name} is empty or holds a space at an end, a line break or another character that no header can carry; "
            "copy it again"
        )
    return secret


def _fits_a_header(secret: Secret) -> bool:
    text = secret.reveal()
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _timeouts(timeout: float | tuple[float, float]) -> tuple[float, float]:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) != 2 or not all(
        isinstance(part, (int, float)) and not isinstance(part, bool) and 0 < part < 86_400 for part in pair
    ):
        raise ConfigurationError(f"timeout {timeout!r} must be seconds above 0, or (connect, read) in seconds")
    return float(pair[0]), float(pair[1])


def _zone(tz: object) -> dt.tzinfo | None:
    if tz is None or isinstance(tz, dt.tzinfo):
        return tz
    if not isinstance(tz, str):
        raise ConfigurationError(f"tz {tz!r} is not a time zone; use a name such as 'America/New_York'")
    try:
        return zoneinfo.ZoneInfo(tz)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(f"tz {tz!r} is not a time zone; use a name such as 'America/New_York'") from None
