"""The eleven operations of the service on the store, with the errors that are documented or can be expected."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..api.endpoints import ENDPOINTS
from .clock import to_text
from .rendering import is_transferable, required_value, wrap
from .store import credential_of, state_of_credential
from .validation import Given, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .merchant import Campaign
    from .store import Store

__all__ = ["CREATES", "MAX_PER_PAGE", "PER_PAGE", "OperationResult", "Service"]

PER_PAGE: Final = 50
MAX_PER_PAGE: Final = 5000

#: The operations that create an offer state.
CREATES: Final = frozenset({"issue_offer", "issue_offer_state", "create_offer_state"})

_LAST_MOMENT: Final = "9999-12-31T23:59:59Z"


class OperationResult(NamedTuple):
    """The result of an operation."""

    status: int
    #: The JSON of the response. None means an empty body.
    payload: dict[str, Any] | None


class Service:
    """The operations, one method for each name in ``endpoints.ENDPOINTS``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def perform(self, operation: str, given: Given, now: dt.datetime) -> OperationResult:
        """Perform an operation. A change is in the store when this returns.

        Raises
        ------
        Refusal
            The service rejects the request.
        """
        return _OPERATIONS[operation](self, given, to_text(now))

    # ---- creating ----------------------------------------------------------------------------------------------------

    def _issue_offer(self, given: Given, now: str) -> OperationResult:
        body = given.body
        if ("member_id" in body) == ("member_identifier" in body):
            raise Refusal(422, "send exactly one of member_id and member_identifier")
        if "member_id" in body:
            member = self._store.member(body["member_id"])
        else:
            member = self._store.member_by_identifier(body["member_identifier"])
        if member is None:
            raise Refusal(404, "Member not found - not found")
        campaign = self._campaign(body["campaign_id"])
        state_id = self._create(member.member_id, campaign.offer_id, campaign, body, now)
        receipt = {
            "id": state_id,
            "member_id": member.member_id,
            "offer_id": campaign.offer_id,
            "campaign_id": campaign.campaign_xid,
            **{name: body[name] for name in ("activates_at", "expires_at") if name in body},
            "credential_identifier": credential_of(state_id),
        }
        return OperationResult(201, {"offer_state": receipt})

    def _issue_offer_state(self, given: Given, now: str) -> OperationResult:
        member_id = self._known_member(given.path["member_id"])
        if "token" in given.query:
            return self._transfer(member_id, given, now)
        return self._created(200, member_id, given, now)

    def _create_offer_state(self, given: Given, now: str) -> OperationResult:
        return self._created(201, None, given, now)

    def _created(self, status: int, member_id: int | None, given: Given, now: str) -> OperationResult:
        offer_id, campaign = self._source(given)
        state_id = self._create(member_id, offer_id, campaign, given.body, now)
        return self._wrapped(status, self._store.find([("offer_state_id", state_id)])[0])

    def _source(self, given: Given) -> tuple[int, Campaign | None]:
        """Return the offer and the campaign that the request names. Its up to four inputs must agree."""
        query = given.query
        offer_ids: set[int] = set()
        campaigns: dict[int, Campaign] = {}
        if "token" in query:
            model = self._by_token(query["token"])
            offer_ids.add(model["offer_id"])
            if model["campaign_id"] is not None:
                campaigns[model["campaign_id"]] = self._store.campaigns[model["campaign_id"]]
        if "offer_id" in query:
            if query["offer_id"] not in self._store.offers:
                raise Refusal(404, "Offer not found - not found")
            offer_ids.add(query["offer_id"])
        if "channel_id" in query:
            campaign = self._campaign_of_channel(query["channel_id"])
            campaigns[campaign.campaign_id] = campaign
        if "campaign_id" in given.body:
            campaign = self._campaign(given.body["campaign_id"])
            campaigns[campaign.campaign_id] = campaign
        offer_ids.update(campaign.offer_id for campaign in campaigns.values())
        if not offer_ids:
            raise Refusal(422, "send one of token, offer_id, channel_id and campaign_id")
        if len(offer_ids) > 1 or len(campaigns) > 1:
            raise Refusal(422, "token, offer_id, channel_id and campaign_id name different offers or campaigns")
        return offer_ids.pop(), next(iter(campaigns.values()), None)

    def _create(
        self, member_id: int | None, offer_id: int, campaign: Campaign | None, body: Mapping[str, Any], now: str
    ) -> int:
        offer = self._store.offers[offer_id]
        if campaign is not None and campaign.status != "active":
            raise Refusal(422, f"Campaign is {campaign.status}")
        if not offer.active:
            raise Refusal(422, "Offer is not active")
        activates_at, expires_at = body.get("activates_at"), body.get("expires_at")
        _check_dates(activates_at, expires_at)
        xid = campaign.campaign_xid if campaign else ""
        return self._store.insert(
            {
                "member_id": member_id,
                "offer_id": offer_id,
                "campaign_id": campaign and campaign.campaign_id,
                "external_ref_id": body.get("external_ref_id"),
                "created_at": now,
                "updated_at": now,
                "activates_at": activates_at,
                "expires_at": expires_at,
                "effective_expires_at": expires_at or _days_later(activates_at or now, offer.valid_days),
                "activities": [{"type": "issued", "created_at": now, "campaign": xid}],
            }
        )

    def _transfer(self, member_id: int, given: Given, now: str) -> OperationResult:
        state = self._by_token(given.query["token"])
        if given.query.get("offer_id", state["offer_id"]) != state["offer_id"]:
            raise Refusal(422, "token and offer_id name different offers")
        # A repeated transfer to the same member succeeds and changes nothing.
        if state["member_id"] == member_id:
            return self._wrapped(200, state)
        if not is_transferable(self._store, state):
            raise Refusal(403, "OfferState is not transferable - forbidden")
        _check_open(state)
        activity = {"type": "transferred", "created_at": now, "from_member_id": state["member_id"]}
        changes = {"member_id": member_id, "updated_at": now}
        return self._wrapped(200, self._store.change(state, changes, activity))

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _get_offer_state(self, given: Given, _now: str) -> OperationResult:
        return self._wrapped(200, self._held(given))

    def _get_offer_state_by_offer(self, given: Given, _now: str) -> OperationResult:
        held = self._store.find(
            [("member_id", given.path["member_id"]), ("offer_id", given.path["offer_id"])], newest=True
        )
        # Usable offer states come first. Sorting is stable, so the newest of them wins.
        return self._wrapped(200, _first(sorted(held, key=lambda state: state["status"] != "incomplete")))

    def _list_offer_states(self, given: Given, _now: str) -> OperationResult:
        member_id = self._known_member(given.path["member_id"])
        page, per_page = given.query.get("page", 1), min(given.query.get("per_page", PER_PAGE), MAX_PER_PAGE)
        if page < 1 or per_page < 1:
            raise Refusal(422, "page and per_page must be at least 1")
        total, offset = self._store.count_of_member(member_id), (page - 1) * per_page
        # The offset of a page far beyond the end would not fit into SQLite's integers.
        states = self._store.find([("member_id", member_id)], limit=per_page, offset=offset) if offset < total else []
        return OperationResult(
            200,
            {
                "page": page,
                "per_page": per_page,
                "total_entries": total,
                "total_pages": -(-total // per_page),
                "offer_states": [wrap(self._store, state) for state in states],
            },
        )

    def _query_offer_states(self, given: Given, _now: str) -> OperationResult:
        query = given.query
        conditions: list[tuple[str, Any]] = []
        if "token" in query:
            conditions.append(("offer_state_id", self._store.state_of_token(query["token"])))
        if "credential_identifier" in query:
            conditions.append(("offer_state_id", state_of_credential(query["credential_identifier"])))
        if "external_ref_id" in query:
            conditions.append(("external_ref_id", query["external_ref_id"]))
        if "eligible_channel_id" in query:
            if "member_id" not in query:
                raise Refusal(422, "eligible_channel_id needs member_id")
            conditions.append(("campaign_id", self._campaign_of_channel(query["eligible_channel_id"]).campaign_id))
        if not conditions:
            raise Refusal(
                422, "send token, credential_identifier, external_ref_id, or eligible_channel_id and member_id"
            )
        conditions += [(name, query[name]) for name in ("member_id", "offer_id") if name in query]
        return self._wrapped(200, _first(self._store.find(conditions, limit=1)))

    # ---- changing ----------------------------------------------------------------------------------------------------

    def _update_offer_state(self, given: Given, now: str) -> OperationResult:
        state, changes = self._open_for_change(given)
        status = given.body.get("status", "incomplete")
        if status == "redeemed":
            return self._redeemed(state, changes, now)
        if status == "voided":
            return self._wrapped(200, self._voided(state, now))
        activity = {"type": "updated", "created_at": now, "fields": sorted(changes)}
        return self._wrapped(200, self._store.change(state, {**changes, "updated_at": now}, activity))

    def _redeem_offer_state(self, given: Given, now: str) -> OperationResult:
        state, changes = self._open_for_change(given)
        required = required_value(self._store, state | changes)
        # A redemption without a value completes the offer state. With a lower value, the state stays incomplete.
        reached = given.body.get("value", required)
        status = given.body.get("status", "redeemed" if reached >= required else "incomplete")
        if status == "voided":
            raise Refusal(422, "use the void operation to void an offer state")
        if status == "redeemed":
            return self._redeemed(state, {"value": reached, **changes}, now)
        _check_usable(state | changes, now)
        activity = {"type": "value_added", "created_at": now, "value": reached}
        return self._wrapped(200, self._store.change(state, {**changes, "updated_at": now}, activity))

    def _redeemed(self, state: dict[str, Any], changes: dict[str, Any], now: str) -> OperationResult:
        _check_usable(state | changes, now)
        activity = {"type": "redeemed", "created_at": now, "value": changes.get("value", state["value"])}
        return self._wrapped(
            200, self._store.change(state, {**changes, "status": "redeemed", "updated_at": now}, activity)
        )

    def _void_offer_state(self, given: Given, now: str) -> OperationResult:
        self._voided(self._held(given), now)
        return OperationResult(200, None)

    def _void_offer_state_by_identifier(self, given: Given, now: str) -> OperationResult:
        member = self._store.member_by_identifier(given.query["member_identifier"])
        if member is None:
            raise Refusal(404, "Member not found - not found")
        conditions = [("offer_state_id", given.path["offerstate_id"]), ("member_id", member.member_id)]
        self._voided(_first(self._store.find(conditions)), now)
        return OperationResult(200, None)

    def _voided(self, state: dict[str, Any], now: str) -> dict[str, Any]:
        if state["status"] == "voided":
            raise Refusal(422, "OfferState already voided")
        if state["status"] == "redeemed":
            # The documentation says that 422 means "already voided", so this case needs another status.
            raise Refusal(403, "OfferState already redeemed - forbidden")
        activity = {"type": "voided", "created_at": now}
        return self._store.change(state, {"status": "voided", "updated_at": now}, activity)

    def _open_for_change(self, given: Given) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the offer state in the path and the columns that the body changes, if the change is allowed."""
        state, body = self._held(given), given.body
        for name in ("offer_state_id", "member_id", "offer_id"):
            if body.get(name, state[name]) != state[name]:
                raise Refusal(422, f"{name} differs from this offer state's and cannot be changed")
        if body.get("status", "incomplete") not in {"incomplete", "redeemed", "voided"}:
            raise Refusal(422, "status must be incomplete, redeemed or voided")
        if min(body.get("value", 0), body.get("offer_value_required", 0)) < 0:
            raise Refusal(422, "value and offer_value_required must be at least 0")
        _check_open(state)
        if state["locked"] and body.get("locked") is not False:
            raise Refusal(403, "OfferState is locked - forbidden")
        changes = {name: body[name] for name in _CHANGEABLE if name in body}
        _check_dates(*((state | changes)[name] for name in ("activates_at", "expires_at")))
        if "expires_at" in changes:
            # After creation, only an explicit date moves the expiration, not a change of activates_at.
            changes["effective_expires_at"] = changes["expires_at"]
        return state, changes

    # ---- lookups -----------------------------------------------------------------------------------------------------

    def _known_member(self, member_id: int) -> int:
        if self._store.member(member_id) is None:
            raise Refusal(404, "Member not found - not found")
        return member_id

    def _held(self, given: Given) -> dict[str, Any]:
        conditions = [("offer_state_id", given.path["offerstate_id"]), ("member_id", given.path["member_id"])]
        return _first(self._store.find(conditions))

    def _by_token(self, token: str) -> dict[str, Any]:
        return _first(self._store.find([("offer_state_id", self._store.state_of_token(token))]))

    def _campaign(self, xid: str) -> Campaign:
        campaign = self._store.campaigns_by_xid.get(xid)
        if campaign is None:
            raise Refusal(404, "Campaign not found - not found")
        return campaign

    def _campaign_of_channel(self, channel_id: int) -> Campaign:
        channel = self._store.channels.get(channel_id)
        if channel is None:
            raise Refusal(404, "Channel not found - not found")
        return self._store.campaigns[channel.campaign_id]

    def _wrapped(self, status: int, state: Mapping[str, Any]) -> OperationResult:
        return OperationResult(status, wrap(self._store, state))


_CHANGEABLE: Final = (
    "value", "activates_at", "expires_at", "offer_name", "offer_value_required", "locked", "is_reward",
)  # fmt: skip

_OPERATIONS: Final[dict[str, Callable[[Service, Given, str], OperationResult]]] = {
    name: getattr(Service, f"_{name}") for name in ENDPOINTS
}


def _first(states: list[dict[str, Any]]) -> dict[str, Any]:
    if not states:
        raise Refusal(404, "OfferState not found - not found")
    return states[0]


def _instant(text: str) -> str:
    """Return an RFC 3339 time in UTC without its Z, so that times with and without a fraction compare as strings."""
    return text[:-1]


def _days_later(text: str, days: int) -> str:
    try:
        return to_text(dt.datetime.fromisoformat(text[:19]) + dt.timedelta(days=days))
    except OverflowError:
        return _LAST_MOMENT


def _check_dates(activates_at: str | None, expires_at: str | None) -> None:
    if activates_at and expires_at and _instant(activates_at) >= _instant(expires_at):
        raise Refusal(422, "expires_at must be later than activates_at")


def _check_open(state: Mapping[str, Any]) -> None:
    if state["status"] != "incomplete":
        raise Refusal(422, f"OfferState already {state['status']}")


def _check_usable(state: Mapping[str, Any], now: str) -> None:
    if state["activates_at"] and _instant(now) < _instant(state["activates_at"]):
        raise Refusal(422, "OfferState is not active yet")
    if _instant(state["effective_expires_at"]) <= _instant(now):
        raise Refusal(422, "OfferState has expired")
