"""Issue, audit and void Sparkfly offers from a notebook: DataFrames in, DataFrames out, every row accounted for."""

from . import errors as _errors
from .audit import Audit, read_audit, verify
from .errors import *  # noqa: F403 - its __all__ is the tree
from .session import Session
from .version import __version__

__all__ = ["Audit", "Session", "__version__", "read_audit", "verify"]
__all__ += _errors.__all__
