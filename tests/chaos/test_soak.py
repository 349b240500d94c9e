"""A long run of 200,000 rows with faults in 1 % of the calls. Memory stays flat, and no resource leaks."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from bulk_world import LOST, REFUSED, Issuer, World
from chaos_report import keep_figures

from sparkfly_nb.sandbox.process import SandboxProcess

ROWS = 200_000
RATE = 0.01
LOOK_S = 1.0
#: How much memory may grow per row from a quarter to the end of the run. The rows themselves are in the ledger.
BYTES_PER_ROW_SENT = 100
#: How much memory the result frame may need per row.
BYTES_PER_ROW_GIVEN = 1_000


def faults_of(rate):
    names = (*LOST, *REFUSED)
    return {name: rate / len(names) for name in names}


def ended_rows(ledger):
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM rows WHERE outcome <> 'planned'").fetchone()[0]


def watch(issuer, ledger):
    """Return pairs of finished rows and memory, measured until the issuer ends."""
    process, seen = psutil.Process(issuer.process.pid), []
    while not issuer.has_ended():
        # The tables may not exist yet, and the process may have just ended.
        with suppress(sqlite3.OperationalError, psutil.NoSuchProcess):
            if memory := process.memory_info().rss:  # 0 for a process that has ended and was not waited for yet
                seen.append((ended_rows(ledger), memory))
        time.sleep(LOOK_S)
    return seen


@pytest.mark.chaos
def test_soak_of_200_000_rows_has_flat_memory_and_leaves_nothing(tmp_path):
    ledger = str(tmp_path / "ledger.db")
    with SandboxProcess.start(members=ROWS + 400, startup_timeout_s=120) as service:
        world = World(service, "soak")
        service.set_faults(faults_of(RATE), seed=1, times={"retry_after_s": 0})
        began = time.monotonic()
        with Issuer(world, ledger, tmp_path, ids=world.member_ids[:ROWS]) as issuer:
            seen = watch(issuer.go(), ledger)
            report = issuer.report()
        took_s = time.monotonic() - began
        service.set_faults({})
        truth = service.truth(generated=False)
    result = report["result"]
    made = Counter(state["external_ref_id"] for state in truth["offer_states"])
    quarter = next(memory for ended, memory in seen if ended >= ROWS / 4)
    # The result frame is built when all rows have ended. Until then, memory should not grow.
    sending = max(memory for ended, memory in seen if ROWS / 4 <= ended < ROWS)
    keep_figures(
        table="soak",
        rows=ROWS,
        faults=sum(truth["faults"].values()),
        requests=sum(truth["requests"].values()),
        outcomes={str(name): int(number) for name, number in result.outcome.value_counts().items()},
        readback=int(result.settled_by.eq("readback").sum()),
        duplicates=sum(number > 1 for number in made.values()),
        seconds=took_s,
        quarter_mb=quarter / 2**20,
        sending_mb=sending / 2**20,
        end_mb=max(memory for _, memory in seen) / 2**20,
        ledger_bytes_per_row=Path(ledger).stat().st_size / ROWS,
    )
    assert (report["threads"], report["children"], report["sockets"]) == ([], [], [])
    assert sending - quarter <= BYTES_PER_ROW_SENT * ROWS * 3 / 4
    assert max(memory for _, memory in seen) - quarter <= (BYTES_PER_ROW_SENT + BYTES_PER_ROW_GIVEN) * ROWS
    assert set(made.values()) == {1}
    assert set(result.outcome) <= {"issued", "rejected"}
    assert set(result.external_ref_id[result.outcome == "issued"]) == made.keys()
    assert result.error[result.outcome == "rejected"].str.startswith("No usable response after sending 4 times").all()
