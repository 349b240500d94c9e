"""The Session: the address and credentials of the service, and every call to it."""

from __future__ import annotations

import datetime as dt
import html
import inspect
import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from ..api.endpoints import TOKEN_LIFETIME_S
from ..api.retry_policy import RetryPolicy
from ..errors import ConfigurationError
from ..http.sync_client import SyncClient
from ..settings import DEFAULT_TIMEOUT, SANDBOX_DEFAULTS, Settings, hidden
from .audits import Audits
from .bulk_changes import BulkChanges
from .single_changes import SingleChanges
from .single_reads import SingleReads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Never, Self

    from ..forms import Console
    from ..sandbox.process import SandboxProcess
    from ..settings import Environment, Secret

__all__ = ["Session"]


class Session(SingleReads, SingleChanges, BulkChanges, Audits):
    """A connection to Sparkfly, with every call to the service.

    A Session is a context manager and is safe to use from several threads.

    Parameters
    ----------
    environment : {"staging", "production", "sandbox"}
        The service.
    base_url : str, optional
        The address of the service, ending in ``/v1.0``; by default the published one. Plain http is allowed for this
        machine only. Required with ``"sandbox"``.
    token : str, optional
        A token. Tokens expire after 24 hours.
    identity, key : str, optional
        The credentials of the application. With these, the Session requests and renews tokens automatically.
    timeout : float or tuple of float
        Seconds, or ``(connect, read)`` in seconds: the limits for connecting and for silence during a response.
        One attempt of a single call ends after the connect timeout plus four times the read timeout. Each request of
        a bulk call, with its whole response, ends after the read timeout.
    tz : str or tzinfo, optional
        The time zone of times without an offset, as in ``"America/New_York"``. By default such times are refused.
    ledger : str, optional
        Where bulk runs are recorded: the path of an SQLite file, or an SQLAlchemy URL. By default a file in the user's
        data folder.
    retry : RetryPolicy, optional
        How often and how long a request is tried, in single calls and by bulk workers. By default 5 attempts within
        120 seconds.

    Raises
    ------
    ConfigurationError
        A setting cannot be used. The message says which one, and shows no secret.

    Attributes
    ----------
    settings : Settings
        The checked settings.
    service : SandboxProcess or None
        The sandbox that `Session.sandbox` started. `close` stops it.
    ledger : str
        The path of the ledger, or its URL without the password.

    Notes
    -----
    These rules apply to the eleven single calls, from `issue_offer` to `query_offer_states`:

    - IDs that are part of the address can be passed by position, all other values by name.
    - An ID is a whole number or text. A time is ISO 8601 text, a datetime, a Timestamp or a numpy time. A time without
      an offset is refused unless the Session has `tz`. None and missing values count as not given.
    - Frames have the columns and dtypes of ``sparkfly_nb.schema``. Fields that the schema does not list follow as
      extra columns.
    - `InvalidInput` is raised before anything is sent, `ConnectionFailed` if the service did not process the request,
      and `ApiError` if the service refused it. The status decides the class: `AuthenticationError`, `PermissionDenied`,
      `NotFound`, `Unprocessable`, `RateLimited` or `ServerError`.
    - Reads and voids are retried. They raise `RequestFailed` if no attempt gets a usable response.
    - A change whose response is lost is not resent, and raises `OutcomeUnknown`.

    Examples
    --------
    >>> import sparkfly_nb as sf
    >>> with sf.Session.sandbox(members=5) as session:
    ...     print(session.settings.environment)
    ...     print(session.issue_offer(campaign_id="SUMMER26", member_id=1001)["member_id"].tolist())
    sandbox
    [1001]
    """

    service: SandboxProcess | None = None

    def __init__(
        self,
        environment: Environment = "staging",
        *,
        base_url: str | None = None,
        token: str | Secret | None = None,
        identity: str | Secret | None = None,
        key: str | Secret | None = None,
        timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        # First of all, so that no later traceback can show a secret.
        token, identity, key = hidden(token), hidden(identity), hidden(key)
        self.settings = Settings.make(
            environment,
            base_url=base_url,
            token=token,
            identity=identity,
            key=key,
            timeout=timeout,
            tz=tz,
            ledger=ledger,
        )
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise ConfigurationError(f"retry is of type {type(retry).__name__}; pass a sf.RetryPolicy(...)")
        self._retry = retry or RetryPolicy()
        self._client = SyncClient(self.settings, policy=self._retry)

    @classmethod
    def from_env(
        cls,
        *,
        timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
        tz: str | dt.tzinfo | None = None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """Build a Session from environment variables.

        The variables are SPARKFLY_ENVIRONMENT, SPARKFLY_BASE_URL, SPARKFLY_TOKEN, SPARKFLY_IDENTITY, SPARKFLY_KEY and
        SPARKFLY_LEDGER. Empty ones count as not set.

        Parameters
        ----------
        timeout, tz, retry
            As for `Session`.

        Returns
        -------
        Session

        Raises
        ------
        ConfigurationError
            Credentials are missing, or a setting cannot be used.

        Examples
        --------
        >>> session = Session.from_env(tz="America/New_York")  # doctest: +SKIP
        """
        return cls(**Settings.arguments_from(os.environ), timeout=timeout, tz=tz, retry=retry)

    @classmethod
    def sandbox(
        cls,
        *,
        members: int = SANDBOX_DEFAULTS.members,
        seed: int = SANDBOX_DEFAULTS.seed,
        db: str | os.PathLike[str] | None = None,
        port: int = SANDBOX_DEFAULTS.port,
        now: dt.datetime | None = None,
        token_lifetime_s: float = TOKEN_LIFETIME_S,
        faults: Mapping[str, float] | None = None,
        fault_seed: int = SANDBOX_DEFAULTS.fault_seed,
        fault_times: Mapping[str, float] | None = None,
        startup_timeout_s: float = SANDBOX_DEFAULTS.startup_timeout_s,
        timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
        retry: RetryPolicy | None = None,
        **unknown: Never,
    ) -> Self:
        """Start a local Sparkfly in a separate process, and connect to it.

        `close` stops the sandbox. Its default ledger is deleted with it.

        Parameters
        ----------
        members : int
            Number of members of a new merchant. Their IDs start at 1001.
        seed : int
            Seed of the generated merchant: the same seed gives the same members and offers.
        db : str or Path, optional
            A file that keeps the merchant between runs. By default everything is in memory.
        port : int
            TCP port; 0 selects a free one.
        now : datetime, optional
            The time, with an offset, at which the sandbox's clock starts. By default the current time.
        token_lifetime_s : float
            How long a token is valid, in seconds.
        faults : Mapping of str to float, optional
            Rates from 0 to 1 by the names in ``sandbox.faults.FAULTS``, as in ``{"issue_offer:half_body": 0.1}``.
        fault_seed : int
            Seed that selects the requests that faults affect.
        fault_times : Mapping of str to float, optional
            Any of ``hang_s``, ``slow_s``, ``retry_after_s``, ``skew_s`` and ``refuse_s``, in seconds.
        startup_timeout_s : float
            Maximum time until the sandbox must be ready, in seconds.
        timeout, tz, ledger, retry
            As for `Session`.

        Returns
        -------
        Session

        Raises
        ------
        SandboxError
            The sandbox did not start.
        InvalidInput
            A fault is unknown, a rate is not between 0 and 1, or `now` has no offset.
        ConfigurationError
            There is no such option, or a setting cannot be used.

        Examples
        --------
        >>> with Session.sandbox(members=5, faults={"status_503": 0.1}) as session:
        ...     len(session.service.members())
        5
        """
        if unknown:
            raise ConfigurationError(_unknown_option(next(iter(unknown)), inspect.signature(cls.sandbox)))
        from ..sandbox.process import SandboxProcess  # noqa: PLC0415 - loads a web server, which only this call needs

        service = SandboxProcess.start(
            members=members,
            seed=seed,
            db=db,
            port=port,
            now=now,
            token_lifetime_s=token_lifetime_s,
            faults=faults,
            fault_seed=fault_seed,
            fault_times=fault_times,
            startup_timeout_s=startup_timeout_s,
        )
        try:
            session = cls(
                "sandbox",
                base_url=service.base_url,
                identity=service.identity,
                key=service.key,
                timeout=timeout,
                tz=tz,
                ledger=ledger,
                retry=retry,
            )
        except BaseException:
            service.stop()
            raise
        session.service = service
        return session

    def forms(self) -> Console:
        """Return a widget with a form for each action: issue, look up, change, redeem and void offers without code.

        Returns
        -------
        Console
            A widget with one tab per action, for Jupyter and Voilà. Its ``forms`` contains the forms by operation.
            Each form has its latest frame in ``result``.

        Examples
        --------
        >>> session.forms()
        <Console of 11 forms (sandbox); shown as tabs in Jupyter and Voilà>
        """
        from ..forms import Console  # noqa: PLC0415 - loads widgets, which only this call needs

        return Console(self)

    def close(self) -> None:
        """Close the connections and the ledger, and stop the sandbox if this Session started one.

        Calling `close` again does nothing.
        """
        try:
            self._close_runs()
        finally:
            self._client.close()
            if self.service is not None:
                self.service.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __dir__(self) -> list[str]:
        """List the public names, which is what completion shows."""
        return sorted(name for name in super().__dir__() if not name.startswith("_"))

    def __repr__(self) -> str:
        # If __init__ raises, a traceback that shows local variables calls this before `_client` exists.
        if "_client" not in vars(self):
            return "<Session that could not be created>"
        return f"<Session {', '.join(f'{name}: {text}' for name, text in self._shown().items())}>"

    def _repr_html_(self) -> str:
        color = "#b00020" if self.settings.is_production else "inherit"
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left;color:{color}">{html.escape(text)}</td></tr>'
            for name, text in self._shown().items()
        )
        return f"<table><caption>Sparkfly session</caption>{rows}</table>"

    def _shown(self) -> dict[str, str]:
        return {
            "environment": self.settings.environment,
            "address": self.settings.base_url,
            "token": "closed" if self._client.is_closed else self._token_shown(),
        }

    def _token_shown(self) -> str:
        expires_at = self._tokens.expires_at
        if expires_at is not None:
            return f"until {dt.datetime.fromtimestamp(expires_at, dt.timezone.utc):%Y-%m-%d %H:%M} UTC"
        if self.settings.token is not None:
            return "passed by you, expiry unknown" + ("; renewed when refused" if self._tokens.can_renew else "")
        return "requested with the first call"

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a Session cannot be pickled or copied: it contains credentials and open connections. "
            "Create one where it is needed, with Session.from_env(). Bulk calls set up their workers automatically"
        )


def _unknown_option(name: str, signature: inspect.Signature) -> str:
    allowed = [each.name for each in signature.parameters.values() if each.kind is each.KEYWORD_ONLY]
    close = get_close_matches(name, allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Session.sandbox() has no option {name!r}.{hint} The options are {', '.join(allowed)}"
