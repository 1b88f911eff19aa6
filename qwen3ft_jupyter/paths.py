"""Questions about paths. Each has an answer, whatever the file system does.

pathlib's own (`is_dir`, `exists`, `iterdir`, …) raise where they cannot find out: in another user's folder, on a
network drive that is gone, on a name that is too long. What cannot be looked at is not there for us; `fault_of` says
why, so that whoever may not pass over it in silence can name it.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Question = Callable[[str | os.PathLike[str]], bool]

# these answer False on any OSError, and on a path that no system call takes
is_folder: Question = os.path.isdir
"""Is it a folder, or a symlink to one?"""
is_file: Question = os.path.isfile
"""Is it a regular file, or a symlink to one?"""
is_link: Question = os.path.islink
"""Is it a symlink, wherever that leads?"""
is_there: Question = os.path.lexists
"""Has anything this name, be it a symlink that leads nowhere?"""


def is_real_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry of a folder is a folder itself; a symlink is none."""
    try:
        return entry.is_dir(follow_symlinks=False)  # asks where the listing does not tell, as on some network drives
    except OSError:
        return False


def names_in(folder: Path | str) -> Sequence[str]:
    """Return the names in a folder, sorted; none if it cannot be looked into."""
    with contextlib.suppress(OSError, ValueError):
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    return ()


def folds_case(folder: Path, name: str) -> bool:
    """Return whether a folder that holds `name` finds it in other case, too: Linux mounts such volumes as well."""
    try:
        return (folder / name).samefile(folder / name.swapcase())
    except OSError:
        return False


def matching(folder: Path, pattern: str) -> Sequence[Path]:
    """Return what is in a folder and has a name that a pattern such as ``*.json`` describes, by name.

    Unlike a shell's, a pattern describes hidden names as well.
    """
    return [folder / name for name in names_in(folder) if fnmatch.fnmatchcase(name, pattern)]


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` replaced, where there is such a home folder; pathlib raises where there is none."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def current_folder() -> Path | None:
    """Return the working folder; None if it has been deleted while this process is in it."""
    try:
        return Path.cwd()
    except OSError:
        return None


def nearest_folder(path: Path) -> Path:
    """Return `path` or the folder above it that is there: on its volume it is, or would be made."""
    return next((folder for folder in (path, *path.parents) if is_folder(folder)), path)


def fault_of(folder: Path | str) -> OSError | None:
    """Return why a folder cannot be looked into; None if it can be, or if nothing of that name is there."""
    try:
        with os.scandir(folder):
            pass
        os.lstat(os.path.join(folder, os.curdir))  # noqa: PTH118 - what is in it can be reached, too
    except FileNotFoundError as error:
        return error if _leads_nowhere(Path(folder)) else None
    except (OSError, ValueError) as error:
        return error if isinstance(error, OSError) else OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(folder))
    return None


def is_taken(path: Path) -> bool:
    """Return whether anything has this name. Raises OSError if nobody can tell: what is unknown is not free."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def why_unseen(path: Path | str) -> OSError | None:
    """Return why nobody can tell what has this name; None if that can be told, or if nothing has it."""
    try:
        os.stat(path)  # noqa: PTH116 - pathlib refuses some
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        return error if isinstance(error, OSError) else OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    return None


def why_unread(path: Path) -> OSError | None:
    """Return why a file cannot be opened to be read; None if it can, or is not there."""
    try:
        os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))  # a pipe does not block
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None


def reason_of(error: OSError) -> str:
    """Return in the system's words what has gone wrong, without the path.

    >>> reason_of(PermissionError(errno.EACCES, "Permission denied", "/home/other"))
    'Permission denied'
    """
    return error.strerror or type(error).__name__


def _leads_nowhere(path: Path) -> bool:
    """Return whether it, or what it lies in, is a symlink to what is not there."""
    nearest = next((one for one in (path, *path.parents) if is_there(one)), None)
    return nearest is not None and is_link(nearest) and not is_folder(nearest)
