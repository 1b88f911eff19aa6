from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.volume import LocalDisk
from qwen3ft_jupyter.work import Work
from tests.mounting import mounted, remount
from tests.transfer.origin import REPO, Origin, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("synced")
MB = 1 << 20


class HopefulDisk(LocalDisk):
    """Says there is room, as a volume does whose quota nobody can ask for."""

    def free_bytes(self, folder: Path) -> int:  # noqa: ARG002
        return 1 << 40


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=6m", "tmpfs"):
        yield folder


def test_a_volume_that_fills_up_is_no_space_and_what_arrived_is_kept(small_volume: Path) -> None:
    data = bytes_of(10 * MB)
    client = HttpClient()
    with Origin({"model.safetensors": data}) as origin:
        listing = origin.listing(REPO)
        sources = [HubSource(origin, listing, client)]
        with pytest.raises(NoSpace, match=r"model\.safetensors"):
            fetch(
                listing.files,
                sources=sources,
                folder=small_volume / "in",
                max_connections=2,
                disk=HopefulDisk(),
                work=Work(),
            )
        remount(small_volume, "size=32m")

        (fetched,) = fetch(
            listing.files,
            sources=sources,
            folder=small_volume / "in",
            max_connections=2,
            disk=HopefulDisk(),
            work=Work(),
        )

        assert fetched.bytes_fetched < len(data) - 2 * MB
        assert fetched.path.read_bytes() == data
    client.close()
