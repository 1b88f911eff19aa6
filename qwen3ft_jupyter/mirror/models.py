"""What is served: models, their files, and how each is named to both hubs' clients. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qwen3ft_jupyter.cache.own.manifest import Manifest, Stamp
    from qwen3ft_jupyter.hubs.names import RepoId, SafePath, Sha256

DEFAULT_REVISIONS = ("main", "master")
"""What Hugging Face's and ModelScope's clients ask for when nobody names a revision."""
MAX_PLAIN_BYTES: Final = 10 << 20
"""Larger files are in git LFS on both hubs; of smaller ones git's digest can be had."""
_LFS_SUFFIXES: Final = (".safetensors", ".gguf", ".onnx", ".parquet", ".arrow", ".tflite", ".model", ".mlmodel", ".ftz")
"""Endings that the `.gitattributes` of a new repo on Hugging Face puts into LFS, as far as a download takes them."""
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}")
_SHORT_COMMIT = re.compile(r"[0-9a-f]{7,40}")


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
    def is_lfs(self) -> bool:
        """Return whether git keeps a pointer in its place, as far as size and name tell what the hub did."""
        return self.size > MAX_PLAIN_BYTES or self.path.lower().endswith(_LFS_SUFFIXES)

    @property
    def pointer(self) -> bytes:
        """Return what git keeps in place of the file (git-lfs, specification of the pointer file)."""
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @property
    def pointer_sha1(self) -> str:
        """Return git's name of the pointer."""
        return git_sha1(self.pointer)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model at one commit."""

    repo_id: RepoId
    folder: Path
    commit: str
    """40 hexadecimal digits, made of what is here, see `derived_commit`."""
    origin: str
    """The hub's commit that its files are of, or "". That may have more files, so it is no name of this listing."""
    revision: str
    """The name it was downloaded by, or ""."""
    created: float
    """Unix seconds."""
    files: Mapping[str, ServedFile]
    is_default: bool = True
    """Whether both default branches mean it; of several revisions of a repo, one is."""
    has_weights: bool = True
    """Whether none of its weights is missing: without them it is no model that could be listed."""

    @property
    def branches(self) -> tuple[str, ...]:
        """Return every name of the commit except its own."""
        is_name = _BRANCH.fullmatch(self.revision) and not _SHORT_COMMIT.fullmatch(self.revision)
        is_other = is_name and self.revision not in DEFAULT_REVISIONS
        return (*(DEFAULT_REVISIONS if self.is_default else ()), *((self.revision,) if is_other else ()))

    def has_revision(self, name: str) -> bool:
        """Return whether `name` means what is here: a branch, or a commit by 7 to 40 of its digits."""
        return name.removeprefix("refs/heads/") in self.branches or _begins(self.commit, name)

    def is_of(self, commit: str) -> bool:
        """Return whether each file here is one of this commit of a hub, given by 7 to 40 of its digits."""
        return _begins(self.origin, commit)

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
    """Return the versions of one repo by preference, each once; the first is what the default branches mean.

    That is one with its weights, if there is: the one downloaded as a default branch, else the one in the repo's own
    folder, whatever its revision is. Where there is one version, every client that names none gets it.
    """
    found: dict[tuple[str, ...], ServedModel] = {}
    for copy in sorted(copies, key=_preference):
        names = (copy.model.commit, copy.model.origin, copy.model.revision)
        found.setdefault(names, replace(copy.model, is_default=not found))
    return list(found.values())


def _preference(copy: Copy) -> tuple[bool, bool, int, bool, float]:
    model = copy.model
    is_other = model.revision not in DEFAULT_REVISIONS
    return not model.has_weights, is_other, copy.layer, copy.is_beside, -model.created


def from_manifest(folder: Path, manifest: Manifest, *, has_weights: bool = True) -> ServedModel:
    """Return a cached model as it is served: without hidden files, which no download puts there."""
    files = [
        ServedFile(file.path, file.size, file.sha256, file.stamp)
        for file in manifest.files
        if not any(part.startswith(".") for part in file.path.split("/"))
    ]
    by_path = {str(file.path): file for file in files}
    commit, origin = derived_commit(files), manifest.commit
    return ServedModel(
        manifest.repo_id,
        folder,
        commit,
        origin,
        manifest.revision,
        manifest.created,
        by_path,
        has_weights=has_weights,
    )


def git_sha1(data: bytes, kind: str = "blob") -> str:
    """Return git's name of an object (git-hash-object)."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def derived_commit(files: Iterable[ServedFile]) -> str:
    """Return the commit of these files and no others: the same for the same contents, everywhere.

    No hub's commit is shown instead. Its pickles, programs and dotfiles are not here, and clients note for good what
    the listing of a commit lacks.
    """
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


def pick_of(found: Sequence[ServedModel], commit: str) -> ServedModel | None:
    """Return the version that has files of a hub's commit, or None. It may lack others, so it is no listing of it."""
    return next((model for model in found if model.is_of(commit)), None)


def _begins(commit: str, digits: str) -> bool:
    return _SHORT_COMMIT.fullmatch(digits) is not None and commit.startswith(digits)
