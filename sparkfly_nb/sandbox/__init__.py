"""A local Sparkfly on loopback, for demos, tests and recordings; ``python -m sparkfly_nb.sandbox`` runs it by hand."""

from .process import SandboxProcess

__all__ = ["SandboxProcess"]
