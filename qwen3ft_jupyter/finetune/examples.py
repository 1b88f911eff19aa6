"""Makes the examples of all that was read, telling how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen3ft_jupyter.errors import BadData, Stopped
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.formats import Conversation
    from qwen3ft_jupyter.finetune.samples import Example, SampleReport
    from qwen3ft_jupyter.work import Work

BATCH = 32
"""Conversations rendered and tokenized at once: enough to hide the round trip, few enough to stop in time."""


class ExampleEncoder(Protocol):
    """Makes examples of conversations."""

    report: SampleReport
    """What became of those encoded so far."""

    def encode(self, conversations: Sequence[Conversation]) -> Sequence[Example]:
        """Return the examples of some conversations, in order; `report` counts on. Raises BadData, UnsafeModel."""


def encode_all(
    conversations: Sequence[Conversation], encoder: ExampleEncoder, work: Work, *, may_be_none: bool = False
) -> list[Example]:
    """Return the samples of all conversations, telling of the phase "preparing".

    Raises:
        BadData: The template cannot write a conversation, or nothing fits max_length, unless there `may_be_none`.
        Stopped: Someone wants the work to stop.
    """
    samples: list[Example] = []
    for start in range(0, len(conversations), BATCH):
        if work.stop.is_set():
            raise Stopped("Stopped while preparing the data.")
        samples += encoder.encode(conversations[start : start + BATCH])
        done = min(start + BATCH, len(conversations))
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
