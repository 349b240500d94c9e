"""Audits: who was meant to get an offer, who has it, who used it, and what is wrong; read from the service itself."""

from .compare import Comparison
from .reading import audit_campaign
from .reopening import read_audit, verify
from .result import Audit
from .source import StateSource

__all__ = ["Audit", "Comparison", "StateSource", "audit_campaign", "read_audit", "verify"]
