"""Output on OSS: the containers have its mount, and whoever follows them sees only the files that are closed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.training import train
from tests.dlc.test_containers import Stage, containers, context, fields, losses, model_folder, stage
from tests.dlc.test_run import ear_of
from tests.object_store import BARE, object_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dlc.containers import Containers

__all__ = ["containers", "context", "fields", "model_folder", "stage"]  # fixtures

pytestmark = [pytest.mark.train, pytest.mark.skipif(sys.platform != "linux", reason="FUSE")]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # a container that is ended leaves its log there
    with object_store(tmp_path / "store", **BARE) as found:
        yield found


@pytest.fixture
def mount(store: tuple[Path, Path]) -> Path:
    """Where this machine sees what the containers write."""
    return store[1]


@pytest.mark.parametrize("containers", ["loopback"], indirect=True)
def test_two_hosts_write_to_an_object_store_and_are_followed(
    containers: Containers, stage: Stage, store: tuple[Path, Path]
) -> None:
    mount, bucket = store
    dlc: dict[str, Any] = {**stage.fields["dlc"], "mounts": [f"oss://bucket/runs:{mount}:{bucket}"]}
    alone = {**stage.fields, "launcher": "local", "hosts": 1, "output_dir": str(bucket / "alone")}
    one = train(FineTuneConfig.from_dict(alone), model_folder=stage.model_folder)

    two = stage.run(dlc=dlc)

    assert (two.steps, two.processes, two.output_dir) == (one.steps, 2, str(bucket / "run")), containers.log()
    assert losses(bucket / "run") == pytest.approx(losses(bucket / "alone"), abs=1e-6, rel=1e-5)
    told = ear_of(stage.context)
    assert [row["step"] for row in told.rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert {"preparing", "saving"} <= {each.phase for each in told.phases}
