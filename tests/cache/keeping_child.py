"""A process that is killed at a write of its choice: `python -m tests.cache.keeping_child NTH evict|move ROOT …`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from qwen3ft_jupyter.cache.move import move_cache
from qwen3ft_jupyter.cache.store import ModelCache
from tests.played_disks import BareDisk, PlayedDisk

WRITES = ("replace", "link", "unlink", "make_folder", "remove_folder", "write_at", "append", "truncate")


def deadly(disk: PlayedDisk, nth: int) -> PlayedDisk:
    """Return the disk with a kill before the nth call that changes something."""
    count = 0

    def counted(name: str) -> None:
        write = getattr(disk, name)

        def call(*args: object) -> object:
            nonlocal count
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*args)

        setattr(disk, name, call)

    for name in WRITES:
        counted(name)
    return disk


def main() -> None:
    nth, action, root, *rest = sys.argv[1:]
    if action == "evict":
        disk = deadly(PlayedDisk(), int(nth))
        ModelCache(Path(root), disk=disk).evict(rest[0], revision=rest[1])
    else:
        disk = deadly(BareDisk() if action == "copy" else PlayedDisk(), int(nth))
        move_cache(Path(root), Path(rest[0]), disk=disk)


if __name__ == "__main__":
    main()
