"""Teaches the practice model to read and to answer, on the CPU, the same way every time."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.practice.corpus import conversations, render
from qwen3ft_jupyter.practice.muon import Muon
from qwen3ft_jupyter.practice.recipe import BATCH_SIZE, DRESSED_STEPS, PLAIN_STEPS, SEED
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.work import Reporter

THREADS: Final = 1
"""Matrices this small gain little from a second one, and where others want the cores too, two wait for each other."""
RATE: Final = 3e-3
MATRIX_RATE: Final = 2 * RATE
WARMUP_STEPS: Final = 20
STEADY_SHARE: Final = 0.3
"""Share of the steps at the full rate; then it falls to nearly nothing."""
LAST_RATE: Final = 0.02
MAX_GRADIENT_NORM: Final = 1.0
SORTED_BATCHES: Final = 16
"""So many batches are sorted by length together: less padding, and still a mixture."""
REPORT_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids: those given, and those to be written after them."""

    given: list[int]
    written: list[int]

    @property
    def length(self) -> int:
        """Return the number of tokens."""
        return len(self.given) + len(self.written)


def pretrain(config: Any, tokenizer: Any, *, reporter: Reporter, stop: threading.Event | None) -> Any:
    """Return a trained Qwen3ForCausalLM in float32. Raises Stopped."""
    from transformers import Qwen3ForCausalLM

    with _same_every_time():
        model = Qwen3ForCausalLM(config)
        model.train()
        batches = [
            *_batches(tokenizer, PLAIN_STEPS, is_plain=True),
            *_batches(tokenizer, DRESSED_STEPS, is_plain=False),
        ]
        trainer = _Trainer(model, len(batches))
        started = time.monotonic()
        for step, batch in enumerate(batches):
            if stop is not None and stop.is_set():
                raise Stopped("Making the practice model was stopped.")
            trainer.step(step, batch)
            if step % REPORT_STEPS == 0 or step == len(batches) - 1:
                reporter.progress(_progress(step + 1, len(batches), time.monotonic() - started))
        return model.eval()


class _Trainer:
    def __init__(self, model: Any, steps: int) -> None:
        import torch

        named = list(model.named_parameters())
        matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
        others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
        self._model = model
        self._steps = steps
        self._muon = Muon(matrices)
        self._adam = torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)

    def step(self, step: int, batch: Sequence[Sample]) -> None:
        """Learn one batch."""
        import torch

        part = _rate_part(step, self._steps)
        loss = _loss(self._model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), MAX_GRADIENT_NORM)
        self._muon.step(MATRIX_RATE * part)
        self._adam.param_groups[0]["lr"] = RATE * part
        self._adam.step()
        self._model.zero_grad(set_to_none=True)


def _loss(model: Any, batch: Sequence[Sample]) -> Any:
    """Return the mean loss of the written tokens; only for them are logits computed.

    Rows are padded at their end, where causal attention keeps the padding from everything before it: no mask is needed.
    """
    import torch

    width = max(sample.length for sample in batch)
    rows = [[*sample.given, *sample.written, *[0] * (width - sample.length)] for sample in batch]
    places = [
        row * width + column
        for row, sample in enumerate(batch)
        for column in range(len(sample.given) - 1, sample.length - 1)
    ]
    targets = [token for sample in batch for token in sample.written]
    hidden = model.model(input_ids=torch.tensor(rows), use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[torch.tensor(places)])
    return torch.nn.functional.cross_entropy(logits, torch.tensor(targets))


def _batches(tokenizer: Any, steps: int, *, is_plain: bool) -> Iterator[list[Sample]]:
    """Yield batches of about equal length each, in a mixed order."""
    seed = SEED + (not is_plain)
    rendered = [render(item) for item in conversations(steps * BATCH_SIZE, seed=seed, is_plain=is_plain)]
    given = tokenizer.encode_batch([item.prompt for item in rendered], add_special_tokens=False)
    written = tokenizer.encode_batch([item.completion for item in rendered], add_special_tokens=False)
    samples = [Sample(first.ids, second.ids) for first, second in zip(given, written, strict=True)]
    chance = random.Random(seed)  # noqa: S311 - the same order every time is what is wanted
    for start in range(0, len(samples), BATCH_SIZE * SORTED_BATCHES):
        some = sorted(samples[start : start + BATCH_SIZE * SORTED_BATCHES], key=lambda sample: sample.length)
        batches = [some[first : first + BATCH_SIZE] for first in range(0, len(some), BATCH_SIZE)]
        chance.shuffle(batches)
        yield from batches


def _rate_part(step: int, steps: int) -> float:
    """Return the part of the full rate: rises, stays, falls."""
    rise = min(1.0, (step + 1) / WARMUP_STEPS)
    fallen = max(0.0, step / steps - STEADY_SHARE) / (1 - STEADY_SHARE)
    return rise * max(LAST_RATE, 1 - fallen)


@contextmanager
def _same_every_time() -> Iterator[None]:
    """Fix threads and random numbers, and give the caller's back."""
    import torch

    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(SEED)
        torch.set_num_threads(THREADS)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _progress(done: int, total: int, seconds: float) -> Progress:
    rate = done / seconds if seconds else None
    return Progress("training", done, total, "steps", rate, (total - done) / rate if rate else None, "practice model")
