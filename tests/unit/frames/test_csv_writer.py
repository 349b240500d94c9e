"""CSV files are exact, safe in a spreadsheet, complete or absent, and are read back as the same frame."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from spreadsheet import FULL_WIDTH, RUNS, rows_as_a_spreadsheet_reads_them

from sparkfly_nb.errors import AuditFileError, InvalidInput
from sparkfly_nb.frames.builder import empty_frame, frame_of
from sparkfly_nb.frames.csv_cells import text_cell
from sparkfly_nb.frames.csv_writer import CsvWriter, read_csv, write_csv
from sparkfly_nb.schema import OFFER_STATE

TEXTS = {"key": "Int64", "text": "string"}
HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", '"=1"', *FULL_WIDTH, "\u200b=1", "\ufeff=1",
    "\xa0=1", "=cmd|'/C calc'!A0", "'", "''", "'\\", "'\\u0000", "\\", "\\u0000", "", " ", "\t", "\r", "\n", "\r\n",
    "a\rb", "a\nb", "a\r\nb", 'a"b', '"', '""', ',', ',"",', ',"",\n', 'a,"",b\n"",""', "a;=1+1", "\x00", "a\x00b",
    "\ud800", "=\udfff\x00", "😀", "مرحبا", "\u202e=1", "x" * 10_000, "=" * 10_000, "NA", "NaN", "null", "None",
    "nan", "true", "1009", "007", "1e5", "2024-01-01", "#N/A", "\x1a", "\x85", "\u2028=1",
]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "states.csv"


def texts(*values):
    """Return a frame with a key and these texts."""
    return frame_of([{"key": key, "text": value} for key, value in enumerate(values)], TEXTS, where="test")


STATES = [
    {
        "offer_state_id": 2**53 + 1,
        "member_id": -(2**63),
        "campaign_id": 2**63 - 1,
        "status": "incomplete",
        "campaign_xid": "",
        "created_at": "2023-06-22T18:36:32.271393505Z",
        "updated_at": "2023-06-22T18:36:32.27Z",
        "activates_at": "2023-04-10T13:26:00+02:00",
        "locked": True,
        "is_reward": False,
        "offer_tags": [{"id": 1, "name": "=1+1, \"quoted\"\r\n"}, []],
        "offer_activities": [],
        "custom_data": {"a": 1},
        "offer_description": "Über, \"alles\"\nund mehr",
    },
    {},
]  # fmt: skip


def test_frame_with_every_dtype_round_trips(path):
    frame = frame_of(STATES, where="test")

    write_csv(frame, path)

    pd.testing.assert_frame_equal(read_csv(path, OFFER_STATE), frame)


def test_empty_frame_round_trips(path):
    written = write_csv(empty_frame(), path)

    assert written.rows == 0
    pd.testing.assert_frame_equal(read_csv(path, OFFER_STATE), empty_frame())


def test_cells_are_written_exactly_and_in_utc(path):
    write_csv(frame_of(STATES, where="test"), path)

    header, first, second = rows_as_a_spreadsheet_reads_them(path)
    cells = dict(zip(header, first, strict=True))
    assert cells["offer_state_id"] == "9007199254740993"
    assert cells["member_id"] == "-9223372036854775808"
    assert cells["created_at"] == "2023-06-22T18:36:32.271393505Z"
    assert cells["updated_at"] == "2023-06-22T18:36:32.270000Z"
    assert cells["activates_at"] == "2023-04-10T11:26:00Z"
    assert (cells["locked"], cells["is_reward"]) == ("true", "false")
    assert json.loads(cells["offer_tags"]) == STATES[0]["offer_tags"]
    assert set(second) == {""}


def test_pandas_reads_the_file_correctly(path):
    frame = texts(*HOSTILE)

    write_csv(frame, path)

    plain = pd.read_csv(path, keep_default_na=False, dtype={"text": str})
    assert plain["key"].tolist() == list(range(len(HOSTILE)))
    assert plain["text"].tolist() == [row[1] for row in rows_as_a_spreadsheet_reads_them(path)[1:]]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_hostile_texts_are_neutralized_and_round_trip(text, path):
    frame = texts(text, None, f"{text}{text}")

    write_csv(frame, path)

    for row in rows_as_a_spreadsheet_reads_them(path):
        assert not any(RUNS.match(cell) and not cell.startswith("'") for cell in row)
    pd.testing.assert_frame_equal(read_csv(path, TEXTS), frame)


CHARACTERS = st.sampled_from(list("=+-@'\"\\,;\r\n\t \x00\ud800\ufeff\uff1da0u😀"))
TEXT = st.text(CHARACTERS, max_size=12) | st.text(max_size=12) | st.text(st.characters(codec=None), max_size=6)


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(TEXT | st.none(), TEXT | st.none()), max_size=8), TEXT)
@example([("'", ""), (None, None)], "=1+1")
def test_any_text_is_neutralized_and_round_trips(path, cells, name):
    name = f"{name} of this column".encode(errors="replace").decode()  # pandas cannot store every name
    columns = {"key": "Int64", "text": "string", name: "string"}
    frame = frame_of([{"key": -1, "text": one, name: two} for one, two in cells], columns, where="test")

    write_csv(frame, path)

    pd.testing.assert_frame_equal(read_csv(path, columns), frame)
    rows = rows_as_a_spreadsheet_reads_them(path)
    assert {len(row) for row in rows} == {3}
    assert not any(RUNS.match(cell) and not cell.startswith("'") for row in rows for cell in row[1:])


@given(TEXT, TEXT)
def test_different_texts_have_different_cells(one, other):
    assert (text_cell(one) == text_cell(other)) == (one == other)


def test_one_column_frame_keeps_missing_cells(path):
    frame = texts("", None, "a", None)[["text"]]

    write_csv(frame, path)

    pd.testing.assert_frame_equal(read_csv(path, {"text": "string"}), frame)


@given(st.lists(st.floats(), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_floats_round_trip_exactly(path, numbers):
    frame = pd.DataFrame({"rate": pd.array([None if np.isnan(x) else x for x in numbers], dtype="Float64")})

    write_csv(frame, path)

    pd.testing.assert_frame_equal(read_csv(path, {"rate": "Float64"}), frame, check_exact=True)


def test_columns_of_other_pandas_dtypes_are_written_exactly(path):
    moment = dt.datetime(2024, 1, 1, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    frame = pd.DataFrame(
        {
            "int64": [1, -2],
            "uint64": np.array([1, 2**64 - 1], dtype="uint64"),
            "float64": [-0.5, np.nan],
            "bool": [True, False],
            "times": pd.Series([moment, None]).astype("datetime64[s, UTC]"),
            "category": pd.Series(["=a", None], dtype="category"),
            "mixed": pd.Series([-5, "=b"], dtype=object),
            "objects": pd.Series([moment, {"a": True}], dtype=object),
            "others": pd.Series([dt.date(2024, 1, 1), np.bool_(True)], dtype=object),
            "spans": pd.to_timedelta(["01:00:00", None]),
            "decimals": pd.Series([Decimal("-5.50"), Decimal("1E+3")], dtype=object),
        }
    )

    write_csv(frame, path)

    assert rows_as_a_spreadsheet_reads_them(path)[1:] == [
        ["1", "1", "-0.5", "true", "2024-01-01T12:00:00Z", "'=a", "-5", "2024-01-01T12:00:00Z", "2024-01-01",
         "P0DT1H0M0S", "-5.50"],
        ["-2", str(2**64 - 1), "", "false", "", "", "'=b", '{"a":true}', "true", "", "1000"],
    ]  # fmt: skip


def test_column_names_are_neutralized_and_round_trip(path):
    write_csv(pd.DataFrame({"=1+1": [1], "a,b\n": [2], "": [3]}), path)

    assert rows_as_a_spreadsheet_reads_them(path)[0] == ["'=1+1", "a,b\n", ""]
    assert list(read_csv(path, {"=1+1": "Int64"}).columns) == ["=1+1", "a,b\n", ""]


def test_write_csv_returns_row_count_and_sha256(path):
    written = write_csv(texts("a", "b"), path)

    assert written.rows == 2
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_has_no_byte_order_mark_and_crlf_line_endings(path):
    write_csv(texts("ä"), path)

    assert path.read_bytes() == "key,text\r\n0,ä\r\n".encode()


def test_appended_frames_are_read_back_as_one(path):
    frame = texts(*(HOSTILE * 100))

    with CsvWriter(path, TEXTS) as writer:
        for start in range(0, len(frame), 777):
            writer.append(frame.iloc[start : start + 777])

    assert writer.rows == len(frame)
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    pd.testing.assert_frame_equal(read_csv(path, TEXTS), frame)


def test_column_added_later_is_empty_in_earlier_rows(path):
    with CsvWriter(path, TEXTS) as writer:
        writer.append(texts(*HOSTILE))
        writer.append(pd.DataFrame({"late": ["=x"], "key": [-1]}))
        writer.append(texts("last"))

    assert writer.columns == ["key", "text", "late"]
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {len(row) for row in rows_as_a_spreadsheet_reads_them(path)} == {3}
    records = [{"key": key, "text": text} for key, text in enumerate(HOSTILE)]
    records += [{"key": -1, "late": "=x"}, {"key": 0, "text": "last"}]
    columns = {**TEXTS, "late": "string"}
    pd.testing.assert_frame_equal(read_csv(path, columns), frame_of(records, columns, where="test"))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


class Stop(Exception):
    pass


@pytest.mark.parametrize("wide", [False, True])
def test_interrupted_write_keeps_old_file_and_leaves_no_other(path, wide):
    path.write_text("old")

    with pytest.raises(Stop), CsvWriter(path, TEXTS) as writer:  # noqa: PT012 - the block is what is tested
        writer.append(texts("new").assign(late=1) if wide else texts("new"))
        raise Stop

    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_unwritable_value_names_column_and_leaves_no_file(path):
    frame = pd.DataFrame({"at": pd.to_datetime(["2024-01-01"])})

    with pytest.raises(InvalidInput, match=r"states\.csv: column at: the times have no time zone"):
        write_csv(frame, path)

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("value", [10**5000, {10**5000}], ids=["number", "set"])
def test_number_too_long_for_python_to_print_names_column(path, value):
    with pytest.raises(InvalidInput, match=r"states\.csv: column n: a very long (int|set) cannot be written"):
        write_csv(pd.DataFrame({"n": pd.Series([value], dtype=object)}), path)


def test_full_disk_raises_and_leaves_no_file(tmp_path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    quiet = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = random.Random(1)
    frame = texts(*(f"{noise.getrandbits(4000):x}" for _ in range(500)))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(AuditFileError, match="was not written, and nothing was left behind: File too large"):
            write_csv(frame, tmp_path / "states.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, quiet)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["missing/states.csv", "folder"])
def test_write_to_missing_folder_or_folder_raises(tmp_path, place):
    (tmp_path / "folder").mkdir()

    with pytest.raises(AuditFileError, match="was not written"):
        write_csv(texts("a"), tmp_path / place)

    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_link_is_replaced_and_its_target_is_unchanged(tmp_path):
    (tmp_path / "target").write_text("untouched")
    (tmp_path / "states.csv").symlink_to(tmp_path / "target")

    write_csv(texts("a"), tmp_path / "states.csv")

    assert (tmp_path / "target").read_text() == "untouched"
    assert not (tmp_path / "states.csv").is_symlink()


def test_duplicate_column_names_are_rejected(path):
    with pytest.raises(InvalidInput, match="more than one column is named a"):
        write_csv(pd.DataFrame([[1, 2]], columns=["a", "a"]), path)
