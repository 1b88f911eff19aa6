"""Which file or folder a path means that is spelled wrong."""

from __future__ import annotations

import contextlib
import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.paths import at_home, current_folder, is_file, is_folder

if TYPE_CHECKING:
    from qwen3ft_jupyter.paths import Question

_MOST_NAMES = 1000
"""Entries of a folder that are looked through for a name that comes near."""
_FOLDER_IS_NEAR, _FILE_IS_NEAR = 0.7, 0.85
"""Similarity (difflib, 1.0 is equal); train and test, both with the suffix of their kind, are not near."""


def nearest_folder(name: str) -> str | None:
    """Return the folder that differs from `name` in few letters of any part."""
    return _nearest(at_home(name), is_folder, _FOLDER_IS_NEAR)


def nearest_file(path: Path) -> str | None:
    """Return the file that differs from `path` in few letters of any part, as it is written in the working folder."""
    near = _nearest(path, is_file, _FILE_IS_NEAR)
    here = current_folder()
    return Path(near).relative_to(here).as_posix() if near and here and Path(near).is_relative_to(here) else near


def _nearest(path: Path, is_wanted: Question, likeness: float) -> str | None:
    reached = Path(path.anchor)
    parts = path.parts[1:] if path.anchor else path.parts
    for number, part in enumerate(parts, 1):
        is_right, like = (is_wanted, likeness) if number == len(parts) else (is_folder, _FOLDER_IS_NEAR)
        near = [part] if is_right(reached / part) else get_close_matches(part, _names(reached, is_right), 1, like)
        if not near:
            return None
        reached /= near[0]
    return reached.as_posix()


def _names(folder: Path, is_right: Question) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for _, entry in zip(range(_MOST_NAMES), entries, strict=False) if is_right(entry.path)]
    return []
