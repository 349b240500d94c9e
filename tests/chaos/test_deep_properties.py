"""The property tests with many more examples, which are new in each run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from paths import TESTS

FILES = sorted((TESTS / "property").glob("test_*.py"))
DEPTH = 20


@pytest.mark.chaos
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_properties_hold_for_many_more_random_examples(file):
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        env={**os.environ, "PROPERTY_DEPTH": str(DEPTH)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout[-6000:]
