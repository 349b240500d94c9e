"""Fixtures of the engine tests: a Session on the shared sandbox, and rows that it issued."""

from __future__ import annotations

import pytest
from bulk_world import CAMPAIGN, LATER, members


@pytest.fixture
def session(world, tmp_path):
    with world.session(str(tmp_path / "ledger.db")) as opened:
        yield opened


@pytest.fixture
def issued(world, session):
    return session.issue_many(members(world.member_ids[:30], expires_at=LATER), CAMPAIGN, **world.calm)
