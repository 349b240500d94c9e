"""Reads inside a worker: all offer states of a member, and the read-back of rows whose outcome is not known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ...api.endpoints import ENDPOINTS, Endpoint
from ...api.pagination import Listing
from ...api.request import assemble
from ...api.response import Verdict, api_error, judge, read_index, read_json, read_records, read_refusal
from ...errors import ApiError, ConnectionFailed, RequestFailed, SparkflyError
from ...http.async_client import AsyncClient, RequestNotSent, ResponseLost
from ..operations import CHANGE_COLUMNS
from .messages import Row, RowEvidence
from .outcomes import integer_in

if TYPE_CHECKING:
    from ...api.retry_policy import RetryPolicy
    from ..operations import Operation
    from .pacing import Pacer

__all__ = ["Closing", "StateReader", "Unauthenticated"]

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
"""What a read-back needs of an offer state."""


NOTHING_SAID: Final = read_refusal(404, b"")[0]


class Unauthenticated(Exception):
    """The token is no longer good; stays inside the workers."""


class Closing(Exception):
    """The shard ends before the read was through; stays inside the workers."""


class StateReader:
    """Reads for one shard."""

    def __init__(self, client: AsyncClient, pacer: Pacer, policy: RetryPolicy) -> None:
        self._client = client
        self._pacer = pacer
        self._policy = policy

    async def _ask(self, lane: int, endpoint: Endpoint, sent: dict[str, Any]) -> Any:
        """Ask until there is a readable answer, as often as the policy allows.

        Raises
        ------
        SparkflyError
            The reason why there is none.
        Unauthenticated, Closing
            The read was not tried to the end.
        """
        request = assemble(endpoint, sent)
        attempts = 0
        began = time.monotonic()
        while True:
            attempts += 1
            fault: SparkflyError
            slow_down, retry_after_s = False, None
            try:
                answer = await self._client.send(request)
            except RequestNotSent as error:
                fault = ConnectionFailed(str(error))
            except ResponseLost as error:
                fault = RequestFailed(str(error))
            else:
                verdict = judge(endpoint, answer.status, has_retry_after=answer.has_retry_after)
                if verdict is Verdict.DONE:
                    self._pacer.speed_up()
                    try:
                        return read_json(answer.body)
                    except SparkflyError as error:
                        fault = error
                elif verdict is Verdict.UNAUTHENTICATED:
                    raise Unauthenticated
                else:
                    fault = api_error(request, answer.status, answer.body)
                    if verdict is Verdict.REFUSED:
                        raise fault
                    slow_down, retry_after_s = verdict is Verdict.SLOW_DOWN, answer.retry_after_s
            pause_s = self._policy.pause_s(attempts, time.monotonic() - began, retry_after_s)
            if slow_down:
                self._pacer.slow_down(pause_s or retry_after_s or 0.0)
            if pause_s is None:
                raise fault
            if not await self._pacer.turn_after(lane, 0.0 if slow_down else pause_s):
                raise Closing

    async def states_of(self, lane: int, member_id: object) -> list[dict[str, Any]]:
        """List all offer states of a member, every page, or fail."""
        listing = Listing(f"the offer states of member {member_id}")
        records: list[dict[str, Any]] = []
        while (query := listing.next_query()) is not None:
            if records and not await self._pacer.turn(lane):  # the first request was the lane's turn already
                raise Closing
            sent = {"member_id": member_id, **query}
            page = read_index(await self._ask(lane, ENDPOINTS["list_offer_states"], sent))
            taken = listing.take(page)
            if taken.restarted:
                records.clear()
            records.extend(taken.records)
        for record in records:
            if record.get("member_id") is None:
                record["member_id"] = member_id
        return records

    async def read_back(self, lane: int, operation: Operation, row: Row) -> RowEvidence:
        """Find the offer states that a row made or meant."""
        try:
            found = await (self._issued(lane, row) if operation.issues else self._meant(lane, row))
        except ApiError as fault:
            if _is_denied(fault):
                return RowEvidence(row.position, [])
            return RowEvidence(row.position, None, fault.reason, fault.status, fault.trace)
        except SparkflyError as fault:
            return RowEvidence(row.position, None, str(fault))
        return RowEvidence(row.position, [_needed(state) for state in found])

    async def _issued(self, lane: int, row: Row) -> list[dict[str, Any]]:
        """Find what was issued under the row's reference."""
        reference, member_id = row.sent["external_ref_id"], row.sent.get("member_id")
        if member_id is None:
            # Only one offer state is answered here, so its member's listing is read as well: it shows duplicates.
            answer = await self._ask(lane, ENDPOINTS["query_offer_states"], {"external_ref_id": reference})
            records = read_records(answer)
            known = [state for state in records if state.get("external_ref_id") == reference]
            if records and not known:  # the reference was not what it looked for: then nothing is proved
                raise RequestFailed("the service was asked for a reference and answers another one")
            answered = known[0].get("member_id") if known else None
            if answered is None:
                return known
            member_id = integer_in(answered)
            if member_id is None:  # it becomes part of an address
                raise RequestFailed("the service answers an offer state of a member whose key is no number")
            if not await self._pacer.turn(lane):
                raise Closing
        return [
            state
            for state in await self.states_of(lane, member_id)
            if state.get("external_ref_id") == reference
            and state.get("campaign_xid") in (None, "", row.sent["campaign_id"])
        ]

    async def _meant(self, lane: int, row: Row) -> list[dict[str, Any]]:
        """Read the offer state that a row was to change."""
        if "member_id" not in row.sent:
            raise RequestFailed("no operation reads an offer state by the member's identifier")
        sent = {name: row.sent[name] for name in ("member_id", "offerstate_id")}
        states = read_records(await self._ask(lane, ENDPOINTS["get_offer_state"], sent))
        found = [state for state in states if _key_of(state) == sent["offerstate_id"]]
        if states and not found:
            raise RequestFailed("the service was asked for an offer state and answers another one")
        return found


def _is_denied(fault: ApiError) -> bool:
    """Say whether the service itself says that there is no such thing; a bare 404 can come from anything on the way."""
    return fault.status == 404 and fault.reason != NOTHING_SAID


def _key_of(state: dict[str, Any]) -> int | None:
    return integer_in(state.get("offer_state_id", state.get("id")))


def _needed(state: dict[str, Any]) -> dict[str, Any]:
    """Keep what a field of an offer state can hold: deep nesting would not come through to the executor."""
    kept = {name: state[name] for name in state.keys() & _KEPT if not isinstance(state[name], (dict, list))}
    return {**kept, "offer_state_id": _key_of(state)}
