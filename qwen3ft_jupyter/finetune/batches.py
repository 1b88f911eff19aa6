"""Lays the samples of one optimizer step out in rows, and the rows in micro-batches of bounded size.

Which samples make a step never depends on the layout, and a step's loss is the mean over all its learned tokens: packed
or not, in one micro-batch or many, it has the same gradient.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from qwen3ft_jupyter.finetune.samples import Sample


class MicroBatch(TypedDict):
    """What one forward pass computes: tensors of (rows, tokens).

    There is no attention mask. What pads a row stands at its end, where nothing attends to it; samples that share a row
    are told apart by their positions, which begin at 0 for each.
    """

    input_ids: Tensor
    position_ids: Tensor
    labels: Tensor
    """IGNORED outside of what is learned, at the start of each sample, and where rows are padded."""


class Step(TypedDict):
    """The samples of one optimizer step."""

    micro_batches: list[MicroBatch]
    tokens: int
    """Real ones, padding left out."""
    learned: int
    """Tokens in the loss."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How samples are laid out in rows."""

    pad_id: int
    most_tokens: int
    """Of a micro-batch, padding included; one that holds a single row may be larger."""
    packs: bool = False
    """Whether several samples share a row."""
    is_flat: bool = False
    """Whether a micro-batch is one long row: flash attention tells packed samples apart in such a one only."""
    multiple_of: int = 1
    """Rows are padded up to a multiple of so many tokens."""

    def collate(self, samples: Sequence[Sample]) -> Step:
        """Return the tensors of one step; what `Trainer` calls a data collator."""
        lengths = [len(sample.input_ids) for sample in samples]
        if self.packs:
            rows = packed_rows(lengths, max(self.most_tokens if self.is_flat else 0, *lengths))
        else:
            rows = [[index] for index in range(len(samples))]
        filled = [([samples[index] for index in row], sum(lengths[index] for index in row)) for row in rows]
        filled.sort(key=lambda row: -row[1])  # neighbours are alike, so little is padded; the widest come first
        most_rows = 1 if self.packs and self.is_flat else len(filled)
        return {
            "micro_batches": [self._tensors(group) for group in self.groups(filled, most_rows)],
            "tokens": sum(lengths),
            "learned": sum(label != IGNORED for sample in samples for label in sample.labels[1:]),
        }

    def groups(self, rows: list[_Row], most_rows: int) -> Iterator[list[_Row]]:
        """Yield rows that are computed at once, given from the widest on."""
        start = 0
        while start < len(rows):
            count = min(most_rows, max(1, self.most_tokens // self._padded(rows[start][1])))
            yield rows[start : start + count]
            start += count

    def _padded(self, width: int) -> int:
        return -(-width // self.multiple_of) * self.multiple_of

    def _tensors(self, rows: list[_Row]) -> MicroBatch:
        import torch

        shape = (len(rows), self._padded(rows[0][1]))
        input_ids = torch.full(shape, self.pad_id)
        labels = torch.full(shape, IGNORED)
        position_ids = torch.arange(shape[1]).repeat(shape[0], 1)
        for index, (samples, _) in enumerate(rows):
            start = 0
            for sample in samples:
                end = start + len(sample.input_ids)
                input_ids[index, start:end] = torch.tensor(sample.input_ids)
                labels[index, start + 1 : end] = torch.tensor(sample.labels)[1:]
                position_ids[index, start:] = torch.arange(shape[1] - start)
                start = end
        return {"input_ids": input_ids, "position_ids": position_ids, "labels": labels}


_Row = tuple[list["Sample"], int]
"""Samples that share a row, and their tokens."""


def packed_rows(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Return the indices of what shares each row of `width`: longest first, each into the fullest that takes it.

    >>> packed_rows([3, 9, 5, 4], 10)
    [[1], [2, 3], [0]]
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []
    """What is left of each row, and the row; sorted."""
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        found = bisect_left(room, (lengths[index], 0))
        left, row = room.pop(found) if found < len(room) else (width, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(index)
        insort(room, (left - lengths[index], row))
    return rows
