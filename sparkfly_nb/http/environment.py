"""What the machine's environment says about the way to a service: certificate authorities and proxies."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import get_environ_proxies, select_proxy
from yarl import URL

from ..errors import ConfigurationError

__all__ = ["ca_bundle", "proxies_for", "proxy_url", "ssl_trust"]


def ca_bundle() -> bool | str:
    """Return the path of the certificate authorities named in the variables that requests honors, or True for its own.

    Raises
    ------
    ConfigurationError
        A variable names a path that does not exist.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            if not Path(path).exists():
                raise ConfigurationError(f"{variable} names {path!r}, which does not exist; correct it or unset it")
            return path
    return True


def ssl_trust(base_url: str) -> ssl.SSLContext | bool:
    """Return what aiohttp needs to trust the same authorities as single calls over requests."""
    place = ca_bundle() if base_url.startswith("https:") else True
    if not isinstance(place, str):
        return place
    is_folder = Path(place).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else place, capath=place if is_folder else None)


def proxies_for(base_url: str) -> dict[str, str]:
    """Return the proxies that the environment names for an address, by scheme."""
    return get_environ_proxies(base_url)


def proxy_url(base_url: str) -> URL | None:
    """Return the HTTP proxy for an address; looked up once, because aiohttp looks in a thread for each request."""
    found = select_proxy(base_url, proxies_for(base_url)) or ""
    url = URL(found if "://" in found else f"http://{found}")
    return url if url.host and url.scheme == "http" else None  # aiohttp supports no other kind
