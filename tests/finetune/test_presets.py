"""Presets give fields that are not given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.objectives import DEFAULT_LEARNING_RATE
from qwen3ft_jupyter.finetune.planning import base_model, plan_run
from qwen3ft_jupyter.finetune.presets import PRESETS, Preset, given_by_preset

if TYPE_CHECKING:
    from pathlib import Path

LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}


def test_every_preset_is_named_and_right_for_both_methods() -> None:
    assert tuple(PRESETS) == get_args(Preset)
    for preset, given in PRESETS.items():
        for method in DEFAULT_LEARNING_RATE:
            config = FineTuneConfig.from_dict({**LEAST, "preset": preset, "method": method})
            assert config.learning_rate == given["learning_rate"][method]
            assert (config.max_length, config.lora.r) == (given["max_length"], given["lora"]["r"])


def test_from_quick_to_thorough_more_is_learned() -> None:
    quick, balanced, thorough = (FineTuneConfig.from_dict({**LEAST, "preset": name}) for name in PRESETS)

    assert quick.max_steps is not None
    assert (balanced.max_steps, thorough.max_steps) == (None, None)
    assert balanced.epochs < thorough.epochs
    assert quick.lora.r < balanced.lora.r < thorough.lora.r
    assert quick.max_length < balanced.max_length < thorough.max_length


def test_what_is_given_wins_over_the_preset() -> None:
    config = FineTuneConfig.from_dict(
        {**LEAST, "preset": "Thorough", "lr": "3e-4", "cutoff_len": 512, "lora_rank": 4, "method": "LORA"}
    )

    assert (config.preset, config.learning_rate, config.max_length) == ("thorough", 3e-4, 512)
    assert (config.lora.r, config.lora.alpha, config.epochs) == (4, 64, 3.0)


def test_epochs_that_are_given_are_not_cut_short_by_the_steps_of_a_preset() -> None:
    assert FineTuneConfig.from_dict({**LEAST, "preset": "quick"}).max_steps == 50
    assert FineTuneConfig.from_dict({**LEAST, "preset": "quick", "epochs": 2}).max_steps is None


def test_a_config_made_with_a_preset_comes_back_from_its_record_as_it_was() -> None:
    for name in PRESETS:
        config = FineTuneConfig.from_dict({**LEAST, "preset": name, "method": "full"})
        assert FineTuneConfig.from_dict(config.to_dict()) == config


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(BadConfig, match="preset: 'fast' is not one of quick, balanced, thorough, or null"):
        FineTuneConfig.from_dict({**LEAST, "preset": "fast"})


def test_only_what_is_as_the_preset_has_it_is_said_to_be_given_by_it() -> None:
    config = FineTuneConfig.from_dict({**LEAST, "preset": "quick", "max_steps": 9, "lora": {"alpha": 9}})

    assert given_by_preset(config.to_dict()) == {
        "max_length": 1024,
        "eval_fraction": 0.0,
        "learning_rate": 2e-4,
        "lora.r": 8,
    }
    assert given_by_preset(FineTuneConfig.from_dict(LEAST).to_dict()) == {}


def test_the_plan_says_what_the_preset_gave(fields: dict[str, Any], data: Path) -> None:
    config = FineTuneConfig.from_dict({**fields, "preset": "balanced"})

    plan = plan_run(config, base_model("Qwen/Qwen3-0.6B", None), ())

    assert "Given by the preset balanced: max_length: 2048, eval_fraction: 0.05" in plan.notices
