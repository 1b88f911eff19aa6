"""What fields are where they are not given: by the method, and by a preset. Pure data, and how it is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from qwen3ft_jupyter.finetune.objectives import DEFAULT_LEARNING_RATE, OBJECTIVES

Preset = Literal["quick", "balanced", "thorough"]

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {  # Any: each field has a type of its own
    "quick": {
        "max_steps": 50,
        "max_length": 1024,
        "eval_fraction": 0.0,
        "learning_rate": {"lora": 2e-4, "full": 1e-5},
        "lora": {"r": 8, "alpha": 16},
    },
    "balanced": {
        "epochs": 2.0,
        "max_length": 2048,
        "eval_fraction": 0.05,
        "learning_rate": {"lora": 2e-4, "full": 1e-5},
        "lora": {"r": 16, "alpha": 32},
    },
    "thorough": {
        "epochs": 3.0,
        "max_length": 4096,
        "eval_fraction": 0.1,
        "learning_rate": {"lora": 1e-4, "full": 5e-6},
        "lora": {"r": 32, "alpha": 64},
    },
}
"""Rank 8 and 2,048 tokens are those of ms-swift's guide for Qwen3; rank 8, three epochs and 1e-4 those of
LLaMA-Factory's example for it; rank 16 is what our table of memory is reckoned with. alpha is twice the rank in all of
them, so that a preset changes how much can be learned, not how large a step is; more passes go with a lower rate."""

EXCLUSIVE: Final = {"max_steps": "epochs", "epochs": "max_steps"}
"""What a preset says of one is void where the other is given: the former wins over the latter."""


def fill_in(given: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with those that preset and method give; what is given wins, null is not.

    >>> fill_in({"preset": "quick", "method": "full", "epochs": 1, "lora": {"r": 4}})["lora"]
    {'r': 4, 'alpha': 16}
    """
    preset = PRESETS.get(_word(given.get("preset")), {})
    rates = OBJECTIVES.get(_word(given.get("objective")), OBJECTIVES["sft"]).learning_rates
    if rates == DEFAULT_LEARNING_RATE:  # presets know those of answers and texts
        rates = preset.get("learning_rate", rates)
    filled: dict[str, object] = {
        name: value for name, value in preset.items() if given.get(EXCLUSIVE.get(name, "")) is None and name != "lora"
    }
    filled["learning_rate"] = rates.get(_word(given.get("method", "lora")), rates["lora"])
    filled |= {name: value for name, value in given.items() if value is not None or name != "learning_rate"}
    lora = given.get("lora", {})
    if "lora" in preset and isinstance(lora, Mapping):
        filled["lora"] = {**preset["lora"], **lora}
    return filled


def given_by_preset(values: Mapping[str, Any]) -> dict[str, object]:
    """Return the fields of a checked config that are as its preset has them, those of lora by their whole name.

    >>> rate = {"method": "full", "learning_rate": 1e-5}
    >>> given_by_preset({"preset": "quick", "max_steps": 50, "max_length": 99, **rate, "lora": {"r": 8, "alpha": 9}})
    {'max_steps': 50, 'learning_rate': 1e-05, 'lora.r': 8}
    """
    preset = PRESETS.get(values["preset"], {})
    rates = preset.get("learning_rate", {})
    flat = {**preset, "learning_rate": rates.get(values.get("method")), **_flat(preset.get("lora", {}))}
    of_config = {**values, **_flat(values["lora"])}
    return {name: value for name, value in flat.items() if name != "lora" and of_config.get(name) == value}


def _flat(lora: Mapping[str, object]) -> dict[str, object]:
    return {f"lora.{name}": value for name, value in lora.items()}


def _word(value: object) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
