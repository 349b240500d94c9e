"""Issue, audit and void Sparkfly offers from a notebook: DataFrames in, DataFrames out, every row accounted for.

Everything public is in this module's ``__all__``, in `sparkfly_nb.forms` and in `sparkfly_nb.sandbox`. All other
modules are internal and may change in any release.
"""

from typing import TYPE_CHECKING

from . import errors as _errors
from .errors import *  # noqa: F403 - its __all__ lists the error classes
from .version import __version__

if TYPE_CHECKING:
    from .api.retry_policy import RetryPolicy
    from .audit import Audit, read_audit, verify
    from .session import Session

__all__ = ["Audit", "RetryPolicy", "Session", "__version__", "read_audit", "verify"]
__all__ += _errors.__all__

# Type checkers must not see __getattr__: with it, every misspelled import would pass as `object`.
if not TYPE_CHECKING:
    # Imported on first use: a worker process only sends requests, and starts faster without pandas and SQLAlchemy.
    _LAZY_MODULES = {
        "Audit": ".audit",
        "RetryPolicy": ".api.retry_policy",
        "Session": ".session",
        "read_audit": ".audit",
        "verify": ".audit",
    }

    def __getattr__(name: str) -> object:
        from difflib import get_close_matches  # noqa: PLC0415
        from importlib import import_module  # noqa: PLC0415

        if name not in _LAZY_MODULES:
            close = get_close_matches(name, __all__, n=1)
            hint = f". Did you mean {close[0]!r}?" if close else ""
            # Without `obj`, Python itself adds no second suggestion when it prints the traceback.
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name)
        value = globals()[name] = getattr(import_module(_LAZY_MODULES[name], __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
