"""What does a fine-tune cost? ``python -m tests.benchmarks.training`` measures tokens a second and memory side by side.

The same random model learns the same short chats for one epoch, in float32 on this CPU, in a process for each run, in
turns: ours, packed and not; ``transformers.Trainer`` as it is; TRL's ``SFTTrainer``, packed and not, where the packages
``trl`` and ``datasets`` are installed. Tokens are real ones, without padding. Memory is what training adds to the
resident memory of a process that has loaded libraries and model. On a busy machine, judge tokens a CPU second.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.finetune.samples import IGNORED, Sample

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS: Final[dict[str, dict[str, int]]] = {
    "4 layers of 256, 4,096 words": {"num_hidden_layers": 4, "hidden_size": 256, "vocab_size": 4096},
    "2 layers of 256, Qwen3's 151,936 words": {"num_hidden_layers": 2, "hidden_size": 256, "vocab_size": 151_936},
}
STEP: Final = 8
"""Samples of an optimizer step."""
LONGEST: Final = 512
TARGETS: Final = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MB: Final = 1_000_000


def chats(count: int, vocabulary: int) -> list[Sample]:
    """Return samples as short chats are: 75 tokens on average, the second half of each learned."""
    draw = random.Random(1)  # noqa: S311 - no secret
    samples = []
    for _ in range(count):
        length = int(min(LONGEST, max(16, draw.lognormvariate(4.2, 0.6))))
        tokens = [draw.randrange(3, vocabulary) for _ in range(length)]
        samples.append(Sample.of(tokens, [*[IGNORED] * (length // 2), *tokens[length // 2 :]]))
    return samples


def make_model(name: str) -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    shape = {"intermediate_size": 768, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64}
    return Qwen3ForCausalLM(Qwen3Config(**shape, **MODELS[name], tie_word_embeddings=True, use_cache=False))


def adapter() -> Any:
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM")


COMMON: Final = {
    "num_train_epochs": 1,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "use_cpu": True,
    "remove_unused_columns": False,
    "activation_checkpointing": False,
    "seed": 1,
}


def ours(model: Any, method: str, samples: list[Sample], folder: str, *, packs: bool) -> Any:
    from peft import get_peft_model
    from transformers import TrainerCallback, TrainingArguments

    from qwen3ft_jupyter.finetune.batches import Layout
    from qwen3ft_jupyter.finetune.compute.objectives import SupervisedTuning
    from qwen3ft_jupyter.finetune.compute.trainer import StepTrainer

    layout = Layout(0, most_tokens=STEP * max(len(one.input_ids) for one in samples), packs=packs)
    return StepTrainer(
        get_peft_model(model, adapter()) if method == "lora" else model,
        TrainingArguments(folder, per_device_train_batch_size=STEP, **COMMON),
        SupervisedTuning(layout, is_lean=True),
        samples=samples,
        held_out=[],
        callback=TrainerCallback(),
    )


def plain(model: Any, method: str, samples: list[Sample], folder: str) -> Any:
    import torch
    from peft import get_peft_model
    from transformers import Trainer, TrainingArguments

    def collate(batch: list[Sample]) -> dict[str, Any]:
        width = max(len(one.input_ids) for one in batch)
        gaps = [width - len(one.input_ids) for one in batch]
        return {
            "input_ids": torch.tensor([[*one.input_ids, *[0] * gap] for one, gap in zip(batch, gaps, strict=True)]),
            "attention_mask": torch.tensor([[1] * (width - gap) + [0] * gap for gap in gaps]),
            "labels": torch.tensor([[*one.labels, *[IGNORED] * gap] for one, gap in zip(batch, gaps, strict=True)]),
        }

    return Trainer(
        get_peft_model(model, adapter()) if method == "lora" else model,
        TrainingArguments(folder, per_device_train_batch_size=STEP, **COMMON),
        data_collator=collate,
        train_dataset=samples,
    )


def trl(model: Any, method: str, samples: list[Sample], folder: str, *, packs: bool) -> Any:
    """Packed into rows of the longest sample allowed, one of which holds about what a step does."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    import qwen3ft_jupyter.practice.model as practice

    rows = [
        {"input_ids": list(one.input_ids), "assistant_masks": [int(label != IGNORED) for label in one.labels]}
        for one in samples
    ]
    arguments = SFTConfig(
        folder,
        per_device_train_batch_size=1 if packs else STEP,
        packing=packs,
        max_length=LONGEST,
        bf16=False,
        **COMMON,
    )
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(Path(practice.__file__).parent / "model"),
        peft_config=adapter() if method == "lora" else None,
    )


PROGRAMS: Final[dict[str, Callable[..., Any]]] = {
    "ours, packed": lambda *given: ours(*given, packs=True),
    "ours, not packed": lambda *given: ours(*given, packs=False),
    "transformers.Trainer": plain,
    "TRL, packed": lambda *given: trl(*given, packs=True),
    "TRL, not packed": lambda *given: trl(*given, packs=False),
}


class Watcher(threading.Thread):
    """Looks at the resident memory a hundred times a second: the most ever held would count the loading, too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.is_over = 0, threading.Event()

    def run(self) -> None:
        import psutil

        process = psutil.Process()
        while not self.is_over.wait(0.01):
            self.most = max(self.most, process.memory_info().rss)


def child(given: dict[str, Any]) -> None:
    """Train once, and print what it took."""
    import psutil
    import torch
    from transformers.utils import logging

    torch.set_num_threads(given["threads"])
    logging.set_verbosity_error()
    samples = chats(given["samples"], MODELS[given["model"]]["vocab_size"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = PROGRAMS[given["program"]](make_model(given["model"]), given["method"], samples, folder)
        before, watcher = psutil.Process().memory_info().rss, Watcher()
        watcher.start()
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        watcher.is_over.set()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tokens = sum(len(one.input_ids) for one in samples)
    found = {"wall": tokens / wall, "cpu": tokens / cpu, "memory": (watcher.most - before) / MB}
    print(json.dumps({**found, "steps": len(losses), "loss": statistics.fmean(losses)}), flush=True)


def measure(given: dict[str, Any]) -> dict[str, float] | str:
    """Return what a run took, or the last words of one that failed."""
    command = [sys.executable, "-m", "tests.benchmarks.training", "--child", json.dumps(given)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(given["threads"]), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines and not done.returncode else done.stderr.strip().rpartition("\n")[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.training")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=160)
    parser.add_argument(
        "--threads", type=int, action="append", help="may be given several times; the best counts (1, 2)"
    )
    parser.add_argument("--method", choices=["lora", "full"], action="append", help="both, if not given")
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    has_trl = all(importlib.util.find_spec(name) for name in ("trl", "datasets"))
    programs = [name for name in PROGRAMS if has_trl or not name.startswith("TRL")]
    if not has_trl:
        print("TRL is left out: the packages trl and datasets are not installed.")
    for model in MODELS:
        for method in options.method or ("lora", "full"):
            compare(model, method, programs, options)


def compare(model: str, method: str, programs: list[str], options: argparse.Namespace) -> None:
    """Let the programs run in turns, and print a table."""
    runs: dict[tuple[str, int], list[dict[str, float]]] = {}
    problems: dict[str, str] = {}
    for _ in range(options.rounds):
        for threads in options.threads or (1, 2):
            for program in programs:
                given = {"program": program, "model": model, "method": method, "threads": threads}
                found = measure({**given, "samples": options.samples})
                if isinstance(found, str):
                    problems[program] = found
                else:
                    runs.setdefault((program, threads), []).append(found)
    print(f"\n{method}, {model}: {options.samples} short chats, {STEP} a step; medians of {options.rounds} rounds")
    print(f"  {'':22}{'threads':>9}{'tokens/s':>10}{'tokens/CPU s':>14}{'MB added':>10}{'steps':>7}{'loss':>9}")
    for program in programs:
        medians = [
            ({name: statistics.median(run[name] for run in found) for name in found[0]}, threads)
            for (name, threads), found in runs.items()
            if name == program
        ]
        if not medians:
            print(f"  {program:22}  failed: {problems.get(program)}")
            continue
        best, threads = max(medians, key=lambda one: one[0]["wall"])
        print(
            f"  {program:22}{threads:>9}{best['wall']:>10,.0f}{best['cpu']:>14,.0f}{best['memory']:>10,.0f}"
            f"{best['steps']:>7.0f}{best['loss']:>9.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
