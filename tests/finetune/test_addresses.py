"""An address is read as it is meant, or refused: no host listens or waits at another."""

from __future__ import annotations

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.wire import parse_address


def refusal(address: object) -> str:
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_dict({"model": "a/b", "data": "x.jsonl", "hosts": 2, "hosts_address": address})
    return str(caught.value)


@pytest.mark.parametrize("address", ["::1", "fd00::1", "fd00::1:29400", "fe80::1%eth0"])
def test_one_of_ipv6_without_brackets_is_refused_as_nobody_knows_where_its_port_begins(address: str) -> None:
    assert "one of IPv6 stands in brackets, such as [fd00::1]:29400" in refusal(address)


@pytest.mark.parametrize(
    "address",
    [
        *("a..b:1", "x" * 64, ".".join(["x" * 60] * 5), "29400", "10.0.0.256:1", "-o:1", "$(id):1", "*:1", "a,b:1"),
        *("10.0.0.1：29400", "10.0.0.1:٢٩", "10.0.0.1:70000", "[fd00::1", "fd00::1]:7", "[]:7", "[10.0.0.1]:7"),
        *("http://10.0.0.1:29400", "me:secret@host:1", "gpu 1:29400", ":", 29400, True),
    ],
)
def test_what_no_host_could_be_called_is_refused(address: object) -> None:
    assert "is not HOST:PORT, HOST or :PORT" in refusal(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)), ("gpu_1.lan.:7", ("gpu_1.lan.", 7)), ("主机:7", ("主机", 7))],
)
def test_what_one_could_be_called_is_taken(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, "--join") == address
