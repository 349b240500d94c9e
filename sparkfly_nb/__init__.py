"""Issue, audit and void Sparkfly offers from a notebook: DataFrames in, DataFrames out, every row accounted for."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from . import errors as _errors
from .errors import *  # noqa: F403 - its __all__ is the tree
from .version import __version__

if TYPE_CHECKING:
    from .api.retry_policy import RetryPolicy
    from .audit import Audit, read_audit, verify
    from .session.session import Session

__all__ = ["Audit", "RetryPolicy", "Session", "__version__", "read_audit", "verify"]
__all__ += _errors.__all__

_LATER = {
    "Audit": ".audit",
    "RetryPolicy": ".api.retry_policy",
    "Session": ".session",
    "read_audit": ".audit",
    "verify": ".audit",
}
"""What is imported when it is asked for: a worker process sends requests and needs none of it, and starts sooner."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(_LATER[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
