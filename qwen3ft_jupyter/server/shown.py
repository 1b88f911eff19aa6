"""What Jupyter's file browser shows of this disk, and what it calls a folder there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShownFolder:
    """The folder below which everything is shown."""

    root: Path
    has_hidden: bool = False
    """Whether what begins with a dot is shown, too."""

    def name_of(self, folder: Path) -> str | None:
        """Return what the file browser calls a folder; None if it does not show it.

        >>> shown = ShownFolder(Path("/home/me"))
        >>> shown.name_of(Path("/home/me/models/a_b")), shown.name_of(Path("/home/me/.cache/a_b"))
        ('models/a_b', None)
        """
        for root, path in ((self.root, folder), (_real(self.root), _real(folder))):
            if root in path.parents:
                parts = path.relative_to(root).parts
                is_shown = self.has_hidden or not any(part.startswith(".") for part in parts)
                return "/".join(parts) if is_shown else None
        return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
