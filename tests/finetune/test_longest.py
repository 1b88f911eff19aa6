"""The longest batch comes first: what does not fit shows at once, and the time left is told from the start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import DoesNotFit
from qwen3ft_jupyter.finetune import training
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from qwen3ft_jupyter.work import Progress

pytestmark = pytest.mark.train


class Ear(Reporter):
    def __init__(self) -> None:
        self.heard: list[Progress] = []

    def progress(self, update: Progress) -> None:
        self.heard.append(update)


def losses(tiny: Path, fields: dict[str, Any], name: str) -> list[float]:
    folder = Path(fields["output_dir"]).with_name(name)
    train(FineTuneConfig.from_dict({**fields, "output_dir": str(folder)}), model_folder=tiny)
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl")]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_no_loss_differs_for_it(
    tiny: Path, fields: dict[str, Any], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout, so that the random state matters: to the last bit."""
    fields |= {"method": method, "max_steps": 4}
    tried = losses(tiny, fields, "tried")
    monkeypatch.setattr(training, "_trial", lambda *_: None)

    assert losses(tiny, fields, "not-tried") == tried


def test_progress_says_so_and_tells_the_time_left_before_the_first_step(tiny: Path, fields: dict[str, Any]) -> None:
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "max_steps": 3}), model_folder=tiny, work=Work(ear))

    details = [str(update.detail) for update in ear.heard if update.phase == "training"]
    assert "trying the longest batch" in details
    after = [update for update in ear.heard if update.phase == "training"][
        details.index("trying the longest batch") + 1
    ]
    assert (after.done, after.total) == (0, 3)
    assert after.eta_s
    assert after.eta_s > 0


def test_its_batch_is_the_one_with_the_most_tokens() -> None:
    from qwen3ft_jupyter.finetune.batches import Layout
    from qwen3ft_jupyter.finetune.compute.longest import Trial
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss
    from qwen3ft_jupyter.finetune.samples import Sample

    samples = [Sample.of([1] * length, [1] * length) for length in (3, 9, 4, 8, 5)]
    trial = Trial(samples, [one.length for one in samples], 4, on_begin=lambda: None, on_end=lambda *_: None)
    for packs in (False, True):
        step = trial.step(TokenLoss(Layout(0, most_tokens=2 * 9, packs=packs), is_lean=True))

        assert tuple(step["micro_batches"][0]["input_ids"].shape) == (2, 9)
        assert step["tokens"] == 9 + 8 + 5 + 4


def out_of_gpu() -> Exception:
    import torch

    error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return error


def out_of_host() -> Exception:
    return RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize(("make", "words"), [(out_of_gpu, "The GPU's memory"), (out_of_host, "The computer's memory")])
def test_what_does_not_fit_ends_before_the_first_step_with_what_fits(
    tiny: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch, make: Any, words: str
) -> None:
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss

    def raises(*_: object) -> Any:
        raise make()

    monkeypatch.setattr(TokenLoss, "share", raises)
    with pytest.raises(DoesNotFit, match=words) as caught:
        train(FineTuneConfig.from_dict(fields), model_folder=tiny)

    assert read_metrics(Path(fields["output_dir"]) / "metrics.jsonl") == []
    assert "activation_checkpointing: true" in str(caught.value.hint)
    assert "finetune CONFIG.yaml" in str(caught.value.hint)


def test_other_errors_stay_what_they_are(tiny: Path, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss

    def raises(*_: object) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(TokenLoss, "share", raises)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(FineTuneConfig.from_dict(fields), model_folder=tiny)
