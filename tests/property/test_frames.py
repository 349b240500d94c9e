"""Any frame that a user could pass is planned correctly, or rejected with row and column, and never changed."""

from __future__ import annotations

import pickle

import orjson
import pandas as pd
import pytest
from any_column import BAD, BERLIN, MISSING, columns_of
from any_frame import Drawn, fingerprint, frames
from any_plan import ADDRESS, CALLS, FLAGS, NUMBERS, TEXTS, TIMES, expected_problems, fields, plan_of, sent
from depth import examples
from hypothesis import assume, event, given
from hypothesis import strategies as st
from time_writers import iso_of

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan, reference_of, report_of
from sparkfly_nb.bulk.plan.preview import preview_frame
from sparkfly_nb.errors import InvalidInput, InvalidRows


def expected_row(drawn, operation, run, at):
    """Return the expected row of the ledger."""
    values = {name: drawn.of(name)[at] for name in drawn.meanings if drawn.of(name)[at] is not MISSING}
    keys = [values.pop(name, None) for name in ("member_id", "member_identifier", "offer_state_id", "external_ref_id")]
    if operation == "issue" and keys[3] is None:
        keys[3] = reference_of(run, at, keys[0], keys[1])
    payload = {name: on_the_wire(name, value) for name, value in values.items()}
    return (at, *keys, payload)


EVERY_WRITER = [
    *(("value", writer, None) for writer in NUMBERS),
    *(("offer_name", writer, None) for writer in TEXTS),
    *(("locked", writer, None) for writer in FLAGS),
    *(("expires_at", writer, tz) for tz, writers in TIMES.items() for writer in writers),
]


@pytest.mark.parametrize(
    ("name", "writer", "tz"), EVERY_WRITER, ids=[f"{name}-{writer.name}-{tz}" for name, writer, tz in EVERY_WRITER]
)
@examples(6)
@given(data=st.data())
def test_column_of_any_dtype_is_read_or_each_bad_cell_is_reported(name, writer, tz, data):
    rows = data.draw(st.integers(1, 9 if "object" in writer.name else 4))
    column = data.draw(columns_of([writer], rows, st.sampled_from(("good", MISSING, BAD))))
    frame = pd.DataFrame({"member_id": 7, "offer_state_id": range(rows), name: column.series})
    before = fingerprint(frame)

    plan = make_plan(OPERATIONS["update"], frame, address=ADDRESS, tz=tz)

    assert fingerprint(frame) == before
    rejected = [at for at, cell in enumerate(column.meanings) if cell in (BAD, MISSING)]
    assert [problem.position for problem in plan.problems] == rejected
    for at, cell in enumerate(column.meanings):
        if at not in rejected:
            assert sent(plan.columns[name].iloc[at]) == cell
    if plan.problems:
        assert_report(report_of(plan, plan.problems), plan, Drawn(frame, {name: column.meanings}))
    else:
        rows = [row for chunk in plan.rows("run") for row in chunk]
        assert [row.payload for row in rows] == [{name: on_the_wire(name, cell)} for cell in column.meanings]
        orjson.dumps([row.payload for row in rows])


def on_the_wire(name, cell):
    return iso_of(cell) if name.endswith("_at") else cell


@pytest.mark.parametrize(
    ("operation", "required", "optional"), CALLS, ids=["-".join((call[0], *call[1])) for call in CALLS]
)
@examples(40)
@given(data=st.data())
def test_frame_is_planned_correctly_or_each_bad_cell_is_reported(operation, required, optional, data):
    tz = data.draw(st.sampled_from((None, BERLIN)), "tz")
    writers = fields(tz)
    drawn = data.draw(
        frames({name: writers[name] for name in required}, {name: writers[name] for name in optional}), "frame"
    )
    assume(operation != "update" or set(drawn.meanings) & set(OPERATIONS["update"].columns))
    before = fingerprint(drawn.frame)
    allow_duplicates = operation == "issue" and data.draw(st.booleans(), "allow_duplicates")
    details = (
        {"columns": [n for n in drawn.meanings if n in OPERATIONS[operation].columns]} if operation == "redeem" else {}
    )

    plan = plan_of(drawn, operation, tz, allow_duplicates=allow_duplicates, **details)

    event(f"{operation}: {'rejected' if plan.problems else 'planned'}")
    assert fingerprint(drawn.frame) == before
    expected = expected_problems(drawn, operation, allow_duplicates=allow_duplicates)
    reported = [(problem.position, problem.column, problem.kind) for problem in plan.problems]
    assert sorted(reported) == sorted(expected), drawn.writers
    assert [at for at, *_ in reported] == sorted(at for at, *_ in reported)
    if plan.problems:
        assert_report(report_of(plan, plan.problems), plan, drawn)
    else:
        made = [tuple(row) for chunk in plan.rows("run") for row in chunk]
        assert made == [expected_row(drawn, operation, "run", at) for at in range(len(drawn))]
        assert plan.index is drawn.frame.index


def assert_report(error, plan, drawn):
    """Check the error: its report lists every problem, its message shows the first, and it can be pickled."""
    assert isinstance(error, InvalidRows)
    assert len(error.report) == len(plan.problems)
    for line, problem in zip(error.report.itertuples(index=False), plan.problems, strict=True):
        assert repr(line.row) == repr(drawn.label(problem.position))
        assert line.column == problem.column
        assert line.problem
        assert line.fix
    first = plan.problems[0]
    assert f"row {drawn.label(first.position)!r}, column {first.column}, " in str(error)
    assert first.fix in str(error)
    if all(type(problem.value) is not object for problem in plan.problems):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@examples(50)
@given(data=st.data())
def test_preview_has_verdict_for_each_row(data):
    drawn = data.draw(frames({"member_id": NUMBERS}, {name: fields(None)[name] for name in CALLS[0][2]}))
    plan = plan_of(drawn, "issue")

    preview = preview_frame(plan, plan.problems, "run")

    assert preview.index is drawn.frame.index
    expected = expected_problems(drawn, "issue")
    for at, verdict in enumerate(preview["verdict"]):
        kinds = {kind for position, _, kind in expected if position == at}
        assert verdict in kinds if kinds else verdict == "valid"
    for name, cells in drawn.meanings.items():
        shown = preview[name].astype("int64") if name.endswith("_at") else preview[name]
        given_references = name != "external_ref_id"
        for at, cell in enumerate(cells):
            if cell in (BAD, MISSING):
                assert preview[name].isna().iloc[at] or not given_references
            else:
                assert shown.iloc[at] == cell


@examples(60)
@given(st.sampled_from(sorted(fields(None))), st.sampled_from(CALLS), st.sampled_from(("twice", "below", "tuples")))
def test_duplicate_column_is_rejected_by_name(name, call, how):
    operation, required, optional = call
    assume(name in (*required, *optional))
    names = [*required, name] if name in required else [*required, name, name]
    frame = pd.DataFrame([[1] * len(names)], columns=names)
    if how != "twice":
        frame.columns = pd.MultiIndex.from_tuples(
            [(label, at if how == "below" else str(at)) for at, label in enumerate(names)]
        )

    with pytest.raises(InvalidInput, match="more than one column") as caught:
        make_plan(OPERATIONS[operation], frame, address=ADDRESS, campaign_id="S" if operation == "issue" else None,
                  columns=[n for n in dict.fromkeys(names) if n in OPERATIONS[operation].columns])  # fmt: skip
    assert any(each in str(caught.value) for each in names)
