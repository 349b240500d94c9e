"""Audits: who should have an offer, who has it, who used it, and what is wrong, as read from the service."""

from .audit import Audit
from .compare import Comparison
from .read_folder import read_audit, verify
from .read_service import audit_campaign

__all__ = ["Audit", "Comparison", "audit_campaign", "read_audit", "verify"]
