"""One file on its way: which pieces are there, what its digest is so far, and where its bytes come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import SourceFailed
from qwen3ft_jupyter.transfer.corruption_search import CorruptionSearch
from qwen3ft_jupyter.transfer.pieces import PieceMap, spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.listing import RemoteFile
    from qwen3ft_jupyter.transfer.partial import Partial
    from qwen3ft_jupyter.transfer.source import Source


def nobody_has(file: RemoteFile) -> SourceFailed:
    """Return the error for a file that no source has."""
    return SourceFailed("{path}: no source has it.", hint="Allow another hub, or try again later.", path=file.path)


class Digests:
    """The digests of one file, computed from its front."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._git = None if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        self.position = 0
        """How many bytes were hashed."""

    def update(self, data: bytes) -> None:
        """Hash the next bytes."""
        self._sha256.update(data)
        if self._git is not None:
            self._git.update(data)
        self.position += len(data)

    @property
    def sha256(self) -> str:
        """Return the sha256 of the bytes so far."""
        return self._sha256.hexdigest()

    @property
    def are_right(self) -> bool:
        """Return whether the bytes are those of the listing."""
        if self.position != self._file.size:
            return False
        if self._git is None:
            return self._file.sha256 == self.sha256
        return self._file.git_sha1 == self._git.hexdigest()


class FileDownload:
    """One file on its way."""

    def __init__(self, file: RemoteFile, partial: Partial) -> None:
        self.file = file
        self.partial = partial
        self._present = spans_of(partial.records)
        self.pieces = PieceMap(file.size, self._present)
        self.digests = Digests(file)
        self.is_open = False
        """Whether a connection has opened its partial, which is closed when it is verified."""
        self.is_hashing = False
        self.is_verified = False
        self.whole: set[str] = set()
        """Who ignored a range: they are asked only if there is nobody else, and then over one connection at a time."""
        self.failure: Qwen3ftError | None = nobody_has(file)
        """Why there is nobody whom it could come from; None while there is."""
        self.alone: Source | None = None
        """After bytes were wrong: the only source that is trusted for the time being."""
        self.corruption_search = CorruptionSearch()
        self.repairs = 0
        """How often ranges that changed on this disk were fetched again."""
        self.synced_bytes = self.pieces.done_bytes
        """How many of its bytes were there when the disk was last asked to write them down."""

    def forget(self, spans: Iterable[tuple[int, int]]) -> None:
        """Declare bytes of a complete file missing that were thought to be there, and hash it anew."""
        for start, end in spans:
            self.pieces.forget(start, end)
            self._present.remove(start, end)
        self.digests = Digests(self.file)

    def shares(self) -> Mapping[str, int]:
        """Return how many of the bytes that are there came from whom this time."""
        shares: Counter[str] = Counter()
        for record in self.partial.records:
            new_bytes = sum(gap.length for gap in self._present.gaps(record.start, record.end))
            if new_bytes:
                shares[record.source] += new_bytes
        return dict(shares)
