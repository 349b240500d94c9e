"""The notebooks run without errors, their outputs match their text, and they contain no machine-specific data."""

from __future__ import annotations

import re
from itertools import pairwise

import nbformat
import notebook_runs
import pytest

#: By notebook: a part of a cell, and the output that the cell must have.
PROMISES = {
    "01_quickstart": [
        ("settings.environment", r"'sandbox'"),
        ("preview_issue", r"valid +113\nalready holding +7"),
        ("except sf.InvalidRows", r"member_id +<NA> +the row names no member"),
        ("result = session.issue_many", r"issued +113"),
        ("again.equals", r"all rows ended, nothing is sent\s+True"),
        ("summary =", r"all members were read"),
        ("void_many", r"voided +14"),
        ('status"].value_counts', r"incomplete +99\nvoided +14"),
        ("to_csv", r"\(113, \['incomplete', 'voided'\]\)"),
    ],
    "02_bulk_issue": [
        ("preview = session.preview_issue(rough", r"valid +802\nduplicate +2\ninverted dates +1"),
        ("refused, ", r"\(3, 0\)"),
        ("process.kill", r"'killed'"),
        ("ended = ", r"True"),
        ("result = ", r"have not ended yet\s+rows\noutcome +\nissued +799\nrejected +3"),
        ("is_unique", r"\(799, 799, True\)"),
        ("to_fix = ", r"(?s)900001.*900002.*900003 +rejected +404 +Member not found"),
        ("void_run", r"voided +796\nkept +3"),
        ('== "kept"', r"(?s)(kept: it was redeemed.*){3}"),
        ("session.runs", r"(?s)void of welcome.*used.*welcome"),
    ],
    "03_campaign_audit": [
        ("audit = session.audit", r"complete: all 300 members were read"),
        ("summary = audit.summary", r"0 +complete +all members were read +0.0"),
        ('pivot_table(index="segment"', r"(?s)lapsed.*new +0.0 +0.0 +0.0.*regular.*vip"),
        ("exceptions = audit.exceptions", r"(?s)missing +error +73.*duplicate +error +40.*foreign +error +15"),
        ("audit.plot", r"AuditFigure size"),
        ('["activity"].value_counts', r"issued +328\nredeemed +123\nvoided +34"),
        ("audit.to_csv", r"manifest.json"),
        ("sf.verify", r"states.csv +328"),
        ("sf.read_audit", r"\(True, True, True\)"),
    ],
    "04_void_from_dataframe": [
        ("before = ", r"duplicate +5"),
        ("voided = ", r"voided +5"),
        ("result = session.void_many", r"\(7, {'voided': 7}\)"),
        ("repeated = ", r"nothing is sent\n{'voided': 7}"),
        ("totals = ", r"(?s)offer_states_changed.*12.0.*incomplete +57.0 +45.0 +-12.0.*voided +0.0 +12.0 +12.0"),
        ("after.exceptions", r"voided_though_planned +7"),
        ("after.to_csv", r"states.csv +65"),
    ],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run each notebook once, when the first test needs it."""
    done = {}

    def run(path):
        if path not in done:
            done[path] = notebook_runs.run(path, tmp_path_factory.mktemp(path.stem))
        return done[path]

    return run


notebooks = pytest.mark.parametrize("path", notebook_runs.NOTEBOOKS, ids=lambda path: path.stem)


@notebooks
def test_notebook_run_reproduces_its_saved_outputs(path, runs):
    kept = nbformat.read(path, as_version=4)

    assert notebook_runs.outputs_of(runs(path)) == notebook_runs.outputs_of(kept)


@pytest.mark.parametrize("name", PROMISES)
def test_notebook_outputs_match_its_text(name, runs):
    notebook = runs(notebook_runs.ROOT / "notebooks" / f"{name}.ipynb")
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    shown = dict(zip(sources, notebook_runs.outputs_of(notebook), strict=True))

    for piece, expected in PROMISES[name]:
        (output,) = [text for source, text in shown.items() if piece in source]
        assert re.search(expected, output), f"{piece}: {output}"


@notebooks
def test_notebook_has_a_sentence_before_each_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    bare = [
        after.source
        for before, after in pairwise(cells)
        if after.cell_type == before.cell_type == "code" and "close()" not in after.source
    ]

    assert cells[0].cell_type == "markdown"
    assert bare == []


@notebooks
def test_notebook_contains_no_path_port_or_error(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"127\.0\.0\.1:\d+|localhost:\d+|/(?:home|Users|root|tmp|work)/[^\"\\ ]*", text)

    assert found == []
    assert '"output_type": "error"' not in text
