"""Fixtures of the faults that happen on a network."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.hubs import modelscope, retry
from qwen3ft_jupyter.hubs.network import CA_VARIABLES
from tests.faults.loopback import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pauses between questions, and this machine's own proxies and certificates."""
    monkeypatch.setattr(retry, "QUESTIONS", dataclasses.replace(retry.QUESTIONS, first_delay_s=0.01))
    monkeypatch.setattr(modelscope, "DENIAL_PAUSES_S", (0.0, 0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def stage(network: None, tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as stage:
        yield stage
