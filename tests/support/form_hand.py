"""A hand that types into a form and presses its buttons, through the same messages that a browser sends."""

from __future__ import annotations


class Hand:
    """Types and presses; what was typed stays in the fields, as on a page."""

    def __init__(self, form):
        self.form = form
        self.typed = {field["name"]: field["value"] for field in form.spec["fields"] if field["input"] != "file"}
        self.confirmation = ""
        self.unfinished = []
        self._draft = 0

    @property
    def screen(self):
        return self.form.screen

    def _seen(self):
        self._draft += 1
        return {
            "typed": dict(self.typed),
            "unfinished": self.unfinished,
            "confirmation": self.confirmation,
            "draft": f"hand:{self._draft}",
        }

    def type(self, **texts):
        self.typed |= texts
        self.form._handle_custom_msg({"event": "typed", **self._seen()}, [])
        return self

    def confirm(self, text):
        self.confirmation = text
        return self.type()

    def upload(self, content, name="members.csv"):
        self.form._handle_custom_msg({"event": "uploaded", "name": name, **self._seen()}, [memoryview(content)])
        return self

    def can(self, action):
        """Say whether the page would let the button be pressed."""
        return any(shown["name"] == action and shown["enabled"] for shown in self.screen["actions"])

    def press(self, action, *, turn=None):
        """Send a press, whatever the button looks like: the page is not what keeps the form safe."""
        message = {"event": "pressed", "action": action, **self._seen()}
        message["turn"] = self.screen["turn"] if turn is None else turn
        self.form._handle_custom_msg(message, [])
        return self

    @property
    def notice(self):
        return self.screen["notice"]

    @property
    def said(self):
        """All that the notice says."""
        return "\n".join([self.notice["title"], *self.notice["lines"], self.notice["trace"], self.notice["code"]])

    def problem(self, name=""):
        return self.screen["problems"].get(name, {}).get("text", "")

    def shown(self):
        """Everything that the page gets, as text."""
        return repr(self.form.get_state())
