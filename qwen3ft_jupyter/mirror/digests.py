"""Digests of files that had to be read here, each kept as long as the file's stamp stays."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.manifest import Stamp
from qwen3ft_jupyter.cache.reading import digest_file
from qwen3ft_jupyter.work import Work

if TYPE_CHECKING:
    from qwen3ft_jupyter.hubs.names import Sha256


class Digests:
    """Reads each file once. Thread-safe."""

    def __init__(self, stop: threading.Event) -> None:
        self._work = Work(stop=stop)
        self._lock = threading.Lock()  # one file is read at a time: it is the disk that takes the time
        self._known: dict[str, tuple[Stamp, Sha256]] = {}

    def known(self, place: str, stamp: Stamp) -> Sha256 | None:
        """Return the digest if the file was read under this stamp."""
        entry = self._known.get(place)
        return entry[1] if entry is not None and entry[0] == stamp else None

    def of(self, place: str, stamp: Stamp) -> Sha256 | None:
        """Return the digest of the file under this stamp, or None if it has another by now.

        Raises:
            OSError: The file cannot be read.
            Stopped: The mirror is closing.
        """
        with self._lock:
            known = self.known(place, stamp)
            if known is None:
                digest = digest_file(Path(place), with_git=False, on_bytes=lambda _: self._work.check())
                if digest is not None:
                    self._known[place] = (Stamp.of(digest.status), digest.sha256)
                known = self.known(place, stamp)
            return known
