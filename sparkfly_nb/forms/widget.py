"""The base widget of all forms.

Python describes the screen, and the page (``front.js``) renders it. The page sends the whole input with each press of a
button, so that the form acts on exactly the values on the screen. The input is not part of the widget's state, so a
saved notebook does not contain it.
"""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import anywidget
import traitlets

from ..errors import SparkflyError
from .rendering import error_notice, notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from ..settings import Settings

__all__ = ["Button", "FormWidget", "Press"]

HERE: Final = Path(__file__).parent
INTERRUPTED: Final = notice(
    "unknown",
    "This was interrupted: it may have happened.",
    "Look at the offer state before you send it again. The log of the kernel says more.",
)


class Button(NamedTuple):
    """One button."""

    name: str
    label: str
    #: ``main``, ``danger`` or ``plain``.
    look: str = "main"
    enabled: bool = True


class Press(NamedTuple):
    """The input on the page when the user typed or pressed a button."""

    typed: Mapping[str, str]
    #: The fields with an incomplete date or time.
    unfinished: Sequence[str]
    confirmation: str


class FormWidget(anywidget.AnyWidget):
    """The base class of all forms.

    Attributes
    ----------
    result : pandas.DataFrame or None
        The last result.
    """

    _esm = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("nodes.js", "front.js"))
    _css = (HERE / "front.css").read_text(encoding="utf-8")
    page_id = traitlets.Unicode().tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    screen = traitlets.Dict().tag(sync=True)
    progress = traitlets.Dict().tag(sync=True)

    def __init__(self, settings: Settings | None) -> None:
        super().__init__()
        self.page_id = uuid.uuid4().hex[:12]
        self.result: pd.DataFrame | None = None
        self._settings = settings
        self._turn = 0
        self._working = False
        self._checked = ""
        self._notice: dict[str, Any] | None = None
        self._tables: list[dict[str, Any]] = []
        self._focus = ""
        self._seen = Press({}, (), "")
        # Newer kernels handle widget messages in a thread of their own, beside the running cell.
        self._one_at_a_time = threading.RLock()
        self.on_msg(self._on_message)

    # ---- implemented by each form

    def _handlers(self) -> Mapping[str, Callable[[], None]]:
        """Return the function of each button by name."""
        raise NotImplementedError

    def _described(self) -> dict[str, Any]:
        """Return the screen: ``problems, python, actions, confirm, locked, hint``."""
        raise NotImplementedError

    # ---- events

    def _on_message(self, _widget: object, message: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        with self._one_at_a_time:
            self._seen = Press(
                {name: str(text) for name, text in (message.get("typed") or {}).items()},
                tuple(message.get("unfinished") or ()),
                str(message.get("confirmation") or "").strip(),
            )
            if message.get("event") == "pressed":
                self._on_pressed(message)
            else:
                self._checked = str(message.get("draft", ""))
                self._focus = ""
                if message.get("event") == "uploaded":
                    self._on_uploaded(str(message.get("name", "")), bytes(buffers[0]) if buffers else b"")
                self._show()

    def _on_pressed(self, message: Mapping[str, Any]) -> None:
        if message.get("turn") != self._turn:
            return  # a double click, or a press in a second view of the same form: only the first press counts
        # The page may be outdated or manipulated, so check again whether the button is enabled.
        enabled = {action.name for action in self._described()["actions"] if action.enabled}
        press = self._handlers().get(str(message.get("action"))) if message.get("action") in enabled else None
        ended = False
        self._working = True
        self._notice, self._tables, self._focus = None, [], "notice"
        self._show()
        try:
            if press is not None:
                press()
            ended = True
        except SparkflyError as error:
            self._notice = error_notice(error)
            ended = True
        finally:
            # Also after KeyboardInterrupt: otherwise the form would show "Working…" forever.
            if not ended:
                self._notice = INTERRUPTED
            self._turn += 1
            self._working = False
            self._checked = str(message.get("draft", ""))
            self._show()

    def _on_uploaded(self, name: str, content: bytes) -> None:
        """Handle an uploaded file. Forms without a file field ignore it."""

    # ---- to the page

    def _show(self) -> None:
        """Send the current screen to the page."""
        described = self._described()
        self.screen = described | {
            "actions": [action._asdict() for action in described["actions"]],
            "banner": self._banner(),
            "turn": self._turn,
            "working": self._working,
            "checked": self._checked,
            "notice": self._notice,
            "tables": self._tables,
            "focus": self._focus,
        }

    def _banner(self) -> str:
        return "PRODUCTION" if self._settings is not None and self._settings.is_production else ""

    def _tell_progress(self, done: int, total: int, unit: str) -> None:
        self.progress = {"done": done, "total": total, "unit": unit}

    def _download(self, file_name: str, content: bytes) -> None:
        """Make the browser save a file. The content is not part of the widget's state."""
        self.send({"event": "file", "name": file_name}, [content])

    @property
    def python(self) -> str:
        """The Python code that is equivalent to the form, as the page shows it."""
        return str(self.screen["python"]["line"])

    def __repr__(self) -> str:
        where = self._settings.environment if self._settings is not None else "not connected"
        return f"<{type(self).__name__}: {self.spec.get('title', '')} ({where}); shown as a form in Jupyter and Voilà>"
