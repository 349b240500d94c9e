"""Build a typed frame from parsed offer states, write it as CSV, and read it back: rows per second and memory."""

from __future__ import annotations

import argparse
import gc
import random
import resource
import tempfile
import time
from pathlib import Path

import orjson
from samples import offer_state

from sparkfly_nb.frames.builder import FrameBuilder
from sparkfly_nb.frames.csv_writer import read_csv, write_csv
from sparkfly_nb.schema import OFFER_STATE


def resident_mb() -> float:
    """Return the memory that the process uses now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    """Build a frame from pages of responses, write it, read it back, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--page", type=int, default=20, help="offer states per response")
    parser.add_argument("--csv", action="store_true", help="write the frame as CSV and read it back, too")
    options = parser.parse_args()
    rng = random.Random(26)
    warm = FrameBuilder(where="warm-up")
    warm.add([offer_state(0, rng)])
    warm.frame()
    gc.collect()
    before = resident_mb()

    builder = FrameBuilder(where="benchmark")
    parsing = building = 0.0
    for first in range(0, options.rows, options.page):
        body = orjson.dumps([offer_state(key, rng) for key in range(first, min(first + options.page, options.rows))])
        started = time.process_time()
        records = orjson.loads(body)
        parsed = time.process_time()
        builder.add(records)
        del records
        parsing, building = parsing + parsed - started, building + time.process_time() - parsed
    started = time.process_time()
    frame = builder.frame()
    building += time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{options.rows:,} offer states of {frame.shape[1]} columns, {options.page} per response")
    print(f"  parsed dicts to frame   {options.rows / building:>10,.0f} rows/s of CPU")
    print(f"  with JSON parsing       {options.rows / (building + parsing):>10,.0f} rows/s of CPU")
    print(f"  memory used             {resident_mb() - before:>10,.0f} MB, {peak - before:,.0f} MB at the peak")
    if options.csv:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "states.csv"
            started = time.process_time()
            write_csv(frame, path)
            written = time.process_time()
            print(f"  frame to CSV            {options.rows / (written - started):>10,.0f} rows/s of CPU, "
                  f"{path.stat().st_size / 1e6:,.0f} MB")  # fmt: skip
            read_csv(path, OFFER_STATE)
            print(f"  CSV to frame            {options.rows / (time.process_time() - written):>10,.0f} rows/s of CPU")


if __name__ == "__main__":
    main()
