"""Print the lowest versions that pyproject.toml allows, as constraints for pip. `make compat` installs them.

The bounds of the development tools are left out, because users do not depend on them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]


def project():
    """Return the table ``[project]`` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(lines):
    """Parse names, lower bounds and markers: ``{"pandas": ("2.2", None)}``."""
    found = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*])?(?:>=([0-9.]+))?(?:,<[0-9.]+)?", requirement.strip())
        if match:
            found[match[1].lower()] = (match[2], marker.strip() or None)
    return found


def promised():
    """Return the requirements of users, including the extras."""
    extras = [line for name, lines in project()["optional-dependencies"].items() if name != "dev" for line in lines]
    return [*project()["dependencies"], *extras]


def constraints():
    """Convert each ``>=X`` of the users' requirements to ``==X``."""
    bounds = requirements(promised())
    return [f"{name}=={bound}" + (f"; {marker}" if marker else "") for name, (bound, marker) in bounds.items()]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")
