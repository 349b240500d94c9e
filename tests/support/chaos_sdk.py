"""The public SDK under the same faults: one issue for each member, compared with the sandbox's records."""

from __future__ import annotations

import asyncio
from collections import Counter

from bulk_world import CAMPAIGN
from sparkfly.client import RetryConfig, Sparkfly
from sparkfly.models.issue_offer_request import IssueOfferRequest
from sparkfly.models.issue_offer_request_offer_state import IssueOfferRequestOfferState

IN_FLIGHT = 8
RETRIES = RetryConfig(base_delay=0.02, max_delay=0.2)  # the default number of retries with shorter delays
TIMEOUT_S = 0.5


def issue(way, rows):
    """Issue to pairs of member and reference with the SDK. Return the references that it reports as issued."""
    return asyncio.run(_issue(way, rows))


async def _issue(way, rows):
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with Sparkfly(way["identity"], way["key"], retry_config=RETRIES, request_timeout=TIMEOUT_S) as sdk:
        # The SDK's constructor accepts only Sparkfly's hosts, so set the host in its configuration.
        configuration = sdk._config
        configuration.ignore_operation_servers = True
        configuration.host = way["base_url"].removesuffix("/v1.0")
        await sdk.authenticate()
        configuration.host = way["base_url"]

        async def one(member_id, reference):
            asked = IssueOfferRequestOfferState(campaign_id=CAMPAIGN, member_id=member_id, external_ref_id=reference)
            async with gate:
                try:
                    await sdk.offer_states.issue_offer(issue_offer_request=IssueOfferRequest(offer_state=asked))
                except Exception:  # noqa: BLE001 - any error is a reported failure
                    return None
            return reference

        reported = await asyncio.gather(*(one(*row) for row in rows))
    return {reference for reference in reported if reference is not None}


def count(states, references, reported):
    """Compare the SDK's reports with the offer states, and count the differences."""
    # The fault "duplicate" creates two offer states at the same time from one request. The SDK is not to blame for it.
    moments = Counter()
    for reference, _created_at in {(state["external_ref_id"], state["created_at"]) for state in states}:
        moments[reference] += 1
    there = {reference for reference in references if moments[reference]}
    return Counter(
        rows=len(references),
        reported=len(reported),
        duplicates=sum(moments[reference] > 1 for reference in references),
        lost=len(reported - there),
        untrue=len(there - reported),
    )
