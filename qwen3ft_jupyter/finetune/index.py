"""Conversations that stay in their files: an index of a few bytes a row says where; they are read when asked for."""

from __future__ import annotations

import bisect
import itertools
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.formats import Conversation, Mapper
from qwen3ft_jupyter.finetune.rows import BadRow, Row
from qwen3ft_jupyter.finetune.sources import unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qwen3ft_jupyter.finetune.dataset_info import Entry
    from qwen3ft_jupyter.finetune.files import DataFile


@dataclass(slots=True)
class FileIndex:
    """Where the conversations of a file stand: some twenty bytes for each."""

    file: DataFile
    mapper: Mapper
    data_format: str
    """Of its rows; of those that do not tell, where `is_detected`."""
    is_detected: bool
    weight: float = 1.0
    """How often each of them is seen in an epoch."""
    entry: Entry | None = None
    """What a dataset_info.json says of it."""
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    numbers: array[int] = field(default_factory=lambda: array("I"))
    lines: array[int] = field(default_factory=lambda: array("I"))
    """Empty where rows have no line of their own."""

    def __len__(self) -> int:
        return len(self.offsets)

    def map(self, row: Row) -> Conversation:
        """Return the conversation in a row. Raises BadRow."""
        if self.entry is not None and self.entry.tags is not None:
            row = self.entry.tags.apply(row, self.entry.turns)
        found = self.mapper.detect(row) if self.is_detected else None
        return self.mapper.map(row, found or self.data_format)

    def add(self, row: Row) -> None:
        """Note a row of this file."""
        number, _, line = row.where.rpartition(" row ")[2].partition(" line ")
        self.offsets.append(row.offset)
        self.lengths.append(row.length)
        self.numbers.append(int(number))
        if line:
            self.lines.append(int(line))

    def keep(self, chosen: Sequence[int]) -> None:
        """Forget all others."""
        for name in ("offsets", "lengths", "numbers", "lines"):
            all_of_them = getattr(self, name)
            if all_of_them:
                setattr(self, name, array(all_of_them.typecode, map(all_of_them.__getitem__, chosen)))

    def read(self, chosen: Iterable[int]) -> Iterator[Conversation]:
        """Yield some of the conversations. Raises BadData if the file has changed or cannot be read any more."""
        try:
            with self.file.reading() as read:
                for index in chosen:
                    yield self.map(Row(read(self.offsets[index], self.lengths[index]), self._where(index)))
        except BadRow as error:
            raise BadData("{name} changes while it is read.", hint="Try again.", name=self.file.path.name) from error
        except OSError as error:
            raise unreadable(self.file.path, error) from error

    def _where(self, index: int) -> str:
        where = f"{self.file.path.name} row {self.numbers[index]}"
        return f"{where} line {self.lines[index]}" if self.lines else where


class Conversations(Sequence[Conversation]):
    """Conversations of several files, some of them or all, in an order."""

    def __init__(self, files: Sequence[FileIndex], chosen: Sequence[int] | None = None) -> None:
        """Take the files, and the numbers of the conversations over all files; None: all."""
        self._files = files
        self._ends = list(itertools.accumulate(map(len, files)))
        self._chosen = range(self._ends[-1] if files else 0) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Conversation: ...
    @overload
    def __getitem__(self, index: slice) -> Conversations: ...
    def __getitem__(self, index: int | slice) -> Conversation | Conversations:
        """Return a conversation, or some of them, which are not read yet."""
        if isinstance(index, slice):
            return Conversations(self._files, self._chosen[index])
        return next(iter(Conversations(self._files, [self._chosen[index]])))

    def __iter__(self) -> Iterator[Conversation]:
        """Read them; each file is opened once for those that stand together. Raises BadData."""
        for number, group in itertools.groupby(self._chosen, self._file_of):
            start = self._ends[number] - len(self._files[number])
            yield from self._files[number].read(index - start for index in group)

    def pick(self, indices: Iterable[int]) -> Conversations:
        """Return those with these indices, in this order."""
        return Conversations(self._files, array("Q", map(self._chosen.__getitem__, indices)))

    def weighted(self, seed: int) -> Conversations:
        """Return them as often as the weights of their files say; of the rest, some are drawn by the seed."""
        if all(file.weight == 1 for file in self._files):
            return self
        chosen = array("Q")
        for number, group in itertools.groupby(self._chosen, self._file_of):
            once = array("Q", group)
            whole, rest = divmod(round(self._files[number].weight * len(once)), len(once))
            drawn = sorted(random.Random(seed).sample(range(len(once)), rest))  # noqa: S311 - not a secret
            chosen.extend(once * whole)
            chosen.extend(map(once.__getitem__, drawn))
        return Conversations(self._files, chosen)

    def _file_of(self, index: int) -> int:
        return bisect.bisect_right(self._ends, index)
