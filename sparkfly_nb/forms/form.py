"""The form of one operation: validates the input, shows what would change, and sends the request once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..api.endpoints import ENDPOINTS
from ..api.readback import ReadBack, read_back_of
from ..errors import InvalidInput, NotFound, SparkflyError
from .call_code import python_line
from .fields import Checked, check, form_fields, shown_fields, values_of
from .rendering import error_notice, may_have_happened, notice, outcome_notice, record_table, result_tables
from .review import EFFECTS, RECOGNISED_BY, change_table, changes_of, warnings_of
from .widget import Button, FormWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from ..api.endpoints import Endpoint
    from ..frames.argument_types import FieldValue
    from ..session.session import Session

__all__ = ["TITLES", "Form"]

#: By operation: the title of the form, and the label of its button.
TITLES: Final[dict[str, tuple[str, str]]] = {
    "issue_offer": ("Issue", "Issue the offer"),
    "issue_offer_state": ("Create for a member", "Create the offer state"),
    "create_offer_state": ("Create from a query", "Create the offer state"),
    "get_offer_state": ("Get", "Get the offer state"),
    "get_offer_state_by_offer": ("Get by offer", "Get the offer state"),
    "list_offer_states": ("List", "List the offer states"),
    "query_offer_states": ("Query", "Find the offer state"),
    "update_offer_state": ("Update", "Update"),
    "redeem_offer_state": ("Redeem", "Redeem"),
    "void_offer_state": ("Void", "Void"),
    "void_offer_state_by_identifier": ("Void by identifier", "Void"),
}

#: An offer state must be absent this many times before the form offers to resend the request. A change may become
#: visible at the service with a delay.
LOOKS_NEEDED: Final = 2
UNREADABLE_FIRST: Final = (
    "The service cannot be asked for an offer state by the merchant's identifier, so this one could not be read first. "
    "With the member's key at Sparkfly, the form “Void” reads it."
)
SENT_ALREADY: Final = "This was sent already. Change a value, or choose “Send the same again” if a second one is meant."
UNSETTLED: Final = "This may have happened already: check first. Another value can be sent at any time."


class Form(FormWidget):
    """A form for one operation. Each operation has its own class in `sparkfly_nb.forms`.

    Parameters
    ----------
    session : Session
        The session that sends the request.
    **values
        The initial texts or numbers of the fields, by the names of the API.

    Attributes
    ----------
    result : pandas.DataFrame or None
        The result of the last call, with the columns and dtypes of the Session's method.

    Raises
    ------
    InvalidInput
        The form has no field with such a name.
    """

    endpoint: ClassVar[Endpoint]

    def __init__(self, session: Session, **values: FieldValue) -> None:
        unknown = values.keys() - {field.name for field in form_fields(self.endpoint)}
        if unknown:
            known = ", ".join(field.name for field in form_fields(self.endpoint))
            raise InvalidInput(f"this form has no field {', '.join(sorted(unknown))}; use {known}")
        super().__init__(session.settings)
        self._session = session
        self._zone = session.settings.tz
        self._reviewed: dict[str, Any] | None = None  # the values under review, which the second press sends
        self._may_go = False  # whether the reviewed change would change anything
        self._spent: dict[str, Any] | None = None  # the last values sent, which need an explicit "again" to be resent
        self._lost: ReadBack | None = None  # how to find out whether a request without a response had an effect
        self._looks = 0  # how many times the change was absent
        fields = shown_fields(self.endpoint, self._zone, values)
        self._seen = self._seen._replace(typed={field["name"]: field["value"] for field in fields})
        self.spec = {
            "title": TITLES[self.endpoint.name][0],
            "summary": self.endpoint.summary,
            "fields": fields,
            "one_of": "Give exactly one of these",
        }
        self._show()

    # ---- description of the screen

    @property
    def _is_careful(self) -> bool:
        return self.endpoint.name in EFFECTS

    def _check(self) -> Checked:
        values = values_of(self.endpoint, self._seen.typed)
        return check(self.endpoint, values, self._zone, self._seen.unfinished)

    def _described(self) -> dict[str, Any]:
        checked = self._check()
        described: dict[str, Any] = {
            "problems": checked.problems,
            "python": {
                "line": python_line(self.endpoint, checked.good, self._zone, wrong=checked.problems),
                "ready": checked.sent is not None,
            },
            "locked": self._reviewed is not None,
            "confirm": None,
            "hint": "",
        }
        if self._reviewed is not None:
            return described | self._described_in_review(self._reviewed)
        is_spent = checked.sent is not None and checked.sent == self._spent
        can_go = checked.sent is not None and not is_spent
        title = TITLES[self.endpoint.name][1]
        actions = [Button("review", "Show what would change", enabled=can_go)] if self._is_careful else []
        if not self._is_careful:
            actions.append(Button("send", title, enabled=can_go))
        if is_spent:
            described["hint"] = SENT_ALREADY if self._lost is None else UNSETTLED
            if self._lost is not None and self._lost.call is not None:
                actions.append(Button("look", "Check whether it happened"))
            if self._lost is None or self._looks >= LOOKS_NEEDED or self._lost.call is None:
                actions.append(Button("again", "Send the same again", "plain"))
        return described | {"actions": actions}

    def _described_in_review(self, reviewed: Mapping[str, Any]) -> dict[str, Any]:
        state_id = str(reviewed["offerstate_id"])
        confirm = None
        if self._may_go and self._banner():
            confirm = {"label": f"Type {state_id}, the ID of the offer state, to go on", "placeholder": ""}
        go = confirm is None or self._seen.confirmation == state_id
        label = f"{TITLES[self.endpoint.name][1]} offer state {state_id}"
        actions = [Button("confirm", label, "danger", enabled=go)] if self._may_go else []
        return {"actions": [*actions, Button("back", "Back", "plain")], "confirm": confirm}

    def _handlers(self) -> Mapping[str, Callable[[], None]]:
        return {
            "send": self._on_send,
            "review": self._on_review,
            "confirm": self._on_confirm,
            "back": self._on_back,
            "again": self._on_again,
            "look": self._on_look,
        }

    # ---- buttons

    def _on_send(self) -> None:
        sent = self._check().sent
        if sent is not None:
            self._carry_out(sent)

    def _on_again(self) -> None:
        self._spent = self._lost = None
        self._notice = notice("info", "Ready to send the same once more.")

    def _on_back(self) -> None:
        self._reviewed = None

    def _on_review(self) -> None:
        sent = self._check().sent
        if sent is None:
            return
        state_id = sent["offerstate_id"]
        if "member_id" in sent:
            try:
                state = self._session.get_offer_state(sent["member_id"], state_id).iloc[0].to_dict()
            except SparkflyError as error:
                self._notice = error_notice(error)
                return
            changes = changes_of(self.endpoint, state, sent)
            self._may_go = not all(change.same for change in changes)
            self._tables = [
                change_table(changes, f"What would change in offer state {state_id}", self._zone),
                record_table(state, "The offer state now", self._zone, RECOGNISED_BY),
            ]
            warnings = warnings_of(state)
        else:
            self._may_go = True
            warnings = [
                f"It will void offer state {state_id} of member {sent['member_identifier']}.",
                UNREADABLE_FIRST,
            ]
        self._reviewed = sent
        if self._may_go:
            self._focus = "confirm"
            self._notice = notice("info", "Nothing was changed yet. Read what would change, then confirm.", *warnings)
        else:
            self._notice = notice("info", "Nothing would change: the offer state is like this already.")

    def _on_confirm(self) -> None:
        sent, self._reviewed = self._reviewed, None
        if sent is not None:
            self._carry_out(sent)

    def _carry_out(self, sent: dict[str, Any]) -> None:
        changes = self.endpoint.effect != "read"
        if changes:
            # Before the call, so that an interrupted request is not resent without an explicit "again" either.
            self._spent, self._lost, self._looks = sent, read_back_of(sent), 0
        try:
            frame = getattr(self._session, self.endpoint.name)(**sent)
        except SparkflyError as error:
            unknown = may_have_happened(self.endpoint, error)
            self._notice = error_notice(error, unknown=unknown, changes=changes)
            if unknown:
                self._notice["code"] = read_back_of(sent).line
            else:
                self._spent = self._lost = None
            return
        self._lost = None
        self.result = frame
        self._notice = outcome_notice(self.endpoint, frame, sent)
        self._tables = result_tables(frame, self._zone)

    def _on_look(self) -> None:
        """Check against the service whether a change without a response happened."""
        lost, spent = self._lost, self._spent
        if lost is None or lost.call is None or spent is None:
            return
        try:
            found = getattr(self._session, lost.call)(*lost.by_position, **lost.by_name)
        except NotFound:
            found = None
        except SparkflyError as error:
            self._notice = error_notice(error, changes=False)
            self._notice["lines"].append("It is still not known whether it happened. Check again.")
            return
        if found is not None and lost.external_ref_id is not None:
            found = found[(found["external_ref_id"] == lost.external_ref_id).fillna(value=False)]
        self.result = found
        if found is None or found.empty:
            self._show_absent()
            return
        happened = self._did_happen(found, spent, lost)
        self._tables = result_tables(found, self._zone)
        if happened is True:
            self._lost = None
            self._notice = notice("done", "It happened: the service shows it.")
        elif happened is False:
            self._looks += 1
            self._notice = notice(
                "info", "The service does not show the change.",
                "Check again in a few seconds." if self._looks < LOOKS_NEEDED else "It can be sent again.",
            )  # fmt: skip
        else:
            self._looks = LOOKS_NEEDED
            self._notice = notice(
                "info", "This is what the service holds, the newest first.",
                "Nothing that was sent tells one offer state from another: see for yourself whether it is there. "
                "With a reference of your own the form could tell.",
            )  # fmt: skip

    def _show_absent(self) -> None:
        self._looks += 1
        if self._looks < LOOKS_NEEDED:
            self._notice = notice("info", "It is not there yet.", "Wait a few seconds, then check again.")
        else:
            self._notice = notice(
                "info", "It is not there after two checks, so it did not happen. It can be sent again."
            )

    def _did_happen(self, found: pd.DataFrame, sent: Mapping[str, Any], lost: ReadBack) -> bool | None:
        """Return True if the offer states show the change, False if not, None if that cannot be decided."""
        # Without a reference, an offer state that was issued now looks like one that was issued before.
        if self._is_careful:
            return all(change.same for change in changes_of(self.endpoint, found.iloc[0].to_dict(), sent))
        return True if lost.external_ref_id is not None else None


def form_class(name: str, operation: str) -> type[Form]:
    """Build the form class of an operation."""
    endpoint = ENDPOINTS[operation]
    doc = f"{endpoint.summary}. A form for ``session.{operation}``, see `Form`."
    return type(name, (Form,), {"endpoint": endpoint, "__doc__": doc, "__module__": "sparkfly_nb.forms"})
