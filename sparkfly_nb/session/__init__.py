"""Everything that a user calls: the Session, its single calls, its bulk calls and its audits."""

from .session import Session

__all__ = ["Session"]
