"""Run the tests on each mutant, and write the figures and the survivors to docs.

``make mutation`` runs this script. mutmut creates the mutants and finds the tests that reach each function, but would
start pytest for each mutant. This script imports and collects everything once, and forks a process per mutant. The
tests that detected other mutants of the same function run first. Mutants that survive on SQLite are run again on
PostgreSQL. An interrupted round continues where it stopped. ``--again`` retries the survivors, after tests were added.

The reason for each survivor is written by hand into docs/mutation-survivors.md. The reason stays there as long as the
text of the mutation stays the same. The script fails if a survivor has no reason.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import shutil
import signal
import sys
import threading
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
KEPT = MUTANTS / "results.json"
#: A test that takes longer is considered an endless loop. Normally, each test takes a few seconds at most.
LONGEST_S = 60
KILLED, ON_POSTGRESQL, OUT_OF_TIME, SURVIVED, NOT_RUN = WORDS = (
    "killed", "killed on PostgreSQL alone", "out of time", "survived", "not run",
)  # fmt: skip
AT_FIRST = "survived on SQLite"
AS_MUTMUT_SAYS = {KILLED: 1, ON_POSTGRESQL: 1, OUT_OF_TIME: 36, SURVIVED: 0, AT_FIRST: 0, NOT_RUN: None}

TABLE = ROOT / "docs" / "mutation-testing.md"
BEGIN, END = "<!-- counted by make mutation: begin -->", "<!-- counted by make mutation: end -->"
SURVIVORS = ROOT / "docs" / "mutation-survivors.md"
TITLE = """# Surviving mutants

`make mutation` writes this list. The reasons are written by hand. [mutation-testing.md](mutation-testing.md) explains
the method. A mutant has the name of its function and a number. After `make mutation`,
`.venv/bin/mutmut show sparkfly_nb.MODULE.NAME` shows it.
"""
WITHOUT = "**no reason yet**"


def mutants_of(module):
    """Return the mutants of a file, in mutmut's format."""
    data = SourceFileMutationData(path=Path(module))
    data.load()
    return data


def function_of(mutant):
    return mutant.rpartition("__mutmut_")[0]


# ---- running ---------------------------------------------------------------------------------------------------------


class Round:
    """A pytest plugin that runs the collected tests on each mutant."""

    def __init__(self, mutants):
        self.mutants = mutants
        self.results = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        if "--again" in sys.argv:
            self.results = {mutant: word for mutant, word in self.results.items() if word not in {SURVIVED, AT_FIRST}}
        self.failed = False
        self.seconds = Counter()
        self.noticed = defaultdict(Counter)

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed
        self.seconds[report.nodeid] += report.duration

    def pytest_runtestloop(self, session):
        import bulk_world

        items = {item.nodeid: item for item in session.items}
        place = session.config._tmp_path_factory.getbasetemp()
        reached = json.loads((MUTANTS / "mutmut-stats.json").read_text())["tests_by_mangled_function_name"]
        on_sqlite = [item for name, item in items.items() if "[postgresql" not in name]
        with bulk_world.postgres_server() as address:  # one server for all mutants
            bulk_world.postgres_server = lambda: contextlib.nullcontext(address)
            for item in on_sqlite:
                self.run(item)
                if self.failed:
                    pytest.exit(f"{item.nodeid} fails on the original code", 1)
            assert threading.active_count() == 1, "a fork would lose threads"
            # Keep the garbage collector of each fork from touching, and so copying, the shared memory.
            gc.collect()
            gc.freeze()
            for first in (True, False):
                there = on_sqlite if first else [item for item in items.values() if item not in on_sqlite]
                for number, mutant in enumerate(self.mutants, 1):
                    if self.results.get(mutant) == (None if first else AT_FIRST):
                        tests = [item for item in there if item.nodeid in reached.get(function_of(mutant), ())]
                        self.results[mutant] = self.try_mutant(mutant, tests, first)
                        sys.stdout.write(f"{number}/{len(self.mutants)} {mutant}: {self.results[mutant]}\n")
                        sys.stdout.flush()
                        KEPT.write_text(json.dumps(self.results))
                        for folder in place.iterdir():
                            shutil.rmtree(folder, ignore_errors=True)
        return True

    def run(self, item):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def try_mutant(self, mutant, tests, first):
        """Return the result of a mutant in the first round, on SQLite, or in the second, on PostgreSQL."""
        if not tests:
            return AT_FIRST if first else SURVIVED
        noticed = self.noticed[function_of(mutant)]
        tests.sort(key=lambda item: (-noticed[item.nodeid], self.seconds[item.nodeid]))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = self.in_child(mutant, tests, writing)
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading) as stream:
            last = stream.read().splitlines()[-1]
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return AT_FIRST if first else SURVIVED
        noticed[last] += 1
        return OUT_OF_TIME if code == -signal.SIGALRM else KILLED if first else ON_POSTGRESQL

    def in_child(self, mutant, tests, writing):
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        os.environ["MUTANT_UNDER_TEST"] = mutant
        for item in tests:
            os.write(writing, f"{item.nodeid}\n".encode())
            signal.alarm(LONGEST_S)
            self.run(item)
            if self.failed:
                return 1
        return 0


def run_tests(mutants):
    """Return the result of each mutant."""
    os.chdir(MUTANTS)
    sys.path[:0] = [str(MUTANTS)]
    os.environ["MUTANT_UNDER_TEST"] = ""
    settings = config()
    arguments = [*settings.pytest_add_cli_args, *settings.pytest_add_cli_args_test_selection]
    round_ = Round(mutants)
    pytest.main(["--rootdir=.", "-q", "-s", "--tb=no", "-p", "no:cacheprovider", *arguments], plugins=[round_])
    os.chdir(ROOT)
    return {mutant: round_.results.get(mutant, NOT_RUN) for mutant in mutants}


# ---- the documents ---------------------------------------------------------------------------------------------------


def change_of(mutant, module):
    """Return the lines of a mutant before and after the change."""
    diff = get_diff_for_mutant(mutant, path=Path(module)).splitlines()[2:]
    old, new = (" ".join(line[1:].strip() for line in diff if line[0] == sign) for sign in "-+")
    return f"`` {old} `` → {f'`` {new} ``' if new else 'nothing'}"


def known_reasons():
    """Return the reasons in the document, by function and change."""
    text = SURVIVORS.read_text() if SURVIVORS.exists() else ""
    entries = re.findall(r"^- (\S+?)__mutmut_\d+: (.*)\n  (.*)$", text, flags=re.MULTILINE)
    return {(function, change): why for function, change, why in entries if why != WITHOUT}


def write_table(results, by_module):
    rows = []
    for module, mutants in by_module.items():
        number = Counter(results[mutant].replace(AT_FIRST, SURVIVED) for mutant in mutants)
        rows.append([f"`{module}`", len(mutants), *(number[word] for word in WORDS)])
    rows.append(["all", *(sum(row[at] for row in rows) for at in range(1, len(WORDS) + 2))])
    lines = [["module", "mutants", *WORDS], ["---", *["---:"] * (len(WORDS) + 1)], *rows]
    table = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in lines]
    head, _, rest = TABLE.read_text().partition(BEGIN)
    table = ["| " + " | ".join(line) + " |" for line in table]
    TABLE.write_text("\n".join([head + BEGIN, *table, END]) + rest.partition(END)[2])


def write_survivors(results, by_module):
    """Write every survivor with its reason. Return the number of survivors without one."""
    reasons, parts, without = known_reasons(), [TITLE], 0
    for module, mutants in by_module.items():
        left = [mutant for mutant in mutants if results[mutant] in {SURVIVED, AT_FIRST}]
        parts.append(f"## {module}: {len(left)}\n")
        for mutant in left:
            name, change = mutant.rpartition(".")[2], change_of(mutant, module)
            why = reasons.get((function_of(name), change), WITHOUT)
            without += why == WITHOUT
            parts.append(f"- {name}: {change}\n  {why}")
        parts.append("")
    SURVIVORS.write_text("\n".join(parts).rstrip() + "\n")
    return without


def main():
    os.chdir(ROOT)
    kept = {module: mutants_of(module) for module in config().only_mutate}
    by_module = {module: list(data.exit_code_by_key) for module, data in kept.items()}
    results = run_tests([mutant for mutants in by_module.values() for mutant in mutants])
    for data in kept.values():
        data.exit_code_by_key = {mutant: AS_MUTMUT_SAYS[results[mutant]] for mutant in data.exit_code_by_key}
        data.save()
    write_table(results, by_module)
    without = write_survivors(results, by_module)
    if not {NOT_RUN, AT_FIRST}.isdisjoint(results.values()):
        sys.exit("the round was interrupted; run tools/mutation_run.py again to continue")
    sys.exit(f"{without} survivors have no reason in {SURVIVORS.name}" if without else 0)


if __name__ == "__main__":
    main()
