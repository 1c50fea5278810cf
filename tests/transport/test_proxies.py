"""The environment's proxy is understood before a run, and its password is never shown."""

import pytest
from yarl import URL

from batcher.errors import ConfigError
from batcher.transport.proxies import check_proxy, proxy_for

PASSWORD = "S3cretPassw0rd"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch):
    """Sets one variable, and no other that names a proxy."""
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"http://bob:{PASSWORD}@proxy.test:{PASSWORD}", "its port is wrong"),
        (f"http://bob:{PASSWORD}@proxy.test:99999", "its port is wrong"),
        (f"http://bob:{PASSWORD}@", "its host is wrong"),
        (f"http://bob:a/{PASSWORD}@proxy.test:1", "is no address"),
        (f"http://bob:#{PASSWORD}@proxy.test:1", "is no address"),
        (f"http://bob:1/{PASSWORD}@proxy.test:1", "is no address"),
        (f"bob:{PASSWORD}@proxy.test:x", "its port is wrong"),
        (f"socks5://bob:{PASSWORD}@proxy.test:1", "names a socks5 proxy"),
        ("http://[::1", "is no address"),
    ],
)
@pytest.mark.parametrize(
    ("name", "base_url"),
    [
        ("HTTPS_PROXY", "https://api.test"),
        ("HTTP_PROXY", "http://api.test"),
        ("all_proxy", "https://api.test"),
    ],
)
def test_one_that_cannot_be_used_is_named_without_its_password(
    proxied, name: str, base_url: str, value: str, told: str
) -> None:
    proxied(name, value)

    with pytest.raises(ConfigError) as caught:
        check_proxy(base_url)

    assert str(caught.value).startswith(f"{name} ")
    assert told in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "bob" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "used"),
    [
        ("http://proxy.test:3128/", "http://proxy.test:3128/"),
        ("proxy.test:3128", "http://proxy.test:3128"),
        ("http://bob:p%23@proxy.test", "http://bob:p%23@proxy.test"),
        ("https://proxy.test", "https://proxy.test"),
    ],
)
def test_one_that_can_be_used_is(proxied, value: str, used: str) -> None:
    proxied("https_proxy", value)

    assert proxy_for(URL("https://api.test")) == URL(used)


def test_a_wrong_one_that_is_not_for_this_address_is_no_matter(proxied) -> None:
    proxied("HTTPS_PROXY", "http://")
    proxied("no_proxy", "inside.test")

    assert proxy_for(URL("https://inside.test")) is None
    assert proxy_for(URL("http://api.test")) is None
