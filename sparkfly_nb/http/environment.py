"""Certificate authorities and proxies from the environment variables."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ..errors import ConfigurationError

__all__ = ["ca_bundle", "proxies_for", "proxy_url", "ssl_trust"]


def ca_bundle() -> bool | str:
    """Return the path of the certificate authorities in the variables that requests uses, or True for its default.

    Raises
    ------
    ConfigurationError
        A variable contains a path that does not exist.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            if not Path(path).exists():
                raise ConfigurationError(f"{variable} is {path!r}, which does not exist; correct or unset it")
            return path
    return True


def ssl_trust(base_url: str) -> ssl.SSLContext | bool:
    """Return the `ssl` option with which aiohttp trusts the same authorities as requests."""
    path = ca_bundle() if base_url.startswith("https:") else True
    if not isinstance(path, str):
        return path
    is_folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)


def proxies_for(base_url: str) -> dict[str, str]:
    """Return the proxies of the environment for an address, by scheme."""
    return get_environ_proxies(base_url)


def proxy_url(base_url: str) -> URL | None:
    """Return the HTTP proxy of the environment for an address."""
    # Once per shard: aiohttp's `trust_env` would start a thread for each request.
    found = select_proxy(base_url, proxies_for(base_url)) or ""
    url = URL(found if "://" in found else f"http://{found}")
    return url if url.host and url.scheme == "http" else None  # aiohttp supports no other scheme
