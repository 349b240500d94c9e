"""Run the chaos tests, and write their figures to docs/chaos_figures.jsonl and as tables to docs/reliability.md.

``make chaos`` runs this script. Figures stay until they are measured again, so that the matrix can run in parts.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from chaos_cells import FAULT_NAMES, OPERATIONS, ROWS, can_happen

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "chaos_figures.jsonl"
KEEPING = "CHAOS_FIGURES_ARE_KEPT"  # without the prefix of the package, whose variables the tests remove
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- measured by make chaos: begin -->", "<!-- measured by make chaos: end -->"
WRONG = ("duplicates", "lost", "untrue", "unknown")
TITLES = {
    "sqlite": "The matrix on SQLite",
    "postgresql": "The matrix on PostgreSQL",
    "sdk": "The public SDK under the same faults",
    "soak": "The soak",
}


def keep_figures(**figures):
    """Save the figures of a test, if ``make chaos`` runs it. The figure `table` names their table."""
    if KEEPING in os.environ:
        with KEPT.open("a") as file:
            file.write(json.dumps({**figures, "day": time.strftime("%Y-%m-%d")}) + "\n")


def kept_cells():
    """Return the saved figures by table, the latest of each cell, and remove the others from the file."""
    tables = {name: {} for name in TITLES}
    if KEPT.exists():
        for line in KEPT.read_text().splitlines():
            cell = json.loads(line)
            tables[cell["table"]][cell.get("operation"), cell.get("fault")] = cell
    KEPT.write_text("".join(json.dumps(cell) + "\n" for cells in tables.values() for cell in cells.values()))
    return tables


# ---- tables ----------------------------------------------------------------------------------------------------------


def table_of(head, rows):
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def days_of(cells):
    days = sorted({cell["day"] for cell in cells})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def sum_of(cells):
    total = Counter()
    for cell in cells:
        total.update({name: value for name, value in cell.items() if isinstance(value, (int, float))})
    return total


def matrix_table(cells, others):
    total = sum_of(cells.values())
    rows = []
    for fault in FAULT_NAMES:
        there = [cells.get((operation, fault)) for operation in OPERATIONS]
        rows.append([f"`{fault}`" if " " not in fault else fault, *map(_entry, there)])
    head = (
        f"{days_of(cells.values())}: {total['cells']:,} cells of {ROWS} to {ROWS + 2} rows, "
        f"{total['seconds'] / 60:.0f} minutes; {total['kills']:,} processes killed, {total['faults']:,} faults. "
        f"Unknown rows during the faults: {total['unknown_then']:,}, after them: {total['unknown']:,}.\n"
        "Each entry: cells, then **duplicates / lost / untrue / unknown at the end**.\n"
    )
    return f"{head}\n{table_of(['', *(f'`{name}`' for name in OPERATIONS)], rows)}"


def _entry(cell):
    return f"{cell['cells']}: " + "/".join(str(cell.get(name, 0)) for name in WRONG) if cell else ""


def sdk_table(cells, others):
    ours = {fault: cell for (operation, fault), cell in others["sqlite"].items() if operation == "issue_many"}
    rows = []
    for fault in FAULT_NAMES:
        if (found := cells.get(("issue_offer", fault))) is None:
            continue
        beside = [ours[fault].get(name, 0) for name in WRONG[:3]] if fault in ours else [""] * 3
        sdk = [found.get(name, 0) for name in ("rows", "reported", *WRONG[:3])]
        rows.append([f"`{fault}`" if " " not in fault else fault, *sdk, *beside])
    total = [sum(row[at] for row in rows if row[at] != "") for at in range(1, 9)]
    head = ["", "rows", "SDK: reported issued", "issued twice or more", "reported but missing",
            "issued but reported failed", "this package: twice", "lost", "untrue"]  # fmt: skip
    note = "The processes of this package were killed twice, those of the SDK were not."
    return f"{days_of(cells.values())}. {note}\n\n{table_of(head, [*rows, ['sum', *total]])}"


def soak_table(cells, others):
    (cell,) = cells.values()
    outcomes = ", ".join(f"{number:,} {name}" for name, number in cell["outcomes"].items())
    rows = [
        ["rows", f"{cell['rows']:,}: {outcomes}; {cell['duplicates']} of them twice"],
        ["requests", f"{cell['requests']:,}, of which {cell['faults']:,} had a fault"],
        ["settled by readback", f"{cell['readback']:,} rows"],
        ["time", f"{cell['seconds']:.0f} s"],
        ["memory (RSS) at a quarter of the rows", f"{cell['quarter_mb']:.0f} MiB"],
        ["peak from there to the end of the last row", f"{cell['sending_mb']:.0f} MiB"],
        ["peak with the result frame", f"{cell['end_mb']:.0f} MiB"],
        ["ledger (SQLite)", f"{cell['ledger_bytes_per_row']:.0f} bytes per row"],
        ["sockets, threads and processes left", "none"],
    ]
    return f"{days_of(cells.values())}\n\n{table_of(['', ''], rows)}"


CELLS = [(operation, fault) for operation in OPERATIONS for fault in FAULT_NAMES if can_happen(fault, operation)]
WANTED = {
    "sqlite": CELLS,
    "postgresql": CELLS,
    "sdk": [("issue_offer", fault) for fault in FAULT_NAMES if can_happen(fault, "issue_many")],
    "soak": [(None, None)],
}
MAKERS = {"sqlite": matrix_table, "postgresql": matrix_table, "sdk": sdk_table, "soak": soak_table}


def show(tables):
    """Print the tables, and replace those in the document."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    after = rest.split(END)[1]
    sections = []
    for name, cells in tables.items():
        if not cells:
            continue
        missing = len(set(WANTED[name]) - cells.keys())
        note = f"**{missing} of the {len(WANTED[name])} parts of this table were not run yet.**\n\n" if missing else ""
        sections.append(f"### {TITLES[name]}\n\n{note}{MAKERS[name](cells, tables)}\n\n")
    inside = "".join(sections)
    sys.stdout.write(f"\n{inside}")
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    DOCUMENT.write_text(f"{before}{BEGIN}\n\nBy `make chaos` on {machine}.\n\n{inside}{END}{after}")


def main():
    command = [sys.executable, "-m", "pytest", "-m", "chaos", *sys.argv[1:]]
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, KEEPING: "1"}, check=False).returncode
    show(kept_cells())
    return status


if __name__ == "__main__":
    sys.exit(main())
