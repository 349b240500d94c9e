"""The public SDK, with its strict models, works with the sandbox."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from sparkfly.client import RetryConfig, Sparkfly
from sparkfly.exceptions import ApiException
from sparkfly.models.issue_offer_request import IssueOfferRequest
from sparkfly.models.issue_offer_request_offer_state import IssueOfferRequestOfferState
from sparkfly.models.offer_state_request import OfferStateRequest
from sparkfly.models.offer_state_request_offer_state import OfferStateRequestOfferState
from sparkfly.models.offer_state_update import OfferStateUpdate
from sparkfly.models.offer_state_update_offer_state import OfferStateUpdateOfferState

from sparkfly_nb.api.endpoints import ENDPOINTS

MEMBER = 1009


def with_sdk(sandbox, work):
    """Run a coroutine with the SDK connected to the sandbox. The SDK does not retry, so that no error is hidden."""

    async def main():
        async with Sparkfly(
            sandbox.identity.reveal(), sandbox.key.reveal(), retry_config=RetryConfig(max_retries=0)
        ) as sdk:
            # The SDK's constructor accepts only Sparkfly's hosts, so set the host in its configuration.
            configuration = sdk._config
            configuration.ignore_operation_servers = True
            configuration.host = sandbox.base_url.removesuffix("/v1.0")
            await sdk.authenticate()
            configuration.host = sandbox.base_url
            return await work(sdk.offer_states)

    return asyncio.run(main())


def issue_request(**values):
    return IssueOfferRequest(offer_state=IssueOfferRequestOfferState(campaign_id="SUMMER26", **values))


async def issue(api, **values):
    receipt = await api.issue_offer(issue_offer_request=issue_request(member_id=MEMBER, **values))
    return receipt.offer_state.id


async def sdk_issue_offer(api):
    expires_at = dt.datetime(2099, 1, 1, tzinfo=dt.timezone.utc)
    receipt = await api.issue_offer(issue_offer_request=issue_request(member_id=MEMBER, expires_at=expires_at))
    return receipt.offer_state.campaign_id == "SUMMER26" and receipt.offer_state.expires_at == expires_at


async def sdk_issue_offer_state(api):
    request = OfferStateRequest(offer_state=OfferStateRequestOfferState(external_ref_id="sdk-1"))
    state = await api.issue_offer_state(str(MEMBER), offer_id="301", channel_id="11", offer_state_request=request)
    return state.offer_state.external_ref_id == "sdk-1"


async def sdk_create_offer_state(api):
    state = await api.create_offer_state(offer_id="301")
    return state.offer_state.member_id is None and state.offer_state.transferable


async def sdk_get_offer_state(api):
    state_id = await issue(api)
    state = await api.get_offer_state(offerstate_id=str(state_id), member_id=str(MEMBER))
    return state.offer_state.offer_state_id == state_id


async def sdk_get_offer_state_by_offer(api):
    await issue(api)
    state = await api.list_members_offers(str(MEMBER), "301")
    return state.offer_state.offer_id == 301


async def sdk_list_offer_states(api):
    state_id = await issue(api)
    index = await api.list_offer_states(str(MEMBER))
    return index.page == 1 and index.per_page == 50 and state_id in [
        entry.offer_state.offer_state_id for entry in index.offer_states
    ]  # fmt: skip


async def sdk_query_offer_states(api):
    state_id = await issue(api, external_ref_id="sdk-query")
    state = await api.query_offer_states(external_ref_id="sdk-query")
    return state.offer_state.offer_state_id == state_id


async def sdk_update_offer_state(api):
    state_id = await issue(api)
    change = OfferStateUpdateOfferState(
        offer_state_id=state_id, member_id=MEMBER, offer_id=301, value=3, offer_value_required=True, is_reward=True
    )
    state = await api.update_offer_state(
        offerstate_id=str(state_id), member_id=str(MEMBER), offer_state_update=OfferStateUpdate(offer_state=change)
    )
    return state.offer_state.value == 3 and state.offer_state.is_reward


async def sdk_redeem_offer_state(api):
    state_id = await issue(api)
    state = await api.redeem_offer_state(offerstate_id=str(state_id), member_id=str(MEMBER))
    return state.offer_state.status == "redeemed"


async def sdk_void_offer_state(api):
    state_id = await issue(api)
    await api.void_offer_state(str(MEMBER), str(state_id))
    return (await api.get_offer_state(str(state_id), str(MEMBER))).offer_state.status == "voided"


async def sdk_void_offer_state_by_identifier(api, sandbox):
    state_id = await issue(api)
    identifier = next(m["member_identifier"] for m in sandbox.members() if m["member_id"] == MEMBER)
    await api.void_offer_state_by_identifier(str(state_id), member_identifier=identifier)
    return (await api.get_offer_state(str(state_id), str(MEMBER))).offer_state.status == "voided"


@pytest.mark.parametrize("operation", ENDPOINTS)
def test_sdk_performs_every_operation(operation, sandbox):
    work = globals()[f"sdk_{operation}"]
    arguments = (sandbox,) if operation == "void_offer_state_by_identifier" else ()

    assert with_sdk(sandbox, lambda api: work(api, *arguments))


def test_sdk_models_accept_every_generated_offer_state(sandbox):
    async def read_all(api):
        return [await api.list_offer_states(str(member["member_id"])) for member in sandbox.members()]

    read = sum(len(index.offer_states) for index in with_sdk(sandbox, read_all))

    assert read >= sum(state["generated"] for state in sandbox.truth()["offer_states"])


@pytest.mark.parametrize(("member_id", "state_id", "status"), [("1", "1", 404), (str(MEMBER), "999999", 404)])
def test_sdk_reads_an_error_with_its_trace(member_id, state_id, status, sandbox):
    async def void(api):
        with pytest.raises(ApiException) as caught:
            await api.void_offer_state(member_id, state_id)
        return caught.value

    refusal = with_sdk(sandbox, void)

    assert (refusal.status, len(refusal.data.trace)) == (status, 30)
