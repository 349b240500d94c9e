"""Audit 100,000 and 1,000,000 offer states, and write the CSV: time per state and peak memory.

Each measurement has its own process, because the peak memory of a process never decreases. In the first measurement,
the offer states come from memory, so that only the audit is measured, and no member has two of one campaign. In the
second, they come from the stub server through a Session, and every member has twenty of one campaign. That is the
worst case for the findings, with nineteen duplicates per member.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
from harness import cpu_s, in_fresh_process, peak_mb, print_machine, print_table, verdict
from stub_server import TOKEN, running_stub

from sparkfly_nb import Session, verify
from sparkfly_nb.audit import audit_campaign
from sparkfly_nb.frames.builder import empty_frame, frame_of
from sparkfly_nb.frames.output_columns import STRING
from sparkfly_nb.schema import UNREAD

FIRST_MEMBER = 100_000_001
STATES_PER_MEMBER = 20
MEMBERS_PER_PART = 500
SIZES = (100_000, 1_000_000)
WANTED_PEAK_MB = 1_500
WANTED_FLAT = 1.20
STEPS = ("read", "exceptions", "summary", "timeline", "to_csv")
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.timezone.utc)


def _record(number: int) -> dict[str, object]:
    """Build an offer state with all fields of the service's published example."""
    day = 1 + number % 28
    redeemed, voided = number % 10 < 3, number % 10 == 9
    created = f"2026-06-{day:02d}T{number % 24:02d}:{number % 60:02d}:00.{number % 1000:03d}Z"
    activities: list[dict[str, object]] = [{"type": "issued", "created_at": created, "campaign": "SUMMER26"}]
    if redeemed:
        activities.append({"type": "redeemed", "created_at": f"2026-06-30T{number % 24:02d}:00:00Z", "store_id": 500})
    if voided:
        activities.append({"type": "voided", "created_at": f"2026-06-29T{number % 24:02d}:00:00Z"})
    image = "https://images.example.com/offers/301"
    return {
        "offer_state_id": number,
        "member_id": number // STATES_PER_MEMBER,
        "offer_id": 301,
        "campaign_id": 41 + number % STATES_PER_MEMBER,
        "campaign_xid": f"SUMMER26-{number % STATES_PER_MEMBER}",
        "campaign_external_id": "",
        "status": "redeemed" if redeemed else "voided" if voided else "incomplete",
        "value": 5 if redeemed else 0,
        "offer_value_required": 5,
        "external_ref_id": f"summer26-{number:012x}",
        "credential_identifier": f"VK{number:010d}",
        "token": f"tok-{number:030x}",
        "barcode_image_url": f"https://images.example.com/barcodes/{number}.png",
        "created_at": created,
        "updated_at": str(activities[-1]["created_at"]),
        "activates_at": created,
        "expires_at": "2026-12-31T23:59:59Z",
        "effective_activates_at": created,
        "effective_expires_at": "2026-12-31T23:59:59Z",
        "locked": False,
        "is_reward": True,
        "transferable": True,
        "reusable": False,
        "offer_name": "Free Iced Coffee",
        "offer_short_name": "Iced Coffee",
        "offer_campaign_name": "Summer 2026: Iced Coffee",
        "offer_group": "Drinks",
        "offer_description": "Any small iced coffee, on us. " * 4,
        "offer_terms_and_conditions": "One per visit. Not to be combined with other offers. " * 4,
        "offer_web_image_url": f"{image}/web.png",
        "offer_web_thumb_url": f"{image}/web-thumb.png",
        "offer_mobile_image_url": f"{image}/mobile.png",
        "offer_mobile_thumb_url": f"{image}/mobile-thumb.png",
        "custom_data": None,
        "credential_custom_data": None,
        "offer_activities": activities,
        "offer_tags": [{"name": "drinks"}],
        "offer_campaign_tags": [{"name": "regular"}],
    }


class Memory:
    """A source that generates offer states on request, and measures the time for that separately."""

    def __init__(self):
        self.cpu_s = 0.0

    def read_states(self, member_ids):
        for start in range(0, len(member_ids), MEMBERS_PER_PART):
            began = cpu_s()
            members = range(start, min(start + MEMBERS_PER_PART, len(member_ids)))
            frame = frame_of(
                [
                    _record(member * STATES_PER_MEMBER + turn) | {"member_id": member_ids[member]}
                    for member in members
                    for turn in range(STATES_PER_MEMBER)
                ],
                where="benchmark",
            )
            self.cpu_s += cpu_s() - began
            yield frame, empty_frame(UNREAD)

    def run_rows(self, run):
        raise NotImplementedError(run)


def plan_of(states):
    members = range(FIRST_MEMBER, FIRST_MEMBER + states // STATES_PER_MEMBER)
    segments = pd.Series(["regular", "new"] * (len(members) // 2), dtype=STRING)
    return pd.DataFrame({"member_id": members, "segment": segments})


def audited(read, figures):
    """Run all steps of an audit, and measure each in CPU time, which other users of the machine do not affect."""

    def step(name, work):
        began = cpu_s()
        done = work()
        figures[name] = cpu_s() - began
        return done

    audit = step("read", read)
    step("exceptions", audit.exceptions)
    step("summary", lambda: audit.summary(by="segment"))
    step("timeline", audit.timeline)
    with tempfile.TemporaryDirectory() as folder:
        step("to_csv", lambda: audit.to_csv(folder))
        figures["peak_mb"] = peak_mb()
        figures["written_mb"] = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
        verify(folder)
    figures["states"] = len(audit.store)
    return audit


def from_memory(states):
    """Audit offer states from memory."""
    figures, source = {}, Memory()
    audited(lambda: audit_campaign(source.read_states, source.run_rows, members=plan_of(states), taken_at=NOW), figures)
    figures["read"] -= source.cpu_s
    return figures


def from_stub(base_url, states):
    """Audit through a Session, and list the same members without an audit for comparison."""
    figures = {}
    plan = plan_of(states)
    with (
        tempfile.TemporaryDirectory() as folder,
        Session(base_url=base_url, token=TOKEN, ledger=str(Path(folder) / "ledger.db")) as session,
    ):
        began = time.perf_counter()
        audited(lambda: session.audit(campaign_id="SUMMER26", members=plan, progress=False), figures)
        figures["seconds"] = time.perf_counter() - began
        began = cpu_s()
        for _ in session._read_states(plan["member_id"].tolist(), progress=False):
            pass
        figures["transfer"] = cpu_s() - began
    figures["read"] = max(0.0, figures["read"] - figures["transfer"])
    return figures


def per_state(figures, step):
    return figures[step] / figures["states"] * 1e6


def ours(figures):
    return sum(per_state(figures, step) for step in STEPS)


def report(memory, stub):
    heads = ["offer states", *(f"{step} us" for step in STEPS), "ours us/state", "peak MB", "CSV MB"]
    for title, measured in (("From memory: CPU time per offer state", memory), ("Through a Session", stub)):
        lines = [
            [f"{one['states']:,}", *(f"{per_state(one, step):.1f}" for step in STEPS), f"{ours(one):.1f}",
             f"{one['peak_mb']:,.0f}", f"{one['written_mb']:,.0f}"]
            for one in measured
        ]  # fmt: skip
        print_table(title, heads, lines)
    for one in stub:
        transfer = per_state(one, "transfer")
        share = ours(one) / (ours(one) + transfer)
        print(
            f"\n{one['states']:,} offer states: transfer and typing {transfer:.1f} us per state, "
            f"the audit and its CSV {ours(one):.1f} us, which is {share:.0%} of the CPU time"
        )
    peak = max(one["peak_mb"] for one in memory + stub)
    print(f"\ntarget: peak below {WANTED_PEAK_MB:,} MB: {verdict(peak < WANTED_PEAK_MB)} ({peak:,.0f} MB)")
    if len(memory) > 1:
        flat = ours(memory[-1]) / ours(memory[0])
        print(f"target: cost per state at the largest size below {WANTED_FLAT:.2f} of the smallest: "
              f"{verdict(flat < WANTED_FLAT)} ({flat:.2f})")  # fmt: skip
    return 0 if peak < WANTED_PEAK_MB else 1


def main():
    """Measure all sizes, or one side in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("states", nargs="*", type=int, default=SIZES, help="how many offer states")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, *rest = options.side
        side = from_memory if name == "memory" else partial(from_stub, rest.pop(0))
        print(json.dumps(side(int(rest[0]))))
        return 0
    print_machine()
    memory = [in_fresh_process(__file__, "memory", size) for size in options.states]
    with running_stub() as stub:
        through = [in_fresh_process(__file__, "stub", stub.base_url, size) for size in options.states]
    return report(memory, through)


if __name__ == "__main__":
    raise SystemExit(main())
