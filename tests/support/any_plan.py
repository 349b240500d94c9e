"""Plans for any frame, and the problems that a plan must report, for property tests."""

from __future__ import annotations

import pandas as pd
from any_column import BAD, BERLIN, MISSING
from column_writers import flag_writers, number_writers, text_writers
from time_writers import time_writers

from sparkfly_nb.bulk.operations import OPERATIONS
from sparkfly_nb.bulk.plan.plan import make_plan

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


#: Operations with the columns that a frame always has, and those that it may have.
CALLS = [
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


def expected_problems(drawn, operation, *, allow_duplicates=False):
    """Return position, column and kind of every problem, from the meanings of the cells alone."""
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


def sent(value):
    return value.value if isinstance(value, pd.Timestamp) else value
