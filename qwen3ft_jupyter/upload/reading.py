"""Files as the clients of the hubs read them: with progress, within the speed, until somebody stops the work."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, BinaryIO, cast

from qwen3ft_jupyter.errors import TransferError
from qwen3ft_jupyter.paths import reason_of
from qwen3ft_jupyter.transfer.meter import Meter

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from qwen3ft_jupyter.upload.plan import Item
    from qwen3ft_jupyter.work import Work

READ_BYTES = 1 << 20
"""The most that is read at once: a stop is heeded and progress told between two reads."""


class Passage:
    """What passes of all files in one phase."""

    def __init__(self, work: Work, phase: str, total: int) -> None:
        """Take the phase, and the bytes of all files."""
        self._work = work
        self._meter = Meter(work.reporter, phase, total, clock=time.monotonic)
        self.done = 0
        """Bytes of the files that are through."""
        self.moved = 0
        """Bytes that were read, those of a second try among them."""

    def read(self, item: Item, count: int, position: int) -> None:
        """Take note of `count` bytes that were read up to `position`; wait as the speed asks. Raises Stopped."""
        self._work.pace(count)
        self.moved += count
        self._meter.update(self.done + position, detail=item.path)

    def through(self, item: Item) -> None:
        """Take note of a file that is through, read or not."""
        self.done += item.size
        self._meter.update(self.done, detail=item.path, now=True)


class PushedFile(io.BufferedIOBase):
    """A file that a client reads, as often as it likes, in whichever phase `passage` is of.

    Every method raises TransferError where the disk refuses: an OSError would look like one of the network.
    """

    def __init__(self, item: Item, passage: Passage) -> None:
        """Open the file. Raises TransferError."""
        self.item, self.passage = item, passage
        self._position = 0
        try:
            self._file = cast("BinaryIO", item.source.open("rb")) if item.source else io.BytesIO(item.content)
        except OSError as error:
            raise self._unreadable(error) from error

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what comes next. Raises TransferError, Stopped."""
        parts = []
        left = size if size is not None and size >= 0 else self.item.size + 1
        while left > 0 and (data := self._read_once(min(left, READ_BYTES))):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    read1 = read

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer with what comes next."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        """Return where it is."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go elsewhere."""
        try:
            self._position = self._file.seek(offset, whence)
        except OSError as error:
            raise self._unreadable(error) from error
        return self._position

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _read_once(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise self._unreadable(error) from error
        self._position += len(data)
        if self._position > self.item.size or (not data and self._position < self.item.size):
            raise TransferError(
                "{path} has changed while it was uploaded.", hint="Let it rest, and push again.", path=self.item.path
            )
        self.passage.read(self.item, len(data), self._position)
        return data

    def _unreadable(self, error: OSError) -> TransferError:
        return TransferError(
            "{path} cannot be read: {reason}.",
            hint="What has been uploaded stays there: push again when it can be read.",
            path=self.item.path,
            reason=reason_of(error),
        )
