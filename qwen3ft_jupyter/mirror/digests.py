"""Digests of files that had to be read here, each kept as long as the file's stamp stays.

Of small files the one of git, too, which Hugging Face lists them by.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qwen3ft_jupyter.cache.own.manifest import Stamp
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.mirror.models import MAX_PLAIN_BYTES
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from qwen3ft_jupyter.hubs.names import Sha256


class Known(NamedTuple):
    """What a file was found to be."""

    stamp: Stamp
    sha256: Sha256
    git_sha1: str
    """Empty of one that is larger than `MAX_PLAIN_BYTES`."""


class Digests:
    """Reads each file once. Thread-safe."""

    def __init__(self, stop: threading.Event) -> None:
        self._work = Work(stop=stop)
        # one file is read at a time: it is the disk that takes the time; a small one does not wait for a large one
        self._small, self._large = threading.Lock(), threading.Lock()
        self._known: dict[str, Known] = {}

    def known(self, place: str, stamp: Stamp) -> Known | None:
        """Return the digests if the file was read under this stamp."""
        entry = self._known.get(place)
        return entry if entry is not None and entry.stamp == stamp else None

    def of(self, place: str, stamp: Stamp) -> Known | None:
        """Return the digests of the file under this stamp, or None if it has another by now.

        Raises:
            OSError: The file cannot be read.
            Stopped: The mirror is closing.
        """
        known = self.known(place, stamp)
        if known is not None:
            return known
        is_small = stamp.size <= MAX_PLAIN_BYTES
        with self._small if is_small else self._large:
            known = self.known(place, stamp)  # somebody else may have read it meanwhile
            if known is None:
                digest = digest_file(Path(place), with_git=is_small, on_bytes=lambda _: self._work.check())
                if digest is not None:
                    self._known[place] = Known(Stamp.of(digest.status), digest.sha256, digest.git_sha1)
                known = self.known(place, stamp)
        return known
