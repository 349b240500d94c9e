"""The benchmarks run and print their tables for a few rows. Their figures are not checked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from paths import ROOT

RUN = ROOT / "benchmarks" / "run.py"


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("stub", ["| issue, 2 clients |", "| list, 1 client "]),
        ("issue", ["| SDK 1.5.0 |", "| n_jobs=2 ", "of the ideal", "peak MB"]),
        ("list", ["| SDK 1.5.0 |", "| list_many "]),
    ],
)
def test_quick_benchmark_prints_its_tables(name, lines):
    ended = subprocess.run(
        [sys.executable, str(RUN), "--quick", name], check=False, capture_output=True, text=True, timeout=300
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    for line in lines:
        assert line in ended.stdout
