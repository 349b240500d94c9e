"""Any frame that a person could pass: planned right, row by row, or refused with row and column, and never changed."""

from __future__ import annotations

import pickle
from itertools import count

import orjson
import pandas as pd
import pytest
from any_frame import (
    BAD,
    BERLIN,
    MISSING,
    SHOWN_TEXTS,
    Drawn,
    columns_of,
    fingerprint,
    flag_writers,
    frames,
    iso_of,
    number_writers,
    numbers_among,
    text_writers,
    time_writers,
)
from bulk_world import World
from depth import examples
from hypothesis import assume, event, given
from hypothesis import strategies as st

from sparkfly_nb.audit.members import read_plan
from sparkfly_nb.audit.schema import PLAN
from sparkfly_nb.bulk.listing import member_ids_of
from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan, reference_of, report_of
from sparkfly_nb.bulk.plan.preview import preview_frame
from sparkfly_nb.errors import InvalidInput, InvalidRows
from sparkfly_nb.schema import PAYLOAD, TIME

ADDRESS = "https://api-staging.sparkfly.com/v1.0"
NUMBERS, TEXTS, FLAGS = number_writers(), text_writers(), flag_writers()
TIMES = {None: time_writers(None), BERLIN: time_writers(BERLIN)}


def fields(tz):
    return {
        "member_id": NUMBERS,
        "member_identifier": TEXTS,
        "offer_state_id": NUMBERS,
        "external_ref_id": TEXTS,
        "activates_at": TIMES[tz],
        "expires_at": TIMES[tz],
        "status": TEXTS,
        "value": NUMBERS,
        "offer_name": TEXTS,
        "offer_value_required": NUMBERS,
        "locked": FLAGS,
        "is_reward": FLAGS,
    }


#: Operations, the columns that a frame has for sure, and some that it may have.
ASKED = [
    ("issue", ("member_id",), ("member_identifier", "external_ref_id", "activates_at", "expires_at")),
    ("issue", ("member_identifier",), ("member_id", "external_ref_id", "activates_at", "expires_at")),
    ("void", ("member_id", "offer_state_id"), ("member_identifier",)),
    ("void", ("offer_state_id", "member_identifier"), ()),
    (
        "update",
        ("member_id", "offer_state_id", "value"),
        ("status", "activates_at", "expires_at", "locked", "offer_name"),
    ),
    ("redeem", ("member_id", "offer_state_id"), ("value", "is_reward", "expires_at", "offer_value_required")),
]
KEYS = {"issue": ("member_id", "member_identifier"), "void": ("member_id", "member_identifier")}


def plan_of(drawn, operation, tz=None, **details):
    if operation == "issue":
        details.setdefault("campaign_id", "SUMMER26")
    return make_plan(OPERATIONS[operation], drawn.frame, address=ADDRESS, tz=tz, **details)


# ---- what a plan must say, from the meanings alone -------------------------------------------------------------------


def expected_problems(drawn, operation, *, allow_duplicates=False):
    """Give position, column and kind of all that stands against the rows."""
    found = {
        (at, name, "invalid") for name, cells in drawn.meanings.items() for at, cell in enumerate(cells) if cell is BAD
    }
    keys = KEYS.get(operation, ("member_id",))
    groups = [keys] + ([] if operation == "issue" else [("offer_state_id",)])
    groups += [OPERATIONS[operation].columns] if operation == "update" else []
    for names in groups:
        present = [name for name in names if name in drawn.meanings]
        found |= {
            (at, present[0], "invalid")
            for at in range(len(drawn))
            if all(drawn.of(name)[at] is MISSING for name in present)
        }
    for at, (start, end) in enumerate(zip(drawn.of("activates_at"), drawn.of("expires_at"), strict=True)):
        if isinstance(start, int) and isinstance(end, int) and start >= end:
            found.add((at, "expires_at", "inverted dates"))
    unique = KEYS["issue"] if operation == "issue" else ("offer_state_id",)
    for name in ("external_ref_id", *(() if allow_duplicates else unique)):
        cells = drawn.of(name)
        found |= {
            (at, name, "duplicate")
            for at, cell in enumerate(cells)
            if cell not in (BAD, MISSING) and cell in cells[:at]
        }
    return found


def expected_row(drawn, operation, run, at):
    """Give what a row of the ledger must hold."""
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
    refused = [at for at, cell in enumerate(column.meanings) if cell in (BAD, MISSING)]
    assert [problem.position for problem in plan.problems] == refused
    for at, cell in enumerate(column.meanings):
        if at not in refused:
            assert sent(plan.columns[name].iloc[at]) == cell
    if plan.problems:
        assert_report(report_of(plan, plan.problems), plan, Drawn(frame, {name: column.meanings}))
    else:
        rows = [row for chunk in plan.rows("run") for row in chunk]
        assert [row.payload for row in rows] == [{name: on_the_wire(name, cell)} for cell in column.meanings]
        orjson.dumps([row.payload for row in rows])


def sent(value):
    return value.value if isinstance(value, pd.Timestamp) else value


def on_the_wire(name, cell):
    return iso_of(cell) if name.endswith("_at") else cell


@pytest.mark.parametrize(
    ("operation", "required", "optional"), ASKED, ids=["-".join((asked[0], *asked[1])) for asked in ASKED]
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

    event(f"{operation}: {'refused' if plan.problems else 'planned'}")
    assert fingerprint(drawn.frame) == before
    expected = expected_problems(drawn, operation, allow_duplicates=allow_duplicates)
    told = [(problem.position, problem.column, problem.kind) for problem in plan.problems]
    assert sorted(told) == sorted(expected), drawn.writers
    assert [at for at, *_ in told] == sorted(at for at, *_ in told)
    if plan.problems:
        assert_report(report_of(plan, plan.problems), plan, drawn)
    else:
        made = [tuple(row) for chunk in plan.rows("run") for row in chunk]
        assert made == [expected_row(drawn, operation, "run", at) for at in range(len(drawn))]
        assert plan.index is drawn.frame.index


def assert_report(error, plan, drawn):
    """An error names row, column and fix: all in its report, the first in its text; and it can be pickled."""
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
    drawn = data.draw(frames({"member_id": NUMBERS}, {name: fields(None)[name] for name in ASKED[0][2]}))
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


# ---- members that are listed and audited -----------------------------------------------------------------------------


@examples(50)
@given(data=st.data(), form=st.sampled_from(("frame", "series", "list")))
def test_members_to_list_are_deduplicated_or_each_bad_one_is_reported(data, form):
    drawn = data.draw(frames({"member_id": NUMBERS}, {"member_identifier": TEXTS}))
    before = fingerprint(drawn.frame)
    column = drawn.frame["member_id"]
    members = {"frame": drawn.frame, "series": column, "list": column.tolist()}[form]
    wrong = [at for at, cell in enumerate(drawn.of("member_id")) if cell in (BAD, MISSING)]

    if not wrong:
        assert member_ids_of(members) == list(dict.fromkeys(drawn.of("member_id")))
    else:
        with pytest.raises(InvalidRows, match="nothing was asked") as caught:
            member_ids_of(members)
        labels = [at if form == "list" else drawn.label(at) for at in wrong]
        assert [repr(label) for label in caught.value.report["row"]] == list(map(repr, labels))
        assert set(caught.value.report["column"]) == {"member_id"}
        assert f"row {labels[0]!r}, column member_id" in str(caught.value)
    assert fingerprint(drawn.frame) == before


AUDITED = ("member_identifier", "external_ref_id", "campaign_id", "offer_state_id", "activates_at", "expires_at")


@examples(60)
@given(data=st.data())
def test_plan_to_audit_is_read_or_each_bad_cell_is_reported(data):
    tz = data.draw(st.sampled_from((None, BERLIN)))
    writers = {**fields(tz), "campaign_id": TEXTS}
    drawn = data.draw(frames({"member_id": NUMBERS}, {name: writers[name] for name in AUDITED}))
    before = fingerprint(drawn.frame)
    bad = {(name, at) for name, cells in drawn.meanings.items() for at, cell in enumerate(cells) if cell is BAD}
    ids = drawn.of("member_id")
    nameless = [
        at for at, both in enumerate(zip(ids, drawn.of("member_identifier"), strict=True)) if both == (MISSING, MISSING)
    ]

    two = len(set(map(str, drawn.frame.columns))) < drawn.frame.shape[1]
    if two or bad or nameless or (len(drawn) and set(ids) == {MISSING}):
        with pytest.raises(InvalidInput) as caught:
            read_plan(drawn.frame, None, tz=tz)
        error = caught.value
        if two:
            assert "two columns have the same name" in str(error)
        elif bad:
            told = [
                (column, repr(row)) for row, column in zip(error.report["row"], error.report["column"], strict=True)
            ]
            assert sorted(told) == sorted((name, repr(drawn.label(at))) for name, at in bad)
        elif nameless:
            assert f"row {drawn.frame.index[nameless[0]]}: member_id is missing" in str(error)
        else:
            assert "only member_identifier is given" in str(error)
    else:
        plan, unlisted, _ = read_plan(drawn.frame, None, tz=tz)
        for name, cells in drawn.meanings.items():
            read = [sent(value) for value in plan[name]]
            assert [MISSING if pd.isna(value) else value for value in read] == cells, drawn.writers
        assert len(unlisted) == ids.count(MISSING)
        kept = [str(name) for name in drawn.frame.columns if name not in PLAN]
        assert list(plan.columns[len(PLAN) :]) == kept
    assert fingerprint(drawn.frame) == before


# ---- the digest ------------------------------------------------------------------------------------------------------


def plainly(drawn):
    """Write the same rows in the plainest way there is."""
    columns = {}
    for name, cells in drawn.meanings.items():
        values = [None if cell is MISSING else cell for cell in cells]
        if PAYLOAD[name] == TIME:
            columns[name] = pd.to_datetime(pd.Series(values, dtype="Int64"), unit="ns", utc=True)
        else:
            columns[name] = pd.Series(values, dtype=PAYLOAD[name])
    return pd.DataFrame(columns)


@examples(50)
@given(data=st.data())
def test_digest_is_independent_of_dtypes_index_and_other_columns(data):
    operation, required, optional = data.draw(st.sampled_from(ASKED))
    writers = fields(None)
    drawn = data.draw(frames({n: writers[n] for n in required}, {n: writers[n] for n in optional}, bad=False))
    columns = [name for name in drawn.meanings if name in OPERATIONS[operation].columns]
    plan = plan_of(drawn, operation, columns=columns)
    assume(not any(problem.kind == "invalid" for problem in plan.problems))

    same = make_plan(
        OPERATIONS[operation], plainly(drawn), address=ADDRESS, columns=columns,
        campaign_id="SUMMER26" if operation == "issue" else None,
    )  # fmt: skip

    assert plan.digest == same.digest, drawn.writers


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "member_id": st.none() | st.integers(1, 3) | st.sampled_from((2**53, 2**53 + 1)),
            "member_identifier": st.none()
            | st.sampled_from(("1", "2", "None", "[1, 2]", "a', 'b", "a", "b"))
            | SHOWN_TEXTS,
            "external_ref_id": st.none() | st.sampled_from(("1", "r")),
            "expires_at": st.none() | st.integers(0, 2).map(lambda ns: pd.Timestamp(4 * 10**18 + ns, tz="UTC")),
        }
    ),
    max_size=3,
)


@examples(100)
@given(ROWS, ROWS, st.booleans())
def test_frames_with_different_rows_have_different_digests(one, other, nearly):
    if nearly and one:  # one cell differs
        other = [*one[:-1], {**one[-1], **dict(list((other or [{}])[0].items())[:1])}]

    digests = []
    for rows in (one, other):
        frame = pd.DataFrame(
            {
                "member_id": pd.array([row["member_id"] for row in rows], dtype="Int64"),
                "member_identifier": pd.array([row["member_identifier"] for row in rows], dtype="string"),
                "external_ref_id": pd.array([row["external_ref_id"] for row in rows], dtype="string"),
                "expires_at": pd.Series([row["expires_at"] for row in rows], dtype="datetime64[ns, UTC]"),
            }
        )
        digests.append(make_plan(OPERATIONS["issue"], frame, address=ADDRESS, campaign_id="S").digest)

    assert (digests[0] == digests[1]) == (one == other)


@examples(50)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(("a", "b"))), min_size=2, max_size=6),
    st.text(max_size=3),
    st.text(max_size=3),
)
def test_references_are_unique_across_rows_and_runs(rows, run, other):
    frame = pd.DataFrame(rows, columns=["member_id", "member_identifier"])
    plan = make_plan(OPERATIONS["issue"], frame, address=ADDRESS, campaign_id="S", allow_duplicates=True)

    made = {name: [row.external_ref_id for chunk in plan.rows(name) for row in chunk] for name in (run, other)}

    assert len({reference for references in made.values() for reference in references}) == len(rows) * len(made)


# ---- frames whose columns cannot be understood -----------------------------------------------------------------------


@examples(60)
@given(st.sampled_from(sorted(fields(None))), st.sampled_from(ASKED), st.sampled_from(("twice", "below", "tuples")))
def test_duplicate_column_is_rejected_by_name(name, asked, how):
    operation, required, optional = asked
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


# ---- all the way -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(bulk_service, tmp_path_factory):
    """A Session on a sandbox for all examples, and names for their runs."""
    session = World(bulk_service, "property").session(str(tmp_path_factory.mktemp("shop") / "ledger.db"))
    with session:
        yield session, bulk_service, map("run {}".format, count())


def made_at(service):
    truth = service.truth(generated=False)
    return {state["offer_state_id"]: state for state in truth["offer_states"]}, sum(truth["requests"].values())


def check(call, drawn, operation, service, **details):
    """Make a bulk call: right for every row in its place, or refused with nothing sent. Give result and truth."""
    before, requests = made_at(service)
    untouched = fingerprint(drawn.frame)
    wrong = expected_problems(drawn, operation, allow_duplicates=True)
    result, refusal = None, None
    try:
        result = call(drawn.frame, progress=False, **details)
    except InvalidRows as error:
        refusal = error.report
    assert fingerprint(drawn.frame) == untouched
    if wrong:
        told = {(repr(row), name) for row, name in zip(refusal["row"], refusal["column"], strict=True)}
        assert told == {(repr(drawn.label(at)), name) for at, name, _ in wrong}
        assert made_at(service) == (before, requests)
        return None, before
    assert result.index is drawn.frame.index
    assert (result["outcome"] == OPERATIONS[operation].done).all(), result["error"].tolist()
    return result, made_at(service)[0]


@examples(12)
@given(data=st.data())
def test_each_row_of_any_frame_ends_as_requested_at_the_service(shop, data):
    session, service, names = shop
    ids = [member["member_id"] for member in service.members(6)]
    members = number_writers(numbers_among(ids))
    drawn = data.draw(frames({"member_id": members}, {"external_ref_id": TEXTS}, max_rows=5), "issue")

    known = set(made_at(service)[0])
    issued, truth = check(
        session.issue_many, drawn, "issue", service, campaign_id="SUMMER26", run=next(names), allow_duplicates=True
    )

    event("refused" if issued is None else f"issued {len(issued)}")
    if issued is None:
        return
    assert len(truth) - len(known) == len(drawn)
    for at, key in enumerate(issued["offer_state_id"]):
        assert key not in known
        assert truth[key]["member_id"] == drawn.of("member_id")[at]
        assert drawn.of("external_ref_id")[at] in (MISSING, truth[key]["external_ref_id"])

    keys = [int(key) for key in issued["offer_state_id"]]
    value = data.draw(columns_of(number_writers(numbers_among(range(10))), len(keys), st.just("good")), "value")
    assume(BAD not in value.meanings)
    again = issued.reset_index(drop=True)[["member_id", "offer_state_id"]].assign(value=value.series)
    order = data.draw(st.permutations(range(len(keys))), "order")
    target = Drawn(
        again.iloc[order],
        {name: [cells[at] for at in order] for name, cells in (("offer_state_id", keys), ("value", value.meanings))},
    )
    target.meanings["member_id"] = list(again["member_id"].iloc[order])
    _, truth = check(session.update_many, target, "update", service, run=next(names))
    assert [truth[key]["value"] for key in keys] == value.meanings

    half = Drawn(target.frame.iloc[::2], {name: cells[::2] for name, cells in target.meanings.items()})
    _, truth = check(session.void_many, half, "void", service, run=next(names))
    gone = set(half.meanings["offer_state_id"])
    assert {key for key in keys if truth[key]["status"] == "voided"} == gone

    rest = Drawn(target.frame.iloc[1::2], {name: cells[1::2] for name, cells in target.meanings.items()})
    check(session.redeem_many, rest, "redeem", service, run=next(names))

    listed = session.list_many(half.frame, progress=False)
    assert set(listed["member_id"]) == set(half.meanings["member_id"])
    assert gone <= set(listed["offer_state_id"])
