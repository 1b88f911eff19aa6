"""What rows become: sequences of tokens, alone or in pairs, and a report of what became of which."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from qwen3ft_jupyter.finetune.rows import Rows, row_words
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

IGNORED = -100
"""The label that the loss leaves out."""

_SIGN_BYTE = array("i").itemsize - 1 if sys.byteorder == "little" else 0

WARN_SHARE = 0.1
"""Of the answers left out, from which on a person is warned."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence; `labels` are IGNORED or the token itself. Arrays, because a large data set has to fit in memory."""

    input_ids: array[int]
    labels: array[int]

    @classmethod
    def of(cls, input_ids: Sequence[int], labels: Sequence[int]) -> Sample:
        """Return the sample of these tokens."""
        return cls(array("i", input_ids), array("i", labels))

    @property
    def sequences(self) -> tuple[Sample, ...]:
        """Return what a model computes for it."""
        return (self,)

    @property
    def length(self) -> int:
        """Return how many tokens it has."""
        return len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Return how many tokens the loss counts."""
        return sum(self.runs()[1::2])

    def runs(self) -> list[int]:
        """Return how many tokens are not learned, then how many are, and so on.

        >>> Sample.of([5, 6, 7, 8], [IGNORED, IGNORED, 7, IGNORED]).runs(), Sample.of([5, 6], [5, 6]).runs()
        ([2, 1, 1], [0, 2])
        """
        signs = self.labels.tobytes()[_SIGN_BYTE :: self.labels.itemsize]  # 0 of a token, 255 of IGNORED
        runs, start, sign = [], 0, b"\0"
        while start < len(signs):
            end = signs.find(sign, start)
            end = len(signs) if end < 0 else end
            runs.append(end - start)
            start, sign = end, b"\xff" if sign == b"\0" else b"\0"
        return runs


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer, and one that it is preferred to, each behind the same prompt."""

    chosen: Sample
    rejected: Sample
    reference: tuple[float, float] | None = None
    """The logarithms of what the model gave for either before it was trained; None: asked while it trains."""

    @property
    def sequences(self) -> tuple[Sample, ...]:
        """Return what a model computes for it: the chosen one first."""
        return (self.chosen, self.rejected)

    @property
    def length(self) -> int:
        """Return how many tokens both have."""
        return self.chosen.length + self.rejected.length

    @property
    def trained_tokens(self) -> int:
        """Return how many tokens the loss counts."""
        return self.chosen.trained_tokens + self.rejected.trained_tokens


Example = Sample | Pair
"""What a step learns so many of."""


def padded_length(example: Example) -> int:
    """Return the tokens of an example where each of its sequences has a row of its own, as wide as the longest."""
    return len(example.sequences) * max(one.length for one in example.sequences)


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What became of the conversations."""

    conversations: int = 0
    """Those with an answer that is learned."""
    samples: int = 0
    answers: int = 0
    tokens: int = 0
    trained_tokens: int = 0
    longest: int = 0
    shortened: int = 0
    """Samples that lost old turns, or the middle of a question, to fit max_length."""
    dropped: int = 0
    """Answers left out because they do not fit max_length at all."""
    without_reasoning: int = 0
    """Answers whose reasoning the model's template does not write."""
    refused: int = 0
    """Answers left out because the model's template cannot write them (with skip_bad_rows)."""
    forged: int = 0
    """Conversations whose text holds tokens of the template."""
    first_refused: str = ""
    """Why the first one was."""
    rows: dict[str, Rows] = field(default_factory=dict, compare=False)
    """The rows that are counted as dropped, refused or forged, by that word."""
    untaught: tuple[tuple[int, str], ...] = ()
    """Tokens in the samples that a base model has not learned, id and name; see `token_rows`."""

    def enter(self, what: str, where: str) -> None:
        """Note the row that is counted as `what`."""
        if what in self.rows:
            self.rows[what].add(where)
        else:
            self.rows[what] = Rows(where)

    def _where(self, what: str, first: str = "") -> str:
        """Return `first`, or where the first row is that is counted as `what`, with the numbers of the others."""
        rows = self.rows.get(what)
        return rows.words(first or row_words(rows.first)) if rows is not None else first

    def notices(self, max_length: int) -> list[str]:
        """Return what a person should know."""
        share = (self.dropped + self.refused) / max(1, self.answers + self.dropped + self.refused)
        found = (
            (self.shortened, Message("{count} samples shortened to max_length.", count=self.shortened)),
            (
                self.dropped,
                Message(
                    "{count} answers left out: they do not fit max_length. The first: {where}.",
                    count=self.dropped,
                    where=self._where("dropped"),
                ),
            ),
            (
                self.without_reasoning,
                Message(
                    "{count} answers learned without their reasoning: this model's template does not write it.",
                    count=self.without_reasoning,
                ),
            ),
            (
                self.refused,
                Message(
                    "{count} answers left out that the model's template cannot write; the first: {problem}",
                    count=self.refused,
                    problem=self._where("refused", self.first_refused),
                ),
            ),
            (
                self.forged,
                Message(
                    "{count} rows hold tokens of the template in their text; they are learned as plain text. "
                    "The first: {where}.",
                    count=self.forged,
                    where=self._where("forged"),
                ),
            ),
            (
                share > WARN_SHARE,
                Message(
                    "WARNING: only {share:.0f} % of the answers are learned. max_length is {limit}.",
                    share=100 * (1 - share),
                    limit=max_length,
                ),
            ),
        )
        return [words for is_so, words in found if is_so]


Basis = Literal["counted", "sampled", "estimated"]
"""How tokens are known: all counted; those of some conversations; or reckoned from characters."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The samples that are learned from, and their tokens."""

    basis: Basis
    samples: int
    tokens: int
    """Of an epoch, padding left out."""
    trained_tokens: int
    """Of them in the loss: the answers."""
    longest: int
    lengths: Sequence[int]
    """Of the samples that were looked at."""
    shortened: int = 0
    """Samples that lost something to fit max_length."""
    left_out: int = 0
    """Answers that do not fit it at all, or that the model's template cannot write."""
    token_rows: int = 0
    """Tokens whose rows in embedding and head are trained with the adapter."""

    @classmethod
    def of(cls, lengths: Sequence[int], report: SampleReport, *, share: float = 1.0) -> Tokens:
        """Return the tokens of all samples, if those of these lengths are such a share of them."""
        return cls(
            "counted" if share == 1 else "sampled",
            samples=round(report.samples / share),
            tokens=round(report.tokens / share),
            trained_tokens=round(report.trained_tokens / share),
            longest=report.longest,
            lengths=lengths,
            shortened=round(report.shortened / share),
            left_out=round((report.dropped + report.refused) / share),
        )
