"""Tests of the comparison of two audits."""

from __future__ import annotations

import pandas as pd
import pytest
from audit_world import World, rich_audit, state
from pandas.testing import assert_frame_equal

from sparkfly_nb import read_audit
from sparkfly_nb.errors import InvalidInput


def test_comparison_lists_appeared_gone_and_changed_offer_states():
    kept, gone, used, new = state(1), state(1), state(2), state(3)
    before = World([kept, gone, used]).audit([1, 2, 3])
    after = World([kept, {**used, "status": "redeemed", "value": 5}, new]).audit([1, 2, 3])

    changes = after.compare(before).states

    cells = changes.drop(columns="offer_state_id").astype("object")
    assert cells.where(cells.notna(), None).to_numpy().tolist() == [
        [1, "gone", "lifecycle", "open", None],
        [2, "changed", "lifecycle", "open", "redeemed"],
        [2, "changed", "status", "incomplete", "redeemed"],
        [2, "changed", "value", "0", "5"],
        [3, "appeared", "lifecycle", None, "open"],
    ]


def test_comparison_has_totals():
    before = World([state(1), state(2)]).audit([1, 2, 3])
    after = World([*before_states(before), state(3)]).audit([1, 2, 3])

    totals = after.compare(before).totals.set_index(["metric", "detail"])

    assert totals.loc[("offer_states_appeared", pd.NA), "change"].item() == 1
    assert totals.loc[("offer_states", pd.NA), ["earlier", "now", "change"]].to_numpy().ravel().tolist() == [2, 3, 1]
    assert totals.loc[("status", "incomplete"), "change"] == 1


def before_states(audit):
    return [
        state(row.member_id, offer_state_id=row.offer_state_id, external_ref_id=row.external_ref_id)
        for row in audit.states.itertuples()
    ]


def test_audit_compared_with_itself_has_no_differences():
    audit = rich_audit()

    comparison = audit.compare(audit)

    assert comparison.states.empty
    assert comparison.totals["change"].fillna(0).eq(0).all()
    assert "0 appeared, 0 gone, 0 changed" in repr(comparison)
    assert "0 appeared" in comparison._repr_html_()


def test_offer_states_of_unread_members_are_not_gone():
    states = [state(1), state(2)]
    before = World(states).audit([1, 2])
    after = World(states, unread={2: (500, "broken")}).audit([1, 2])

    assert after.compare(before).states.empty


def test_audit_read_back_compares_like_the_original(tmp_path):
    states = [state(1), state(2)]
    before = World(states).audit([1, 2])
    after = World([states[0], {**states[1], "status": "voided"}]).audit([1, 2])

    from_file = after.compare(read_audit(before.to_csv(tmp_path)))

    assert_frame_equal(from_file.states, after.compare(before).states)


@pytest.mark.parametrize("other", [{"campaign_id": "VIP26"}, {"offer_id": 7}, {"address": "http://127.0.0.1:1/v1.0"}])
def test_audits_of_different_scopes_are_not_compared(other):
    world = World([state(1)])

    with pytest.raises(InvalidInput, match="compare"):
        world.audit([1]).compare(world.audit([1], **other))
