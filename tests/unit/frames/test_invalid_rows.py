"""The error for bad cells shows the first three in its message and lists all of them in its report."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from sparkfly_nb.errors import InvalidRows
from sparkfly_nb.frames.invalid_rows import InvalidCell, invalid_rows, label_at


def cells(*values):
    return [
        InvalidCell(row, "member_id", value, f"{value!r} is not a whole number", "use digits only")
        for row, value in enumerate(values)
    ]


def test_message_names_row_column_value_problem_and_fix():
    error = invalid_rows("1 row cannot be sent", cells("12a"))

    assert isinstance(error, InvalidRows)
    assert str(error) == (
        "1 row cannot be sent:\n  row 0, column member_id, '12a': '12a' is not a whole number; use digits only"
    )


def test_message_shows_three_cells_and_counts_the_others():
    lines = str(invalid_rows("5 rows cannot be sent", cells(*"abcde"))).splitlines()

    assert [line.split(",")[0] for line in lines[1:-1]] == ["  row 0", "  row 1", "  row 2"]
    assert lines[-1] == "  and 2 more; the error's .report lists all of them"


def test_report_lists_every_cell_with_its_own_value():
    report = invalid_rows("rows", cells(1, 1.0, True, "\ud800", None, [1])).report

    assert list(report.columns) == ["row", "column", "value", "problem", "fix"]
    assert report["row"].tolist() == [0, 1, 2, 3, 4, 5]
    assert list(map(repr, report["value"])) == ["1", "1.0", "True", r"'\ud800'", "None", "[1]"]
    assert report["fix"].eq("use digits only").all()


def test_error_can_be_pickled_with_its_report():
    error = invalid_rows("rows", cells("a", 2.5))

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    pd.testing.assert_frame_equal(copy.report, error.report)


@pytest.mark.parametrize(
    ("index", "label"),
    [
        (pd.RangeIndex(3, 4), 3),
        (pd.Index(["a"]), "a"),
        (pd.Index([np.int64(7)], dtype=object), 7),
        (pd.MultiIndex.from_tuples([("a", 1)]), ("a", 1)),
    ],
    ids=["range", "text", "numpy", "multi"],
)
def test_label_is_a_plain_python_value(index, label):
    found = label_at(index, 0)

    assert (type(found), found) == (type(label), label)
