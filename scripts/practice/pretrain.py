"""Teaches the practice model to read and to answer, on the CPU, the same way every time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from scripts.practice.corpus import conversations, render
from scripts.practice.muon import Muon

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLAIN_STEPS: Final = 260
"""Steps on bare questions: what is asked is learned sooner when nothing stands around it."""
DRESSED_STEPS: Final = 180
"""Steps on questions with greetings, systems and earlier turns around them."""
BATCH_SIZE: Final = 16
SEED: Final = 5
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
REPORT_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids: those given, and those to be written after them."""

    given: list[int]
    written: list[int]

    @property
    def length(self) -> int:
        """Return the number of tokens."""
        return len(self.given) + len(self.written)


def pretrain(config: Any, tokenizer: Any) -> Any:
    """Return a trained Qwen3ForCausalLM in float32; fixes the threads and random numbers of this process."""
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    model = Qwen3ForCausalLM(config)
    model.train()
    lessons = [
        *batches(tokenizer, PLAIN_STEPS, seed=SEED, is_plain=True),
        *batches(tokenizer, DRESSED_STEPS, seed=SEED + 1, is_plain=False),
    ]
    trainer = _Trainer(model, len(lessons))
    for step, batch in enumerate(lessons):
        loss = trainer.step(step, batch)
        if step % REPORT_STEPS == 0 or step == len(lessons) - 1:
            print(f"step {step + 1} of {len(lessons)}, loss {loss:.3f}", flush=True)
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

    def step(self, step: int, batch: Sequence[Sample]) -> float:
        """Learn one batch; return the loss before."""
        import torch

        part = _rate_part(step, self._steps)
        loss = batch_loss(self._model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), MAX_GRADIENT_NORM)
        self._muon.step(MATRIX_RATE * part)
        self._adam.param_groups[0]["lr"] = RATE * part
        self._adam.step()
        self._model.zero_grad(set_to_none=True)
        return float(loss.detach())


def batch_loss(model: Any, batch: Sequence[Sample]) -> Any:
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


def batches(tokenizer: Any, steps: int, *, seed: int, is_plain: bool) -> Iterator[list[Sample]]:
    """Yield batches of about equal length each, in a mixed order."""
    rendered = [render(item) for item in conversations(steps * BATCH_SIZE, seed=seed, is_plain=is_plain)]
    given = tokenizer.encode_batch([item.prompt for item in rendered], add_special_tokens=False)
    written = tokenizer.encode_batch([item.completion for item in rendered], add_special_tokens=False)
    samples = [Sample(first.ids, second.ids) for first, second in zip(given, written, strict=True)]
    chance = random.Random(seed)  # noqa: S311 - the same order every time is what is wanted
    for start in range(0, len(samples), BATCH_SIZE * SORTED_BATCHES):
        some = sorted(samples[start : start + BATCH_SIZE * SORTED_BATCHES], key=lambda sample: sample.length)
        mixed = [some[first : first + BATCH_SIZE] for first in range(0, len(some), BATCH_SIZE)]
        chance.shuffle(mixed)
        yield from mixed


def _rate_part(step: int, steps: int) -> float:
    """Return the part of the full rate: rises, stays, falls."""
    rise = min(1.0, (step + 1) / WARMUP_STEPS)
    fallen = max(0.0, step / steps - STEADY_SHARE) / (1 - STEADY_SHARE)
    return rise * max(LAST_RATE, 1 - fallen)
