"""Comparison of the results of the chaos matrix with the sandbox's records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts over cells. `wrong` describes each violation."""

    counts: Counter = field(default_factory=Counter)
    wrong: dict = field(default_factory=dict)

    def note(self, kind, which, what):
        """Count a violation, once per row, even if several checks find it."""
        if (kind, str(which)) not in self.wrong:
            self.counts[kind] += 1
            self.wrong[kind, str(which)] = f"{kind}: {what}"

    def add(self, other, name):
        self.counts.update(other.counts)
        self.wrong.update({(name, *which): f"{name}: {what}" for which, what in other.wrong.items()})


def check_issues(result, states, tally):
    """Compare issued rows with the store by their references."""
    made = {}
    for state in states:
        made.setdefault(state["external_ref_id"], []).append(state)
    for row in result.itertuples():
        there = made.pop(row.external_ref_id, [])
        # With the fault "duplicate", one request creates two offer states at the same time. They count once.
        if len({state["created_at"] for state in there}) > 1:
            tally.note("duplicates", row.external_ref_id, row)
        if row.outcome == "issued":
            same = [state for state in there if state["offer_state_id"] == row.offer_state_id]
            if not there:
                tally.note("lost", row.external_ref_id, row)
            elif not same or same[0]["member_id"] != row.member_id:
                tally.note("untrue", row.external_ref_id, row)
            elif row.settled_by == "readback" and len(there) > 1 and "duplicate" not in str(row.error):
                tally.note("untrue", row.external_ref_id, f"a second offer state is not reported: {row}")
        elif row.outcome in ("rejected", "planned"):
            if there:
                tally.note("untrue", row.external_ref_id, row)
        elif row.outcome != "unknown":
            tally.note("untrue", row.external_ref_id, row)
    for reference in made:
        tally.note("untrue", reference, f"no row has the reference {reference}")


def check_changes(result, states, done, tally):
    """Compare changed rows with the store by their offer states."""
    for row in result.itertuples():
        state = states.get(row.offer_state_id)
        times = sum(entry["type"] == done for entry in state["activities"]) if state else 0
        if times > 1:
            tally.note("duplicates", row.offer_state_id, (times, row))
        if row.outcome == done:
            if not times:
                tally.note("lost", row.offer_state_id, row)
        elif row.outcome in ("rejected", "planned", "kept"):
            if times:
                tally.note("untrue", row.offer_state_id, row)
        elif row.outcome != "unknown":
            tally.note("untrue", row.offer_state_id, row)


def check_undone(result, states, tally):
    """Check that an undo reports a second, usable offer state of the same reference."""
    references = Counter(state["external_ref_id"] for state in states if state["status"] == "incomplete")
    for row in result[result.outcome == "voided"].itertuples():
        if references[row.external_ref_id]:
            tally.note("untrue", row.offer_state_id, f"another usable offer state is not reported: {row}")


def check_listing(result, states, member_ids, tally):
    """Compare a listing with the store: each offer state once, except those of members reported as unread."""
    unread = {entry["member_id"] for entry in result.attrs["unread"]}
    there = {
        state["offer_state_id"]: state["status"]
        for state in states
        if state["member_id"] in member_ids and state["member_id"] not in unread
    }
    listed = Counter(result.offer_state_id)
    for key in there.keys() - listed.keys():
        tally.note("lost", key, f"offer state {key} is not listed")
    for key, times in listed.items():
        if times > 1:
            tally.note("duplicates", key, f"offer state {key} is listed {times} times")
        if key not in there:
            tally.note("untrue", key, f"offer state {key} is listed but does not exist")
    for row in result.itertuples():
        if there.get(row.offer_state_id, row.status) != row.status:
            tally.note("untrue", row.offer_state_id, row)
    return len(unread)
