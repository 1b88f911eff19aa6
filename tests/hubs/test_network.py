from __future__ import annotations

import base64
import doctest

import pytest

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.hubs import network
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.network import proxy_for
from tests.servers import ScriptedServer, json_reply

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


def test_the_examples_are_true() -> None:
    done = doctest.testmod(network)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("mark", "#[?/")
@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("HTTP_PROXY", "http://hub.example/a"),
        ("https_proxy", "https://hub.example/a"),
        ("ALL_PROXY", "http://hub.example/a"),
    ],
)
def test_a_proxy_whose_password_is_not_escaped_is_named_without_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, mark: str
) -> None:
    monkeypatch.setenv(variable, f"http://me:se{mark}cret@proxy.example:3128")

    with pytest.raises(BadSetting) as caught:
        proxy_for(url)

    assert caught.value.message == f"{variable}=http://me:***@proxy.example:3128 is malformed."
    assert "# is %23" in caught.value.hint


def test_a_proxy_whose_port_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:80*")

    with pytest.raises(BadSetting, match="https_proxy=http://proxy"):
        proxy_for("https://hub.example/a")
    assert proxy_for("https://localhost/a") is None


@pytest.mark.parametrize(
    "proxy",
    [
        "http://:3128",
        "http://proxy.example:",
        "http:/proxy.example:3128",
        "http//proxy.example:3128",
        "http:proxy.example:3128",
        "http://http://proxy.example:3128",
        "http://proxy.example:3128/path",
        "http://proxy.example:3128?x=1",
        "http://proxy.example:3128#a",
        "http://proxy.example:0",
        "http://proxy.example:99999",
        "http://proxy.example:31 28",
        "http://proxy example:3128",
        "http://proxy.example:3128,http://other.example:1",
        "http://proxy.example:3128;",
        "http://proxy.example：3128",
        "http://[::1:3128",
        "http://..:80",
        "http://a..b:80",
        "http://-a:80",
        '"http://proxy.example:3128"',
        "'http://proxy.example:3128'",
    ],
)
def test_a_proxy_that_is_none_is_named_with_its_variable_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(BadSetting, match=r"https_proxy=.* is malformed") as caught:
        proxy_for("https://hub.example/a")

    assert "http://user:password@host:port" in caught.value.hint


@pytest.mark.parametrize("proxy", ["socks5://p.example:1", "SOCKS5H://p.example:1", "ftp://p.example:1", "quic://p:1"])
def test_a_proxy_of_another_kind_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(BadSetting, match=r"https_proxy=.* is not an HTTP proxy"):
        proxy_for("https://hub.example/a")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (" http://proxy.example:3128 ", PROXY),
        ("http://proxy.example:3128\n", PROXY),
        ("http://proxy.example:3128/", f"{PROXY}/"),
        ("HTTP://proxy.example:3128", "HTTP://proxy.example:3128"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("proxy", "http://proxy"),
        ("", None),
        ("   ", None),
    ],
)
def test_a_proxy_that_is_one_is_taken(monkeypatch: pytest.MonkeyPatch, given: str, taken: str | None) -> None:
    monkeypatch.setenv("https_proxy", given)

    assert proxy_for("https://hub.example/a") == taken


@pytest.mark.parametrize(
    ("written", "password"),
    [("se%23%2F%3F%5B%5Dcret", "se#/?[]cret"), ("密码", "密码"), ("%E5%AF%86", "密"), ("p@ss", "p@ss")],
)
def test_a_proxy_gets_the_password_that_was_meant(monkeypatch: pytest.MonkeyPatch, written: str, password: str) -> None:
    """The cure that the error names helps, and what curl takes is taken."""
    with ScriptedServer(lambda _: json_reply({"via": "proxy"})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", f"http://me:{written}@"))
        assert HttpClient().get("http://hub.example/a").json() == {"via": "proxy"}

    told = proxy.seen[0].headers["proxy-authorization"].removeprefix("Basic ")
    assert base64.b64decode(told).decode() == f"me:{password}"
