"""Samples in a temporary file: of each only its place and its length are in memory."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final, overload

from qwen3ft_jupyter.finetune.samples import IGNORED, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IN_MEMORY: Final = 1 << 25
"""Bytes held in memory before a file is made: eight million tokens."""

_NUMBER: Final = array("i").itemsize


class Samples(Sequence[Sample]):
    """Samples in the order in which they were added. The file has no name, so nothing of it stays, whatever happens."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder on whose volume the file is; None: that for temporary files."""
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=None if folder is None else str(folder))  # noqa: SIM115 - it lives as long as we
        weakref.finalize(self, self._file.close)
        self._offsets = array("Q", [0])
        self.lengths = array("I")
        """Tokens of each."""

    def extend(self, samples: Iterable[Sample]) -> None:
        """Add some. Raises OSError."""
        self._file.seek(self._offsets[-1])
        for sample in samples:
            runs = array("i", sample.runs())
            record = array("i", [len(runs)]) + runs + sample.input_ids
            self._file.write(record.tobytes())
            self._offsets.append(self._offsets[-1] + len(record) * _NUMBER)
            self.lengths.append(len(sample.input_ids))

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        """Read a sample, or several. Raises IndexError, OSError."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        self._file.seek(self._offsets[number])
        record = array("i", self._file.read(self._offsets[number + 1] - self._offsets[number]))
        ends = list(accumulate(record[1 : 1 + record[0]]))
        input_ids = record[1 + record[0] :]
        labels = array("i", [IGNORED]) * len(input_ids)
        for start, end in zip(ends[::2], ends[1::2], strict=False):  # every second run is learned
            labels[start:end] = input_ids[start:end]
        return Sample(input_ids, labels)
