"""Trains tiny models and prints, for each, the bytes that were planned and those that torch kept alive at once.

Planned twice: by formula, and by a dry run. Beside them what the process grew by meanwhile, as the system counts it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qwen3ft_jupyter.finetune import planning, training
from qwen3ft_jupyter.finetune.compute.tried import answer
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import DataReport
from qwen3ft_jupyter.finetune.plan import make_plan
from qwen3ft_jupyter.finetune.planning import base_model
from qwen3ft_jupyter.finetune.results import read_record
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.loading.machine import machine_without_torch, peak_bytes
from tests.loading.tiny_qwen3 import make_model

SHAPE: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
}


@dataclass
class Storages:
    """Counts the bytes of storages by their birth and death."""

    sizes: dict[int, int] = field(default_factory=dict)
    now: int = 0
    peak: int = 0

    def see(self, value: object) -> None:
        if not isinstance(value, torch.Tensor) or value.device.type == "meta":
            return
        storage = value.untyped_storage()
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.lose, key)

    def lose(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


class Watching(TorchDispatchMode):  # type: ignore[misc]  # torch has no types here
    """Sees every tensor that goes into an operation or comes out of one."""

    def __init__(self, storages: Storages) -> None:
        super().__init__()
        self.storages = storages

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for each in tree_leaves((args, kwargs)):
            self.storages.see(each)
        answer = func(*args, **(kwargs or {}))
        for each in tree_leaves(answer):
            self.storages.see(each)
        return answer


def measure(folder: Path, case: dict[str, Any]) -> dict[str, int | None]:
    make_model(folder / "model", **SHAPE)
    if vocab := case.pop("vocab", None):
        from transformers import Qwen3Config, Qwen3ForCausalLM

        Qwen3ForCausalLM(Qwen3Config.from_pretrained(folder / "model", vocab_size=vocab)).save_pretrained(
            folder / "model"
        )
    question = {"role": "user", "content": "What is one?" + " and one" * 60}
    row = {"messages": [question, {"role": "assistant", "content": "The answer is 1." + " two" * 40}]}
    (folder / "rows.jsonl").write_text("\n".join([json.dumps(row)] * 8))
    given = {"model": "Qwen/Tiny-Qwen3", "data": str(folder / "rows.jsonl"), "output_dir": str(folder / "run")}
    steps = {"max_steps": 2, "batch_size": 4, "gradient_accumulation": 2}
    config = FineTuneConfig.from_dict({**given, **steps, "device": "cpu", **case})
    storages, fit, grown = Storages(), training._fit, [0]

    def watched(*arguments: Any) -> Any:
        before = begin_peak()
        with Watching(storages):
            answer = fit(*arguments)
        grown[0] = (peak_bytes("cpu") or 0) - before
        return answer

    with mock.patch.object(training, "_fit", watched):
        training.train(config, model_folder=folder / "model")
    record = read_record(folder / "run")
    assert record is not None
    memory = record.plan["memory"]
    tokens = Tokens(**record.plan["tokens"], lengths=(record.plan["tokens"]["longest"],) * 8)
    return {
        "planned": memory["total"] - memory["margin"],
        "tried": tried_bytes(config, folder / "model", tokens),
        "peak": storages.peak,
        "grown": grown[0],
    }


def begin_peak() -> int:
    """Have the system count the most memory from now on, and return what is in use."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_bytes("cpu") or 0


def tried_bytes(config: FineTuneConfig, model: Path, tokens: Tokens) -> int | None:
    if config.trainable_layers is not None:
        return None  # is not tried
    base, machine = base_model(config.model, model), machine_without_torch()
    with mock.patch.object(planning, "TRIED_FROM_PARAMETERS", 0):
        tried, notices = planning.try_run(config, base, tokens, machine, answer)
    assert not notices, notices
    report = DataReport(8, 8, ("messages",), 0, 0, ())
    memory = make_plan(config, report, tokens, base.numbers, machine, tried=tried).memory
    assert memory
    assert memory.basis == "dry run"
    return memory.total - memory.margin


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, case in enumerate(json.loads(sys.argv[2])):
        sys.stdout.write(json.dumps(measure(Path(sys.argv[1]) / str(number), case)) + "\n")
