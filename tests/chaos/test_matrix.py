"""Every bulk operation under every fault, killed twice and run again: no duplicates, no losses, only true outcomes.

``make chaos`` runs the whole matrix. Each normal test run includes a small part of it.
"""

from __future__ import annotations

import time

import pytest
from chaos_cells import EVERYTHING, FAULT_NAMES, OPERATIONS, SEEDS, Matrix, can_happen
from chaos_report import keep_figures

CELLS = [(operation, fault) for operation in OPERATIONS for fault in FAULT_NAMES if can_happen(fault, operation)]
QUICK_FAULTS = sorted({fault for _, fault in CELLS} - {EVERYTHING, "commit_then_hang"})


@pytest.fixture(scope="module")
def matrix(request):
    running = Matrix(lambda: request.getfixturevalue("postgres"))
    yield running
    running.close()


@pytest.fixture
def database(request):
    if request.param == "postgresql":
        request.getfixturevalue("postgres")  # in this thread, because it may skip the test
    return request.param


def assert_nothing_wrong(tally):
    assert not tally.wrong, "\n".join([f"{len(tally.wrong)} rows", *list(tally.wrong.values())[:10]])


@pytest.mark.chaos
@pytest.mark.parametrize(("operation", "fault"), CELLS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_chaos_matrix(matrix, database, operation, fault):
    began = time.monotonic()
    tally = matrix.run((operation, fault, seed, database) for seed in range(SEEDS))
    seconds = time.monotonic() - began
    keep_figures(table=database, operation=operation, fault=fault, seconds=seconds, **tally.counts)
    assert_nothing_wrong(tally)
    assert tally.counts["unknown"] == 0, "rows are still unknown after the faults ended"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_quick_matrix_with_all_faults_together(matrix, database):
    tally = matrix.run((operation, EVERYTHING, 101, database) for operation in OPERATIONS)
    assert_nothing_wrong(tally)
    assert tally.counts["unknown"] == 0
    assert tally.counts["kills"] > len(OPERATIONS)
    assert tally.counts["faults"] > 0


def test_quick_matrix_with_each_fault_alone(matrix):
    """Each fault affects one of its operations, in turn."""
    cells = []
    for number, fault in enumerate(QUICK_FAULTS):
        operations = [operation for operation in OPERATIONS if can_happen(fault, operation)]
        cells.append((operations[number % len(operations)], fault, 200 + number, "sqlite"))
    tally = matrix.run(cells)
    assert_nothing_wrong(tally)
    assert tally.counts["cells"] == len(QUICK_FAULTS)
