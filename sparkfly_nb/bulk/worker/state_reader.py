"""Reads in a worker: all offer states of a member, and the check of rows whose outcome is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...api.attempts import Action, Attempts
from ...api.endpoints import ENDPOINTS, Endpoint
from ...api.pagination import Listing
from ...api.request import assemble
from ...api.response import api_error, id_in, read_index, read_json, read_records, read_refusal
from ...errors import ApiError, ConnectionFailed, RequestFailed, SparkflyError
from ...http.async_client import AsyncClient, RequestNotSent, ResponseLost
from ..operations import CHANGE_COLUMNS
from ..records import Row, RowEvidence

if TYPE_CHECKING:
    from ...api.retry_policy import RetryPolicy
    from ..operations import Operation
    from .pacing import Pacer

__all__ = ["ShardEnding", "StateReader", "Unauthenticated"]

#: The fields of an offer state that a check against the service needs.
_KEPT: Final = frozenset(
    {
        "offer_state_id",
        "member_id",
        "offer_id",
        "campaign_xid",
        "external_ref_id",
        "credential_identifier",
        "created_at",
        *CHANGE_COLUMNS,
    }
)
#: The reason of a 404 that carries no message of its own.
BARE_404: Final = read_refusal(404, b"")[0]


class Unauthenticated(Exception):
    """The service refused the token; does not leave the workers."""


class ShardEnding(Exception):
    """The shard ended before the read was complete; does not leave the workers."""


class StateReader:
    """Reads for one shard."""

    def __init__(self, client: AsyncClient, pacer: Pacer, policy: RetryPolicy) -> None:
        self._client = client
        self._pacer = pacer
        self._policy = policy

    async def _read(self, lane: int, endpoint: Endpoint, sent: dict[str, Any]) -> Any:
        """Send a read until a readable response comes, as often as the policy allows.

        Raises
        ------
        SparkflyError
            The reason why no readable response came.
        Unauthenticated, ShardEnding
            The read was not tried to the end.
        """
        request = assemble(endpoint, sent)
        attempts = Attempts(endpoint, self._policy)
        while True:
            error: SparkflyError
            try:
                response = await self._client.send(request)
            except RequestNotSent as failure:
                step, error = attempts.no_response(sent=False), ConnectionFailed(str(failure))
            except ResponseLost as failure:
                step, error = attempts.no_response(sent=True), RequestFailed(str(failure))
            else:
                step = attempts.response(response.status, response.retry_after_s)
                if step.action is Action.AUTHENTICATE:
                    raise Unauthenticated
                if step.action is Action.DONE:
                    self._pacer.speed_up()
                    try:
                        return read_json(response.body)
                    except SparkflyError as flaw:
                        step, error = attempts.unreadable(), flaw
                else:
                    error = api_error(request, response.status, response.body)
                    if step.slow_down:
                        self._pacer.slow_down(step.delay_s)
            if step.action is not Action.RESEND:
                raise error
            delay_s = 0.0 if step.slow_down else step.delay_s  # a slow-down delays all lanes, this one included
            if not await self._pacer.turn_after(lane, delay_s):
                raise ShardEnding

    async def states_of(self, lane: int, member_id: object) -> list[dict[str, Any]]:
        """Read all offer states of a member from all pages, or raise."""
        listing = Listing(f"the offer states of member {member_id}")
        records: list[dict[str, Any]] = []
        while (query := listing.next_query()) is not None:
            # The lane has had its turn for the first page.
            if records and not await self._pacer.turn(lane):
                raise ShardEnding
            sent = {"member_id": member_id, **query}
            taken = listing.take(read_index(await self._read(lane, ENDPOINTS["list_offer_states"], sent)))
            if taken.restarted:
                records.clear()
            records.extend(taken.records)
        for record in records:
            if record.get("member_id") is None:
                record["member_id"] = member_id
        return records

    async def check(self, lane: int, operation: Operation, row: Row) -> RowEvidence:
        """Find the offer states that a row issued, or was to change."""
        try:
            found = await (self._issued(lane, row) if operation.issues else self._targeted(lane, row))
        except ApiError as error:
            if _denies(error):
                return RowEvidence(row.position, [])
            return RowEvidence(row.position, None, error.reason, error.status, error.trace)
        except SparkflyError as error:
            return RowEvidence(row.position, None, str(error))
        return RowEvidence(row.position, [_needed(state) for state in found])

    async def _issued(self, lane: int, row: Row) -> list[dict[str, Any]]:
        """Find the offer states that were issued under the row's reference."""
        reference, member_id = row.sent["external_ref_id"], row.sent.get("member_id")
        if member_id is None:
            # The query returns one offer state. The listing of its member shows whether there are more.
            found = await self._read(lane, ENDPOINTS["query_offer_states"], {"external_ref_id": reference})
            records = read_records(found)
            known = [state for state in records if state.get("external_ref_id") == reference]
            if records and not known:  # the service did not search by the reference, so this proves nothing
                raise RequestFailed("the query by external_ref_id returned an offer state with another reference")
            answered = known[0].get("member_id") if known else None
            if answered is None:
                return known
            member_id = id_in(answered)
            if member_id is None:  # it would become part of an address
                raise RequestFailed("the query returned an offer state whose member_id is not a number")
            if not await self._pacer.turn(lane):
                raise ShardEnding
        return [
            state
            for state in await self.states_of(lane, member_id)
            if state.get("external_ref_id") == reference
            and state.get("campaign_xid") in (None, "", row.sent["campaign_id"])
        ]

    async def _targeted(self, lane: int, row: Row) -> list[dict[str, Any]]:
        """Read the offer state that a row was to change."""
        if "member_id" not in row.sent:
            raise RequestFailed("no operation reads an offer state by the member's identifier")
        sent = {name: row.sent[name] for name in ("member_id", "offerstate_id")}
        states = read_records(await self._read(lane, ENDPOINTS["get_offer_state"], sent))
        found = [state for state in states if _id_of(state) == sent["offerstate_id"]]
        if states and not found:
            raise RequestFailed("the service returned another offer state than the one requested")
        return found


def _denies(error: ApiError) -> bool:
    """Return whether the service itself denies that the record exists."""
    # A 404 without a message can come from any machine on the way.
    return error.status == 404 and error.reason != BARE_404


def _id_of(state: dict[str, Any]) -> int | None:
    return id_in(state.get("offer_state_id", state.get("id")))


def _needed(state: dict[str, Any]) -> dict[str, Any]:
    """Return the needed fields of an offer state, without nested values."""
    # Deep nesting cannot be pickled on the way back to the executor.
    kept = {name: state[name] for name in state.keys() & _KEPT if not isinstance(state[name], (dict, list))}
    return {**kept, "offer_state_id": _id_of(state)}
