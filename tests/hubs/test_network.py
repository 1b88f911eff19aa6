from __future__ import annotations

import pytest

from qwen3ft_jupyter.hubs.network import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", PROXY)


def test_each_scheme_has_its_own_proxy() -> None:
    assert proxy_for("https://hub.example/a") == PROXY
    assert proxy_for("http://hub.example/a") is None


def test_all_proxy_stands_in_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other.example:1")

    assert proxy_for("http://hub.example/a") == "http://other.example:1"
    assert proxy_for("https://hub.example/a") == PROXY


@pytest.mark.parametrize(
    ("exempt", "url"),
    [
        ("hub.example", "https://hub.example/a"),
        (".example", "https://www.hub.example/a"),
        ("example", "https://www.hub.example:8443/a"),
        ("*", "https://hub.example/a"),
        ("a.b, 10.0.0.0/8", "https://10.1.2.3:8000/a"),
        ("fd00::/8", "https://[fd00::1]/a"),
        ("192.168.1.5", "https://192.168.1.5/a"),
    ],
)
def test_no_proxy_exempts_hosts_domains_and_networks(monkeypatch: pytest.MonkeyPatch, exempt: str, url: str) -> None:
    assert proxy_for(url) == PROXY
    monkeypatch.setenv("no_proxy", exempt)

    assert proxy_for(url) is None


@pytest.mark.parametrize("exempt", ["other.example", "10.0.0.0/8", "b.example", "nonsense/99"])
def test_no_proxy_exempts_nothing_else(monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    monkeypatch.setenv("no_proxy", exempt)

    assert proxy_for("https://hub.example/a") == PROXY
    assert proxy_for("https://192.168.1.5/a") == PROXY


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:1"])
def test_loopback_is_never_proxied(host: str) -> None:
    assert proxy_for(f"https://{host}/a") is None


def test_a_proxy_without_scheme_is_an_http_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")

    assert proxy_for("https://hub.example/a") == PROXY
