"""The public SDK beside us under the same faults: the same members, one call for each, held against what happened."""

from __future__ import annotations

import asyncio
from collections import Counter

from bulk_world import CAMPAIGN
from sparkfly.client import RetryConfig, Sparkfly
from sparkfly.models.issue_offer_request import IssueOfferRequest
from sparkfly.models.issue_offer_request_offer_state import IssueOfferRequestOfferState

IN_FLIGHT = 8
RETRIES = RetryConfig(base_delay=0.02, max_delay=0.2)  # as often as by default, only sooner
TIMEOUT_S = 0.5


def issue(way, rows):
    """Issue to (member, reference) with the SDK as its users do; gives those references that it reports as issued."""
    return asyncio.run(_issue(way, rows))


async def _issue(way, rows):
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with Sparkfly(way["identity"], way["key"], retry_config=RETRIES, request_timeout=TIMEOUT_S) as sdk:
        # the SDK takes no other host than Sparkfly's: its configuration does
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
                except Exception:  # noqa: BLE001 - whatever it raises, it reports a failure
                    return None
            return reference

        reported = await asyncio.gather(*(one(*row) for row in rows))
    return {reference for reference in reported if reference is not None}


def count(states, references, reported):
    """Count what the SDK did, and what it said of it."""
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
