"""Build typed frames from the records of the service."""

from __future__ import annotations

import functools
import pickle
import string
import warnings

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparkfly_nb.errors import DataWarning
from sparkfly_nb.frames import builder as builder_module
from sparkfly_nb.frames.builder import NEW_FIELDS, FrameBuilder, empty_frame, frame_of, join_parts
from sparkfly_nb.schema import OFFER_STATE, RECEIPT, RESULT, TIME

STATE = {
    "offer_state_id": 7,
    "offer_id": 3,
    "member_id": 2,
    "status": "incomplete",
    "value": 0,
    "locked": False,
    "created_at": "2023-04-10T13:26:00Z",
    "expires_at": "2023-04-10T13:26:00Z",
    "external_ref_id": "sxjbvnG",
    "custom_data": None,
    "offer_activities": [],
    "offer_campaign_name": "",
    "offer_value_required": 48,
    "is_reward": True,
    "offer_tags": [{"id": 1, "name": "lunch"}],
}


def read(**fields):
    """Return the row for a record with these fields."""
    return frame_of([fields], where="test").iloc[0]


@pytest.mark.parametrize("columns", [OFFER_STATE, RECEIPT, RESULT], ids=["offer state", "receipt", "result"])
def test_empty_frame_has_columns_and_dtypes_of_table(columns):
    frame = empty_frame(columns)

    assert {name: str(dtype).partition("[python")[0] for name, dtype in frame.dtypes.items()} == dict(columns)
    assert len(frame) == 0


def test_full_frame_has_columns_and_dtypes_of_empty_frame():
    pd.testing.assert_frame_equal(frame_of([STATE] * 3, where="test").iloc[:0], empty_frame())


@pytest.mark.parametrize("columns", [RECEIPT, RESULT], ids=["receipt", "result"])
def test_frame_has_columns_of_given_table(columns):
    frame = frame_of([{"member_id": 2}], columns, where="test")

    pd.testing.assert_frame_equal(frame.iloc[:0], empty_frame(columns))


def test_text_columns_use_python_strings_with_or_without_pyarrow():
    dtype = empty_frame()["status"].dtype

    assert dtype == "string"
    assert (dtype.storage, dtype.na_value) == ("python", pd.NA)


def test_values_keep_their_types():
    row = frame_of([STATE], where="test").iloc[0]

    assert (row.offer_state_id, row.status, row.offer_campaign_name) == (7, "incomplete", "")
    assert (bool(row.locked), bool(row.is_reward)) == (False, True)
    assert row.created_at == pd.Timestamp("2023-04-10T13:26Z")
    assert (row.offer_activities, row.offer_tags) == ([], [{"id": 1, "name": "lunch"}])


@pytest.mark.parametrize("record", [{}, dict.fromkeys(OFFER_STATE)], ids=["missing", "null"])
def test_absent_and_null_fields_are_missing(record):
    assert frame_of([record], where="test").iloc[0].isna().all()


def test_missing_list_differs_from_empty_list():
    frame = frame_of([{"offer_tags": None}, {"offer_tags": []}], where="test")

    assert frame.offer_tags.tolist() == [None, []]


def test_unlisted_fields_become_columns_at_end_in_order_of_appearance():
    frame = frame_of([{"zeta": 1, **STATE}, {**STATE, "alpha": "x", "zeta": 2}, STATE], where="test")

    assert list(frame.columns) == [*OFFER_STATE, "zeta", "alpha"]
    assert frame.zeta.dtype == "Int64"
    assert frame.alpha.dtype == "string"
    assert frame.zeta.isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["a", None], "string"),
        ([1, None, 2**63 - 1], "Int64"),
        ([True, None], "boolean"),
        ([0.5, None], "Float64"),
        ([2**63], "object"),
        ([1, "a"], "object"),
        ([1, True], "object"),
        ([{"a": 1}, None], "object"),
        ([None], "object"),
    ],
    ids=repr,
)
def test_dtype_of_unlisted_field_depends_on_all_values(values, dtype):
    builder = FrameBuilder(where="test")
    for value in values:
        builder.add([{"new": value}])

    column = builder.frame()["new"]

    assert column.dtype == dtype
    assert [None if pd.isna(value) is True else value for value in column] == values


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_64_bit_ids_are_exact(number):
    assert frame_of([{"member_id": number}, {"member_id": None}], where="test").member_id[0] == number


@pytest.mark.parametrize(("given_id", "number"), [("1009", 1009), (1009.0, 1009), ("9007199254740993", 2**53 + 1)])
def test_ids_are_read_from_text_and_whole_floats(given_id, number):
    assert read(member_id=given_id).member_id == number


@pytest.mark.parametrize(("required", "number"), [(48, 48), (True, 1), (False, 0), ("48", 48)])
def test_offer_value_required_may_be_number_or_flag(required, number):
    assert read(offer_value_required=required).offer_value_required == number


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2023-06-22T18:36:32.271393505Z", "2023-06-22T18:36:32.271393505"),
        ("2023-06-22T18:36:32.271Z", "2023-06-22T18:36:32.271"),
        ("2023-06-22T18:36:32+02:00", "2023-06-22T16:36:32"),
        ("2023-06-22T18:36:32.5-0530", "2023-06-23T00:06:32.5"),
        ("2023-06-22 18:36:32z", "2023-06-22T18:36:32"),
        ("2262-04-11T23:47:15.999999999Z", "2262-04-11T23:47:15.999999999"),
    ],
)
def test_times_are_read_to_the_nanosecond_and_converted_to_utc(text, utc):
    # A value with another precision in the same column must not change the unit.
    frame = frame_of([{"created_at": "2024-01-01T00:00:00Z"}, {"created_at": text}], where="test")

    assert frame.created_at.dtype == TIME
    assert frame.created_at[1] == pd.Timestamp(utc, tz="UTC")


def test_object_in_text_field_is_kept_as_json():
    assert read(custom_data={"a": [1, None, "ü"]}).custom_data == '{"a":[1,null,"ü"]}'


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("member_id", 1009.5, "not a whole number"),
        ("member_id", True, "not a whole number"),
        ("member_id", 2**64, "not a whole number"),
        ("member_id", "12a", "not a whole number"),
        ("member_id", [1], "not a whole number"),
        ("locked", 1, "neither true nor false"),
        ("locked", "true", "neither true nor false"),
        ("status", False, "not text"),
        ("offer_tags", {"a": 1}, "not a list"),
        ("created_at", "yesterday", "not a time"),
        ("created_at", "2023-02-30T00:00:00Z", "not a time"),
        ("created_at", "2023-02-03T00:00:00", "not a time with an offset"),
        ("created_at", "2023-02-03T00:00:00Z\n2023-02-03T00:00:00Z", "not a time"),
        ("created_at", 1700000000, "not a time"),
        ("created_at", {"at": 1}, "not a time"),
        ("expires_at", "9999-12-31T23:59:59Z", "outside the years 1677 to 2262"),
        ("expires_at", "0001-01-01T00:00:00Z", "outside the years 1677 to 2262"),
    ],
)
def test_unreadable_value_is_missing_and_other_values_are_kept(column, value, reason):
    with pytest.warns(DataWarning, match=f"1 value of {column} .* {reason}") as caught:
        frame = frame_of([{**STATE, column: value}, STATE], where="list_offer_states")

    assert len(caught) == 1
    assert pd.isna(frame.loc[0, column])
    other = frame_of([{**STATE, column: None}, STATE], where="test")
    pd.testing.assert_frame_equal(frame, other)


def test_warning_counts_values_per_column_and_shows_three_short_examples():
    records = [{"member_id": f"{'x' * 200}{number}", "value": None} for number in range(5000)] + [{"value": "?"}]

    with pytest.warns(DataWarning) as caught:
        frame_of(records, where="list_offer_states")

    messages = [str(warning.message) for warning in caught]
    assert [text.partition(" could")[0] for text in messages] == [
        "list_offer_states: 5,000 values of member_id", "list_offer_states: 1 value of value",
    ]  # fmt: skip
    assert all(len(text) < 400 for text in messages)


def test_warning_shows_three_distinct_examples():
    records = [{"member_id": word} for word in ["a", "a", "b", "c", "d"]]

    with pytest.warns(DataWarning) as caught:
        frame_of(records, where="test")

    assert [word in str(caught[0].message) for word in ("'a'", "'b'", "'c'", "'d'")] == [True, True, True, False]


def test_warning_points_at_line_of_caller():
    with pytest.warns(DataWarning) as caught:
        frame_of([{"member_id": "x"}], where="test")

    assert caught[0].filename == __file__


def test_page_size_does_not_change_the_frame():
    records = [{**STATE, "value": key, "created_at": f"2024-01-01T00:00:{key % 60:02}Z"} for key in range(5000)]
    records[10] = {"offer_state_id": 10}
    records[4000] = {**STATE, "late": "field"}
    builder = FrameBuilder(where="test")
    for start in range(0, len(records), 7):
        builder.add(records[start : start + 7])
    builder.add([])

    assert len(builder) == 5000
    pd.testing.assert_frame_equal(builder.frame(), frame_of(records, where="test"))


def test_unlisted_fields_beyond_the_limit_are_counted_in_warning():
    names = [f"new {number}" for number in range(NEW_FIELDS + 2)]

    with pytest.warns(
        DataWarning, match="2 values of new fields could not be read .*'new 1000' is beyond the limit of 1,000"
    ):
        frame = frame_of([{**STATE, **dict.fromkeys(names, 1)}, STATE], where="test")

    assert list(frame.columns) == [*OFFER_STATE, *names[:NEW_FIELDS]]


def test_limit_of_unlisted_fields_applies_to_all_parts_together(monkeypatch):
    monkeypatch.setattr(builder_module, "NEW_FIELDS", 3)
    parts = []
    for names in ("abc", "cde"):
        builder = FrameBuilder(where="worker")
        builder.add([dict.fromkeys(names, 1)])
        parts.append(builder.part())

    with pytest.warns(DataWarning, match="list_many: 2 values of new fields could .* 'd' is beyond .*; 'e' is beyond"):
        frame = join_parts(parts, where="list_many")

    assert list(frame.columns) == [*OFFER_STATE, "a", "b", "c"]
    assert frame[["a", "c"]].to_numpy().tolist() == [[1, 1], [pd.NA, 1]]


def test_records_without_fields_are_rows():
    assert len(frame_of([{}, {}], {}, where="test")) == 2


def test_added_columns_and_records_keep_their_order():
    builder = FrameBuilder(where="test")
    builder.add([{**STATE, "offer_state_id": 1}])
    builder.add_columns([("offer_state_id", [2, 3]), ("status", ["voided", None]), ("new", [4, 5])], 2)
    builder.add_columns([("offer_state_id", [])], 0)
    builder.add([{"offer_state_id": 6}])

    expected = [{**STATE, "offer_state_id": 1}, {"offer_state_id": 2, "status": "voided", "new": 4},
                {"offer_state_id": 3, "status": None, "new": 5}, {"offer_state_id": 6}]  # fmt: skip
    assert len(builder) == 4
    pd.testing.assert_frame_equal(builder.frame(), frame_of(expected, where="test"))


def test_builder_is_empty_after_frame_and_clear():
    builder = FrameBuilder(where="test")
    builder.add([STATE])
    builder.frame()
    builder.add([STATE] * 2)
    builder.clear()
    builder.add([STATE] * 3)

    assert len(builder.frame()) == 3
    assert len(builder) == 0


def test_pickled_parts_are_joined_in_order_with_one_warning_per_column():
    records = [{**STATE, "offer_state_id": key} for key in range(3000)]
    records[5]["member_id"] = "first"
    records[2500]["member_id"] = "second"
    records[2600]["new"] = 1.5
    parts = []
    for start in (0, 1000, 2000):
        builder = FrameBuilder(where="worker")
        builder.add(records[start : start + 1000])
        parts.append(pickle.loads(pickle.dumps(builder.part())))

    with pytest.warns(DataWarning, match=r"2 values of member_id .*'first'.*'second'") as caught:
        joined = join_parts(parts, where="list_many")

    assert len(caught) == 1
    with pytest.warns(DataWarning):
        pd.testing.assert_frame_equal(joined, frame_of(records, where="list_many"))


def test_pickled_part_is_small():
    builder = FrameBuilder(where="test")
    builder.add([{**STATE, "offer_state_id": key, "offer_name": "Free coffee" * 10} for key in range(2000)])

    assert len(pickle.dumps(builder.part())) < 2000 * 38 * 8


def test_frames_do_not_share_empty_lists():
    first, second = (frame_of([STATE], where="test") for _ in range(2))

    assert first.offer_activities[0] is not second.offer_activities[0]


LIKE_A_TIME = r"[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,12})?)?(Z|[+-][0-9]{2}:?[0-9]{2})"
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.datetimes().map(lambda time: time.isoformat() + "Z")
    | st.from_regex(LIKE_A_TIME, fullmatch=True)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(sorted(OFFER_STATE)) | st.text(string.ascii_letters, max_size=3) | st.text(max_size=3)
RECORDS = st.lists(st.dictionaries(NAMES, JSON, max_size=6), max_size=6)


@pytest.mark.slow
@given(RECORDS)
@example([{"\ud800": "\udfff", "status": "\ud800"}])
@example([{"created_at": "2023-01-01T00:00:00+99:99"}, {"created_at": "2023-01-01T24:00:00Z"}])
@example([{"custom_data": ["\ud800", 2**90]}])
def test_any_json_causes_at_most_a_warning(records):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DataWarning)
        frame = frame_of(records, where="test")

    assert len(frame) == len(records)
    pd.testing.assert_series_equal(frame.dtypes[: len(OFFER_STATE)], empty_frame().dtypes)


def test_too_deeply_nested_value_in_text_field_is_missing():
    deep: list = []
    for _ in range(100_000):  # json.dumps in the newest Python allows much deeper nesting than orjson does
        deep = [deep]

    with pytest.warns(DataWarning, match="a list is not text"):
        assert pd.isna(read(custom_data=deep).custom_data)


def nested(times, wrap):
    return functools.reduce(lambda value, _: wrap(value), range(times), 1)


@pytest.mark.parametrize("column", ["offer_activities", "offer_tags", "surprise"])
@pytest.mark.parametrize(
    ("times", "wrap"), [(254, lambda value: [value]), (127, lambda value: [{"a": value}])], ids=["lists", "objects"]
)
def test_too_deeply_nested_value_is_missing_and_other_values_are_kept(column, times, wrap):
    kept = nested(50, wrap)
    records = [{column: cell} for cell in (kept, nested(times, wrap), nested(2 * times, wrap), ["\ud800"])]

    with pytest.warns(DataWarning, match=f"2 values of {column} .* a list is nested more than 253 levels deep"):
        frame = frame_of(records, where="test")

    assert frame[column].tolist() == [kept, None, None, ["\ud800"]]
    assert pickle.loads(pickle.dumps(frame))[column].tolist()[0] == kept
    repr(frame)


def test_most_deeply_nested_kept_value_can_be_pickled_and_printed():
    deepest = nested(253, lambda value: [value])
    frame = frame_of([{"offer_tags": deepest, "surprise": deepest}], where="test")

    assert pickle.loads(pickle.dumps(frame)).surprise.tolist() == frame.offer_tags.tolist() == [deepest]
    repr(frame)
