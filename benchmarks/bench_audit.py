"""How long an audit takes and how much memory it needs: 100,000 and 1,000,000 offer states, read, counted and written.

Run: python benchmarks/bench_audit.py [states ...]

Each size runs in a process of its own, because a process never gives its peak back. The offer states come from memory,
so that what is measured is ours: counting, comparing with the plan, and the folder of CSV files.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sparkfly_nb.audit import audit_campaign, verify
from sparkfly_nb.cells import STRING
from sparkfly_nb.frames import empty_frame, frame_of
from sparkfly_nb.schema import UNREAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STATES_PER_MEMBER = 20
MEMBERS_PER_PART = 500
SIZES = (100_000, 1_000_000)
LIMIT_MB = 1500
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.timezone.utc)


def _record(number: int) -> dict[str, object]:
    """Make an offer state as wide as the service's published example."""
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
    """Offer states that are made as they are asked for; the time for making them is kept apart."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read_states(self, member_ids: Sequence[int]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        for start in range(0, len(member_ids), MEMBERS_PER_PART):
            began = time.process_time()
            members = member_ids[start : start + MEMBERS_PER_PART]
            records = [
                _record(member * STATES_PER_MEMBER + turn) for member in members for turn in range(STATES_PER_MEMBER)
            ]
            frame = frame_of(records, where="benchmark")
            del records
            self.seconds += time.process_time() - began
            yield frame, empty_frame(UNREAD)

    def run_rows(self, run: str) -> pd.DataFrame:
        raise NotImplementedError(run)


def peak_mb() -> float:
    """Give the most memory that this process had at any time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


def measure(states: int) -> dict[str, float]:
    """Audit so many offer states and write the folder."""
    members = range(1, states // STATES_PER_MEMBER + 1)
    plan = pd.DataFrame(
        {"member_id": members, "segment": pd.Series(["regular", "new"] * (len(members) // 2), dtype=STRING)}
    )
    source = Memory()
    seconds: dict[str, float] = {}

    def timed(name: str, work):
        began = time.process_time()
        done = work()
        seconds[name] = time.process_time() - began
        return done

    audit = timed("read", lambda: audit_campaign(source, members=plan, taken_at=NOW))
    seconds["read"] -= source.seconds
    timed("exceptions", audit.exceptions)
    timed("summary", lambda: audit.summary(by="segment"))
    timed("timeline", audit.timeline)
    with tempfile.TemporaryDirectory() as folder:
        timed("to_csv", lambda: audit.to_csv(folder))
        written = sum(file.stat().st_size for file in Path(folder).iterdir())
        peak = peak_mb()
        timed("verify", lambda: verify(folder))
    return {
        "states": len(audit.store),
        "source": source.seconds,
        **seconds,
        "peak_mb": peak,
        "written_mb": written / 2**20,
    }


def main() -> int:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return 0
    results = []
    for size in [int(text) for text in sys.argv[1:]] or SIZES:
        child = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], check=True, capture_output=True, text=True
        )
        results.append(json.loads(child.stdout))
    steps = ("read", "exceptions", "summary", "timeline", "to_csv", "verify")
    print(f"{'offer states':>14} {'peak MB':>8} {'CSV MB':>7} {'us per state':>13}   of which {', '.join(steps)}")
    for found in results:
        each = [found[step] / found["states"] * 1e6 for step in steps]
        shares = "  ".join(f"{step} {value:.1f}" for step, value in zip(steps, each, strict=True))
        memory = f"{found['peak_mb']:>8,.0f} {found['written_mb']:>7,.0f}"
        print(f"{found['states']:>14,.0f} {memory} {sum(each):>13.1f}   {shares}")
    return int(any(found["peak_mb"] > LIMIT_MB for found in results))


if __name__ == "__main__":
    sys.exit(main())
