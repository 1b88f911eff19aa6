"""Samples in a temporary file: of each only its place and its length are in memory."""

from __future__ import annotations

import tempfile
import weakref
from abc import abstractmethod
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, overload

from qwen3ft_jupyter.finetune.samples import IGNORED, Example, Pair, Sample, padded_length

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IN_MEMORY: Final = 1 << 25
"""Bytes held in memory before a file is made: eight million tokens."""

TOKEN_BYTES: Final = array("i").itemsize


class Examples(Sequence[Example]):
    """Examples that are made when their turn comes."""

    @abstractmethod
    def example(self, index: int) -> Example:
        """Return the one at a place from 0 on."""

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        """Return an example, or several. Raises IndexError, OSError."""
        places = range(len(self))[index]
        return self.example(places) if isinstance(places, int) else [self.example(place) for place in places]


class Samples(Examples):
    """Samples in the order in which they were added. The file has no name, so nothing of it stays, whatever happens."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder on whose volume the file is; None: that for temporary files."""
        where = None if folder is None else str(folder)
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=where)  # noqa: SIM115 - it lives as long as we
        weakref.finalize(self, self._file.close)
        self._offsets = array("Q", [0])
        self.lengths = array("I")
        """Tokens of each."""
        self.widest = 0
        """Tokens of the widest, padded."""

    def extend(self, examples: Iterable[Example]) -> None:
        """Add some. Raises OSError."""
        self._file.seek(self._offsets[-1])
        for example in examples:
            record = array("i")
            for one in example.sequences:
                runs = one.runs()
                record.extend([len(runs), *runs])
                record += one.input_ids
            self._file.write(record.tobytes())
            self._offsets.append(self._offsets[-1] + len(record) * TOKEN_BYTES)
            self.lengths.append(example.length)
            self.widest = max(self.widest, padded_length(example))

    def __len__(self) -> int:
        return len(self.lengths)

    def example(self, index: int) -> Example:
        """Read the sample at a place."""
        self._file.seek(self._offsets[index])
        record = array("i", self._file.read(self._offsets[index + 1] - self._offsets[index]))
        first, rest = _sequence(record)
        return Pair(first, _sequence(rest)[0]) if rest else first


def _sequence(record: array[int]) -> tuple[Sample, array[int]]:
    """Return the first sequence of a record, and what comes after it."""
    start = 1 + record[0]
    ends = list(accumulate(record[1:start]))
    input_ids, rest = record[start : start + ends[-1]], record[start + ends[-1] :]
    labels = array("i", [IGNORED]) * len(input_ids)
    for begin, end in zip(ends[::2], ends[1::2], strict=False):  # every second run is learned
        labels[begin:end] = input_ids[begin:end]
    return Sample(input_ids, labels), rest
