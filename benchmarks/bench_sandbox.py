"""Measure the requests per second of the sandbox: ``python benchmarks/bench_sandbox.py``.

The client, plain aiohttp with orjson, and the sandbox run in separate processes on the same machine. The target is
2,000 issues per second on two cores, so that the sandbox is not the bottleneck of a demo.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import orjson

from sparkfly_nb.sandbox import SandboxProcess

ROWS = 10_000
LISTINGS = 2_000
IN_FLIGHT = 64
ROUNDS = 3
WANTED_ISSUES_PER_S = 2_000


async def requests_per_s(sandbox, requests):
    root = sandbox.base_url.removesuffix("/v1.0")
    credentials = {"X-Auth-Identity": sandbox.identity.reveal(), "X-Auth-Key": sandbox.key.reveal()}
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as client:
        async with client.post(f"{root}/auth", headers=credentials) as response:
            headers = {"X-Auth-Token": response.headers["X-Auth-Token"], "Content-Type": "application/json"}
        waiting = iter(requests)

        async def send():
            for method, path, body in waiting:
                async with client.request(method, sandbox.base_url + path, data=body, headers=headers) as response:
                    orjson.loads(await response.read())
                    if response.status not in (200, 201):
                        raise SystemExit(f"{method} {path} returned {response.status}")

        started_s = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        return len(requests) / (time.perf_counter() - started_s)


def issues(member_ids, batch):
    for row in range(ROWS):
        state = {"campaign_id": "SUMMER26", "member_id": member_ids[row % len(member_ids)],
                 "external_ref_id": f"bench-{batch}-{row}"}  # fmt: skip
        yield "POST", "/members/offer_states/issue", orjson.dumps({"offer_state": state})


def listings(member_ids):
    for row in range(LISTINGS):
        yield "GET", f"/members/{member_ids[row % len(member_ids)]}/offer_states?per_page=5000", None


def run(coroutine):
    try:
        import uvloop  # noqa: PLC0415 - optional, and faster than asyncio's own loop
    except ImportError:
        return asyncio.run(coroutine)
    return uvloop.run(coroutine)


def measure(db):
    with SandboxProcess.start(members=2_000, db=db) as sandbox:
        member_ids = [member["member_id"] for member in sandbox.members()]
        listed = statistics.median(run(requests_per_s(sandbox, list(listings(member_ids)))) for _ in range(ROUNDS))
        before_s = sandbox.truth(generated=False)["cpu_s"]
        issued = statistics.median(
            run(requests_per_s(sandbox, list(issues(member_ids, batch)))) for batch in range(ROUNDS)
        )
        truth = sandbox.truth(generated=False)
    made = len(truth["offer_states"])
    if made != ROWS * ROUNDS:
        raise SystemExit(f"{made} offer states instead of {ROWS * ROUNDS}")
    return issued, listed, (truth["cpu_s"] - before_s) / made * 1e6


def main():
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"machine load at the start: {load} (the CPU time of the sandbox does not depend on it)")
    print(f"{ROUNDS} rounds of {ROWS:,} issues and {LISTINGS:,} listings, {IN_FLIGHT} in flight; medians")
    print(f"{'store':<12}{'issues/s':>12}{'listings/s':>12}{'CPU µs/issue':>15}")
    slowest = float("inf")
    with tempfile.TemporaryDirectory() as folder:
        for name, db in (("in memory", None), ("in a file", Path(folder) / "sandbox.db")):
            issued, listed, cpu_us = measure(db)
            slowest = min(slowest, issued)
            print(f"{name:<12}{issued:>12,.0f}{listed:>12,.0f}{cpu_us:>15,.0f}")
    print(f"target: {WANTED_ISSUES_PER_S:,} issues/s: {'reached' if slowest >= WANTED_ISSUES_PER_S else 'MISSED'}")
    return 0 if slowest >= WANTED_ISSUES_PER_S else 1


if __name__ == "__main__":
    sys.exit(main())
