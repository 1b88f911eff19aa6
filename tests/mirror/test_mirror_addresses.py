"""Where a mirror listens, and what others are told of it."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.mirror.mirror import Mirror, client_settings
from tests.mirror.conftest import REPO, ask

if TYPE_CHECKING:
    from pathlib import Path

TREE = f"/api/models/{REPO}/tree/main?recursive=true&expand=false"


def test_it_says_what_it_is(tmp_path: Path) -> None:
    with Mirror(cache_dir=tmp_path) as mirror:
        assert json.loads(ask(mirror.url, "/").body) == {"service": "qwen3ft mirror", "models": 0, "not_served": []}


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="IPv6 is not built in, or switched off")
def test_it_listens_on_ipv6_too(model_folder: Path) -> None:
    with Mirror({REPO: model_folder}, host="::1") as mirror:
        assert ask(mirror.url, TREE).status == 200


def test_on_a_lan_any_name_of_this_machine_will_do(model_folder: Path) -> None:
    with Mirror({REPO: model_folder}, host="0.0.0.0") as mirror:  # noqa: S104 - that is the claim
        url = mirror.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104

        assert ask(url, TREE, Host="gpu-box.lan:8080").status == 200
        assert ask(url, TREE, Host="a<b>").status == 421


def test_other_programs_are_told_how_to_use_a_mirror() -> None:
    assert client_settings("http://10.0.0.5:8900", "abc") == {
        "QWEN3FT_MIRRORS": "http://10.0.0.5:8900",
        "QWEN3FT_MIRROR_TOKENS": "10.0.0.5:8900=abc",
        "HF_ENDPOINT": "http://10.0.0.5:8900",
        "HF_TOKEN": "abc",
        "MODELSCOPE_ENDPOINT": "http://10.0.0.5:8900",
        "MODELSCOPE_API_TOKEN": "abc",
    }
    assert not any("TOKEN" in name for name in client_settings("http://127.0.0.1:8900", None))
