"""Values keep their meaning when they are read again, read in a column, sent, or written to a file and read back."""

from __future__ import annotations

import contextlib
import datetime as dt

import orjson
import pandas as pd
import pytest
from any_column import BAD, BERLIN, MISSING, NO_VALUES, columns_of
from any_frame import frames
from audit_world import World, assert_same, state
from column_writers import flag_writers, number_writers, numbers_among, text_writers
from depth import examples
from hypothesis import assume, event, given
from hypothesis import strategies as st
from scripted_server import VALUES
from spreadsheet import RUNS, rows_as_a_spreadsheet_reads_them
from time_writers import time_writers

from sparkfly_nb.api.endpoints import ENDPOINTS
from sparkfly_nb.api.inputs import build
from sparkfly_nb.api.retry_policy import RetryPolicy, parse_retry_after
from sparkfly_nb.audit import read_audit, verify
from sparkfly_nb.errors import InvalidInput
from sparkfly_nb.frames.csv_writer import write_csv
from sparkfly_nb.frames.input_columns import read_flags, read_integers, read_texts, read_times
from sparkfly_nb.frames.scalars import READERS, as_flag, as_integer, as_text, as_time

NUMBERS, TEXTS, FLAGS, TIMES = number_writers(), text_writers(), flag_writers(), time_writers(BERLIN)
KINDS = {
    "integer": (NUMBERS, read_integers, as_integer),
    "text": (TEXTS, read_texts, as_text),
    "flag": (FLAGS, read_flags, as_flag),
    "time": (TIMES, lambda series: read_times(series, tz=BERLIN), lambda value: as_time(value, BERLIN)),
}


def cells(writers):
    """Draw a value as a user may enter it, with its meaning."""
    objects = next(writer for writer in writers if writer.name.startswith("object"))
    return st.sampled_from(("good", BAD)).flatmap(objects.cells)


@pytest.mark.parametrize("kind", list(READERS))
@examples(60)
@given(data=st.data())
def test_reading_a_value_twice_changes_nothing(kind, data):
    given_value, _ = data.draw(cells(KINDS.get(kind, KINDS["integer"])[0]) | cells(TEXTS))
    try:
        read = READERS[kind](given_value, BERLIN)
    except InvalidInput:
        return

    assert READERS[kind](read, None) == read


@pytest.mark.parametrize("kind", list(KINDS))
@examples(100)
@given(data=st.data())
def test_reading_a_column_twice_changes_nothing_and_matches_scalars(kind, data):
    writers, read, read_one = KINDS[kind]
    column = data.draw(columns_of(writers, data.draw(st.integers(0, 5)), st.sampled_from(("good", MISSING, BAD))))

    values, problems = read(column.series)
    again, others = read(values)

    pd.testing.assert_series_equal(again, values)
    assert not others
    bad = {problem.position for problem in problems}
    for at, (cell, value) in enumerate(zip(column.series, values, strict=True)):
        if column.meanings[at] is MISSING or not pd.api.types.is_object_dtype(column.series.dtype):
            continue
        try:
            single = read_one(cell)
        except InvalidInput:
            assert at in bad
        else:
            assert value == single if at not in bad else not 1678 <= single.year <= 2261


@pytest.mark.parametrize("name", list(ENDPOINTS))
@examples(60)
@given(data=st.data())
def test_single_call_sends_the_values_that_were_read(name, data):
    endpoint = ENDPOINTS[name]
    values = dict(VALUES[name])
    for field in endpoint.fields:
        if data.draw(st.booleans()):
            values[field.name] = data.draw(
                cells(KINDS.get(field.kind, KINDS["integer"])[0]) | NO_VALUES.map(lambda v: (v, BAD))
            )[0]
    request, sent = None, {}
    with contextlib.suppress(InvalidInput):
        request, sent = build(endpoint, values, BERLIN)
    if request is None:
        with pytest.raises(InvalidInput, match=f"^{name}: "):
            build(endpoint, values, BERLIN)
        return

    event("sent")
    body = {field.name: sent[field.name] for field in endpoint.fields if field.place == "body" and field.name in sent}
    assert (orjson.loads(request.body) if request.body else {"offer_state": {}}) == {"offer_state": body}
    assert set(sent) <= {field.name for field in endpoint.fields}
    assert build(endpoint, sent, None) == (request, sent)


@examples(150)
@given(
    attempts=st.integers(1, 12), base_s=st.floats(0, 10), cap_s=st.floats(0, 60), budget_s=st.floats(0, 200),
    took_s=st.floats(0, 40), headers=st.lists(st.none() | st.sampled_from(("0", "7", "1e9", "99999999")), max_size=12),
    chance=st.floats(0, 1),
)  # fmt: skip
def test_retries_stay_within_attempts_and_budget_of_policy(attempts, base_s, cap_s, budget_s, took_s, headers, chance):
    policy = RetryPolicy(attempts=attempts, base_delay=base_s, max_delay=cap_s, total_time=budget_s)
    made, elapsed_s, retry_after = 0, 0.0, iter(headers)
    while True:
        made += 1
        elapsed_s += took_s
        pause_s = policy.backoff_s(made, parse_retry_after(next(retry_after, None), 0.0), chance=chance)
        if not policy.allows(made, elapsed_s + pause_s):
            break
        assert 0 <= pause_s <= max(cap_s, 60 + base_s)
        elapsed_s += pause_s
        assert elapsed_s <= budget_s

    assert made <= attempts


@examples(60)
@given(data=st.data())
def test_column_of_any_dtype_is_written_safely_or_rejected_by_name(tmp_path_factory, data):
    writers = [*NUMBERS, *TEXTS, *FLAGS, *TIMES]
    column = data.draw(columns_of(writers, data.draw(st.integers(1, 4)), st.sampled_from(("good", MISSING, BAD))))
    folder = tmp_path_factory.mktemp("csv")
    frame = pd.DataFrame({"a column": column.series}).assign(key="k")
    with contextlib.suppress(InvalidInput):
        write_csv(frame, folder / "any.csv")
    if not list(folder.iterdir()):
        with pytest.raises(InvalidInput, match="column a column: "):
            write_csv(frame, folder / "any.csv")
        return

    _, *rows = rows_as_a_spreadsheet_reads_them(folder / "any.csv")
    assert len(rows) == len(column.series)
    for cell, _key in rows:
        is_number = cell.lstrip("-")[:1].isdigit() and set(cell) <= set("-+.e0123456789")
        assert is_number or cell.startswith("'") or cell == "-inf" or not RUNS.match(cell), column.writer


IDS = (1, 2, 3, 4, 5)
TIME = st.integers(0, 3).map(lambda day: f"2026-06-0{day + 1}T00:00:00.000000001Z")


@examples(6)
@given(data=st.data())
def test_audit_of_any_plan_round_trips_through_folder(tmp_path_factory, data):
    plan = data.draw(
        frames(
            {"member_id": number_writers(numbers_among(IDS))},
            {"external_ref_id": TEXTS, "expires_at": time_writers(None), "segment": [*TEXTS, *NUMBERS, *FLAGS, *TIMES]},
            bad=False,
        )
    )
    assume(len(set(map(str, plan.frame.columns))) == plan.frame.shape[1])
    assume(
        not any(
            cell in (BAD, MISSING) for name, column in plan.meanings.items() for cell in column if name != "segment"
        )
    )
    states = [
        state(member_id, data.draw(st.sampled_from(("incomplete", "redeemed", "odd"))), created_at=data.draw(TIME))
        for member_id in data.draw(st.lists(st.sampled_from(IDS), max_size=5))
    ]
    folder = tmp_path_factory.mktemp("audit")

    audit = World(states).audit(plan.frame)
    audit.to_csv(folder)

    event(plan.writers.get("segment", "no segment"))
    verify(folder)
    assert_same(audit, read_audit(folder))
    assert audit.plan["member_id"].tolist() == plan.of("member_id")
    assert dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone.utc) == audit.metadata.taken_at
