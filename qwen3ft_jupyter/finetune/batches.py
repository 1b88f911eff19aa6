"""Lays the samples of one optimizer step out in rows, and the rows in micro-batches of bounded size.

Which samples make a step never depends on the layout, and a step's loss is a mean over all of the step: packed or not,
in one micro-batch or many, it has the same gradient.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict

from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor
    from typing_extensions import NotRequired

    from qwen3ft_jupyter.finetune.samples import Example, Sample


class MicroBatch(TypedDict):
    """What one forward pass computes: tensors of (rows, tokens).

    There is no attention mask. What pads a row stands at its end, where nothing attends to it; samples that share a row
    are told apart by their positions, which begin at 0 for each.
    """

    input_ids: Tensor
    position_ids: Tensor
    labels: Tensor
    """IGNORED outside of what is learned, at the start of each sample, and where rows are padded."""
    reference: NotRequired[Tensor]
    """Of pairs whose reference is known: `Pair.reference` of each, (pairs, 2)."""
    answer_tokens: NotRequired[list[int]]
    """Of pairs: the learned tokens of each sequence, in the order in which they stand."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which of the processes that compute a step together is meant."""

    index: int = 0
    count: int = 1


WHOLE: Final = Part()


class Step(TypedDict):
    """The samples of one optimizer step: the counts are those of all, the micro-batches those of one part of it."""

    micro_batches: list[MicroBatch]
    samples: int
    tokens: int
    """Real ones, padding left out."""
    learned: int
    """Tokens in the loss."""
    idle: NotRequired[MicroBatch]
    """What is computed, and does not count, where there are none but the model is sharded."""
    order: list[list[int]]
    """The indices of the samples in each micro-batch, in the order in which they stand there."""


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

    def collate(self, samples: Sequence[Example], part: Part = WHOLE) -> Step:
        """Return the tensors of a part of one step; what `Trainer` calls a data collator."""
        own = parts_of([sample.length for sample in samples], part.count)[part.index]
        units = self._packed(samples, own) if self.packs else self._alone(samples, own)
        units.sort(key=lambda unit: -unit.width)  # neighbours are alike, so little is padded; the widest come first
        groups = list(self.groups(units, 1 if self.packs and self.is_flat else len(units)))
        sequences = [one for sample in samples for one in sample.sequences]
        return {
            "micro_batches": [self._tensors([row for unit in group for row in unit.rows]) for group in groups],
            "order": [[index for unit in group for index in unit.indices] for group in groups],
            "samples": len(samples),
            "tokens": sum(sample.length for sample in samples),
            "learned": sum(label != IGNORED for one in sequences for label in one.labels[1:]),
        }

    def groups(self, units: list[Unit], most_units: int) -> Iterator[list[Unit]]:
        """Yield what is computed at once of units of as many rows each, given from the widest on."""
        start = 0
        while start < len(units):
            each = self._padded(units[start].width) * len(units[start].rows)
            count = min(most_units, max(1, self.most_tokens // each))
            yield units[start : start + count]
            start += count

    def _packed(self, samples: Sequence[Example], own: Sequence[int]) -> list[Unit]:
        lengths = [samples[index].length for index in own]
        rows = packed_rows(lengths, max([self.most_tokens if self.is_flat else 0, *lengths]))
        return [
            Unit(
                [[one for place in row for one in samples[own[place]].sequences]],
                sum(lengths[place] for place in row),
                [own[place] for place in row],
            )
            for row in rows
        ]

    def _alone(self, samples: Sequence[Example], own: Sequence[int]) -> list[Unit]:
        return [
            Unit(
                [[one] for one in samples[index].sequences],
                max(one.length for one in samples[index].sequences),
                [index],
            )
            for index in own
        ]

    def _padded(self, width: int) -> int:
        return -(-width // self.multiple_of) * self.multiple_of

    def _tensors(self, rows: list[list[Sample]]) -> MicroBatch:
        import torch

        shape = (len(rows), self._padded(max(sum(one.length for one in row) for row in rows)))
        input_ids = torch.full(shape, self.pad_id)
        labels = torch.full(shape, IGNORED)
        position_ids = torch.arange(shape[1]).repeat(shape[0], 1)
        for index, samples in enumerate(rows):
            start = 0
            for sample in samples:
                end = start + sample.length
                input_ids[index, start:end] = torch.tensor(sample.input_ids)
                labels[index, start + 1 : end] = torch.tensor(sample.labels)[1:]
                position_ids[index, start:] = torch.arange(shape[1] - start)
                start = end
        return {"input_ids": input_ids, "position_ids": position_ids, "labels": labels}


def parted(step: Step, most_tokens: int) -> Step | None:
    """Return a step whose micro-batches have at most so many tokens, as far as rows can be parted from each other.

    The two rows of a pair stay together. None: nothing can be parted. A step has the same loss in as many parts.
    """
    parts: list[MicroBatch] = []
    orders: list[list[int]] = []
    for batch, order in zip(step["micro_batches"], step["order"], strict=True):
        rows, width = batch["input_ids"].shape
        unit = 2 if rows == 2 * len(order) else 1
        count = rows if "reference" in batch else max(1, most_tokens // (unit * width)) * unit
        starts = range(0, rows, count)
        parts += [_rows_of(batch, slice(start, start + count)) for start in starts] if len(starts) > 1 else [batch]
        if rows == unit * len(order):
            orders += [order[start // unit : (start + count) // unit] for start in starts]
        else:  # samples share rows; nobody asks any more which is where, but how many they are
            orders += [order, *([] for _ in starts[1:])]
    return {**step, "micro_batches": parts, "order": orders} if len(parts) > len(step["micro_batches"]) else None


def _rows_of(batch: MicroBatch, rows: slice) -> MicroBatch:
    return {
        "input_ids": batch["input_ids"][rows],
        "position_ids": batch["position_ids"][rows],
        "labels": batch["labels"][rows],
    }


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows that are computed together: one that samples share, or those of one sample."""

    rows: list[list[Sample]]
    """What stands in each, one after the other."""
    width: int
    """Tokens of the longest."""
    indices: list[int]
    """Of the samples in them, among those of the step."""


def parts_of(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Return the indices of what each of `count` processes computes: longest first, each to the one with least to do.

    >>> parts_of([3, 9, 5, 4], 2)
    [[1, 0], [2, 3]]
    """
    parts: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    if count == 1:
        return [list(range(len(lengths)))]
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        least = tokens.index(min(tokens))
        parts[least].append(index)
        tokens[least] += lengths[index]
    return parts


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
