"""The version of the package, and the User-Agent header that the service sees."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["USER_AGENT", "__version__"]

try:
    __version__ = version("sparkfly-nb")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

USER_AGENT: Final = f"sparkfly-nb/{__version__}"
