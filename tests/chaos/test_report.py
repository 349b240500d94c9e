"""The reliability page names existing tests, and its tables show the figures of the runs."""

from __future__ import annotations

import re

import chaos_report
import pytest
from chaos_report import BEGIN, DOCUMENT, END, ROOT, WANTED


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


def test_reliability_page_names_only_existing_tests():
    named = set(re.findall(r"\b(\w+\.py)\b", DOCUMENT.read_text().split(BEGIN)[0]))
    existing = {path.name for path in (ROOT / "tests").rglob("*.py")}
    assert named
    assert named <= existing


def test_new_tables_replace_those_between_the_marks(page, capsys):
    chaos_report.show({"sqlite": cells_of("sqlite", lost=3), "postgresql": {}})
    chaos_report.show({"sqlite": cells_of("sqlite"), "postgresql": cells_of("postgresql", duplicates=1)})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "0/3/0/0" not in text
    assert text.count("20: 0/0/0/0") == len(WANTED["sqlite"])
    assert text.count("20: 1/0/0/0") == len(WANTED["postgresql"])
    assert text[text.index("### ") : text.index(END)] in capsys.readouterr().out
    assert "not run yet" not in text


def test_table_with_missing_parts_has_a_note(page):
    cells = cells_of("sqlite")
    cells.popitem()
    chaos_report.show({"sqlite": cells})
    assert f"1 of the {len(WANTED['sqlite'])} parts of this table were not run yet" in page.read_text()


def test_new_figures_replace_old_ones_of_the_same_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(chaos_report, "KEPT", tmp_path / "figures.jsonl")
    monkeypatch.setenv(chaos_report.KEEPING, "1")
    for fault, lost in (("half_body", 1), ("slow_bytes", 2), ("half_body", 0)):
        chaos_report.keep_figures(table="sqlite", operation="settle", fault=fault, lost=lost)
        kept = chaos_report.kept_cells()["sqlite"]
    assert {fault: cell["lost"] for (_, fault), cell in kept.items()} == {"half_body": 0, "slow_bytes": 2}
    assert len(chaos_report.KEPT.read_text().splitlines()) == 2
