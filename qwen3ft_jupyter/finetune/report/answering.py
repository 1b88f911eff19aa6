"""Asks a model many things at once, and answers within bounds: of tokens, of memory, of time."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.ranks import ALONE
from qwen3ft_jupyter.finetune.samples import IGNORED
from qwen3ft_jupyter.loading.libraries import LoadedPair
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.loading.templates import Rendering, TemplateRenderer
from qwen3ft_jupyter.work import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from qwen3ft_jupyter.finetune.ranks import Ranks
    from qwen3ft_jupyter.finetune.samples import Example, Sample
    from qwen3ft_jupyter.loading.libraries import Model, Tokenizer

LONGEST_PROMPT = 1024
"""Tokens of a row that is asked; longer ones are left to the loss."""
LONGEST_ANSWER = 96
"""Tokens that are written at most: enough to see, few enough to wait for."""
MOST_TRIED = 20
"""Samples that are looked at for each that is asked: one may be too long, or have no prompt."""
MOST_TOKENS = 2048
"""Computed at once: 0.3 GB of keys and values of an 8B."""
ASK = "ask"
"""What the first of the processes among which a model is sharded calls the others for."""
TURN, END = "<|im_start|>user\n", "<|im_end|>"
"""What a question stands between in the templates of Qwen."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as the model gets it."""

    ids: tuple[int, ...]
    prompt: str
    """To be shown."""
    reference: str | None = None
    most_tokens: int = LONGEST_ANSWER


def rows_to_ask(samples: Sequence[Example], tokenizer: Tokenizer, *, count: int, seed: int) -> list[Question]:
    """Return the last answer of some samples as a question: prompt and reference as training has them."""
    most = min(len(samples), MOST_TRIED * count)
    places = random.Random(seed).sample(range(len(samples)), most)  # noqa: S311 - it only has to be the same each time
    asked: list[Question] = []
    for place in places:
        question = _question(samples[place].sequences[0], tokenizer)  # of a pair the preferred answer
        if question is not None:
            asked.append(question)
        if len(asked) == count:
            break
    return asked


def _question(sample: Sample, tokenizer: Tokenizer) -> Question | None:
    """Return the last span that is learned, and what stands before it; None where that is long, or nothing.

    Of a text, which is learned from its second token on, the first half is asked, and how it goes on is the reference.
    """
    from qwen3ft_jupyter.finetune.chat import without_thinking  # here, as below: a run that reports nothing needs none

    end = len(sample.labels)
    while end and sample.labels[end - 1] == IGNORED:
        end -= 1
    start = end
    while start and sample.labels[start - 1] != IGNORED:
        start -= 1
    if start == 1:
        start = min(end // 2, LONGEST_PROMPT)
        end = min(end, start + LONGEST_ANSWER)
    if not 0 < start <= LONGEST_PROMPT or start == end:
        return None
    ids = tuple(sample.input_ids[:start])
    reference = without_thinking(tokenizer.decode(list(sample.input_ids[start:end]), skip_special_tokens=True))
    text = tokenizer.decode(list(ids))
    prompt = text.rpartition(TURN)[2].partition(END)[0] if TURN in text else text
    return Question(ids, prompt.strip(), reference, min(LONGEST_ANSWER, end - start + 8))


def prompts_to_ask(prompts: Sequence[str], tokenizer: Tokenizer) -> list[Question]:
    """Return prompts as the model gets them in a chat without reasoning; where it has no template, as they are."""
    texts = list(prompts)
    if tokenizer.chat_template and prompts:
        variables = {"add_generation_prompt": True, "enable_thinking": False}
        with TemplateRenderer.of(tokenizer) as renderer:
            texts = renderer.render([Rendering([{"role": "user", "content": one}], variables) for one in prompts])
    rendered = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    return [Question(ids, prompt) for ids, prompt in zip(rendered, prompts, strict=True)]


def end_ids_of(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that end an answer: as the template ends one, or without one as texts end."""
    from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids

    if not tokenizer.chat_template:
        return [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    with TemplateRenderer.of(tokenizer) as renderer:
        return end_of_turn_ids(tokenizer, renderer)


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks one model."""

    model: Model
    tokenizer: Tokenizer
    end_ids: Sequence[int]
    """Tokens that end an answer."""
    most_tokens: int = MOST_TOKENS
    """That are computed at once: prompts, padding and answers together."""
    ranks: Ranks = ALONE
    """Those with which the model is sharded: they compute each answer together."""

    def answers(
        self,
        questions: Sequence[Question],
        *,
        stop: threading.Event,
        seconds: float,
        on_done: Callable[[int], None] = lambda _: None,
    ) -> dict[int, str]:
        """Return greedy answers by the place of the question; those that `seconds` or `stop` did not allow are missing.

        The model's mode and the state of the random generators are the same afterwards.

        Args:
            questions: What is asked.
            stop: Ends it after the token at hand.
            seconds: For all of them together.
            on_done: Is told how many are answered.
        """
        found: dict[int, str] = {}
        until = Patience(stop, seconds)
        with _undisturbed(self.model):
            for group in self._groups(questions):
                if until.is_set():
                    break
                asked = [questions[place] for place in group]
                self.ranks.call(ASK, asked)
                texts = self._generate(asked, until)
                if not until.is_set():
                    found |= dict(zip(group, texts, strict=True))
                on_done(len(found))
        return found

    def follow(self, questions: Sequence[Question]) -> None:
        """Compute an answer with the first process, which has called for it."""
        with _undisturbed(self.model):
            self._generate(questions, threading.Event())

    def _groups(self, questions: Sequence[Question]) -> Iterator[list[int]]:
        """Yield the places of questions of like length that are asked at once."""
        places = sorted(range(len(questions)), key=lambda place: len(questions[place].ids))
        group: list[int] = []
        for place in places:
            most = max(questions[one].most_tokens for one in (*group, place))
            if group and (len(group) + 1) * (len(questions[place].ids) + most) > self.most_tokens:
                yield group
                group = []
            group.append(place)
        if group:
            yield group

    def _generate(self, questions: Sequence[Question], until: threading.Event) -> list[str]:
        import torch

        from qwen3ft_jupyter.finetune.chat import AnswerOptions, generation_settings, without_thinking

        width = max(len(one.ids) for one in questions)
        options = AnswerOptions(max_new_tokens=max(one.most_tokens for one in questions))
        settings = generation_settings(LoadedPair(self.model, self.tokenizer), list(self.end_ids), options)
        pad, device = settings.pad_token_id or 0, self.model.device
        ids = torch.tensor([[pad] * (width - len(one.ids)) + list(one.ids) for one in questions], device=device)
        mask = torch.tensor([[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in questions], device=device)

        def is_over(input_ids: Tensor, _scores: object, **_: object) -> Tensor:
            return torch.full((input_ids.shape[0],), self.ranks.from_first(until.is_set), device=device)

        written = self.model.generate(
            input_ids=ids, attention_mask=mask, generation_config=settings, stopping_criteria=[is_over]
        )[:, width:].tolist()
        kept = [row[: one.most_tokens] for row, one in zip(written, questions, strict=True)]
        return [without_thinking(self.tokenizer.decode(row, skip_special_tokens=True)) for row in kept]


@contextlib.contextmanager
def _undisturbed(model: Model) -> Iterator[None]:
    """Compute without dropout, gradients and a trace in what the training after it draws."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), fitting_threads(model):
            yield
    finally:
        model.train(was_training)
