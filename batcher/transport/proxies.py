"""Which proxy the environment names for an address, and whether it is one that can be used."""

import os
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from batcher.errors import ConfigError

_SCHEMES = ("http", "https")


def check_proxy(base_url: str) -> None:
    """Look at the proxy of an address before anything is sent.

    Raises:
        ConfigError: The environment names one that cannot be used; never quotes its password.
    """
    try:
        url = URL(base_url)
    except ValueError:
        return  # told of where the base URL is read
    if url.host:
        proxy_for(url)


def proxy_for(url: URL) -> URL | None:
    """The proxy the environment names for this URL, or None for the direct way.

    Raises:
        ConfigError: It cannot be used; never quotes its password.
    """
    proxies = getproxies()
    scheme = url.scheme if proxies.get(url.scheme) else "all"
    text = proxies.get(scheme)
    if not text or proxy_bypass(url.host or ""):
        return None
    if fault := _fault(text):
        raise ConfigError(
            f"{_variable(scheme)} {fault}; write it as http://host:port or "
            "http://user:password@host:port, with %23 for # and %2F for / in a password"
        )
    return _parsed(text)


def _fault(text: str) -> str | None:
    try:
        proxy = _parsed(text)
    except ValueError as fault:
        return f"is no address of a proxy ({_reason(fault)})"
    if proxy.scheme not in _SCHEMES:
        return f"names a {proxy.scheme} proxy, and only http and https proxies can be used"
    if not proxy.host:
        return "names no host"
    if "@" in proxy.path + proxy.query_string + proxy.fragment:
        return "is no address of a proxy (something in it must be written as %)"
    return None


def _parsed(text: str) -> URL:
    return URL(text if "://" in text else f"http://{text}")


def _reason(fault: ValueError) -> str:
    """What is wrong, in our words: the library's may quote the address."""
    text = str(fault).lower()
    return next((f"its {part} is wrong" for part in ("port", "host") if part in text), "see below")


def _variable(scheme: str) -> str:
    """What the setting is called: the environment's own name for it, else where it comes from."""
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), f"the system's {scheme} proxy")
