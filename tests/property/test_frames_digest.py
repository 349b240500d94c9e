"""The digest of a plan and the references of its rows identify the rows, whatever frame they came in."""

from __future__ import annotations

import pandas as pd
from any_column import MISSING, SHOWN_TEXTS
from any_frame import frames
from any_plan import ADDRESS, CALLS, fields, plan_of
from depth import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan
from sparkfly_nb.schema import PAYLOAD, TIME


def plainly(drawn):
    """Return the same rows in the standard dtypes."""
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
    operation, required, optional = data.draw(st.sampled_from(CALLS))
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
