"""Check the scripts of tests/typing with mypy and basedpyright, as `make check` does.

The scripts use the public names of the package. A comment ``# error: <mypy> | <basedpyright>`` marks a line that must
be an error for both type checkers. Each side is a rule, or a part of the message. All other lines must have no error.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "tests" / "typing"
CHECKERS = ("mypy", "basedpyright")
MARK = re.compile(r"#\s*error: (.+?) \| (.+)$")


class Report(NamedTuple):
    """An error that a type checker reported."""

    line: int
    text: str


def scripts():
    """List the scripts to check: the correct one, and those with misuse."""
    return [SCRIPTS / "consumer.py", *sorted(SCRIPTS.glob("misuse*.py"))]


def expected(source):
    """Read the marks of a script: for each marked line, the text for mypy and the text for basedpyright."""
    found = {}
    for number, line in enumerate(source.splitlines(), 1):
        if mark := MARK.search(line):
            found[number] = dict(zip(CHECKERS, (part.strip() for part in mark.groups()), strict=True))
        elif "# error" in line:
            raise ValueError(f"line {number}: write the mark as '# error: <mypy> | <basedpyright>'")
    return found


def differences(checker, marks, reports):
    """Compare the marked lines with the reported errors, and describe each difference."""
    by_line = {}
    for report in reports:
        by_line.setdefault(report.line, []).append(report.text)
    for line, mark in sorted(marks.items()):
        texts = by_line.get(line)
        if texts is None:
            yield f"{line}: {checker} reports no error; expected {mark[checker]!r}"
        elif not any(mark[checker] in text for text in texts):
            yield f"{line}: {checker} reports another error than {mark[checker]!r}: {'; '.join(texts)}"
    for line in sorted(by_line.keys() - marks.keys()):
        yield f"{line}: {checker} reports an unexpected error: {'; '.join(by_line[line])}"


def run(command, environment=None):
    """Run a checker and return its output; exit if the checker itself failed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, **(environment or {})})  # fmt: skip
    if done.returncode > 1:  # 0: no error in the scripts, 1: errors
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_mypy(paths):
    """Check scripts with ``mypy --strict``."""
    # Each script is a module of its own; MYPYPATH makes the checkout win over an installed package.
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", *map(str, paths)]
    found = {path: [] for path in paths}
    for line in run(command, {"MYPYPATH": str(ROOT)}).splitlines():
        entry = json.loads(line)
        if entry["severity"] == "error":
            text = f"{entry['message']} [{entry['code']}]"
            found.setdefault((ROOT / entry["file"]).resolve(), []).append(Report(entry["line"], text))
    return found


def run_basedpyright(paths):
    """Check scripts with basedpyright, in the strict mode that tests/typing/pyrightconfig.json sets."""
    # The package contains its own Node.js runtime, so nothing is downloaded.
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable,
               "--project", str(SCRIPTS)]  # fmt: skip
    found = {path: [] for path in paths}
    for entry in json.loads(run(command))["generalDiagnostics"]:
        if entry["severity"] == "error":
            report = Report(entry["range"]["start"]["line"] + 1, f"{entry['message']} [{entry.get('rule')}]")
            found.setdefault(Path(entry["file"]).resolve(), []).append(report)
    return found


def main():
    """Check all scripts, print the differences, and return the exit status."""
    paths = [path.resolve() for path in scripts()]
    problems = []
    for checker, reports in zip(CHECKERS, (run_mypy(paths), run_basedpyright(paths)), strict=True):
        for path, found in reports.items():
            marks = expected(path.read_text(encoding="utf-8")) if path in paths else {}
            problems += [f"{path.relative_to(ROOT)}:{text}" for text in differences(checker, marks, found)]
    marked = sum(len(expected(path.read_text(encoding="utf-8"))) for path in paths)
    count = "1 difference" if len(problems) == 1 else f"{len(problems)} differences"
    sys.stdout.write("\n".join([*problems, f"{len(paths)} scripts, {marked} expected errors: {count}", ""]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
