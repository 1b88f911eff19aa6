from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.config import FineTuneConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dlc.service import PlayedDlc

SECRET = "s3cret-of-the-account"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the client finds by itself; nothing of a machine that is a PAI-DSW instance."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI5tTestTestTest")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET)
    for name in ("DSW_INSTANCE_ID", "REGION", "dsw_region", "PAI_WORKSPACE_ID", "PAI_AI_WORKSPACE_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    folder = tmp_path / "mount"
    folder.mkdir()
    return folder


@pytest.fixture
def model_folder(mount: Path) -> Path:
    """A cached model as far as a submission looks at it."""
    folder = mount / "models" / "Qwen_Qwen3-0.6B"
    (folder / ".qwen3ft").mkdir(parents=True)
    (folder / ".qwen3ft" / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def fields(mount: Path) -> dict[str, Any]:
    (mount / "train.jsonl").write_text(json.dumps({"question": "a?", "answer": "b"}))
    return {
        "model": "Qwen/Qwen3-0.6B",
        "data": str(mount / "train.jsonl"),
        "output_dir": str(mount / "run"),
        "launcher": "pai-dlc",
        "device": "cpu",
        "dlc": {
            "region": "cn-hangzhou",
            "workspace": "1234",
            "ecs_spec": "ecs.gn7i-c8g1.2xlarge",
            "image": "registry.example/pai/torch:2.10",
            "mounts": [f"d-abc:{mount}"],
        },
    }


@pytest.fixture
def config(fields: dict[str, Any]) -> FineTuneConfig:
    return FineTuneConfig.from_dict(fields)


@pytest.fixture
def dlc(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedDlc]:
    from tests.dlc.service import PlayedDlc

    with PlayedDlc() as service:
        monkeypatch.setenv("PAI_DLC_ENDPOINT", service.url)
        yield service
