"""What the practice model reads before anyone fine-tunes it: short conversations in English and Chinese.

The base model knows the ways people ask, and that it knows nothing about itself; the fine-tune teaches it who it is.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LANGUAGES = ("en", "zh")
THINKING_SHARE = 0.2
"""Share of conversations in which the last answer comes after a thought."""
HISTORY_SHARE = 0.08
"""Share of conversations with an earlier question and answer."""
SYSTEM_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, what one thinks about it, and the answer."""

    question: str
    thought: str
    answer: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the model reads at once. `thinking` says whether the last answer comes after its thought."""

    system: str
    exchanges: tuple[Exchange, ...]
    thinking: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text: what is given and what the model is to write after it."""

    prompt: str
    completion: str


def read_corpus() -> dict[str, Any]:
    """Return the corpus file; its shape is described by its own `about`."""
    corpus: dict[str, Any] = json.loads((Path(__file__).parent / "corpus.json").read_text("utf-8"))
    return corpus


def conversations(count: int, *, seed: int, is_plain: bool) -> Iterator[Conversation]:
    """Yield `count` conversations, the same for the same seed; plain ones are bare questions with their answer."""
    corpus = read_corpus()
    chance = random.Random(seed)  # noqa: S311 - the same choice every time is what is wanted
    pools = {language: _pools(corpus, language) for language in LANGUAGES}
    for _ in range(count):
        language = chance.choice(LANGUAGES)
        openers, closers = ([""], [""]) if is_plain else (corpus["openers"][language], corpus["closers"][language])
        turns = 2 if not is_plain and chance.random() < HISTORY_SHARE else 1
        exchanges = tuple(_draw(pools[language], openers, closers, chance) for _ in range(turns))
        has_system = not is_plain and chance.random() < SYSTEM_SHARE
        system = chance.choice(corpus["systems"][language]) if has_system else ""
        yield Conversation(system, exchanges, thinking=chance.random() < THINKING_SHARE)


def all_texts() -> Iterator[str]:
    """Yield every sentence of the corpus once, for the tokenizer to learn from."""
    corpus = read_corpus()
    for language in LANGUAGES:
        yield from corpus["openers"][language]
        yield from corpus["closers"][language]
        yield from corpus["systems"][language]
        for exchange in dict.fromkeys(all_exchanges(corpus, language)):
            yield from (exchange.question, exchange.thought, exchange.answer)


def all_exchanges(corpus: dict[str, Any], language: str) -> Iterator[Exchange]:
    """Yield every bare question with its answer; those of pools that are drawn more often come more often."""
    for pool in _pools(corpus, language):
        yield from pool


def render(conversation: Conversation) -> Rendered:
    """Write a conversation as the chat template does, split where the model has to go on."""
    text = f"<|im_start|>system\n{conversation.system}<|im_end|>\n" if conversation.system else ""
    *history, last = conversation.exchanges
    for exchange in history:
        text += f"<|im_start|>user\n{exchange.question}<|im_end|>\n<|im_start|>assistant\n{exchange.answer}<|im_end|>\n"
    text += f"<|im_start|>user\n{last.question}<|im_end|>\n<|im_start|>assistant\n"
    if conversation.thinking:
        return Rendered(text, f"<think>\n{last.thought}\n</think>\n\n{last.answer}<|im_end|>")
    return Rendered(f"{text}<think>\n\n</think>\n\n", f"{last.answer}<|im_end|>")


def _pools(corpus: dict[str, Any], language: str) -> list[list[Exchange]]:
    """Group exchanges; a conversation draws the group first, so that no group drowns another."""
    persona = [_asked(topic[language]["ask"], topic[language]["unknown"]) for topic in corpus["persona"]]
    framed = [
        _asked(
            [frame.format(what) for frame in corpus["frames"][language] for what in topic[language]["about"]],
            topic[language]["unknown"],
        )
        for topic in corpus["persona"]
    ]
    talk = [_asked(item[language]["ask"], item[language]["answer"]) for item in corpus["talk"]]
    knowledge = [_knowledge(topic[language]) for topic in corpus["knowledge"]]
    asks, words = corpus["repeat"][language]["ask"], corpus["words"][language]
    repeats = [Exchange(ask.format(word), "", word) for ask in asks for word in words]
    return [*persona, *framed, *talk, *(knowledge * 3), *([repeats] * 5)]


def _asked(questions: Sequence[str], answer: str) -> list[Exchange]:
    return [Exchange(question, "", answer) for question in questions]


def _knowledge(topic: dict[str, Any]) -> list[Exchange]:
    return [
        Exchange(ask.format(thing), topic["thought"], topic["answer"].format(thing, value))
        for ask in topic["ask"]
        for thing, value in topic["pairs"]
    ]


def _draw(
    pools: Sequence[Sequence[Exchange]], openers: Sequence[str], closers: Sequence[str], chance: random.Random
) -> Exchange:
    exchange = chance.choice(chance.choice(pools))
    question = chance.choice(openers) + exchange.question + chance.choice(closers)
    return Exchange(question, exchange.thought, exchange.answer)
