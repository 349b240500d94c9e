"""Helpers for audit tests: offer states as the service sends them, and a stand-in for the listing."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.testing import assert_frame_equal

from sparkfly_nb.audit import Audit, audit_campaign
from sparkfly_nb.errors import LedgerError
from sparkfly_nb.frames.builder import empty_frame, frame_of
from sparkfly_nb.frames.output_columns import STRING
from sparkfly_nb.schema import RESULT, UNREAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone.utc)
_NUMBERS = itertools.count(1)


def at(text: str) -> str:
    """Return a time in 2026 in the format of the service, from ``06-15`` or ``06-15T08:30``."""
    day, _, clock = text.partition("T")
    return f"2026-{day}T{clock or '00:00'}:00Z"


def state(member_id: int, status: str = "incomplete", **fields: Any) -> dict[str, Any]:
    """Return one offer state of SUMMER26. ``redeemed="06-15"`` and ``voided=`` also add the activity."""
    number = next(_NUMBERS)
    activities = [{"type": "issued", "created_at": fields.get("created_at", at("06-01"))}]
    for word in ("redeemed", "voided"):
        if word in fields:
            status = word
            activities.append({"type": word, "created_at": at(fields.pop(word))})
    return {
        "offer_state_id": number,
        "member_id": member_id,
        "offer_id": 301,
        "campaign_id": 41,
        "campaign_xid": "SUMMER26",
        "status": status,
        "value": 0,
        "created_at": at("06-01"),
        "updated_at": activities[-1]["created_at"],
        "expires_at": at("12-31"),
        "external_ref_id": f"ref-{number}",
        "offer_activities": activities,
        "offer_campaign_name": "Summer 2026: Iced Coffee",
        "offer_name": "Free Iced Coffee",
        **fields,
    }


def result_rows(*rows: Mapping[str, Any]) -> pd.DataFrame:
    """Return the recorded rows of a run."""
    columns = {name: [row.get(name) for row in rows] for name in RESULT}
    dtypes = {name: STRING if dtype == "string" else dtype for name, dtype in RESULT.items()}
    return pd.DataFrame({name: pd.Series(cells, dtype=dtypes[name]) for name, cells in columns.items()})


class World:
    """Offer states, unread members and runs, with the functions that an audit reads them with."""

    def __init__(
        self,
        states: Sequence[Mapping[str, Any]] = (),
        *,
        unread: Mapping[int, tuple[int | None, str]] | None = None,
        runs: Mapping[str, pd.DataFrame] | None = None,
        members_per_part: int = 3,
    ) -> None:
        self.states = list(states)
        self.unread = dict(unread or {})
        self.runs = dict(runs or {})
        self.members_per_part = members_per_part
        self.requested: list[int] = []

    def read_states(self, member_ids: Sequence[int]) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        for start in range(0, len(member_ids), self.members_per_part):
            part = list(member_ids[start : start + self.members_per_part])
            self.requested += part
            lost = [(member, *self.unread[member], None) for member in part if member in self.unread]
            records = [
                record
                for member in part
                for record in self.states
                if record.get("listed_for", record["member_id"]) == member and member not in self.unread
            ]
            frame = frame_of([{k: v for k, v in r.items() if k != "listed_for"} for r in records], where="test")
            unread = pd.DataFrame(lost, columns=list(UNREAD))
            yield frame, unread if lost else empty_frame(UNREAD)

    def run_rows(self, run: str) -> pd.DataFrame:
        if run not in self.runs:
            raise LedgerError(f"there is no run {run!r}")
        return self.runs[run]

    def audit(self, members: Any = None, campaign_id: Any = "SUMMER26", **scope: Any) -> Audit:
        options: dict[str, Any] = {"environment": "sandbox", "address": "http://127.0.0.1:8080/v1.0", "taken_at": NOW}
        return audit_campaign(
            self.read_states, self.run_rows, campaign_id=campaign_id, members=members, **options | scope
        )


def kinds(audit: Audit) -> dict[str, int]:
    """Count the exceptions by kind."""
    return audit.exceptions()["kind"].value_counts().to_dict()


def numbers(audit: Audit, **options: Any) -> dict[tuple[str, str], float]:
    """Return the summary by metric and detail. A detail that is a sentence becomes an empty string."""
    summary = audit.summary(**options).iloc[1:]
    keys = zip(
        summary["metric"], summary["detail"].fillna("").map(lambda text: "" if " " in text else text), strict=True
    )
    return dict(zip(keys, summary["value"].tolist(), strict=True))


FRAMES = ("states", "plan", "unread")
TABLES = ("summary", "exceptions", "timeline", "activities")


def assert_same(audit, other):
    """Check that two audits have equal tables."""
    for name in FRAMES:
        assert_frame_equal(getattr(audit, name), getattr(other, name))
    for name in TABLES:
        assert_frame_equal(getattr(audit, name)(), getattr(other, name)())


SEGMENTS = ("new", "regular", "vip")


def random_campaign(seed=5, members=60):
    """Return offer states, plan and unread members of a random campaign.

    The fields that begin with an underscore are what the tests expect of an offer state.
    """
    chance = random.Random(seed)
    states, plan, unread = [], [], {}
    for member in range(1, members + 1):
        plan.append({"member_id": member, "segment": chance.choice(SEGMENTS), "planned": chance.random() < 0.9})
        if chance.random() < 0.05:
            unread[member] = (500, "broken")
        for _ in range(chance.choice([0, 1, 1, 2])):
            day = chance.randrange(1, 20)
            fields = {"created_at": at(f"06-{day:02d}"), "value": chance.randrange(10)}
            fate = chance.choice(["open", "redeemed", "voided", "expired", "soon"])
            if fate in ("redeemed", "voided"):
                fields[fate] = f"06-{day + chance.randrange(1, 9):02d}"
            elif fate == "expired":
                fields["expires_at"] = at(f"06-{day + 5:02d}")
            elif fate == "soon":
                fields["expires_at"] = at("07-05")
            states.append({**state(member, **fields), "_fate": fate, "_day": day, "_turn": fields.get(fate)})
    return states, pd.DataFrame(plan), unread


def sent_fields(states):
    """Return offer states without the fields that only the tests use."""
    return [{name: value for name, value in one.items() if not name.startswith("_")} for one in states]


# Text that spreadsheets, CSV readers or terminals interpret.
HOSTILE = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "'=1",
    "''",
    '"',
    'a"b""c',
    "one,two;three",
    "line\nbreak\r\nand\rmore",
    "NUL\x00inside",
    "😀 emoji 👩‍👩‍👧",
    "\u202eright to left שלום",
    "\ufeffmark",
    "x" * 10_000,
    " spaces at the ends ",
    "NA",
    "null",
    "",
    "007",
    "1e5",
    "TRUE",
    "\\u0000",
    "\x1b[31m",
]


def rich_audit(**scope):
    """Audit a campaign with offer states, exceptions and columns of every kind."""
    states = [
        state(1, value=9_007_199_254_740_993, custom_data='{"a": 1}', offer_tags=[{"name": "x"}], tier=[1, 2]),
        state(2, redeemed="06-10"),
        state(3, redeemed="06-20", expires_at=at("06-15"), created_at="2026-06-01T00:00:00.123456789Z"),
        state(4, voided="06-05"),
        state(5),
        state(5, offer_activities=None),
        state(7, None, locked=True, fee=1.5),
    ]
    plan = pd.DataFrame(
        {
            "member_id": [1, 2, 3, 4, 5, 6, 7, 8],
            "planned": [True] * 6 + [False, True],
            "segment": ["a", "b", None, "=a", "b", "c", "a", "b"],
            "score": [1.5, None, 2.0, 0.1, 1e300, 3.0, 4.0, 5.0],
            "since": pd.date_range("2020-01-01", periods=8, tz="Europe/Berlin"),
            "vip": [True, False] * 4,
            "expires_at": [at("12-31")] * 7 + [None],
        }
    )
    return World(states, unread={8: (500, 'a\nb, "c"')}).audit(plan, **scope)
