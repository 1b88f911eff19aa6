from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.fit import plan_memory
from qwen3ft_jupyter.finetune.plan import plan_disk, plan_steps
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.machine import Machine
from tests.finetune.test_plan import numbers_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl", "output_dir": "runs"}


@pytest.mark.train
@pytest.mark.parametrize(("wanted", "moved"), [(1, ".layers.1."), (-1, ".layers.0.")])
def test_only_the_named_layers_move(tiny: Path, fields: dict[str, Any], wanted: int, moved: str) -> None:
    from safetensors.torch import load_file

    train(
        FineTuneConfig.from_dict({**fields, "method": "full", "trainable_layers": wanted, "max_steps": 2}),
        model_folder=tiny,
    )

    before = load_file(tiny / "model.safetensors")
    after: Mapping[str, Any] = load_file(Path(fields["output_dir"]) / "model" / "model.safetensors")
    changed = {name for name, tensor in after.items() if not tensor.equal(before[name].to(tensor.dtype))}
    assert changed == {name for name in before if moved in name}
    card = (Path(fields["output_dir"]) / "README.md").read_text(encoding="utf-8")
    assert f"| Method | fine-tune of the {'last' if wanted > 0 else 'first'} 1 layers, all else frozen |" in card


@pytest.mark.train
def test_more_layers_than_there_are_are_refused_by_their_number(tiny: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(BadConfig, match=r"trainable_layers: .* has 2 layers"):
        train(FineTuneConfig.from_dict({**fields, "method": "full", "trainable_layers": 3}), model_folder=tiny)


def test_a_plan_knows_that_little_is_trained() -> None:
    machine, numbers, tokens = Machine(64 * 10**9, 64 * 10**9), numbers_of("Qwen/Qwen3-0.6B"), tokens_of([200] * 8)
    plans = [FineTuneConfig.from_dict({**LEAST, "method": "full", **more}) for more in ({}, {"trainable_layers": 2})]

    whole, part = (plan_memory(config, tokens, Needs(config, numbers), machine) for config in plans)

    assert whole is not None
    assert part is not None
    assert part.weights == whole.weights
    assert part.optimizer == pytest.approx(whole.optimizer * 2 * 15_730_000 / numbers.parameters, rel=0.01)
    assert part.activations < whole.activations / 5
    disks = [
        plan_disk(config, tokens, Needs(config, numbers), machine, steps=plan_steps(config, tokens), free=None)
        for config in plans
    ]
    assert disks[0] is not None
    assert disks[1] is not None
    assert disks[1].result == disks[0].result
    assert disks[1].checkpoint < disks[0].checkpoint / 2


@pytest.mark.parametrize(
    ("theirs", "layers"),
    [
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 4}, 4),
        ({"finetuning_type": "freeze"}, 2),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": -3}, -3),
    ],
)
def test_llama_factorys_words_for_it_are_understood(theirs: dict[str, Any], layers: int) -> None:
    config = FineTuneConfig.from_dict({**LEAST, **theirs})

    assert (config.method, config.trainable_layers) == ("full", layers)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"method": "lora", "trainable_layers": 2}, "trainable_layers: 2 goes with method: full"),
        ({"method": "full", "trainable_layers": 0}, "trainable_layers: 0 is not a whole number"),
        ({"method": "full", "freeze_parameters_ratio": 0.8}, "trainable_layers is our word"),
    ],
)
def test_what_cannot_be_frozen_so_is_refused_with_the_reason(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadConfig, match=problem):
        FineTuneConfig.from_dict({**LEAST, **given})
