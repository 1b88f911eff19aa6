"""Where things lie in a cache folder.

Qwen_Qwen3-0.6B/                  a model, in a folder named by its slug
    config.json …                 real files, read-only once committed
    .qwen3ft/manifest.json        see `manifest`
    .qwen3ft/incomplete           there while files are being put in or taken out; then it names those that go
    .qwen3ft/replaced/            files that were not the hub's, and texts that somebody edited; kept, never loaded
Qwen_Qwen3-0.6B@v1.0/             another revision of it, asked for by name; unchanged files may be hard links
.incoming/Qwen_Qwen3-0.6B/        partial files, see `qwen3ft_jupyter.transfer.partial`
    lease.json                    who is downloading it, see `lease`
    download.json                 which model they are of, see `partials`
.stamps/                          stamps of models in shared caches that cannot be written
.in-place/                        records of models that are used in other tools' caches
.datasets/modelscope/default/     data sets of a hub, those of one choice of subset and split laid out as here
.evicted/                         notes on folders in which an eviction has left what is not the model's, see `remains`
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final, Protocol

from qwen3ft_jupyter.errors import CacheError, Qwen3ftError
from qwen3ft_jupyter.hubs.git_refs import DEFAULT_BRANCHES
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id, slug
from qwen3ft_jupyter.paths import fault_of, is_link, is_real_folder, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName

INCOMING_FOLDER: Final = ".incoming"
STAMPS_FOLDER: Final = ".stamps"
IN_PLACE_FOLDER: Final = ".in-place"
EVICTED_FOLDER: Final = ".evicted"
NOTE_NAME: Final = "download.json"
BESIDE: Final = "@"
"""Between the slug and the revision of a second revision's folder; no repo id holds it."""
_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def other_slug(repo_id: RepoId | str) -> str:
    """Return the folder name of a repo whose slug another repo has taken.

    >>> other_slug("a/b_c") == other_slug("a_b/c")
    False
    """
    return f"{slug(repo_id)}-{hashlib.sha256(repo_id.encode()).hexdigest()[:8]}"


class Recorded(Protocol):
    """What is known of where a model came from."""

    @property
    def commit(self) -> str:
        """40 hexadecimal digits, or "" if nobody knows."""

    @property
    def revision(self) -> str:
        """The branch, tag or commit that it was downloaded as."""

    @property
    def hub(self) -> HubName | None:
        """Who listed it."""


def is_revision(record: Recorded, wanted: str) -> bool:
    """Return whether a model is at what `wanted` names, as far as is known here.

    Some digits of its commit are enough. The default branch of the hub it came from is meant by its name on either
    hub, ``main`` and ``master``.
    """
    if record.revision == wanted:
        return True
    if wanted in DEFAULT_BRANCHES.values():
        return record.hub is not None and record.revision == DEFAULT_BRANCHES[record.hub]
    return _ABBREVIATED_COMMIT.fullmatch(wanted) is not None and record.commit.startswith(wanted)


def beside_names(repo_id: RepoId, revision: str) -> tuple[str, ...]:
    """Return the folder names for a revision that lies beside the first, the preferred one first.

    They are known before a hub is asked, and a branch that moves on stays in its folder. Revisions that read the same
    once they are made safe, and repos of one slug, meet in the first name but never in the second.

    >>> beside_names(RepoId("Qwen/Qwen3-0.6B"), "v1.0")[0]
    'Qwen_Qwen3-0.6B@v1.0'
    >>> beside_names(RepoId("a/b"), "refs/pr/1")[0], beside_names(RepoId("a/b"), "0123456789abcdef" * 2)[0]
    ('a_b@refs-pr-1', 'a_b@0123456789ab')
    """
    is_abbreviation = _ABBREVIATED_COMMIT.fullmatch(revision) is not None
    safe = revision[:12] if is_abbreviation else _UNSAFE.sub("-", revision)[:32].rstrip(".")
    mark = hashlib.sha256(f"{repo_id}{BESIDE}{revision}".encode(errors="surrogatepass")).hexdigest()[:8]
    name = f"{slug(repo_id)}{BESIDE}{safe}"
    return name, f"{name}-{mark}"


def incoming_folder(root: Path, name: str) -> Path:
    """Return where the partial files of the model folder `name` lie."""
    return root / INCOMING_FOLDER / name


def guess_repo_id(folder_name: str) -> RepoId | None:
    """Return the repo id a folder without a manifest probably holds, or None.

    >>> guess_repo_id("Qwen--Qwen3-0.6B"), guess_repo_id("Qwen_Qwen3-0.6B"), guess_repo_id("notes")
    ('Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B', None)
    """
    owner, _, name = folder_name.partition("--" if "--" in folder_name else "_")
    try:
        return parse_repo_id(f"{owner}/{name}")
    except Qwen3ftError:
        return None


def plain_names(repo_id: RepoId) -> tuple[str, ...]:
    """Return the folder names under which other programs and people keep a repo."""
    return (slug(repo_id), repo_id.replace("/", "--"))


def folders_in(root: Path) -> list[Path]:
    """Return the visible folders in `root`, symlinks left out; none if it cannot be read."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and is_real_folder(entry)]
    except OSError:
        return []
    return [root / name for name in names]


def check_readable(root: Path) -> None:
    """Refuse to take a cache for empty that cannot be looked into. Raises CacheError."""
    fault = fault_of(root)
    if fault is not None:
        raise CacheError(
            "The cache folder, MODEL_CACHE_DIR, cannot be looked into: {reason}.",
            hint="Check its permissions and the drive it lies on, or set MODEL_CACHE_DIR to another folder.",
            details={"folder": str(root)},
            reason=reason_of(fault),
        ) from fault


def incoming_folders(root: Path) -> list[Path]:
    """Return the folders of partial files in the cache `root`."""
    incoming = root / INCOMING_FOLDER
    return [] if is_link(incoming) else folders_in(incoming)
