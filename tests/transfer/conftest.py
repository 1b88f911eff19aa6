from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.hubs.http import HttpClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()
