"""Sandboxes for tests; tests that need one are skipped where the sandbox package was removed."""

from __future__ import annotations

import pytest


def start_sandbox(**options):
    """Start a sandbox, see `SandboxProcess.start`."""
    module = pytest.importorskip("sparkfly_nb.sandbox.process", reason="needs the sandbox package")
    return module.SandboxProcess.start(**options)
