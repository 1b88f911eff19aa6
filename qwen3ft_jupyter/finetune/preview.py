"""The data of a fine-tune as the model will see it: tokens, which of them are learned, lengths, what is odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.samples import IGNORED
from qwen3ft_jupyter.finetune.survey import survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.absent import AbsentData
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.samples import Basis, Example, Sample
    from qwen3ft_jupyter.loading.libraries import Tokenizer
    from qwen3ft_jupyter.work import Work

BINS = 12
"""Bars of a histogram."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a sample."""

    id: int
    text: str
    """Empty where a character ends only with a later token, which then has it."""
    is_learned: bool
    """Whether the loss counts it."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens in a row that are all learned, or all not."""

    text: str
    tokens: int
    is_learned: bool


@dataclass(frozen=True, slots=True)
class PreviewSample:
    """One sequence as the model is given it."""

    tokens: tuple[Token, ...]
    number: int = 1
    """Of the sample that it belongs to."""
    answer: Literal["", "chosen", "rejected"] = ""
    """Which of a pair it ends with."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return what is learned and what is not, in turns."""
        parts: list[Part] = []
        for token in self.tokens:
            if parts and parts[-1].is_learned == token.is_learned:
                last = parts.pop()
                parts.append(Part(last.text + token.text, last.tokens + 1, token.is_learned))
            else:
                parts.append(Part(token.text, 1, token.is_learned))
        return tuple(parts)


@dataclass(frozen=True, slots=True)
class Bin:
    """How many samples have a length from `low` to `high` tokens, both included."""

    low: int
    high: int
    count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a fine-tune will learn from."""

    model: str
    max_length: int
    rows: int
    conversations: int
    """With something to learn; those that are held out among them."""
    empty: int
    """Rows left out: nothing to learn is in them, for example an empty answer."""
    bad: int
    duplicates: int
    """Conversations that stand in the data before."""
    thinking: float
    """Share of the conversations with a thought that is learned, 0 to 1."""
    basis: Basis
    samples: int
    tokens: int
    """Of an epoch."""
    trained_tokens: int
    longest: int
    shortened: int
    left_out: int
    """Answers that do not fit max_length, or that the model's template cannot write."""
    lengths: tuple[Bin, ...]
    first: tuple[PreviewSample, ...]
    notices: tuple[str, ...]
    """What is not learned as it stands in the data, and why."""
    rows_left_out: tuple[str, ...] = ()
    """The first rows of which nothing is learned, each with the reason."""
    absent: tuple[AbsentData, ...] = ()
    """Data sets that are not here, and were not looked at."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def _thinks(conversation: Conversation) -> bool:
    return any(turn.reasoning and turn.is_learned for turn in conversation.messages if turn.role == "assistant")


def preview(config: FineTuneConfig, model_folder: Path, *, count: int = 5, work: Work | None = None) -> Preview:
    """Return the data of `config` as the model in `model_folder` will see it, the first `count` samples in full.

    Raises what `survey` raises, and BadInput: there is no such count.
    """
    from qwen3ft_jupyter.loading.load import load_tokenizer

    if count < 0:
        raise BadInput("count: {value} is no whole number from 0 on.", value=count)
    thoughts: Counter[bool] = Counter()

    def see(conversation: Conversation) -> None:
        thoughts[_thinks(conversation)] += 1

    found = survey(config, model_folder, work=work, see=see)
    report, tokens = found.data.report, found.tokens
    tokenizer = load_tokenizer(model_folder)
    return Preview(
        model=config.model,
        max_length=config.max_length,
        rows=report.rows,
        conversations=report.conversations,
        empty=report.empty,
        bad=report.bad,
        duplicates=report.duplicates,
        thinking=round(thoughts[True] / max(1, thoughts.total()), 4),
        basis=tokens.basis,
        samples=tokens.samples,
        tokens=tokens.tokens,
        trained_tokens=tokens.trained_tokens,
        longest=tokens.longest,
        shortened=tokens.shortened,
        left_out=tokens.left_out,
        lengths=histogram(tokens.lengths),
        first=tuple(_shown(found.samples[:count], tokenizer)),
        notices=(*report.notices, *found.notices),
        rows_left_out=report.left_out,
    )


def _shown(samples: Sequence[Example], tokenizer: Tokenizer) -> Iterator[PreviewSample]:
    for number, sample in enumerate(samples, 1):
        answers: tuple[Literal["", "chosen", "rejected"], ...] = ("chosen", "rejected")
        for one, answer in zip(sample.sequences, answers if len(sample.sequences) > 1 else ("",), strict=True):
            yield PreviewSample(tokens_in(one, tokenizer), number, answer)


def tokens_in(sample: Sample, tokenizer: Tokenizer) -> tuple[Token, ...]:
    """Return the tokens of a sample with their text; joined, the texts are what the tokenizer decodes."""
    tokens: list[Token] = []
    waiting: list[int] = []
    for token, label in zip(sample.input_ids, sample.labels, strict=True):
        waiting.append(token)
        text = tokenizer.decode(waiting, clean_up_tokenization_spaces=False)
        is_whole = not text.endswith("\ufffd") or len(waiting) >= _MOST_TOKENS_OF_A_CHARACTER
        tokens.append(Token(token, text if is_whole else "", label != IGNORED))
        if is_whole:
            waiting = []
    if waiting:
        last = tokens.pop()
        text = tokenizer.decode(waiting, clean_up_tokenization_spaces=False)
        tokens.append(Token(last.id, text, last.is_learned))
    return tuple(tokens)


_MOST_TOKENS_OF_A_CHARACTER = 4
"""UTF-8 writes a character in at most four bytes."""


def histogram(lengths: Sequence[int]) -> tuple[Bin, ...]:
    """Return how many samples have which lengths, in bars of equal width.

    >>> histogram([5, 6, 20])[0], len(histogram([5, 6, 20]))
    (Bin(low=5, high=6, count=2), 8)
    """
    if not lengths:
        return ()
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // BINS))
    counts = Counter((length - low) // width for length in lengths)
    bars = -(-(high - low + 1) // width)
    return tuple(Bin(low + bar * width, low + (bar + 1) * width - 1, counts[bar]) for bar in range(bars))
