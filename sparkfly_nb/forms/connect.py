"""The form that connects a Session. Only the Session keeps the key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from ..errors import AuthenticationError, ConfigurationError
from ..session.session import Session
from ..settings import DEFAULT_TIMEOUT, VARIABLES, Secret
from .rendering import notice
from .widget import Button, FormWidget

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from ..api.retry_policy import RetryPolicy
    from ..settings import Environment

__all__ = ["Connect"]

SECRET: Final = ("identity", "key")
ENVIRONMENTS: Final = (("staging", "staging"), ("production", "production"))
HELP: Final[dict[str, str]] = {
    "environment": "Where the offers are; staging is for trying things out",
    "identity": "The identity of the application, from Sparkfly",
    "key": "Its key; the field is emptied when you press the button, and the key is kept in no notebook",
}


class Connect(FormWidget):
    """A form that creates a Session from an environment, an identity and a key.

    The key is typed into a password field and sent only when the button is pressed. The key is not part of the widget's
    state, so a saved notebook does not contain it.

    Parameters
    ----------
    environment : {"staging", "production", "sandbox"}
        The initial choice.
    base_url : str, optional
        Another address, as for `Session`. Required for the sandbox.
    timeout, tz, ledger, retry
        As for `Session`.

    Attributes
    ----------
    session : Session or None
        The Session, once connected.
    """

    def __init__(
        self,
        environment: Environment = "staging",
        *,
        base_url: str | None = None,
        timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
        tz: str | dt.tzinfo | None = None,
        ledger: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(None)
        self.session: Session | None = None
        self._base_url = base_url
        self._connect = partial(Session, base_url=base_url, timeout=timeout, tz=tz, ledger=ledger, retry=retry)
        self._listeners: list[Callable[[Session], object]] = []
        choices = [*ENVIRONMENTS, ("sandbox", "sandbox")] if base_url else list(ENVIRONMENTS)
        if environment not in dict(choices):
            raise ConfigurationError(
                f"this form cannot connect to environment {environment!r}; use one of {', '.join(dict(choices))}, "
                "or Session.sandbox() for a local service"
            )
        common = {"choices": (), "unit": "", "placeholder": "", "required": True, "one_of": False, "value": ""}
        fields = [
            common | {"name": "environment", "input": "choice", "choices": choices, "value": environment},
            common | {"name": "identity", "input": "text", "secret": True},
            common | {"name": "key", "input": "password", "secret": True},
        ]
        self.spec = {
            "title": "Connect",
            "summary": "Connect to Sparkfly with the credentials of your application",
            "fields": [
                field | {"label": str(field["name"]).capitalize(), "help": HELP[str(field["name"])]} for field in fields
            ],
            "one_of": "",
        }
        self._seen = self._seen._replace(typed={"environment": environment})
        self._show()

    def on_connect(self, listener: Callable[[Session], object]) -> None:
        """Register a function to call with each new Session."""
        self._listeners.append(listener)

    @property
    def _environment(self) -> str:
        return self._seen.typed.get("environment", "")

    def _banner(self) -> str:
        return "PRODUCTION" if self._environment == "production" else ""

    def _described(self) -> dict[str, Any]:
        missing = [name for name in SECRET if not self._seen.typed.get(name)]
        # The Python code reads the secrets from the environment, so that nobody pastes them into a notebook.
        address = f", base_url={self._base_url!r}" if self._base_url else ""
        secrets = ", ".join(f'{name}=os.environ["{VARIABLES[name]}"]' for name in SECRET)
        return {
            "problems": {name: {"level": "needed", "text": f"needed: the {name}"} for name in missing},
            "python": {"line": f"session = sf.Session({self._environment!r}{address}, {secrets})", "ready": True},
            "actions": [Button("connect", f"Connect to {self._environment}", enabled=not missing)],
            "confirm": None,
            "locked": False,
            "hint": "",
        }

    def _on_message(self, widget: object, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        try:
            super()._on_message(widget, message, buffers)
        finally:
            # Also after an error, the form must not keep the credentials.
            self._forget_secrets()

    def _forget_secrets(self) -> None:
        typed = {name: "given" if text and name in SECRET else text for name, text in self._seen.typed.items()}
        self._seen = self._seen._replace(typed=typed)

    def _handlers(self) -> Mapping[str, Callable[[], None]]:
        return {"connect": self._on_connect_pressed}

    def _on_connect_pressed(self) -> None:
        identity, key = (Secret(self._seen.typed[name].strip()) for name in SECRET)
        self._seen = self._seen._replace(typed={"environment": self._environment})  # the page cleared both fields
        environment = cast("Environment", self._environment)  # the Session checks the value
        session = self._connect(environment, identity=identity, key=key)
        try:
            session._tokens.current()  # noqa: SLF001 - get a token now, to verify the credentials
        except AuthenticationError as error:
            session.close()
            text = "The identity and the key do not belong together, or not to this environment. Type both again."
            self._notice = notice(
                "refused", "Not connected: the credentials were not accepted.", text, trace=error.trace
            )
            return
        except BaseException:
            session.close()
            raise
        self.session = session
        self._notice = notice("done", f"Connected to {self._environment}.", session.settings.base_url)
        for listener in self._listeners:
            listener(session)

    def __repr__(self) -> str:
        return (
            f"<Connect: {self.session!r}>" if self.session else "<Connect: not connected; shown as a form in Jupyter>"
        )
