"""What is served: models, their files, and how each is named to both hubs' clients. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.own.manifest import Manifest, Stamp
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256

DEFAULT_REVISIONS = ("main", "master")
"""What Hugging Face's and ModelScope's clients ask for when nobody names a revision."""
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}")


@dataclass(frozen=True, slots=True)
class ServedFile:
    """A file of a model that may be handed out."""

    path: SafePath
    size: int
    """Bytes."""
    sha256: Sha256
    stamp: Stamp | None
    """Under which the digest is known; None when the file has to be read before it is handed out."""

    @property
    def etag(self) -> str:
        """Return the strong validator of HTTP: the digest, as both hubs do it."""
        return f'"{self.sha256}"'

    @property
    def pointer(self) -> bytes:
        """Return what git keeps in place of the file (git-lfs, specification of the pointer file)."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @property
    def git_sha1(self) -> str:
        """Return git's name of the pointer."""
        pointer = self.pointer
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model at one commit."""

    repo_id: RepoId
    folder: Path
    commit: str
    """40 hexadecimal digits."""
    revision: str
    """The name it was downloaded by, or ""."""
    created: float
    """Unix seconds."""
    files: Mapping[str, ServedFile]
    is_default: bool = True
    """Whether both default branches mean it; of several revisions of a repo, one is."""

    @property
    def branches(self) -> tuple[str, ...]:
        """Return every name of the commit except its own."""
        is_other = self.revision not in {self.commit, *DEFAULT_REVISIONS} and _BRANCH.fullmatch(self.revision)
        return (*(DEFAULT_REVISIONS if self.is_default else ()), *((self.revision,) if is_other else ()))

    def has_revision(self, name: str) -> bool:
        """Return whether `name` means what is here."""
        return name.removeprefix("refs/heads/") in {self.commit, *self.branches}

    def below(self, folder: str) -> list[ServedFile]:
        """Return the files in `folder` (all of them for "") and in its subfolders, by path."""
        prefix = f"{folder}/" if folder else ""
        return [file for path, file in sorted(self.files.items()) if path.startswith(prefix)]

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a model, as listings show it."""

    path: str
    git_sha1: str


def tree(model: ServedModel, root: str, *, is_recursive: bool) -> list[Folder | ServedFile]:
    """Return what a listing of `root` shows, by path: files and folders, or direct children only."""
    files = model.below(root)
    depth = root.count("/") + 2 if root else 1
    folders = sorted({parent for file in files for parent in _parents(file.path) if parent.count("/") + 1 >= depth})
    entries: list[Folder | ServedFile] = [Folder(path, _folder_sha1(path, files)) for path in folders]
    entries += files
    if not is_recursive:
        entries = [entry for entry in entries if entry.path.count("/") + 1 == depth]
    return sorted(entries, key=lambda entry: entry.path)


class Copy(NamedTuple):
    """A model found in a cache."""

    layer: int
    """0 for the cache itself, counting up through the layers below it."""
    is_beside: bool
    """Whether its folder is one for a further revision."""
    model: ServedModel


def versions(copies: Iterable[Copy]) -> list[ServedModel]:
    """Return the versions of one repo by preference, each commit once; the first is what the default branches mean.

    That is the one downloaded as a default branch, else the one in the repo's own folder, whatever its revision is:
    where there is one version, every client that names none gets it.
    """
    found: dict[str, ServedModel] = {}
    for copy in sorted(copies, key=_preference):
        found.setdefault(copy.model.commit, replace(copy.model, is_default=not found))
    return list(found.values())


def _preference(copy: Copy) -> tuple[bool, int, bool, float]:
    model = copy.model
    return model.revision not in DEFAULT_REVISIONS, copy.layer, copy.is_beside, -model.created


def from_manifest(folder: Path, manifest: Manifest) -> ServedModel:
    """Return a cached model as it is served: without hidden files, which no download puts there."""
    files = [
        ServedFile(file.path, file.size, file.sha256, file.stamp)
        for file in manifest.files
        if not any(part.startswith(".") for part in file.path.split("/"))
    ]
    commit = manifest.commit or derived_commit(files)
    by_path = {str(file.path): file for file in files}
    return ServedModel(manifest.repo_id, folder, commit, manifest.revision, manifest.created, by_path)


def derived_commit(files: Iterable[ServedFile]) -> str:
    """Return the commit of a model that has none: the same for the same contents, everywhere."""
    lines = sorted(f"{file.sha256} {file.size} {file.path}\n" for file in files)
    return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _folder_sha1(path: str, files: list[ServedFile]) -> str:
    return derived_commit(file for file in files if file.path.startswith(f"{path}/"))


def pick(found: Sequence[ServedModel], revision: str) -> ServedModel | None:
    """Return the version that `revision` names, the default one for "", or None."""
    for model in found:
        if model.has_revision(revision) if revision else model.is_default:
            return model
    return None
