"""Any frame of members to list or audit is read correctly, or rejected with row and column, and never changed."""

from __future__ import annotations

import pandas as pd
import pytest
from any_column import BAD, BERLIN, MISSING
from any_frame import fingerprint, frames
from any_plan import NUMBERS, TEXTS, fields, sent
from depth import examples
from hypothesis import given
from hypothesis import strategies as st

from sparkfly_nb.audit.members import read_plan
from sparkfly_nb.audit.schema import PLAN
from sparkfly_nb.bulk.listing import member_ids_of
from sparkfly_nb.errors import InvalidInput, InvalidRows


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
        with pytest.raises(InvalidRows, match="nothing was requested") as caught:
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
            reported = [
                (column, repr(row)) for row, column in zip(error.report["row"], error.report["column"], strict=True)
            ]
            assert sorted(reported) == sorted((name, repr(drawn.label(at))) for name, at in bad)
        elif nameless:
            assert f"row {drawn.frame.index[nameless[0]]} has no member_id" in str(error)
        else:
            assert "the rows have no member_id" in str(error)
    else:
        plan, unlisted, _ = read_plan(drawn.frame, None, tz=tz)
        for name, cells in drawn.meanings.items():
            read = [sent(value) for value in plan[name]]
            assert [MISSING if pd.isna(value) else value for value in read] == cells, drawn.writers
        assert len(unlisted) == ids.count(MISSING)
        kept = [str(name) for name in drawn.frame.columns if name not in PLAN]
        assert list(plan.columns[len(PLAN) :]) == kept
    assert fingerprint(drawn.frame) == before
