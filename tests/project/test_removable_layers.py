"""The layers above the core can be removed: what remains works without them, and its unit tests pass."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys

import pytest
from paths import ROOT

#: Unit tests that pass without each layer, at the least. Without the sandbox, tests that start one are skipped.
PASSED_AT_LEAST = {"forms": 2000, "audit": 1700, "sandbox": 1500}


def imports_layer(path, layer):
    """Return whether a test file imports a layer when it is collected."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    return any(f"{name}.".startswith(f"sparkfly_nb.{layer}.") for name in names)


@pytest.fixture(params=PASSED_AT_LEAST)
def layer(request):
    return request.param


@pytest.fixture
def project_without(layer, tmp_path):
    """A copy of the package without a layer, with the unit tests that do not concern it."""
    shutil.copytree(ROOT / "sparkfly_nb", tmp_path / "sparkfly_nb", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / "sparkfly_nb" / layer)
    for name in ("unit", "support"):
        shutil.copytree(ROOT / "tests" / name, tmp_path / "tests" / name)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.rmtree(tmp_path / "tests" / "unit" / layer)
    for path in (tmp_path / "tests" / "unit").rglob("test_*.py"):
        if imports_layer(path, layer):
            path.unlink()
    return tmp_path


def run(project, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_unit_tests_of_the_rest_pass_without_a_layer(layer, project_without, pytestconfig):
    used = run(project_without, "-c", "import sparkfly_nb; print(sparkfly_nb.__file__)").stdout.strip()
    tests = "tests/unit"
    # PostgreSQL and slow tests are left out: they say nothing about imports.
    chosen = ("-m", "not slow", "-k", "not postgresql", "-p", "no:cacheprovider", "-q")
    # make compat shows deprecations of the oldest versions instead of refusing them.
    warnings = [f"-W{each}" for each in pytestconfig.getoption("pythonwarnings") or ()]
    ended = run(project_without, "-m", "pytest", *chosen, *warnings, tests)

    assert used.startswith(str(project_without))
    assert ended.returncode == 0, ended.stdout[-4000:]
    passed = int(re.search(r"(\d+) passed", ended.stdout)[1])
    assert passed >= PASSED_AT_LEAST[layer]
