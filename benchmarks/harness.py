"""Shared functions of the benchmarks: one process per measurement, medians of pairs, tables, and machine data."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path


def cpu_s():
    """Return the CPU time, user and system, of this process and of its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb():
    """Return the peak memory of this process in MB."""
    # Not ru_maxrss, which a new process inherits from its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


@contextmanager
def measuring(figures):
    """Measure a block, and add ``seconds`` and ``cpu_s`` to the figures."""
    cpu, began = cpu_s(), time.perf_counter()
    yield
    figures["seconds"] = time.perf_counter() - began
    figures["cpu_s"] = cpu_s() - cpu


def in_fresh_process(script, *arguments, stub=None):
    """Run one side of a benchmark in a new process, and return its figures.

    With a stub server, ``stub_busy`` is the share of the time that the server used its CPU. Well below 1, the server
    was not the bottleneck.
    """
    before = stub.counts() if stub else None
    [figures] = in_fresh_processes(script, [arguments])
    if stub:
        after = stub.counts()
        figures["stub_busy"] = (after["cpu_s"] - before["cpu_s"]) / figures["seconds"]
        figures["responses"] = after["issued"] + after["listed"] - before["issued"] - before["listed"]
    return figures


def in_fresh_processes(script, calls):
    """Run several sides of a benchmark at the same time, each in a new process, and return their figures."""
    commands = [[sys.executable, str(Path(script).resolve()), "--side", *map(str, call)] for call in calls]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    figures = []
    for command, process in zip(commands, processes, strict=True):
        out, err = process.communicate(timeout=1800)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{out}{err}")
        figures.append(json.loads(out.splitlines()[-1]))
    return figures


def in_pairs(pairs, sides):
    """Measure the sides in turn, so that other load on the machine affects all alike.

    Parameters
    ----------
    pairs : int
        The number of measurements of each side.
    sides : dict
        For each side, a function that measures once.
    """
    measured = {name: [] for name in sides}
    for _ in range(pairs):
        for name, measure in sides.items():
            measured[name].append(measure())
    return measured


def median(figures, what):
    """Return the median of one figure, or of a function of the figures."""
    return statistics.median(what(one) if callable(what) else one[what] for one in figures)


def ratio(figures, others, what):
    """Return the median of the ratios of each pair."""
    return statistics.median(what(one) / what(other) for one, other in zip(figures, others, strict=True))


def rows_per_s(figures):
    return figures["rows"] / figures["seconds"]


def cpu_us(figures):
    """Return the CPU time per row in microseconds."""
    return figures["cpu_s"] / figures["rows"] * 1e6


def print_table(title, heads, lines):
    """Print a table in Markdown."""
    widths = [max(len(str(line[at])) for line in [heads, *lines]) for at in range(len(heads))]
    print(f"\n{title}\n")
    for number, line in enumerate([heads, *lines]):
        cells = [str(cell).ljust(width) if at == 0 else str(cell).rjust(width)
                 for at, (cell, width) in enumerate(zip(line, widths, strict=True))]  # fmt: skip
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            print(
                "|" + "|".join("-" * (width + 1) + ("-" if at == 0 else ":") for at, width in enumerate(widths)) + "|"
            )
    sys.stdout.flush()


def verdict(good):
    return "reached" if good else "MISSED"


def print_machine():
    """Print the hardware and the versions of the libraries."""
    import aiohttp  # noqa: PLC0415 - not imported in the processes of the sides, because memory is measured
    import pandas as pd  # noqa: PLC0415
    import uvloop  # noqa: PLC0415

    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    model = next((line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor())  # fmt: skip
    print(f"{len(os.sched_getaffinity(0))} cores ({model}), {memory_gb:.0f} GB, {platform.system()}; "
          f"Python {platform.python_version()}, pandas {pd.__version__}, aiohttp {aiohttp.__version__}, "
          f"uvloop {uvloop.__version__}; load {os.getloadavg()[0]:.1f} at the start")  # fmt: skip
