"""The public SDK under the same faults, measured for the comparison in docs/reliability.md."""

from __future__ import annotations

import chaos_sdk
import pytest
from bulk_world import way_to
from chaos_cells import FAULT_NAMES, MEMBERS, ROWS, SEEDS, TIMES, can_happen, rates_of
from chaos_report import keep_figures
from forker import Forker

from sparkfly_nb.sandbox.process import SandboxProcess

FAULTS_OF_ISSUE = [fault for fault in FAULT_NAMES if can_happen(fault, "issue_many")]


@pytest.fixture(scope="module")
def forker():
    running = Forker("chaos_sdk")
    yield running
    running.close()


@pytest.mark.chaos
@pytest.mark.parametrize("fault", FAULTS_OF_ISSUE)
def test_sdk_under_the_same_faults(forker, fault):
    counts = run_sdk(forker, fault, range(SEEDS))
    keep_figures(table="sdk", operation="issue_offer", fault=fault, **counts)


def test_sdk_run_is_counted(forker):
    """Without faults the SDK issues to all. With lost responses it issues duplicates, which are counted."""
    assert run_sdk(forker, None, [0]) == {"rows": ROWS, "reported": ROWS, "duplicates": 0, "lost": 0, "untrue": 0}
    assert run_sdk(forker, "commit_then_500", [0])["duplicates"] > 0


def run_sdk(forker, fault, seeds):
    counts = chaos_sdk.Counter()
    with SandboxProcess.start(members=MEMBERS, seed=3) as service:
        members = [member["member_id"] for member in service.members()]
        for seed in seeds:
            first = seed * ROWS % (MEMBERS - ROWS)
            rows = [(member, f"sdk {fault} {seed} {member}") for member in members[first : first + ROWS]]
            rates = rates_of(fault, "issue_many") if fault else {}
            service.set_faults(rates, seed=seed, times={**TIMES, "hang_s": 1})
            reported = forker.run(chaos_sdk.issue, way_to(service), rows)
            service.set_faults({})
            states = service.truth(generated=False)["offer_states"]
            counts.update(chaos_sdk.count(states, [reference for _, reference in rows], reported))
    return counts
