"""Run all benchmarks, and write their tables into README.md beside this file. ``make bench`` runs this script."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
README = FOLDER / "README.md"
BEGIN, END = "<!-- measured by run.py: begin -->", "<!-- measured by run.py: end -->"


class Benchmark(NamedTuple):
    """One script."""

    script: str
    #: The arguments of a quick run, or None if the script has none.
    quick: tuple[str, ...] | None


#: In the order in which they run.
BENCHMARKS = {
    "stub": Benchmark("bench_stub.py", ("--quick",)),
    "issue": Benchmark("bench_issue.py", ("--quick",)),
    "list": Benchmark("bench_list.py", ("--quick",)),
    "frames": Benchmark("bench_frames.py", ("--rows", "2000", "--csv")),
    "audit": Benchmark("bench_audit.py", ("2000",)),
    "sandbox": Benchmark("bench_sandbox.py", None),
}


def run(benchmark, *, quick):
    """Run a benchmark and print its output. Return the output, or None if the benchmark failed."""
    command = [sys.executable, "-u", str(FOLDER / benchmark.script), *(benchmark.quick if quick else ())]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines) if process.returncode == 0 else None


def keep(name, table):
    """Replace the tables of a benchmark in README.md."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    measured, after = rest.split(END)
    sections = {section.split(",")[0]: section for section in measured.split("### ")[1:]}
    sections[name] = f"{name}, {time.strftime('%Y-%m-%d')}\n\n{table.strip()}\n\n"
    inside = "".join(f"### {sections[known]}" for known in BENCHMARKS if known in sections)
    README.write_text(f"{before}{BEGIN}\n\n{inside}{END}{after}")


def main():
    """Run the chosen benchmarks. Return 1 if any of them failed, otherwise 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHMARKS], help="default: all; the others keep their tables"
    )
    parser.add_argument("--quick", action="store_true", help="a few rows each; README.md does not change")
    options = parser.parse_args()
    names = options.names or [name for name in BENCHMARKS if not options.quick or BENCHMARKS[name].quick]
    failed = []
    for name in names:
        print(f"\n==== {name}: {BENCHMARKS[name].script}", flush=True)
        table = run(BENCHMARKS[name], quick=options.quick and BENCHMARKS[name].quick is not None)
        if table is None:
            failed.append(name)
        elif not options.quick:
            keep(name, table)
            print(f"\nwritten to {README}")
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
