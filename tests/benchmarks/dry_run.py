"""How long a dry run of a fine-tune takes, for the shapes of published models: `python -m tests.benchmarks.dry_run`."""

from __future__ import annotations

import resource
import sys
import time

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.dry_run import Needs, try_in_child
from qwen3ft_jupyter.finetune.fit import plan_memory
from qwen3ft_jupyter.finetune.planning import base_model, try_run
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.loading.machine import Gpu, Machine
from qwen3ft_jupyter.messages import size

GB = 10**9
CASES = (("0.6B", "lora"), ("0.6B", "full"), ("4B", "lora"), ("8B", "lora"), ("30B-A3B", "lora"))
LENGTH = 2048


def main() -> None:
    """Print a row of a table for each case."""
    machine = Machine(64 * GB, 64 * GB, gpus=(Gpu("a GPU", (9, 0), 140 * GB, 140 * GB),))
    tokens = Tokens("counted", 100, 100 * LENGTH, 30 * LENGTH, LENGTH, (LENGTH,) * 100)
    for name, method in CASES:
        fields = {"data": "a", "model": f"Qwen/Qwen3-{name}", "method": method, "batch_size": 2, "max_length": LENGTH}
        config = FineTuneConfig.from_dict(fields)
        base = base_model(config.model, None)
        wall, cpu = time.monotonic(), _children_s()
        tried, notices = try_run(config, base, tokens, machine, lambda asked: try_in_child(asked, wait_s=300))
        told = "; ".join(map(str, notices))
        took = f"{time.monotonic() - wall:.1f} | {_children_s() - cpu:.1f}"
        found, reckoned = (
            plan_memory(config, tokens, Needs(config, base.numbers, run), machine) for run in (tried, None)
        )
        needed = f"{size(found and found.total)} | {size(reckoned and reckoned.total)}"
        sys.stdout.write(f"| {name} | {method} | {took} | {needed} | {told}\n")
        sys.stdout.flush()


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
