"""The cassettes as a table: every operation with its success and each documented error, and two bulk runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from sparkfly_nb.errors import (
    AuthenticationError,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    ServerError,
    Unprocessable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOBODY = 999_999_999
NOTHING = 999_999_999_999
REFERENCE = "cassette-reference"

#: The statuses of each operation in Sparkfly's published reference. The table below has these and a few more.
DOCUMENTED = {
    "issue_offer": {201},
    "issue_offer_state": {200, 401, 403, 500},
    "create_offer_state": {201, 401, 404, 500},
    "get_offer_state": {200, 401, 404, 500},
    "get_offer_state_by_offer": {200, 401, 404, 500},
    "list_offer_states": {200, 401, 404, 500},
    "query_offer_states": {200, 401, 404, 500},
    "update_offer_state": {200, 401, 404, 500},
    "redeem_offer_state": {200, 401, 404, 500},
    "void_offer_state": {200, 401, 404, 422, 500},
    "void_offer_state_by_identifier": {200, 401, 404, 422, 500},
}


class World(NamedTuple):
    """The records of the service that the calls use. Each cassette contains them."""

    member_id: int
    member_identifier: str
    other_member_id: int
    offer_id: int
    campaign_id: str
    suspended_campaign_id: str


#: The campaign VIP26 distributes offer 302, which is not transferable.
SANDBOX_WORLD = World(1002, "LOY-001002-9250", 1005, 302, "VIP26", "SPRING26")


@dataclass(frozen=True)
class Scenario:
    """One cassette: the call, the faults of the service, and the expected outcome."""

    operation: str
    status: int
    call: Callable[[Any, World], pd.DataFrame]
    raises: type[Exception] | None = None
    faults: Mapping[str, float] = field(default_factory=dict)
    token: str | None = None
    has_trace: bool = False

    @property
    def name(self) -> str:
        """The path of the cassette below cassettes/, without its suffix."""
        return f"{self.operation}/{self.status}"


# ---- the calls -------------------------------------------------------------------------------------------------------


def issue_offer(session, world, **changed):
    given = {"campaign_id": world.campaign_id, "member_id": world.member_id, "external_ref_id": REFERENCE}
    return session.issue_offer(**{**given, **changed})


def issue_offer_state(session, world, *, member_id=None, **changed):
    return session.issue_offer_state(member_id or world.member_id, **{"offer_id": world.offer_id, **changed})


def take_over_what_is_not_transferable(session, world):
    held = issue_offer_state(session, world, member_id=world.other_member_id)
    return session.issue_offer_state(world.member_id, token=held["token"].iloc[0])


def create_offer_state(session, world, **changed):
    return session.create_offer_state(**{"offer_id": world.offer_id, **changed})


def fresh(session, world):
    return int(issue_offer_state(session, world)["offer_state_id"].iloc[0])


def get_offer_state(session, world, offerstate_id=None):
    return session.get_offer_state(world.member_id, offerstate_id or fresh(session, world))


def get_offer_state_by_offer(session, world, **changed):
    if not changed:
        fresh(session, world)
    return session.get_offer_state_by_offer(**{"member_id": world.member_id, "offer_id": world.offer_id, **changed})


def list_offer_states(session, world, member_id=None):
    return session.list_offer_states(member_id or world.member_id)


def query_offer_states(session, world, **given):
    if not given:
        issued = issue_offer_state(session, world)
        given = {"credential_identifier": issued["credential_identifier"].iloc[0]}
    return session.query_offer_states(**given)


def update_offer_state(session, world, offerstate_id=None):
    return session.update_offer_state(
        world.member_id, offerstate_id or fresh(session, world), expires_at="2031-12-31T23:59:59Z"
    )


def redeem_offer_state(session, world, offerstate_id=None):
    return session.redeem_offer_state(world.member_id, offerstate_id or fresh(session, world))


def locked(session, world):
    offerstate_id = fresh(session, world)
    session.update_offer_state(world.member_id, offerstate_id, locked=True)
    return offerstate_id


def redeemed(session, world):
    offerstate_id = fresh(session, world)
    session.redeem_offer_state(world.member_id, offerstate_id)
    return offerstate_id


def void_offer_state(session, world, offerstate_id=None):
    return session.void_offer_state(world.member_id, offerstate_id or fresh(session, world))


def void_offer_state_by_identifier(session, world, offerstate_id=None):
    return session.void_offer_state_by_identifier(
        offerstate_id or fresh(session, world), member_identifier=world.member_identifier
    )


def void_twice(void):
    def call(session, world):
        offerstate_id = fresh(session, world)
        void(session, world, offerstate_id)
        return void(session, world, offerstate_id)

    return call


def issue_list_and_void_many(session, world):
    plan = pd.DataFrame({"member_id": [world.member_id, world.other_member_id, NOBODY]}, index=["a", "b", "nobody"])
    issued = session.issue_many(plan, world.campaign_id, run="cassette", progress=False, n_jobs=1)
    held = session.list_many(issued.loc[["a", "b"]], progress=False, n_jobs=1)
    ours = held[held["external_ref_id"].isin(issued["external_ref_id"])]
    voided = session.void_many(ours, run="cassette void", progress=False, n_jobs=1)
    return pd.concat([issued, voided])


def issue_many_with_lost_answers(session, world):
    plan = pd.DataFrame({"member_id": [world.member_id, world.other_member_id]}, index=["a", "b"])
    return session.issue_many(
        plan, world.campaign_id, run="cassette", progress=False, n_jobs=1, settle_pause=0, halt_above=1
    )


# ---- the table -------------------------------------------------------------------------------------------------------

#: Operations on one offer state, which respond with 404 if it does not exist.
WITH_STATE = {
    "get_offer_state": get_offer_state,
    "update_offer_state": update_offer_state,
    "redeem_offer_state": redeem_offer_state,
    "void_offer_state": void_offer_state,
    "void_offer_state_by_identifier": void_offer_state_by_identifier,
}

CALLS = {
    "issue_offer": issue_offer,
    "issue_offer_state": issue_offer_state,
    "create_offer_state": create_offer_state,
    "get_offer_state_by_offer": get_offer_state_by_offer,
    "list_offer_states": list_offer_states,
    "query_offer_states": query_offer_states,
    **WITH_STATE,
}
VOIDS = {"void_offer_state", "void_offer_state_by_identifier"}
READS = {"get_offer_state", "get_offer_state_by_offer", "list_offer_states", "query_offer_states"}
CREATED = {"issue_offer", "create_offer_state"}


def _successes():
    return [Scenario(name, 201 if name in CREATED else 200, call) for name, call in CALLS.items()]


def _refused_tokens():
    # The service checks the token first, so no offer state needs to exist.
    arguments = {name: {"offerstate_id": NOTHING} for name in WITH_STATE} | {
        "get_offer_state_by_offer": {"member_id": NOBODY},
        "query_offer_states": {"external_ref_id": "nothing"},
    }
    return [
        Scenario(name, 401, _with(call, **arguments.get(name, {})), AuthenticationError, token="no-such-token")
        for name, call in CALLS.items()
    ]


def _server_errors():
    scenarios = []
    for name, call in CALLS.items():
        fault = "commit_then_500" if name in VOIDS else "error_500_before"
        raises = ServerError if name in READS | VOIDS else OutcomeUnknown
        scenarios.append(Scenario(name, 500, call, raises, {f"{name}:{fault}": 1.0}, has_trace=name in VOIDS))
    return scenarios


def _with(call, **changed):
    return lambda session, world: call(session, world, **changed)


def _after(prepare, call):
    return lambda session, world: call(session, world, prepare(session, world))


#: The single calls, by the name of their cassette. A second void gets 422, which is not an error for the caller.
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        *_successes(),
        *_refused_tokens(),
        *_server_errors(),
        *(
            Scenario(name, 404, _with(call, offerstate_id=NOTHING), NotFound, has_trace=name in VOIDS)
            for name, call in WITH_STATE.items()
        ),
        Scenario("issue_offer", 404, _with(issue_offer, campaign_id="NO-SUCH-CAMPAIGN"), NotFound),
        Scenario("issue_offer_state", 404, _with(issue_offer_state, member_id=NOBODY), NotFound),
        Scenario("create_offer_state", 404, _with(create_offer_state, offer_id=NOTHING), NotFound),
        Scenario("get_offer_state_by_offer", 404, _with(get_offer_state_by_offer, offer_id=NOTHING), NotFound),
        Scenario("list_offer_states", 404, _with(list_offer_states, member_id=NOBODY), NotFound),
        Scenario("query_offer_states", 404, _with(query_offer_states, external_ref_id="no-such-reference"), NotFound),
        Scenario("issue_offer_state", 403, take_over_what_is_not_transferable, PermissionDenied),
        Scenario("update_offer_state", 403, _after(locked, update_offer_state), PermissionDenied),
        Scenario("redeem_offer_state", 403, _after(locked, redeem_offer_state), PermissionDenied),
        Scenario("void_offer_state", 403, _after(redeemed, void_offer_state), PermissionDenied, has_trace=True),
        Scenario(
            "void_offer_state_by_identifier",
            403,
            _after(redeemed, void_offer_state_by_identifier),
            PermissionDenied,
            has_trace=True,
        ),
        Scenario(
            "issue_offer",
            422,
            lambda session, world: issue_offer(session, world, campaign_id=world.suspended_campaign_id),
            Unprocessable,
            has_trace=True,
        ),
        Scenario("redeem_offer_state", 422, _after(redeemed, redeem_offer_state), Unprocessable, has_trace=True),
        Scenario("void_offer_state", 422, void_twice(void_offer_state), has_trace=True),
        Scenario("void_offer_state_by_identifier", 422, void_twice(void_offer_state_by_identifier), has_trace=True),
        Scenario("issue_offer", 429, issue_offer, RateLimited, {"issue_offer:status_429": 1.0}),
        Scenario("list_offer_states", 429, list_offer_states, RateLimited, {"list_offer_states:status_429": 1.0}),
    )
}

#: Bulk runs with the async client.
BULK = {
    "bulk/issue_list_void": Scenario("bulk", 0, issue_list_and_void_many),
    "bulk/lost_answers": Scenario("bulk", 0, issue_many_with_lost_answers, faults={"issue_offer:commit_then_500": 1.0}),
}

#: Bulk runs come first. They list members, who have few offer states before the other calls.
ALL = {**BULK, **SCENARIOS}
