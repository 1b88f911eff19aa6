"""Where the containers of PAI-DLC have a file that is here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qwen3ft_jupyter.finetune.dlc import Mount


@dataclass(frozen=True, slots=True)
class PathMap:
    """Reckons between the paths of this machine and those of the containers.

    >>> from qwen3ft_jupyter.finetune.dlc import Mount
    >>> paths = PathMap((Mount("d-1", "/mnt/data", "/home/me/nas"), Mount("d-2", "/mnt/deep", "/home/me/nas/deep")))
    >>> paths.there("/home/me/nas/a.jsonl#500"), paths.there("/home/me/nas/deep/b"), paths.here("/mnt/data/runs/1")
    ('/mnt/data/a.jsonl#500', '/mnt/deep/b', '/home/me/nas/runs/1')
    """

    mounts: Sequence[Mount]

    def there(self, path: str) -> str | None:
        """Return what the containers call a path of this machine; None if they do not have it."""
        return _moved(path, [(mount.here, mount.path) for mount in self.mounts])

    def here(self, path: str) -> str:
        """Return what this machine calls a path of the containers; itself if it has it not."""
        return _moved(path, [(mount.path, mount.here) for mount in self.mounts]) or path

    def check(self, named: Iterable[tuple[str, str]]) -> list[str]:
        """Return a sentence for each path that is on no mount; they come with the field that they are of."""
        return [
            Message("{name}: {path} is on no mount of dlc.mounts", name=name, path=path.rstrip("/").rpartition("/")[2])
            for name, path in named
            if self.there(path) is None
        ]


def _moved(path: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    """Return a path that lies below the first of a pair as below the second; of several the deepest counts."""
    for start, end in sorted(pairs, key=lambda pair: len(pair[0]), reverse=True):
        if path == start or path.startswith(f"{start}/"):
            return end + path[len(start) :]
    return None
