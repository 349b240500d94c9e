"""Profile issue_many: the time of each step, and the time of the sending loop by library."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from harness import print_machine, print_table
from stub_server import TOKEN, running_stub

from sparkfly_nb import Session
from sparkfly_nb.bulk.engine import runner
from sparkfly_nb.bulk.worker import send_shard as worker

FIRST_MEMBER = 100_000_001


def owner_of(file, name):
    """Return the library or module of a function."""
    if "/site-packages/" in file:
        return file.partition("/site-packages/")[2].split("/")[0]
    if "/sparkfly_nb/" in file:
        return "sparkfly_nb: " + file.partition("/sparkfly_nb/")[2]
    return name if file == "~" and "orjson" in name else "Python"


def main():
    """Issue under a profile, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    options = parser.parse_args()
    print_machine()
    profile, moments = cProfile.Profile(), {}
    send, carry_out = worker._send, runner.Runner.carry_out

    async def profiled(*given):
        profile.enable()
        try:
            return await send(*given)
        finally:
            profile.disable()

    def timed(self):
        moments["carried out from"] = time.perf_counter()
        carry_out(self)
        moments["carried out to"] = time.perf_counter()

    members = pd.DataFrame({"member_id": np.arange(FIRST_MEMBER, FIRST_MEMBER + options.rows)})

    def issue(session):
        began = time.perf_counter()
        session.issue_many(members, "SUMMER26", concurrency=options.concurrency, n_jobs=1, progress=False)
        return began, time.perf_counter()

    runner.Runner.carry_out = timed
    with running_stub() as stub, tempfile.TemporaryDirectory() as folder:
        with Session(base_url=stub.base_url, token=TOKEN, ledger=str(Path(folder) / "plain.db")) as session:
            began, ended = issue(session)
        steps = {
            "validate the frame, plan, write the ledger": moments["carried out from"] - began,
            "claim, send, record": moments["carried out to"] - moments["carried out from"],
            "build the result frame": ended - moments["carried out to"],
        }
        worker._send = profiled
        with Session(base_url=stub.base_url, token=TOKEN, ledger=str(Path(folder) / "profiled.db")) as session:
            issue(session)
    print_table(
        f"steps of issue_many, {options.rows:,} rows, {options.concurrency} in flight, no latency",
        ["", "µs/row"],
        [[name, f"{seconds / options.rows * 1e6:.0f}"] for name, seconds in steps.items()],
    )
    owners = Counter()
    for (file, _line, name), (_calls, _primitive, own_s, *_) in pstats.Stats(profile).stats.items():
        owners[owner_of(file, name)] += own_s
    whole = sum(owners.values())
    print_table(
        "the sending loop under cProfile (which overstates the time of small functions)",
        ["", "share"],
        [[name, f"{own_s / whole:.0%}"] for name, own_s in owners.most_common(12)],
    )


if __name__ == "__main__":
    main()
