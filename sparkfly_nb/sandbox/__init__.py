"""A local Sparkfly service on loopback, for demos, tests and recordings.

Start it from Python with `SandboxProcess`, or from a shell with ``python -m sparkfly_nb.sandbox``.
"""

from .process import SandboxProcess

__all__ = ["SandboxProcess"]
