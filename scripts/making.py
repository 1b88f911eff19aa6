"""What scripts that make files share: write them, or with ``--check`` say which are not up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Made: TypeAlias = Mapping[Path, str] | Mapping[Path, bytes]
    """The content of files, by path."""

ROOT = Path(__file__).parent.parent


def is_checking() -> bool:
    """Return whether the command line asks only to look."""
    return "--check" in sys.argv[1:]


def stale(made: Made) -> list[Path]:
    """Return the files whose content is not what was made."""
    return [path for path, content in made.items() if not path.is_file() or path.read_bytes() != _bytes(content)]


def write(made: Made) -> None:
    """Write the files."""
    for path, content in made.items():
        path.write_bytes(_bytes(content))


def write_or_check(files: Callable[[], Made]) -> int:
    """Write what `files` makes, or name what of it is not up to date; return the exit status."""
    made = files()
    if not is_checking():
        write(made)
        return 0
    found = [path.relative_to(ROOT).as_posix() for path in stale(made)]
    print("\n".join(f"not up to date: {name}" for name in found), end="\n" * bool(found))
    return int(bool(found))


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
