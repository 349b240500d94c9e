"""Which version this is, as packages and services are told."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

__all__ = ["USER_AGENT", "__version__"]

try:
    __version__ = version("sparkfly-nb")
except PackageNotFoundError:  # run from a bare checkout
    __version__ = "0+unknown"

USER_AGENT: Final = f"sparkfly-nb/{__version__}"
