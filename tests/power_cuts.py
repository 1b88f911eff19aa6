"""A disk whose power fails: what was not synced is lost, in data, in names, or in both."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qwen3ft_jupyter.disk import LOCAL
from tests.played_disks import PlayedDisk

if TYPE_CHECKING:
    from pathlib import Path

Loss = Literal["nothing", "data", "names", "both"]
"""What goes with the power: nothing is what a kill loses; names without data is what some file systems lose."""
LOSSES: tuple[Loss, ...] = ("nothing", "data", "names", "both")


class PowerCut(BaseException):
    """Ends everything at once: no handler of ours may catch it, and none could write anything after it."""


@dataclass(eq=False)
class Node:
    """A file, whatever its names are."""

    synced: bytes | None = None
    """What survives; None if it was never synced."""
    last: bytes = b""
    """What it held when it lost its last name."""

    def surviving(self, data: bytes, *, keeps_data: bool) -> bytes:
        if keeps_data:
            return data
        return bytes(len(data)) if self.synced is None else self.synced  # its length is there, its blocks are zeros


class PowerCutDisk(PlayedDisk):
    """Lets `operations` operations through, then cuts the power. `settle` leaves in `root` what survives.

    Names are as weak as POSIX allows: each folder's are lost unless that folder was synced, so that a renamed file may
    be found under both names.
    """

    def __init__(self, root: Path, operations: int | None = None) -> None:
        self.root = root
        self.done = 0
        self._left = operations
        self.is_cut = False
        self._lock = threading.RLock()
        self._open: dict[int, Node] = {}
        self._now: dict[Path, Node | None] = {}
        """The names as they are; None for a folder."""
        for path in sorted(root.rglob("*")):
            self._now[path] = None if path.is_dir() else Node(path.read_bytes())
        self._durable = dict(self._now)

    def open(self, path: Path, flags: int, mode: int = 0o666) -> int:
        with self._lock:
            if flags & os.O_CREAT and not os.path.lexists(path):
                self._step()
            elif self.is_cut:
                raise PowerCut
            descriptor = super().open(path, flags, mode)
            node = self._now.setdefault(path, Node())
            assert node is not None
            self._open[descriptor] = node
            return descriptor

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        LOCAL.close(descriptor)  # also after the cut: the test's own descriptors are real

    def write_at(self, descriptor: int, data: memoryview, offset: int) -> None:
        with self._lock:
            self._step(lambda: LOCAL.write_at(descriptor, data[: len(data) // 2], offset))
            super().write_at(descriptor, data, offset)

    def append(self, descriptor: int, data: bytes) -> None:
        with self._lock:
            self._step(lambda: LOCAL.append(descriptor, data[: len(data) // 2]))
            super().append(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        with self._lock:
            self._step()
            super().truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        with self._lock:
            self._step()
            node = self._open[descriptor]
            node.synced = self._read(node)

    def replace(self, source: Path, target: Path) -> None:
        with self._lock:
            self._step()
            self._retire(target)
            super().replace(source, target)
            self._now[target] = self._now.pop(source)

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            self._step()
            super().link(source, target)
            self._now[target] = self._now[source]

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._step()
            self._retire(path)
            super().unlink(path)
            self._now.pop(path, None)

    def make_folder(self, path: Path) -> None:
        with self._lock:
            if os.path.lexists(path):
                super().make_folder(path)
            self._step()
            super().make_folder(path)
            self._now[path] = None

    def remove_folder(self, path: Path) -> None:
        with self._lock:
            self._step()
            super().remove_folder(path)
            self._now.pop(path, None)

    def chmod(self, path: Path, mode: int) -> None:
        with self._lock:
            self._step()
            super().chmod(path, mode)

    def fsync_folder(self, folder: Path) -> None:
        with self._lock:
            self._step()
            for path in [path for path in self._now if not os.path.lexists(path)]:
                del self._now[path]  # deleted behind our back, with a whole folder
            for path in [path for path in self._durable if path.parent == folder]:
                if path not in self._now:
                    del self._durable[path]
            self._durable.update({path: node for path, node in self._now.items() if path.parent == folder})

    def settle(self, loss: Loss) -> None:
        """Leave in the root what survives the cut."""
        now = {path: node for path, node in self._now.items() if os.path.lexists(path)}
        names = self._durable if loss in {"names", "both"} else now
        contents = {
            path: node.surviving(self._read(node), keeps_data=loss in {"nothing", "names"})
            for path, node in names.items()
            if node is not None
        }
        folders = [path for path, node in names.items() if node is None]
        shutil.rmtree(self.root)
        self.root.mkdir()
        for path in sorted(folders):
            if path.parent.is_dir():  # else it was lost with the folder above it
                path.mkdir()
        for path, data in contents.items():
            if path.parent.is_dir():
                path.write_bytes(data)

    def _step(self, half: object = None) -> None:
        if self.is_cut:
            raise PowerCut
        if self._left is not None and self.done >= self._left:
            self.is_cut = True
            if callable(half):
                half()
            raise PowerCut
        self.done += 1

    def _retire(self, path: Path) -> None:
        node = self._now.get(path)
        if node is not None:
            node.last = path.read_bytes()

    def _read(self, node: Node) -> bytes:
        """Return what a file holds; by any of its names, for its descriptor may be closed or write-only."""
        for path, other in self._now.items():
            if other is node and path.exists():
                return path.read_bytes()
        return node.last or node.synced or b""
