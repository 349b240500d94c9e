"""Tests of the Parquet file and the Excel workbook."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
from audit_world import HOSTILE, World, assert_same, rich_audit, state

from sparkfly_nb import read_audit
from sparkfly_nb.errors import ConfigurationError, InvalidInput


def test_parquet_contains_the_offer_states_with_exact_types(tmp_path):
    pytest.importorskip("pyarrow")
    audit = rich_audit()

    frame = pd.read_parquet(audit.to_parquet(tmp_path / "audit.parquet"), dtype_backend="numpy_nullable")

    assert frame["value"].tolist() == audit.states["value"].tolist()
    assert frame["created_at"].tolist() == audit.states["created_at"].tolist()
    assert frame["offer_tags"].iloc[0] == '[{"name":"x"}]'


def test_workbook_contains_every_table_and_no_formula(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    large = 2**62 + 1
    states = [state(1, offer_state_id=large, offer_description=text) for text in HOSTILE[:1]]
    states += [state(2, offer_description=text) for text in HOSTILE]
    states.append(state(2, offer_description="y" * 40_000))
    audit = World(states).audit([1, 2])

    book = openpyxl.load_workbook(audit.to_excel(tmp_path / "audit.xlsx"))

    assert book.sheetnames == ["summary", "exceptions", "timeline", "states", "activities", "unread", "about"]
    rows = list(book["states"].iter_rows())
    column = [cell.value for cell in rows[0]].index("offer_description")
    assert rows[1][0].value == str(large)
    assert rows[1][column].value == "=1+1"
    assert {cell.data_type for row in rows for cell in row} <= {"s", "n", "b", "inlineStr"}
    assert len(rows[-1][column].value) == 32_767
    assert len(rows) == len(audit.states) + 1


def test_workbook_rejects_more_rows_than_fit_on_a_sheet(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    monkeypatch.setattr("sparkfly_nb.audit.output.workbook.SHEET_ROWS", 2)

    with pytest.raises(InvalidInput, match="Use to_csv"):
        World([state(1), state(2), state(3)]).audit([1, 2, 3]).to_excel(tmp_path / "audit.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("write", "library", "extra"), [("to_parquet", "pyarrow", "parquet"), ("to_excel", "openpyxl", "excel")]
)
def test_missing_library_of_a_format_is_named_and_csv_works(tmp_path, monkeypatch, write, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    audit = rich_audit()

    with pytest.raises(ConfigurationError, match=rf'pip install "sparkfly-nb\[{extra}\]"'):
        getattr(audit, write)(tmp_path / "audit")

    assert not list(tmp_path.iterdir())
    assert_same(audit, read_audit(audit.to_csv(tmp_path / "audit")))
