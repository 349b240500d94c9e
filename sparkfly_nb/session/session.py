"""The Session: one object that knows where the service is and who asks; everything an analyst does starts here."""

from __future__ import annotations

import datetime as dt
import html
import os
from typing import TYPE_CHECKING, Any, NoReturn

from ..api.retry_policy import RetryPolicy
from ..errors import ConfigurationError
from ..http.sync_client import SyncClient
from ..settings import Settings, hidden
from .audits import Audits
from .bulk_changes import BulkChanges
from .single_changes import SingleChanges
from .single_reads import SingleReads

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..forms import Console
    from ..sandbox.process import SandboxProcess
    from ..settings import Secret

__all__ = ["Session"]


class Session(SingleReads, SingleChanges, BulkChanges, Audits):
    """A connection to Sparkfly; a context manager, safe to use from several threads.

    Parameters
    ----------
    environment : {"staging", "production", "sandbox"}
        Which service.
    base_url : str, optional
        Its address where that is another one, ending in ``/v1.0``; plain http for this machine only.
    token : str, optional
        A token, which lives 24 hours.
    identity, key : str, optional
        The credentials of the application; tokens are then got and renewed as needed.
    timeout : float or tuple of float
        Seconds for connecting, and of silence while an answer is awaited. One attempt as a whole ends after the first
        and four times the second; a request of a bulk call, with its whole answer, after the second.
    tz : str or tzinfo, optional
        The time zone of times that carry no offset; without it they are refused.
    ledger : str, optional
        Where bulk runs are recorded: a path or an SQLAlchemy URL; a file of the user by default.

    retry : RetryPolicy, optional
        How often and how long a request is tried, in single calls and by bulk workers. By default 5 attempts within 120
        seconds.

    Raises
    ------
    ConfigurationError
        Something cannot be used; the message says what, and shows no secret.

    Attributes
    ----------
    settings : Settings
        What it was made with.
    transport : SyncClient
        Carries single calls.
    service : SandboxProcess or None
        The local service that it started.
    """

    service: SandboxProcess | None = None

    def __init__(
        self,
        environment: str = "staging",
        *,
        base_url: str | None = None,
        token: str | Secret | None = None,
        identity: str | Secret | None = None,
        key: str | Secret | None = None,
        timeout: float | tuple[float, float] = (5, 30),
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
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
            raise ConfigurationError(f"retry is of type {type(retry).__name__}; give a sf.RetryPolicy(...)")
        self._retry = retry or RetryPolicy()
        self._client = SyncClient(self.settings, policy=self._retry)

    @classmethod
    def from_env(
        cls,
        *,
        timeout: float | tuple[float, float] = (5, 30),
        tz: str | dt.tzinfo | None = None,
        retry: RetryPolicy | None = None,
    ) -> Self:
        """Make a Session from environment variables.

        They are SPARKFLY_ENVIRONMENT, SPARKFLY_BASE_URL, SPARKFLY_TOKEN, SPARKFLY_IDENTITY, SPARKFLY_KEY and
        SPARKFLY_LEDGER.

        Parameters
        ----------
        timeout, tz, retry
            As for `Session`.

        Raises
        ------
        ConfigurationError
            Credentials are missing, or something cannot be used.
        """
        return cls(**Settings.arguments_from(os.environ), timeout=timeout, tz=tz, retry=retry)

    @classmethod
    def sandbox(
        cls,
        *,
        timeout: float | tuple[float, float] = (5, 30),
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
        retry: RetryPolicy | None = None,
        **options: Any,
    ) -> Self:
        """Start a local Sparkfly in a process of its own, and connect to it; `close` stops it.

        Parameters
        ----------
        timeout, tz, ledger, retry
            As for `Session`.
        **options
            As for ``SandboxProcess.start``: ``members``, ``seed``, ``db``, ``faults``, ...

        Raises
        ------
        SandboxError
            It did not start.
        """
        from ..sandbox.process import SandboxProcess  # noqa: PLC0415 - a web server, which only this needs

        service = SandboxProcess.start(**options)
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
        """Show a form for each action: issue, look up, change, redeem and void one offer without writing code.

        Returns
        -------
        Console
            A widget with a tab per action, for Jupyter and Voilà; ``forms`` holds the forms by operation, and each
            form has its last frame in ``result``.
        """
        from ..forms import Console  # noqa: PLC0415 - widgets, which only this needs

        return Console(self)

    def close(self) -> None:
        """Close the connections and stop what was started; calling it again does nothing."""
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

    def __repr__(self) -> str:
        if "_client" not in vars(self):  # a traceback with variables shows one that was refused, too
            return "<Session that could not be made>"
        return f"<Session {', '.join(f'{name}: {text}' for name, text in self._shown().items())}>"

    def _repr_html_(self) -> str:
        colour = "#b00020" if self.settings.is_production else "inherit"
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left;color:{colour}">{html.escape(text)}</td></tr>'
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
            return "as given, its end is not known" + ("; renewed when refused" if self._tokens.can_renew else "")
        return "got with the first call"

    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a Session is not pickled or copied: it holds credentials and open connections. "
            "Make one where it is needed with Session.from_env(); bulk calls bring their workers what they need"
        )
