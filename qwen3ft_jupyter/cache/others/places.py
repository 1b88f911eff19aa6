"""Where other tools keep models on this disk, and the one way in which their files are reached: reading.

Nothing in them is trusted: a symlink is followed only if it ends inside the same place, and what is no regular file
does not exist for us. What belongs to a third user is only copied from, for the copy is compared with what a hub lists.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

from qwen3ft_jupyter.disk import READ_FLAGS
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_folder, is_real_folder, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.hubs.names import RepoId

Owner = Literal["huggingface", "modelscope", "folder"]
"""Whose layout a place has; a folder has none: models lie in it as people put them."""

LABELS: Final[dict[Owner, str]] = {
    "huggingface": Message("Hugging Face cache"),
    "modelscope": Message("ModelScope cache"),
    "folder": Message("other folders"),
}
"""What to call a place in front of a person, after "the"."""

YOUNG_S: Final = 2.0
"""A folder changed less than this ago may change once more without its time of change telling."""

MAX_REMEMBERED: Final = 50_000
"""Folders whose content is remembered; more than that are no caches of models."""

_READ = READ_FLAGS | getattr(os, "O_NOCTTY", 0)  # a terminal could become ours


@dataclass(frozen=True, slots=True)
class Place:
    """A folder in which another tool, or the user, keeps models."""

    owner: Owner
    root: Path
    """Absolute, without symlinks."""

    @property
    def label(self) -> str:
        """Return what to call it in front of a person, after "the"."""
        return LABELS[self.owner]

    def holds(self, path: Path | str) -> bool:
        """Return whether a path without symlinks lies below the root."""
        return str(path).startswith(os.path.join(self.root, ""))  # noqa: PTH118 - a root may end with its separator

    def resolve(self, path: Path | str) -> str | None:
        """Return where `path` ends, or None if it ends outside the root or nowhere."""
        try:
            real = os.path.realpath(path, strict=True)
        except (OSError, ValueError):
            return None
        return real if self.holds(real) else None

    def status(self, path: Path | str, *, is_compared: bool = False) -> os.stat_result | None:
        """Return what the system says of the regular file in which `path` ends, or None if it may not be used.

        With `is_compared` a digest will tell whether a copy of it is right: then it may be anybody's.
        """
        real = self.resolve(path)
        try:
            status = os.lstat(real) if real is not None else None
        except OSError:
            return None
        return status if status is not None and self.may_use(status, is_compared=is_compared) else None

    def open(self, path: Path | str, *, is_compared: bool = False) -> int:
        """Return a descriptor to read what `status` is about; raise OSError if it may not be used."""
        real = self.resolve(path)
        if real is None:
            raise FileNotFoundError(errno.ENOENT, "not in this place", str(path))
        descriptor = os.open(real, _READ)
        if self.may_use(os.fstat(descriptor), is_compared=is_compared):
            return descriptor
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a file of this place's owner", str(path))

    def read(self, path: Path | str, limit: int) -> bytes | None:
        """Return the content of a small file, or None if it is longer than `limit` or may not be used."""
        try:
            with os.fdopen(self.open(path), "rb") as file:
                data = file.read(limit + 1)
        except OSError:
            return None
        return data if len(data) <= limit else None

    def may_use(self, status: os.stat_result, *, is_compared: bool = False) -> bool:
        """Return whether a file is a regular one, and this user's, root's, or that of whom the place belongs to."""
        if not stat.S_ISREG(status.st_mode):
            return False
        if is_compared or not hasattr(os, "geteuid") or status.st_uid in {os.geteuid(), 0}:
            return True
        try:
            return status.st_uid == self.root.stat().st_uid
        except OSError:  # a drive that has just gone
            return False


@dataclass(frozen=True, slots=True)
class OtherCopy:
    """A folder in which another tool keeps a model, whole or not."""

    place: Place
    folder: Path
    repo_id: RepoId | None
    """None if nothing tells."""
    revision: str = ""
    commit: str = ""
    blobs: Path | None = None
    """Where the bytes lie that the folder's symlinks lead to, each named by its digest."""
    is_guessed: bool = False
    """Whether `repo_id` is only what the folder is called like: people call their own work so, too."""

    @property
    def name(self) -> str:
        """Return the name of the repo without its owner, in lower case: what two hubs, or two owners, agree on."""
        return self.repo_id.partition("/")[2].lower() if self.repo_id else ""


@dataclass(frozen=True, slots=True)
class Entries:
    """The names in a folder; symlinks to folders are none."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    """Regular files, and whatever else there is: opening tells."""


Value = TypeVar("Value")


class Memory(Generic[Value]):
    """What was found at paths, each for as long as what changes with it stays the same."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[str, tuple[object, Value]] = {}

    def get(self, path: str, identity: object) -> tuple[Value] | None:
        """Return what was found under this identity, in a tuple, or None."""
        known = self._known.get(path)
        return (known[1],) if known is not None and known[0] == identity else None

    def keep(self, path: str, identity: object, value: Value) -> None:
        """Remember what was found; with too many paths, everything else is forgotten."""
        if len(self._known) >= self._most:
            self.clear()
        self._known[path] = identity, value

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


_remembered: Final = Memory[Entries](MAX_REMEMBERED)


def entries_of(folder: Path | str) -> Entries:
    """Return what is in a folder, sorted; nothing if it cannot be read. Remembered until the folder changes."""
    path = str(folder)
    identity = folder_identity(path)
    if identity is None:
        return Entries((), ())
    known = _remembered.get(path, identity)
    if known is not None:
        return known[0]
    try:
        with os.scandir(path) as found:
            kinds = sorted((entry.name, is_real_folder(entry)) for entry in found)
    except OSError:
        return Entries((), ())
    folders = tuple(name for name, is_folder in kinds if is_folder)
    entries = Entries(folders, tuple(name for name, is_folder in kinds if not is_folder))
    if is_settled(identity):
        _remembered.keep(path, identity, entries)
    return entries


def folder_identity(path: str) -> tuple[int, ...] | None:
    """Return what changes when a name in the folder does, or None if it is no folder; a symlink is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    is_folder = (status.st_mode & 0o170000) == 0o040000
    return (status.st_mtime_ns, status.st_ino, status.st_dev) if is_folder else None


def is_settled(identity: tuple[int, ...]) -> bool:
    """Return whether another change of a folder would show in its identity: clocks tick in steps."""
    return not -YOUNG_S < time.time() - identity[0] / 1e9 < YOUNG_S


def known_places(environ: Mapping[str, str], other_dirs: Sequence[Path] = ()) -> tuple[Place, ...]:
    """Return the caches of the hubs' own clients and the folders the user named, as far as they exist.

    The clients' default folders count even if a variable leads elsewhere: what was downloaded before lies there still.

    Args:
        environ: The environment, read as the clients read it.
        other_dirs: Folders the user named; one that is itself a cache of a client is read as such, too.
    """
    found: dict[tuple[Owner, str], Place] = {}
    clients = ((one.owner, one.folder) for one in client_folders(environ))
    for owner, folder in (*clients, *_named_folders(other_dirs)):
        root = Path(os.path.realpath(folder))
        if is_folder(root):
            found.setdefault((owner, str(root)), Place(owner, root))
    return tuple(found.values())


class ClientFolder(NamedTuple):
    """Where a hub's client keeps models, or would."""

    owner: Owner
    variable: str
    """What says so in the environment."""
    folder: str


def client_folders(environ: Mapping[str, str]) -> Iterator[ClientFolder]:
    """Yield the folders of the hubs' own clients, there or not, the one in use first, then the default ones."""
    at_home = "USERPROFILE" if os.name == "nt" else "HOME"
    home = environ.get(at_home) or os.path.expanduser("~")  # noqa: PTH111 - pathlib raises without one

    def given(owner: Owner, name: str, *below: str) -> Iterator[ClientFolder]:
        value = Template(environ.get(name, "")).safe_substitute(environ)  # the clients expand variables, too
        if value.strip():
            value = home + value[1:] if value == "~" or value.startswith(f"~{os.sep}") else value
            yield ClientFolder(owner, name, os.path.join(value, *below))  # noqa: PTH118

    yield from given("huggingface", "HF_HUB_CACHE")
    yield from given("huggingface", "HUGGINGFACE_HUB_CACHE")
    yield from given("huggingface", "TRANSFORMERS_CACHE")
    yield from given("huggingface", "HF_HOME", "hub")
    yield from given("huggingface", "XDG_CACHE_HOME", "huggingface", "hub")
    yield from given("modelscope", "MODELSCOPE_CACHE")
    yield from given("modelscope", "MS_CACHE_HOME")
    if os.path.isabs(home):  # a user without a home folder has none in the working folder, either  # noqa: PTH117
        yield ClientFolder("huggingface", at_home, os.path.join(home, ".cache", "huggingface", "hub"))  # noqa: PTH118
        yield ClientFolder("modelscope", at_home, os.path.join(home, ".cache", "modelscope"))  # noqa: PTH118


def _named_folders(folders: Iterable[Path]) -> Iterator[tuple[Owner, str]]:
    for folder in folders:
        names = names_in(folder)
        for hub in (folder, folder / "hub"):
            if any(name.startswith("models--") for name in names_in(hub)):
                yield "huggingface", str(hub)
                break
        if ".lock" in names and not {"models", "hub"}.isdisjoint(names):
            yield "modelscope", str(folder)
        yield "folder", str(folder)
