"""Facts that are written in several files agree, and no file names a machine or a registry."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import lower_bounds
import pytest
import yaml
from lower_bounds import requirements
from paths import ROOT

from sparkfly_nb.api.endpoints import ENDPOINTS

PACKAGE = ROOT / "sparkfly_nb"


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# ---- facts in several files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project():
    return lower_bounds.project()


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]


def test_environment_yml_has_every_dependency_with_its_lower_bound(project, environment):
    listed = requirements(line for line in environment if isinstance(line, str))
    needed = {name: bound for name, (bound, marker) in requirements(project["dependencies"]).items() if not marker}

    assert {name: listed.get(name, ("absent",))[0] for name in needed} == needed


def test_environment_yml_lists_only_dependencies_of_pyproject(project, environment):
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    known = requirements([*project["dependencies"], *extras])
    listed = requirements(
        line for line in environment if isinstance(line, str) and not re.match(r"(python|pip)\b", line)
    )
    known_bounds = {name: known.get(name, ("absent",))[0] for name in listed}

    assert {name: bound for name, (bound, _) in listed.items()} == known_bounds


def test_environment_yml_requires_the_same_python_version(project, environment):
    assert f"python{project['requires-python']}" in environment


def test_every_dependency_has_the_lower_bound_that_make_compat_installs():
    pinned = lower_bounds.constraints()

    assert len(pinned) == len({re.split(r"[\[>;]", line)[0] for line in lower_bounds.promised()})
    assert all(re.fullmatch(r"[a-z0-9_.-]+==[0-9.]+(; .+)?", line) for line in pinned), pinned


def test_readme_lists_the_eleven_operations():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `(\w+)` \| `(GET|POST|PUT) ([^`]+)` \| `(\w+)` \|", readme, re.MULTILINE)

    assert rows == [(each.name, each.method, each.path, each.operation) for each in ENDPOINTS.values()]


# ---- private names ---------------------------------------------------------------------------------------------------

# One letter of each is in brackets, so that this file does not match the pattern.
PRIVATE = re.compile(
    r"/hom[e]/\w|/User[s]/\w|/roo[t]/|(?<![\w.])/wor[k]/|/op[t]/(pypi|wheels)|[A-Z]:\\User[s]"
    r"|extra-index-ur[l]|find-link[s]|pythonhosted\.or[g]|pypi\.or[g]|artifactor[y]",
    re.IGNORECASE,
)


def test_no_tracked_file_names_a_machine_or_a_registry():
    found = {}
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image
        hits = sorted({match[0] for match in PRIVATE.finditer(text)})
        if hits:
            found[path.relative_to(ROOT).as_posix()] = hits

    assert found == {}


def test_checkout_that_is_not_installed_has_an_unknown_version(monkeypatch):
    monkeypatch.setattr(sys, "path", [])  # no package can be found
    names = runpy.run_path(PACKAGE / "version.py")
    assert names["__version__"] == "0+unknown"
    assert names["USER_AGENT"] == "sparkfly-nb/0+unknown"
