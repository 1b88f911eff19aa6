"""Does data larger than memory work? ``python -m tests.benchmarks.index --gigabytes 5`` plans and begins one.

A file of chats in jsonl is written. Fresh processes do what a plan does (every row is read and checked, the tokens of
some are counted), and a whole run of a few steps of the practice model, which draws 10,000 of the rows; and put as many
samples as there are rows into a temporary file, from which steps are drawn by chance. Memory is the most that a process
had resident; beside it is that of the same with a file of one megabyte.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

WORDS: Final = ["the", "model", "learns", "what", "it", "is", "shown", "模型", "学习", "数据", "回答", "问题"]
STEPS: Final = 20
DRAWN: Final = 10_000
TOKENS: Final = 500
"""Of a sample that is put into a file."""
MB: Final = 1_000_000


def write_chats(path: Path, size: int) -> int:
    """Write chats of a question and an answer, 1 KB on average, until there are `size` bytes; return how many."""
    draw = random.Random(1)  # noqa: S311 - no secret
    texts = [" ".join(draw.choices(WORDS, k=min(400, int(draw.lognormvariate(5, 0.5))))) for _ in range(4000)]
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            for _ in range(50):
                turns = [("user", f"{rows} {draw.choice(texts)[:200]}"), ("assistant", draw.choice(texts))]
                messages = [{"role": role, "content": text} for role, text in turns]
                file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
                rows += 1
    return rows


def spool(rows: int, folder: str) -> dict[str, Any]:
    """Put so many samples into a file, and draw steps as Trainer does."""
    from torch.utils.data import DataLoader, RandomSampler

    from qwen3ft_jupyter.finetune.batches import Layout
    from qwen3ft_jupyter.finetune.samples import IGNORED, Sample
    from qwen3ft_jupyter.finetune.spool import Samples
    from qwen3ft_jupyter.loading.machine import peak_bytes

    start, samples = time.monotonic(), Samples(Path(folder).parent)
    tokens = list(range(TOKENS))
    sample = Sample.of(tokens, [IGNORED] * 100 + tokens[100:])
    for _ in range(rows):
        samples.extend([sample])
    ends = {"written": time.monotonic() - start}
    layout = Layout(0, most_tokens=2 * TOKENS)
    loader = DataLoader(samples, 8, sampler=RandomSampler(samples), collate_fn=layout.collate)
    for _, step in zip(range(1000), loader, strict=False):
        assert step["tokens"] % TOKENS == 0
    ends["drawn"] = time.monotonic() - start
    return {"seconds": ends["drawn"], "ends": ends, "peak": peak_bytes("cpu")}


def measure(what: str, data: str, folder: str) -> dict[str, Any]:
    """Plan or train in this process."""
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.loading.machine import peak_bytes
    from qwen3ft_jupyter.practice.model import make_practice
    from qwen3ft_jupyter.work import Progress, Reporter, Work

    ends: dict[str, float] = {}
    start = time.monotonic()

    class Ear(Reporter):
        def progress(self, progress: Progress) -> None:
            ends[f"{progress.phase} {progress.total is not None}"] = time.monotonic() - start

    if what == "spool":
        return spool(int(data), folder)
    config = FineTuneConfig.from_dict(
        {
            "model": "qwen3ft/Qwen3-Practice",
            "data": data,
            "output_dir": folder,
            "max_steps": STEPS,
            "batch_size": 1,
            "device": "cpu",
            "max_length": 1024,
        }
    )
    model = make_practice(Path(folder).parent / "model").folder
    start = time.monotonic()
    if what == "plan":
        from qwen3ft_jupyter.finetune.survey import survey

        found = survey(config, model, work=Work(Ear()))
        told = {"samples": found.tokens.samples}
    else:
        from qwen3ft_jupyter.finetune.training import train

        told = {"steps": train(config, model_folder=model, work=Work(Ear())).steps}
    return {**told, "seconds": time.monotonic() - start, "ends": ends, "peak": peak_bytes("cpu")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.1)
    parser.add_argument("--in", dest="folder", help="folder for the file, which is deleted afterwards")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, size in (("small", MB), ("large", int(1e9 * options.gigabytes))):
            data = Path(folder, f"{name}.jsonl")
            rows = write_chats(data, size)
            print(f"{name}: {rows:,} rows, {data.stat().st_size / MB:,.0f} MB", flush=True)
            given = {"plan": str(data), "train": f"{data}#{min(rows, DRAWN)}", "spool": str(rows)}
            for what, each in given.items():
                command = [sys.executable, "-m", __spec__.name, "--measure", what, each, f"{folder}/{name}-{what}"]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
                ends = {phase: round(seconds, 1) for phase, seconds in found["ends"].items()}
                print(
                    f"  {what}: {found['seconds']:.1f} s, {rows / found['seconds']:,.0f} rows/s, "
                    f"peak {found['peak'] / MB:.0f} MB, phases ended at {ends}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
