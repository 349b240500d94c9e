"""Everything that users call: the Session with its single calls, bulk calls and audits."""

from .session import Session

__all__ = ["Session"]
