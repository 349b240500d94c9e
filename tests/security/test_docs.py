"""What the threat model names is there."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
FILES = {"F": "files", "S": "secrets", "A": "responses", "X": "sandbox"}
NAMED = re.findall(r"(?:\b([FSAX]) )?`(test_\w+)`", MODEL)


@pytest.mark.parametrize(("letter", "name"), NAMED)
def test_every_test_that_the_threat_model_names_is_where_it_says(letter, name):
    places = (
        [ROOT / "tests" / "security" / f"test_{FILES[letter]}.py"] if letter else (ROOT / "tests").rglob("test_*.py")
    )

    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in places)


def test_every_threat_names_a_test():
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")][1:]
    rows = [line for line in rows if not line.startswith("| ---")]

    assert len(rows) > 15
    assert not [line for line in rows if "`test_" not in line]


def test_the_limits_that_it_names_are_those_of_the_code():
    from sparkfly_nb.api.pagination import MAX_ENTRIES
    from sparkfly_nb.api.response import MAX_RESPONSE_BYTES
    from sparkfly_nb.frames.builder import NEW_FIELDS

    limits = (
        f"{MAX_RESPONSE_BYTES // 2**20} MiB per answer, {MAX_ENTRIES:,} entries per listing, {NEW_FIELDS:,} new fields"
    )
    assert limits in MODEL
