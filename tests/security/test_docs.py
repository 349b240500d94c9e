"""The threat model names tests that exist and limits that the code has."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
CITED = sorted(set(re.findall(r"`(test_\w+)`", MODEL)))


@pytest.fixture(scope="module")
def defined():
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", CITED)
def test_each_test_in_the_threat_model_exists(name, defined):
    assert name in defined


def test_each_threat_names_a_test():
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")][1:]
    rows = [line for line in rows if not line.startswith("| ---")]

    assert len(rows) > 15
    assert not [line for line in rows if "`test_" not in line]


def test_the_limits_in_the_threat_model_match_the_code():
    from sparkfly_nb.api.pagination import MAX_ENTRIES
    from sparkfly_nb.api.response import MAX_RESPONSE_BYTES
    from sparkfly_nb.frames.builder import NEW_FIELDS

    limits = (
        f"{MAX_RESPONSE_BYTES // 2**20} MiB per response, {MAX_ENTRIES:,} entries per listing, "
        f"{NEW_FIELDS:,} new fields per frame"
    )
    assert limits in MODEL
