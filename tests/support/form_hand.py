"""A simulated user who types into a form and presses its buttons, with the messages that a browser sends."""

from __future__ import annotations

from scripted_server import VALUES

from sparkfly_nb import forms


class Hand:
    """Types and presses buttons. The input stays in the fields, as on a page."""

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
        """Return whether the button is enabled on the page."""
        return any(shown["name"] == action and shown["enabled"] for shown in self.screen["actions"])

    def press(self, action, *, turn=None):
        """Press a button, even a disabled one, because the form must not rely on the page."""
        message = {"event": "pressed", "action": action, **self._seen()}
        message["turn"] = self.screen["turn"] if turn is None else turn
        self.form._handle_custom_msg(message, [])
        return self

    @property
    def notice(self):
        return self.screen["notice"]

    @property
    def said(self):
        """The complete text of the notice."""
        return "\n".join([self.notice["title"], *self.notice["lines"], self.notice["trace"], self.notice["code"]])

    def problem(self, name=""):
        return self.screen["problems"].get(name, {}).get("text", "")

    def shown(self):
        """Return the complete state of the widget as text."""
        return repr(self.form.get_state())


def hand_of(session, name, **values):
    return Hand(forms.FORMS[name](session, **values))


def typed(name):
    return {key: str(value) for key, value in VALUES[name].items()}


def send(hand):
    """Press the button that sends, after the review if there is one."""
    if hand.can("review"):
        hand.press("review")
        hand.confirm(hand.typed.get("offerstate_id", ""))
        return hand.press("confirm")
    return hand.press("send")
