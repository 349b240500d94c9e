"""The settings of a Session: environment, address, credentials, timeouts. Nothing here uses the network."""

from __future__ import annotations

import datetime as dt
import getpass
import ipaddress
import re
import zoneinfo
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, TypeVar
from urllib.parse import urlsplit

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ADDRESSES",
    "DEFAULT_TIMEOUT",
    "SANDBOX_DEFAULTS",
    "SECRETS",
    "VARIABLES",
    "Environment",
    "SandboxDefaults",
    "Secret",
    "Settings",
    "hidden",
    "user_name",
]

#: The service that a Session uses: staging for trials, production for real members, or a sandbox on this machine.
Environment: TypeAlias = Literal["staging", "production", "sandbox"]

#: The address of each environment.
ADDRESSES: Final[dict[str, str | None]] = {
    "staging": "https://api-staging.sparkfly.com/v1.0",
    "production": "https://api.sparkfly.com/v1.0",
    "sandbox": None,  # each sandbox has its own port
}

#: The environment variable of each setting that ``Session.from_env`` reads.
VARIABLES: Final[dict[str, str]] = {
    "environment": "SPARKFLY_ENVIRONMENT",
    "base_url": "SPARKFLY_BASE_URL",
    "token": "SPARKFLY_TOKEN",
    "identity": "SPARKFLY_IDENTITY",
    "key": "SPARKFLY_KEY",
    "ledger": "SPARKFLY_LEDGER",
}

#: The default timeouts for connecting and for reading, in seconds.
DEFAULT_TIMEOUT: Final = (5.0, 30.0)

#: The settings that are never shown.
SECRETS: Final = ("token", "identity", "key")


# Session.sandbox and SandboxProcess.start have the same defaults. They are here, below both, because the Session must
# not import the sandbox before somebody starts one.
@dataclass(frozen=True, slots=True)
class SandboxDefaults:
    """The default options of a sandbox."""

    #: Number of members of a new merchant.
    members: int = 500
    #: Seed of the generated merchant.
    seed: int = 7
    #: TCP port; 0 selects a free one.
    port: int = 0
    #: Seed that selects the requests that faults affect.
    fault_seed: int = 0
    #: Maximum time until the sandbox must be ready, in seconds.
    startup_timeout_s: float = 30.0


#: The defaults of ``Session.sandbox``, ``SandboxProcess.start`` and ``python -m sparkfly_nb.sandbox``.
SANDBOX_DEFAULTS: Final = SandboxDefaults()

_T = TypeVar("_T")


class Secret:
    """A text that is never shown; only the code that sends it calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


def hidden(value: str | _T) -> Secret | _T:
    """Wrap text as a `Secret`; `Settings.make` refuses other types later.

    Call this first: from then on, tracebacks that show local variables do not show the text.
    """
    return Secret(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of a Session.

    Attributes
    ----------
    environment : {"staging", "production", "sandbox"}
        The service.
    base_url : str
        The address of the service, ending in ``/v1.0``, in one canonical spelling.
    token, identity, key : Secret or None
        The credentials.
    connect_timeout_s, read_timeout_s : float
        The timeouts, in seconds.
    tz : tzinfo or None
        The time zone of times without an offset.
    ledger : str or None
        The path or URL of the ledger; None is the user's default file.
    """

    environment: Environment
    base_url: str
    token: Secret | None
    identity: Secret | None
    key: Secret | None
    connect_timeout_s: float
    read_timeout_s: float
    tz: dt.tzinfo | None
    ledger: str | None = field(repr=False)  # a database URL may contain a password

    @property
    def root_url(self) -> str:
        """The address without ``/v1.0``; authentication requests go there."""
        return self.base_url.removesuffix("/v1.0")

    @property
    def is_production(self) -> bool:
        """Whether changes affect real members."""
        return self.environment == "production" or _host_of(self.base_url) == _host_of(ADDRESSES["production"])

    @property
    def is_loopback(self) -> bool:
        """Whether the service runs on this machine."""
        return _is_loopback(_host_of(self.base_url))

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "settings contain credentials and cannot be pickled or copied; create them where they are needed"
        )

    @classmethod
    def make(
        cls,
        environment: Environment = "staging",
        *,
        base_url: str | None = None,
        token: str | Secret | None = None,
        identity: str | Secret | None = None,
        key: str | Secret | None = None,
        timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
    ) -> Settings:
        """Check the arguments of a Session and return them as `Settings`.

        Raises
        ------
        ConfigurationError
            A setting cannot be used. The message says which one and how to fix it, and shows no secret.
        """
        token, identity, key = hidden(token), hidden(identity), hidden(key)
        texts: dict[str, object] = {
            "environment": environment, "base_url": base_url, "token": token, "identity": identity, "key": key,
            "ledger": hidden(ledger),  # a database URL may contain a password, which a traceback must not show
        }  # fmt: skip
        for name, value in texts.items():
            # The message must not contain the value: a secret may have been passed under the wrong name.
            if not isinstance(value, Secret if name in SECRETS else (str, Secret)) and value is not None:
                raise ConfigurationError(f"{name} is of type {type(value).__name__}; pass text (str)")
        if environment not in ADDRESSES:
            raise ConfigurationError(f"environment {environment!r} is unknown; use one of {', '.join(ADDRESSES)}")
        address = base_url or ADDRESSES[environment]
        if address is None:
            raise ConfigurationError(
                'environment "sandbox" needs base_url, the address that the sandbox printed at its start; '
                "or use Session.sandbox(), which starts a sandbox and connects to it"
            )
        if (identity is None) != (key is None):
            missing = "key" if key is None else "identity"
            raise ConfigurationError(f"{missing} is missing; pass identity and key together")
        if token is None and identity is None:
            raise ConfigurationError(
                "no credentials; pass token=, or identity= and key=. Or set the environment variables SPARKFLY_TOKEN, "
                "or SPARKFLY_IDENTITY and SPARKFLY_KEY, and use Session.from_env(). "
                "Session.sandbox() needs no credentials"
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
    def arguments_from(cls, variables: Mapping[str, str]) -> dict[str, Any]:
        """Return the arguments of `make` that environment variables set; empty variables count as not set."""
        return {name: variables[variable] for name, variable in VARIABLES.items() if variables.get(variable)}


def user_name() -> str:
    """Return the name of the user who runs this process, as recorded in ledgers and audits."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no entry for the user ID
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
    return any(address in network for network in _LOOPBACK)  # `address.is_loopback` differs between Python versions


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, port = _host_of(address), parts.port
    except ValueError:
        raise ConfigurationError(_NOT_AN_ADDRESS) from None
    if re.search(r"[\s\x00-\x1f\x7f\\]", address) or parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(_NOT_AN_ADDRESS)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "base_url must not contain a user name or password; pass token=, or identity= and key="
        )
    if "?" in address or "#" in address:
        raise ConfigurationError(f"base_url {address!r} must not have a query or a fragment; remove ? and #")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"base_url {address!r} would send the token unencrypted; use https "
            "(plain http is allowed for this machine only)"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/v1.0") or {".", ".."} & set(path.split("/")):
        raise ConfigurationError(f"base_url {address!r} must end in /v1.0 and must not contain . or .. as a part")
    if not _PLAIN_HOST.fullmatch(host) or not _PLAIN_PATH.fullmatch(path):
        raise ConfigurationError(
            f"base_url {address!r} contains characters that HTTP libraries parse differently; use only letters, digits "
            "and -._~, and the xn-- form of an international name"
        )
    # Return one canonical spelling: the digest of a run contains the address, and with another spelling the same rows
    # would be a new run and would be issued again.
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown_host}{shown_port}{path}"


_NOT_AN_ADDRESS: Final = "base_url is not a web address; write it as https://api.sparkfly.com/v1.0"
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_PORTS: Final = {"http": 80, "https": 443}
_PLAIN_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*")
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9._~/-]*")


def _checked(name: str, secret: Secret | None) -> Secret | None:
    if secret is not None and not _fits_in_header(secret):
        raise ConfigurationError(
            f"{name} is empty, starts or ends with a space, or contains a line break or another character that an HTTP "
            "header cannot carry; copy it again"
        )
    return secret


def _fits_in_header(secret: Secret) -> bool:
    text = secret.reveal()
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()


def _timeouts(timeout: float | tuple[float, float]) -> tuple[float, float]:
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    if len(pair) != 2 or not all(
        isinstance(part, (int, float)) and not isinstance(part, bool) and 0 < part < 86_400 for part in pair
    ):
        raise ConfigurationError(
            f"timeout {timeout!r} cannot be used; pass seconds above 0, or (connect, read) in seconds"
        )
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
