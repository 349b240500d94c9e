"""How to check whether a change happened whose response was lost: the call, and the same as a line of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ReadBack", "read_back_of"]

NOBODY_KNOWN: Final = "session.list_offer_states(member_id)  # the ID of the member; look for a new offer state"


class ReadBack(NamedTuple):
    """A check against the service after a lost response. "Readback" is short for reading back what was written.

    Attributes
    ----------
    call : str or None
        The Session's method; None if the values that were sent do not identify the member.
    by_position, by_name : tuple, dict
        Its arguments.
    external_ref_id : str or None
        The reference that identifies the offer state among those that the call returns.
    line : str
        The check as a line of Python, ready to paste.
    """

    call: str | None
    by_position: tuple[Any, ...]
    by_name: dict[str, Any]
    external_ref_id: str | None
    line: str


def read_back_of(sent: Mapping[str, Any]) -> ReadBack:
    """Choose the call that shows most, from the values that were sent."""
    reference = sent.get("external_ref_id")
    if "offerstate_id" in sent and "member_id" in sent:
        keys = (sent["member_id"], sent["offerstate_id"])
        return ReadBack("get_offer_state", keys, {}, None, f"session.get_offer_state({keys[0]!r}, {keys[1]!r})")
    if "member_id" in sent:
        line = f"session.list_offer_states({sent['member_id']!r})"
        if reference is not None:
            line += f".query({'external_ref_id == ' + repr(reference)!r})"
        return ReadBack("list_offer_states", (sent["member_id"],), {}, reference, line)
    if reference is not None:
        line = f"session.query_offer_states(external_ref_id={reference!r})"
        return ReadBack("query_offer_states", (), {"external_ref_id": reference}, reference, line)
    if "token" in sent:
        line = "session.query_offer_states(token=...)  # the token that you sent"
        return ReadBack("query_offer_states", (), {"token": sent["token"]}, None, line)
    return ReadBack(None, (), {}, None, NOBODY_KNOWN)
