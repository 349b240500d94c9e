"""`make demo` runs the main workflow over HTTP, prints a few lines, and writes the CSV."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import pandas as pd
import pytest

from sparkfly_nb import demo


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Run the demo once. Return its output and the frame that it wrote."""
    csv_path = tmp_path_factory.mktemp("demo") / "demo_output" / "campaign_audit.csv"
    with redirect_stdout(io.StringIO()) as said:
        status = demo.main(["--members", "150", "--csv", str(csv_path)])
    assert status == 0
    return said.getvalue(), pd.read_csv(csv_path, dtype={"offer_state_id": "Int64", "member_id": "Int64"})


def counts_in(line):
    return {word: int(count) for count, word in re.findall(r"(\d+) (\w+)", line)}


def line_of(text, step):
    (line,) = [line for line in text.splitlines() if line.startswith(step)]
    return line


def test_demo_issues_each_row_once(shown):
    text, _ = shown
    issued = counts_in(line_of(text, "Issue"))["issued"]

    assert issued > 30
    assert f"{issued} will get it" in line_of(text, "Plan")
    assert f"{issued} issued. Nothing was sent." in line_of(text, "Again")


def test_demo_csv_has_the_issued_and_voided_states(shown):
    text, written = shown
    statuses = written["status"].value_counts().to_dict()

    assert len(written) == counts_in(line_of(text, "Issue"))["issued"]
    assert statuses["voided"] == counts_in(line_of(text, "Void"))["voided"] > 0
    assert set(written["campaign_xid"]) == {demo.CAMPAIGN}
    assert written["offer_state_id"].is_unique


def test_demo_output_is_short(shown):
    text, _ = shown

    assert len(text.splitlines()) <= 10
    assert max(map(len, text.splitlines())) <= 200


def test_demo_reports_a_failed_step(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file where a folder is needed", encoding="utf-8")

    status = demo.main(["--members", "40", "--csv", str(tmp_path / "taken" / "audit.csv")])

    assert status == 1
    assert "the demo stopped" in capsys.readouterr().err
