"""CSV files that were damaged or changed are rejected, and unlisted columns are read as text."""

from __future__ import annotations

import pytest

from sparkfly_nb.errors import AuditFileError
from sparkfly_nb.frames.builder import frame_of
from sparkfly_nb.frames.csv_reader import read_csv
from sparkfly_nb.frames.csv_writer import write_csv

TEXTS = {"key": "Int64", "text": "string"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "states.csv"


def test_unlisted_columns_are_read_as_text(path):
    write_csv(frame_of([{"new": 5, "list": [1]}], {}, where="test"), path)

    frame = read_csv(path, {})

    assert frame.dtypes.tolist() == ["string", "string"]
    assert frame.to_numpy().tolist() == [["5", "[1]"]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a CSV file"),
        (b"key,text\r\n1,a", "ends in the middle of a row"),
        (b'key,text\r\n1,"a\r\n', "is not a CSV file|ends in the middle of a row"),
        (b"key,text\r\n1,a,b\r\n", "is not a CSV file"),
        (b"key,text\r\n1,\xff\r\n", "is not a CSV file"),
        (b"key,key\r\n1,2\r\n", "two columns have the same name"),
        (b"key\r\n1\r\n", "has no column named text"),
        (b"key,text\r\n1.5,a\r\n", "1 value of key could not be read.*'1.5'.*the file was changed"),
        (b"key,text\r\n1-2,a\r\n", "1 value of key could not be read"),
        (b"key,text\r\n9223372036854775808,a\r\n", "1 value of key could not be read"),
    ],
)
def test_damaged_file_is_rejected(path, content, words):
    path.write_bytes(content)

    with pytest.raises(AuditFileError, match=words):
        read_csv(path, TEXTS)


@pytest.mark.parametrize(
    ("dtype", "cell"),
    [("boolean", "True"), ("Float64", "x"), ("object", "x"), ("object", "{}"), ("datetime64[ns, UTC]", "2024-01-01")],
)
def test_cell_that_does_not_match_dtype_is_rejected(path, dtype, cell):
    path.write_text(f"column\n{cell}\n")

    with pytest.raises(AuditFileError, match="1 value of column could not be read"):
        read_csv(path, {"column": dtype})


def test_missing_file_is_reported(path):
    with pytest.raises(AuditFileError, match="cannot be read"):
        read_csv(path, TEXTS)
