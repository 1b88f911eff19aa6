"""Results of fine-tunes as they lie on disk, made without training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.finetune.results import Outcome, Record

if TYPE_CHECKING:
    from pathlib import Path

BASE = "Qwen/Qwen3-0.6B"
RUN_ID = "20260102-030405-finetune-abcd"
KEY = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def write_safetensors(path: Path, tensors: dict[str, tuple[int, ...]]) -> None:
    """Write float32 zeros of these shapes."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in tensors.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))


def write_adapter(folder: Path, *, width: int = 4000) -> Path:
    """Write an adapter of one layer, with a tokenizer's config."""
    folder.mkdir(parents=True)
    write_safetensors(folder / "adapter_model.safetensors", {KEY.format("A"): (4, width), KEY.format("B"): (width, 4)})
    config = {"base_model_name_or_path": BASE, "peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "task_type": "CAUSAL_LM"}), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 4096}', "utf-8")
    return folder


def write_run(folder: Path, *, eval_loss: float | None = 1.5, data: tuple[str, ...] = ()) -> Path:
    """Write a finished LoRA run, with all that a run has beside its result."""
    write_adapter(folder / "adapter")
    config = {"model": BASE, "data": list(data), "output_dir": str(folder), "method": "lora"}
    record = Record(config, RUN_ID, None, (), {})
    (folder / "config.json").write_text(json.dumps(record.to_json()), "utf-8")
    outcome = Outcome(str(folder), "lora", 1, 2.0, 1.0, 1.0, 1, 1, "float32", "cpu", 1, eval_loss=eval_loss)
    (folder / "result.json").write_text(json.dumps(outcome.to_dict()), "utf-8")
    (folder / "metrics.jsonl").write_text("{}\n", "utf-8")
    for place in (folder, folder / "adapter"):
        (place / "README.md").write_text(
            f"---\nbase_model: {BASE}\nlibrary_name: peft\ntags:\n- qwen3\n- lora\n---\n\n# {folder.name}\n\nTold.\n",
            "utf-8",
        )
    return folder
