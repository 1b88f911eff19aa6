"""What happens where memory runs out while training, and the batch size is to be found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import DoesNotFit
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from torch import Tensor

pytestmark = pytest.mark.train


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def losses(folder: str) -> list[float]:
    return [row["loss"] for row in read_metrics(Path(folder) / "metrics.jsonl")]


@pytest.fixture
def whole(fields: dict[str, Any]) -> dict[str, Any]:
    """A run whose steps are one micro-batch each; without dropout, so that parts have the loss of the whole."""
    return {**fields, "batch_size": 4, "gradient_accumulation": 1, "max_steps": 3, "lora": {"r": 4}, "packing": False}


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that holds the gradients of one row."""
    import torch

    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss

    share = TokenLoss.share

    def tight(self: TokenLoss, model: Any, batch: Any, step: Any) -> tuple[Tensor, dict[str, Tensor]]:
        if len(batch["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return share(self, model, batch, step)

    monkeypatch.setattr(TokenLoss, "share", tight)


def test_a_step_is_computed_in_ever_smaller_parts_to_the_same_loss(
    tiny: Path, whole: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    train(FineTuneConfig.from_dict({**whole, "output_dir": str(tmp_path / "free")}), model_folder=tiny)
    request.getfixturevalue("small_memory")
    ear = Ear()

    config = FineTuneConfig.from_dict({**whole, "auto_find_batch_size": True})
    train(config, model_folder=tiny, work=Work(ear))

    told = [notice for notice in ear.notices if notice.startswith("Memory ran out")]
    assert len(told) >= 2
    assert losses(whole["output_dir"]) == pytest.approx(losses(str(tmp_path / "free")), rel=1e-5)


@pytest.mark.usefixtures("small_memory")
def test_without_being_asked_a_run_ends(tiny: Path, whole: dict[str, Any]) -> None:
    with pytest.raises(DoesNotFit, match="memory ran out while training"):
        train(FineTuneConfig.from_dict(whole), model_folder=tiny)


def test_auto_is_a_batch_size(whole: dict[str, Any]) -> None:
    del whole["batch_size"]
    config = FineTuneConfig.from_dict({**whole, "per_device_train_batch_size": "auto"})

    assert (config.auto_find_batch_size, config.batch_size) == (True, 2)


def test_pairs_are_never_parted() -> None:
    from qwen3ft_jupyter.finetune.batches import Layout, parted
    from qwen3ft_jupyter.finetune.samples import Pair, Sample

    pairs = [Pair(Sample.of([1, 2, 3], [1, 2, 3]), Sample.of([1, 2, 4], [1, 2, 4])) for _ in range(3)]
    step = Layout(0, most_tokens=100).collate(pairs)

    parts = parted(step, 7)

    assert parts is not None
    assert [len(batch["input_ids"]) for batch in parts["micro_batches"]] == [2, 2, 2]
    assert sum(map(len, parts["order"])) == 3
    assert parted(parts, 1) is None
