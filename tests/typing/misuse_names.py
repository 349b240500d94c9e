"""Misspelled and private names: each marked line must be an error for both type checkers."""

from __future__ import annotations

import sparkfly_nb as sf
from sparkfly_nb import Sesion  # error: attr-defined | reportAttributeAccessIssue
from sparkfly_nb import read_audits  # error: attr-defined | reportAttributeAccessIssue
from sparkfly_nb.sandbox import SandboxProces  # error: attr-defined | reportAttributeAccessIssue

sf.Sesion  # error: attr-defined | reportAttributeAccessIssue
sf.Notfound  # error: attr-defined | reportAttributeAccessIssue


def session_names(session: sf.Session) -> None:
    session.issue_mny  # error: attr-defined | reportAttributeAccessIssue
    session.tokens  # error: attr-defined | reportAttributeAccessIssue
    session.transport  # error: attr-defined | reportAttributeAccessIssue
    session.read_states  # error: attr-defined | reportAttributeAccessIssue


def audit_names(audit: sf.Audit) -> None:
    audit.state  # error: attr-defined | reportAttributeAccessIssue
    audit.to_xlsx("audit.xlsx")  # error: attr-defined | reportAttributeAccessIssue


def error_names(error: sf.ApiError, halted: sf.RunHalted) -> None:
    error.http_status  # error: attr-defined | reportAttributeAccessIssue
    halted.frame  # error: attr-defined | reportAttributeAccessIssue
