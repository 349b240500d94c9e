"""The service as data: eleven operations with their addresses, inputs and responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

__all__ = [
    "AUTH_PATH",
    "ENDPOINTS",
    "IDENTITY_HEADER",
    "KEY_HEADER",
    "PAGE_ROWS",
    "TOKEN_HEADER",
    "TOKEN_LIFETIME_S",
    "Endpoint",
    "Field",
]

TOKEN_HEADER: Final = "X-Auth-Token"  # noqa: S105 - the name of a header
IDENTITY_HEADER: Final = "X-Auth-Identity"
KEY_HEADER: Final = "X-Auth-Key"
#: Appended to the root of the service, which has no ``/v1.0``. The response is a 204 with the token in a header.
AUTH_PATH: Final = "/auth"
TOKEN_LIFETIME_S: Final = 24 * 3600
#: Entries requested per page of a listing. A service that returns fewer is followed page by page.
PAGE_ROWS: Final = 5000


class Field(NamedTuple):
    """One input of an operation, under the name that the API gives it."""

    name: str
    place: Literal["path", "query", "body"]
    kind: Literal["id", "integer", "text", "flag", "time"]
    help: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its address, its inputs, its response, and what a lost response means."""

    name: str
    method: Literal["GET", "POST", "PUT"]
    path: str
    operation: str
    summary: str
    #: What the operation does. A read changes nothing. A void may be repeated. A change must not be.
    effect: Literal["read", "change", "void"]
    #: What a success contains.
    answer: Literal["receipt", "offer_state", "offer_states", "nothing"]
    success: int
    fields: tuple[Field, ...]
    #: Inputs of which exactly one must be given.
    one_of: tuple[str, ...] = ()

    @property
    def has_body(self) -> bool:
        """Whether the operation takes a JSON body."""
        return any(field.place == "body" for field in self.fields)


_IDENTIFIER_HELP = "the merchant's loyalty identifier for this member"
_MEMBER = Field("member_id", "path", "id", "Sparkfly's member ID", required=True)
_STATE = Field("offerstate_id", "path", "id", "the offer state's ID", required=True)
_ACTIVATES = Field("activates_at", "body", "time", "when the offer state can first be used")
_EXPIRES = Field("expires_at", "body", "time", "when the offer state can no longer be used")
_REFERENCE = Field("external_ref_id", "body", "text", "your own reference, kept with the offer state")
_CREATE = (
    _ACTIVATES,
    _EXPIRES,
    _REFERENCE,
    Field("campaign_id", "body", "text", "the campaign it belongs to"),
)
_SOURCE = (
    Field("offer_id", "query", "integer", "the offer's ID"),
    Field("channel_id", "query", "integer", "the ID of the channel that distributes it"),
    Field("token", "query", "text", "the token of a transferable offer state, which moves to the member"),
)
_CHANGE = (
    Field("status", "body", "text", "the status to set"),
    Field("value", "body", "integer", "the value reached so far, in the offer's own units"),
    _ACTIVATES,
    _EXPIRES,
    Field("offer_id", "body", "integer", "the offer's ID"),
    Field("offer_name", "body", "text", "the name shown for the offer"),
    Field("offer_value_required", "body", "integer", "the value at which it is fulfilled, in the offer's own units"),
    Field("locked", "body", "flag", "whether the offer state is locked"),
    Field("is_reward", "body", "flag", "whether the offer state is a reward"),
)

#: The eleven operations, by the name of the Session's method.
# fmt: off
ENDPOINTS: Final[dict[str, Endpoint]] = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            "issue_offer", "POST", "/members/offer_states/issue", "create_member_offer_states_issue",
            "Issue an offer of a campaign to a member (high throughput)", "change", "receipt", 201,
            (
                Field("campaign_id", "body", "text", "the campaign's XID; it must be active", required=True),
                Field("member_id", "body", "integer", "Sparkfly's member ID"),
                Field("member_identifier", "body", "text", _IDENTIFIER_HELP),
                _REFERENCE, _ACTIVATES, _EXPIRES,
            ),
            one_of=("member_id", "member_identifier"),
        ),
        Endpoint(
            "issue_offer_state", "POST", "/members/{member_id}/offer_states", "issue_offer_state",
            "Create an offer state for a member from an offer, a channel or a token", "change", "offer_state", 200,
            (_MEMBER, *_SOURCE, *_CREATE),
        ),
        Endpoint(
            "create_offer_state", "POST", "/members/offer_states", "create_offer_state",
            "Create an offer state from a token, an offer or a channel", "change", "offer_state", 201,
            (*_SOURCE, *_CREATE),
        ),
        Endpoint(
            "get_offer_state", "GET", "/members/{member_id}/offer_states/{offerstate_id}", "get_offer_state",
            "Get one offer state", "read", "offer_state", 200,
            (_MEMBER, _STATE),
        ),
        Endpoint(
            "get_offer_state_by_offer", "GET", "/members/{member_id}/offers/{offer_id}", "list_members_offers",
            "Get the offer state that a member holds of an offer", "read", "offer_state", 200,
            (_MEMBER, Field("offer_id", "path", "id", "the offer's ID", required=True)),
        ),
        Endpoint(
            "list_offer_states", "GET", "/members/{member_id}/offer_states", "list_offer_states",
            "List all offer states of a member", "read", "offer_states", 200,
            (
                _MEMBER,
                Field("page", "query", "integer", "the page, from 1"),
                Field("per_page", "query", "integer", "entries per page"),
            ),
        ),
        Endpoint(
            "query_offer_states", "GET", "/members/offer_states", "query_offer_states",
            "Find one offer state by token, credential or reference", "read", "offer_state", 200,
            (
                Field("token", "query", "text", "the offer state's token (osid)"),
                Field("credential_identifier", "query", "text", "what is scanned at the point of sale"),
                Field("external_ref_id", "query", "text", "your own reference; may also need member_id and offer_id"),
                Field("eligible_channel_id", "query", "integer", "a channel; needs member_id"),
                Field("member_id", "query", "integer", "Sparkfly's member ID"),
                Field("offer_id", "query", "integer", "the offer's ID"),
            ),
            one_of=("token", "credential_identifier", "external_ref_id", "eligible_channel_id"),
        ),
        Endpoint(
            "update_offer_state", "PUT", "/members/{member_id}/offer_states/{offerstate_id}", "update_offer_state",
            "Change an offer state", "change", "offer_state", 200,
            (_MEMBER, _STATE, *_CHANGE),
        ),
        Endpoint(
            "redeem_offer_state", "POST", "/members/{member_id}/offer_states/{offerstate_id}", "redeem_offer_state",
            "Redeem an offer state", "change", "offer_state", 200,
            (_MEMBER, _STATE, *_CHANGE),
        ),
        Endpoint(
            "void_offer_state", "POST", "/members/{member_id}/offer_states/{offerstate_id}/void",
            "create_member_offer_states_void",
            "Void an offer state", "void", "nothing", 200,
            (_MEMBER, _STATE),
        ),
        Endpoint(
            "void_offer_state_by_identifier", "POST", "/members/offer_states/{offerstate_id}/void",
            "create_member_offer_states_voidmember_identifierentifier",
            "Void an offer state of a member known by the merchant's identifier", "void", "nothing", 200,
            (_STATE, Field("member_identifier", "query", "text", _IDENTIFIER_HELP, required=True)),
        ),
    )
}
# fmt: on
