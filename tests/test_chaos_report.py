"""The page on reliability names tests that exist, and shows tables that are whole."""

from __future__ import annotations

import re

import chaos_report
import pytest
from chaos_report import BEGIN, DOCUMENT, END, ROOT, TITLES, WANTED


def cells_of(table, **counts):
    return {
        (operation, fault): {"table": table, "day": "2030-01-01", "cells": 20, "seconds": 60, **counts}
        for operation, fault in WANTED[table]
    }


@pytest.fixture
def page(tmp_path, monkeypatch):
    path = tmp_path / "reliability.md"
    path.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    monkeypatch.setattr(chaos_report, "DOCUMENT", path)
    return path


def test_the_page_names_only_tests_that_exist():
    named = set(re.findall(r"\b(\w+\.py)\b", DOCUMENT.read_text().split(BEGIN)[0]))
    assert named
    assert not {name for name in named if not (ROOT / "tests" / name).exists()}


def test_a_whole_table_replaces_the_older_one_and_leaves_the_rest_alone(page):
    chaos_report.show({"sqlite": cells_of("sqlite", lost=3)})
    chaos_report.show({"postgresql": cells_of("postgresql")})
    chaos_report.show({"sqlite": cells_of("sqlite", lost=0)})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        f"### {TITLES['sqlite']}", f"### {TITLES['postgresql']}"]  # fmt: skip
    assert "0/3/0/0" not in text
    assert text.count("20: 0/0/0/0") == len(WANTED["sqlite"]) + len(WANTED["postgresql"])


def test_a_table_with_parts_missing_is_shown_and_not_kept(page, capsys):
    cells = cells_of("sqlite", duplicates=1)
    cells.popitem()
    chaos_report.show({"sqlite": cells})
    assert "20: 1/0/0/0" in capsys.readouterr().out
    assert "20: 1/0/0/0" not in page.read_text()
