"""Each row of any frame ends as requested at the service, or nothing is sent."""

from __future__ import annotations

from itertools import count

import pytest
from any_column import BAD, MISSING, columns_of
from any_frame import Drawn, fingerprint, frames
from any_plan import TEXTS, expected_problems
from bulk_world import World
from column_writers import number_writers, numbers_among
from depth import examples
from hypothesis import assume, event, given
from hypothesis import strategies as st

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.errors import InvalidRows


@pytest.fixture(scope="module")
def shop(bulk_service, tmp_path_factory):
    """A Session on a sandbox that all examples share, and names for their runs."""
    session = World(bulk_service, "property").session(str(tmp_path_factory.mktemp("shop") / "ledger.db"))
    with session:
        yield session, bulk_service, map("run {}".format, count())


def made_at(service):
    truth = service.truth(generated=False)
    return {state["offer_state_id"]: state for state in truth["offer_states"]}, sum(truth["requests"].values())


def check(call, drawn, operation, service, **details):
    """Make a bulk call, and check every row of the result, or that nothing was sent. Return result and offer states."""
    before, requests = made_at(service)
    untouched = fingerprint(drawn.frame)
    wrong = expected_problems(drawn, operation, allow_duplicates=True)
    result, report = None, None
    try:
        result = call(drawn.frame, progress=False, **details)
    except InvalidRows as error:
        report = error.report
    assert fingerprint(drawn.frame) == untouched
    if wrong:
        reported = {(repr(row), name) for row, name in zip(report["row"], report["column"], strict=True)}
        assert reported == {(repr(drawn.label(at)), name) for at, name, _ in wrong}
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

    event("rejected" if issued is None else f"issued {len(issued)}")
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
