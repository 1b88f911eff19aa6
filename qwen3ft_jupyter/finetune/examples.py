"""Makes the examples of all that was read, telling how far it is."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, Stopped
from qwen3ft_jupyter.finetune.samples import SampleReport
from qwen3ft_jupyter.finetune.special import SpecialTokens
from qwen3ft_jupyter.finetune.spool import Samples
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.samples import Example
    from qwen3ft_jupyter.loading.libraries import Tokenizer
    from qwen3ft_jupyter.work import Work

BATCH = 32
"""Conversations rendered and tokenized at once: enough to hide the round trip, few enough to stop in time."""


class ExampleEncoder(ABC):
    """Makes examples of conversations, for one model."""

    def __init__(self, tokenizer: Tokenizer, *, max_length: int) -> None:
        """Take a transformers tokenizer, and the most tokens of a sequence."""
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.special = SpecialTokens(tokenizer)
        self.report = SampleReport()
        """What became of those encoded so far."""
        self.untaught: Mapping[int, str] = {}
        """Tokens that the model has not learned, by id."""

    @abstractmethod
    def encode(self, conversations: Sequence[Conversation]) -> Sequence[Example]:
        """Return the examples of some conversations, in order; `report` counts on. Raises BadData, UnsafeModel."""

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text."""
        return self.special.tokenize(texts)

    def count_forged(self, conversations: Sequence[Conversation]) -> None:
        """Enter those conversations in the report whose text holds tokens of the template."""
        forged = [
            one
            for one in conversations
            if any(self.special.are_in((turn.content, turn.reasoning, turn.tool_calls)) for turn in one.messages)
        ]
        for one in forged:
            self.report.enter("forged", one.where)
        self.report = replace(self.report, forged=self.report.forged + len(forged))

    def count(self, samples: Sequence[Example], *, conversations: int) -> None:
        """Enter the examples of so many conversations in the report."""
        lengths = [sample.length for sample in samples]
        learned = [one.runs()[1::2] for sample in samples for one in sample.sequences]
        untaught = dict(self.report.untaught)
        for one in (one for sample in samples for one in sample.sequences if len(untaught) < len(self.untaught)):
            untaught |= {token: self.untaught[token] for token in self.untaught.keys() & one.input_ids}
        self.report = replace(
            self.report,
            conversations=self.report.conversations + conversations,
            samples=self.report.samples + len(samples),
            answers=self.report.answers + sum(map(len, learned)),
            tokens=self.report.tokens + sum(lengths),
            trained_tokens=self.report.trained_tokens + sum(map(sum, learned)),
            longest=max([self.report.longest, *lengths]),
            untaught=tuple(sorted(untaught.items())),
        )


def encode_all(
    conversations: Sequence[Conversation],
    encoder: ExampleEncoder,
    work: Work,
    *,
    folder: Path | None = None,
    may_be_none: bool = False,
) -> Samples:
    """Return the samples of all conversations, telling of the phase "preparing".

    Args:
        conversations: They are read once, in order.
        encoder: Of the model.
        work: Is told of the phase, and says when to stop.
        folder: On whose volume many samples are kept; None: on that for temporary files.
        may_be_none: There may be nothing that fits.

    Raises:
        BadData: The template cannot write a conversation, or nothing fits max_length.
        Stopped: Someone wants the work to stop.
        OSError: The volume takes no more.
    """
    samples, done, waiting = Samples(folder), 0, iter(conversations)
    while batch := list(itertools.islice(waiting, BATCH)):
        if work.stop.is_set():
            raise Stopped("Stopped while preparing the data.")
        samples.extend(encoder.encode(batch))
        done += len(batch)
        work.progress(Progress("preparing", done, len(conversations), "rows"))
    if conversations and not samples and not may_be_none:
        if encoder.report.refused:
            raise BadData(
                "The model's chat template cannot write any of the {count} answers; the first: {problem}",
                hint="Use a model whose template can.",
                count=encoder.report.refused,
                problem=encoder.report.first_refused,
            )
        raise BadData(
            "None of the {count} answers fits max_length.", hint="Raise max_length.", count=encoder.report.dropped
        )
    return samples
