"""Issue many rows with a ledger and a result frame, compared with the SDK: speed, CPU time, scale and latency."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from functools import partial
from pathlib import Path

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
from stub_server import TOKEN, running_stub

FIRST_MEMBER = 100_000_001
WANTED_RATIO = 5.0
WANTED_CPU_US = 200
WANTED_IDEAL_SHARE = 0.80
WANTED_FLAT = 1.20
WANTED_PEAK_MB = 1_200
LATENCY_MS = 50
LATENCY_CONCURRENCY = 256


def ours(base_url, rows, concurrency, n_jobs):
    """Issue a frame with a Session and a ledger in a file."""
    import numpy as np  # noqa: PLC0415 - imported only in the process of this side, because memory is measured
    import pandas as pd  # noqa: PLC0415

    from sparkfly_nb import Session  # noqa: PLC0415

    figures = {"rows": rows}
    members = pd.DataFrame({"member_id": np.arange(FIRST_MEMBER, FIRST_MEMBER + rows)})
    with (
        tempfile.TemporaryDirectory() as folder,
        Session(base_url=base_url, token=TOKEN, ledger=str(Path(folder) / "ledger.db")) as session,
        measuring(figures),
    ):
        result = session.issue_many(members, "SUMMER26", concurrency=concurrency, n_jobs=n_jobs, progress=False)
    if not (result["outcome"] == "issued").all() or not (result["member_id"] == members["member_id"]).all():
        raise SystemExit(str(result["outcome"].value_counts()))
    return figures


def sdk(base_url, rows, concurrency):
    """Issue with the SDK as its users do, with ``gather`` and a semaphore."""
    from sdk import sdk_client  # noqa: PLC0415 - imported only in the process of this side, because memory is measured
    from sparkfly.models.issue_offer_request import IssueOfferRequest  # noqa: PLC0415
    from sparkfly.models.issue_offer_request_offer_state import IssueOfferRequestOfferState  # noqa: PLC0415

    figures = {"rows": rows}

    async def work():
        in_flight = asyncio.Semaphore(concurrency)
        async with sdk_client(base_url, concurrency) as client:

            async def issue(row):
                asked = IssueOfferRequestOfferState(
                    campaign_id="SUMMER26", member_id=FIRST_MEMBER + row, external_ref_id=f"sdk-{row}"
                )
                async with in_flight:
                    return await client.offer_states.issue_offer(
                        issue_offer_request=IssueOfferRequest(offer_state=asked)
                    )

            await issue(0)  # the first call creates the client, which is not measured
            with measuring(figures):
                return await asyncio.gather(*(issue(row) for row in range(rows)))

    receipts = asyncio.run(work())
    if any(receipt.offer_state.member_id != FIRST_MEMBER + row for row, receipt in enumerate(receipts)):
        raise SystemExit("the SDK mixed up the responses of two rows")
    return figures


def side(name, base_url, rows, concurrency, n_jobs):
    """Print the figures of one measurement, which has this process to itself."""
    figures = sdk(base_url, rows, concurrency) if name == "sdk" else ours(base_url, rows, concurrency, n_jobs)
    print(json.dumps(figures | {"peak_mb": peak_mb()}))


def measure(stub, name, rows, concurrency=64, n_jobs=1):
    figures = in_fresh_process(__file__, name, stub.base_url, rows, concurrency, n_jobs, stub=stub)
    if figures["responses"] != rows + (name == "sdk"):
        raise SystemExit(f"{figures['responses']} requests for {rows} rows")
    return figures


def line(name, figures, beside=None):
    """Return one line of the table of speeds."""
    times = f"{ratio(figures, beside, rows_per_s):.1f}x" if beside else ""
    return [name, f"{median(figures, rows_per_s):,.0f}", times, f"{median(figures, cpu_us):,.0f}",
            f"{median(figures, 'stub_busy'):.0%}"]  # fmt: skip


def speed(pairs, rows, *, judged):
    """Compare with the SDK at the default concurrency."""
    with running_stub() as stub:
        measured = in_pairs(
            pairs,
            {
                "SDK 1.5.0": partial(measure, stub, "sdk", rows),
                "n_jobs=1": partial(measure, stub, "ours", rows),
                "n_jobs=2": partial(measure, stub, "ours", rows, n_jobs=2),
            },
        )
    base = measured["SDK 1.5.0"]
    print_table(
        f"issue_many, {rows:,} rows, 64 in flight, no latency; medians of {pairs}",
        ["", "rows/s", "to the SDK", "CPU µs/row", "stub busy"],
        [line(name, figures, base) for name, figures in measured.items()],
    )
    if not judged:
        return
    times, cpu = ratio(measured["n_jobs=1"], base, rows_per_s), median(measured["n_jobs=1"], cpu_us)
    more = ratio(measured["n_jobs=2"], measured["n_jobs=1"], rows_per_s)
    print(f"\ntarget: {WANTED_RATIO:.0f}x the SDK: {verdict(times >= WANTED_RATIO)}; "
          f"faster with n_jobs=2: {verdict(more > 1)} ({more:.2f}x of n_jobs=1); "
          f"at most {WANTED_CPU_US} µs of CPU per row: {verdict(cpu <= WANTED_CPU_US)}")  # fmt: skip


def latency(pairs, rows, *, judged):
    """Compare with the ideal speed when each response has a latency."""
    ideal = LATENCY_CONCURRENCY / (LATENCY_MS / 1e3)
    with running_stub(LATENCY_MS) as stub:
        measured = in_pairs(
            pairs,
            {
                "SDK 1.5.0": partial(measure, stub, "sdk", rows, LATENCY_CONCURRENCY),
                "n_jobs=1": partial(measure, stub, "ours", rows, LATENCY_CONCURRENCY),
            },
        )
    print_table(
        f"issue_many, {rows:,} rows, {LATENCY_CONCURRENCY} in flight, {LATENCY_MS} ms per response: "
        f"ideal {ideal:,.0f} rows/s; medians of {pairs}",
        ["", "rows/s", "of the ideal", "CPU µs/row"],
        [[name, f"{median(figures, rows_per_s):,.0f}", f"{median(figures, rows_per_s) / ideal:.2f}",
          f"{median(figures, cpu_us):,.0f}"] for name, figures in measured.items()],
    )  # fmt: skip
    if not judged:
        return
    share = median(measured["n_jobs=1"], rows_per_s) / ideal
    print(f"\ntarget: {WANTED_IDEAL_SHARE:.2f} of the ideal: {verdict(share >= WANTED_IDEAL_SHARE)}")


def scale(sizes, *, judged):
    """Measure whether a row costs the same in large and small frames, and how much memory they need."""
    measured = {rows: [] for rows in sizes}
    with running_stub() as stub:
        # The smaller sizes run before and after the largest one, to reveal a change of the machine's speed.
        for rows in (*sizes, *reversed(sizes[:-1])):
            measured[rows].append(measure(stub, "ours", rows))
    print_table(
        "issue_many, n_jobs=1, 64 in flight, no latency; medians of the runs before and after the largest",
        ["rows", "rows/s", "CPU µs/row", "peak MB"],
        [[f"{rows:,}", f"{median(figures, rows_per_s):,.0f}", f"{median(figures, cpu_us):,.0f}",
          f"{median(figures, 'peak_mb'):,.0f}"] for rows, figures in measured.items()],
    )  # fmt: skip
    if not judged:
        return
    costs = [median(figures, cpu_us) for figures in measured.values()]
    peak = median(measured[sizes[-1]], "peak_mb")
    flat = max(costs) / costs[0]
    print(f"\ntarget: cost per row flat within 20 %: {verdict(flat <= WANTED_FLAT)} ({flat:.2f}); "
          f"peak below {WANTED_PEAK_MB:,} MB: {verdict(peak < WANTED_PEAK_MB)}")  # fmt: skip


def main():
    """Run the parts of the benchmark and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", nargs=5, metavar=("NAME", "URL", "ROWS", "CONCURRENCY", "N_JOBS"))
    parser.add_argument("--only", choices=("speed", "latency", "scale"))
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a few rows, to check that the benchmark runs")
    options = parser.parse_args()
    if options.side:
        name, base_url, *numbers = options.side
        side(name, base_url, *map(int, numbers))
        return
    print_machine()
    pairs, rows, sizes = options.pairs, options.rows, (10_000, 100_000, 1_000_000)
    if options.quick:
        pairs, rows, sizes = 1, 400, (200, 400)
    if options.only in (None, "speed"):
        speed(pairs, rows, judged=not options.quick)
    if options.only in (None, "latency"):
        latency(pairs, rows, judged=not options.quick)
    if options.only in (None, "scale"):
        scale(sizes, judged=not options.quick)


if __name__ == "__main__":
    main()
