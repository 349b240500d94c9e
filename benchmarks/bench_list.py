"""List the offer states of many members into one typed frame, compared with the SDK: speed and peak memory."""

from __future__ import annotations

import argparse
import asyncio
import json
from functools import partial

from harness import (
    cpu_us,
    in_fresh_process,
    in_pairs,
    measuring,
    median,
    peak_mb,
    print_machine,
    print_table,
    ratio,
    rows_per_s,
    verdict,
)
from stub_server import STATES_PER_MEMBER, TOKEN, running_stub

FIRST_MEMBER = 100_000_001
CONCURRENCY = 64
WANTED_RATIO = 5.0
WANTED_MEMORY_SHARE = 1 / 3


def ours(base_url, members):
    """List with a Session."""
    from sparkfly_nb import Session  # noqa: PLC0415 - imported only in the process of this side

    figures = {}
    with Session(base_url=base_url, token=TOKEN) as session, measuring(figures):
        frame = session.list_many(
            range(FIRST_MEMBER, FIRST_MEMBER + members), concurrency=CONCURRENCY, n_jobs=1, progress=False
        )
    return figures, frame


def sdk(base_url, members):
    """List with the SDK, and convert its models to a frame of the same dtypes in the fastest way that pandas has."""
    import pandas as pd  # noqa: PLC0415 - imported only in the process of this side
    from sdk import sdk_client  # noqa: PLC0415

    from sparkfly_nb.schema import OFFER_STATE, TIME  # noqa: PLC0415

    figures = {}

    async def work():
        in_flight = asyncio.Semaphore(CONCURRENCY)
        async with sdk_client(base_url, CONCURRENCY) as client:

            async def states_of(member_id):
                async with in_flight:
                    return await client.offer_states.list_offer_states(str(member_id))

            await states_of(FIRST_MEMBER)  # the first call creates the client, which is not measured
            with measuring(figures):
                indexes = await asyncio.gather(*(states_of(FIRST_MEMBER + place) for place in range(members)))
                frame = pd.DataFrame([vars(state.offer_state) for index in indexes for state in index.offer_states])
                for name, dtype in OFFER_STATE.items():
                    column = frame[name]
                    is_time = dtype == TIME
                    frame[name] = (
                        pd.to_datetime(column, format="ISO8601", utc=True) if is_time else column.astype(dtype)
                    )
                return frame

    frame = asyncio.run(work())
    return figures, frame


def side(name, base_url, members):
    """Print the figures of one measurement, which has this process to itself."""
    figures, frame = sdk(base_url, members) if name == "sdk" else ours(base_url, members)
    if len(frame) != members * STATES_PER_MEMBER or not frame["offer_state_id"].is_unique:
        raise SystemExit(f"{len(frame)} offer states instead of {members * STATES_PER_MEMBER}")
    print(json.dumps(figures | {"rows": len(frame), "peak_mb": peak_mb()}))


def measure(stub, name, members):
    return in_fresh_process(__file__, name, stub.base_url, members, stub=stub)


def main():
    """Compare with the SDK and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=3, metavar=("NAME", "URL", "MEMBERS"))
    parser.add_argument("--members", type=int, default=3_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a few rows, to check that the benchmark runs")
    options = parser.parse_args()
    if options.side:
        name, base_url, members = options.side
        side(name, base_url, int(members))
        return
    print_machine()
    pairs, members = (1, 20) if options.quick else (options.pairs, options.members)
    with running_stub() as stub:
        measured = in_pairs(
            pairs,
            {
                "SDK 1.5.0": partial(measure, stub, "sdk", members),
                "list_many": partial(measure, stub, "ours", members),
            },
        )
    base = measured["SDK 1.5.0"]
    print_table(
        f"list_many, {members:,} members x {STATES_PER_MEMBER} states to a typed frame, {CONCURRENCY} in flight; "
        f"medians of {pairs}, each in a fresh process",
        ["", "rows/s", "to the SDK", "CPU µs/row", "peak MB", "stub busy"],
        [[name, f"{median(figures, rows_per_s):,.0f}", f"{ratio(figures, base, rows_per_s):.1f}x",
          f"{median(figures, cpu_us):,.0f}", f"{median(figures, 'peak_mb'):,.0f}",
          f"{median(figures, 'stub_busy'):.0%}"]
         for name, figures in measured.items()],
    )  # fmt: skip
    if options.quick:
        return
    times = ratio(measured["list_many"], base, rows_per_s)
    share = ratio(measured["list_many"], base, lambda figures: figures["peak_mb"])
    print(f"\ntarget: {WANTED_RATIO:.0f}x the SDK: {verdict(times >= WANTED_RATIO)}; "
          f"at most a third of its memory: {verdict(share <= WANTED_MEMORY_SHARE)} ({share:.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
