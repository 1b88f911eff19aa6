"""Counts what a fine-tune would learn from, before it starts: with the code and the template that training uses."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.data import read_data_of, split
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.samples import SampleReport, Tokens
from qwen3ft_jupyter.finetune.token_rows import row_notices, token_rows
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import Data, See
    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.index import Conversations
    from qwen3ft_jupyter.finetune.samples import Example
    from qwen3ft_jupyter.finetune.spool import Samples
    from qwen3ft_jupyter.loading.libraries import Tokenizer

COUNTED = 4000
"""Conversations rendered and tokenized for a plan: about a second. Of more, that many are drawn."""
CHARACTERS_A_TOKEN = 4.0
"""Of Latin text; a rule of thumb."""
WIDE_A_TOKEN = 1.5
"""Of Chinese and its like; a rule of thumb."""
TOKENS_A_TURN = 5
"""That the template writes around a turn."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was read and counted."""

    data: Data
    training: Conversations
    held_out: int
    samples: Sequence[Example]
    """Of the conversations that were looked at; empty without a tokenizer."""
    report: SampleReport
    tokens: Tokens
    notices: tuple[str, ...]
    """What became of them on the way to tokens, beside what the data's own report says."""


def survey(
    config: FineTuneConfig,
    model_folder: Path | None,
    *,
    most: int = COUNTED,
    work: Work | None = None,
    see: See | None = None,
) -> Survey:
    """Read a config's data and count its tokens.

    Args:
        config: Names the data.
        model_folder: The cached model; None: tokens are reckoned from characters.
        most: Conversations that are tokenized; of more, so many are drawn by the config's seed.
        work: Is told of the phase preparing, and says when to stop.
        see: Is shown each conversation as it is read.

    Raises:
        BadData: The data is wrong, or the template cannot write it.
        LoadError: The model's tokenizer cannot be loaded.
        MissingPackage: transformers is not installed.
        Stopped: The work was to stop.
    """
    data = read_data_of(config, work, see=see)
    training, held_out = split(data.conversations, config.eval_fraction, config.seed)
    looked_at = _drawn(training, most, config.seed)
    if model_folder is None:
        tokens = _estimated(looked_at, config, share=len(looked_at) / len(training))
        return Survey(data, training, len(held_out), [], SampleReport(), tokens, ())
    from qwen3ft_jupyter.loading.load import load_tokenizer

    samples, report = encode(looked_at, config, load_tokenizer(model_folder, is_light=True), work or Work())
    tokens = Tokens.of(samples.lengths, report, share=len(looked_at) / len(training))
    tokens = replace(tokens, token_rows=len(token_rows(config, report)))
    notices = [*row_notices(config, report), *report.notices(config.max_length)]
    if len(looked_at) < len(training):
        words = Message(
            "Counted {count} of {whole} conversations; the numbers of samples and tokens are reckoned from them.",
            count=len(looked_at),
            whole=len(training),
        )
        notices.insert(0, words)
    return Survey(data, training, len(held_out), samples, report, tokens, tuple(notices))


def encode(
    conversations: Sequence[Conversation], config: FineTuneConfig, tokenizer: Tokenizer, work: Work
) -> tuple[Samples, SampleReport]:
    """Return the samples of conversations, as training has them. Raises as `rendering.encode_all`."""
    from qwen3ft_jupyter.finetune.examples import encode_all

    with OBJECTIVES[config.objective].encoding(config, tokenizer) as encoding:
        encoder = encoding.encoder()
        return encode_all(conversations, encoder, work), encoder.report


def _drawn(conversations: Conversations, most: int, seed: int) -> Conversations:
    if len(conversations) <= most:
        return conversations
    kept = sorted(random.Random(seed).sample(range(len(conversations)), most))  # noqa: S311 - not a secret
    return conversations.pick(kept)


def _estimated(conversations: Iterable[Conversation], config: FineTuneConfig, *, share: float) -> Tokens:
    """Return the tokens by the number of characters, each conversation as one sample; these are such a share of all."""
    lengths: list[int] = []
    trained, lengths_of = 0, OBJECTIVES[config.objective].lengths
    for conversation in conversations:
        sequences = []
        for turns in conversation.sequences:
            counts = [
                estimate_tokens(turn.content + turn.reasoning + turn.tool_calls) + TOKENS_A_TURN for turn in turns
            ]
            sequences.append(sum(counts) + estimate_tokens(conversation.tools))
            trained += sum(
                count for count, turn in zip(counts, turns, strict=True) if turn.is_learned and turn.role == "assistant"
            )
        lengths += lengths_of(sequences, config.max_length)
    return Tokens(
        "estimated",
        samples=round(len(lengths) / share),
        tokens=round(sum(lengths) / share),
        trained_tokens=round(min(trained, sum(lengths)) / share),
        longest=max(lengths, default=0),
        lengths=lengths,
    )


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    >>> estimate_tokens("The capital of France is Paris."), estimate_tokens("法国的首都是巴黎。")
    (8, 6)
    """
    wide = sum(character > "\u2e7f" for character in text)
    return round((len(text) - wide) / CHARACTERS_A_TOKEN + wide / WIDE_A_TOKEN)
