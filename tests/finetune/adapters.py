"""Adapters as peft saves them, of random numbers large enough to matter; made without training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BASE = "Qwen/Tiny-Qwen3"
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make_adapter(model: Path, folder: Path, **fields: Any) -> Path:
    """Write an adapter for the model into `folder` and return that."""
    import torch
    from peft import LoraConfig, get_peft_model

    from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
    from qwen3ft_jupyter.loading.offline import no_network, quiet_libraries

    given: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": LINEAR, "task_type": "CAUSAL_LM", **fields}
    loaded = load_model_and_tokenizer(model, LoadOptions(device="cpu", dtype="float32"))
    with no_network(), quiet_libraries():
        tuned = get_peft_model(loaded.model, LoraConfig(**given))
        torch.manual_seed(3)
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn_like(parameter)
                parameter.data += 0.1 * noise.abs() if "magnitude" in name else 0.1 * noise
        tuned.save_pretrained(str(folder), save_embedding_layers=False)
    change_config(folder, base_model_name_or_path=BASE)
    return folder


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}), encoding="utf-8")
