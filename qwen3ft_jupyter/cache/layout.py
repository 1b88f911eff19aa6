"""Where things lie in a cache folder.

Qwen_Qwen3-0.6B/                  a model, in a folder named by its slug
    config.json …                 real files, read-only once committed
    .qwen3ft/manifest.json        see `manifest`
    .qwen3ft/incomplete           there while files are being put in or taken out; then it names those that go
    .qwen3ft/replaced/            files of an unverified folder that were not the hub's; kept, never loaded
Qwen_Qwen3-0.6B@v1.0/             another revision of it, asked for by name; unchanged files may be hard links
.incoming/Qwen_Qwen3-0.6B/        partial files, see `qwen3ft_jupyter.transfer.partial`
    lease.json                    who is downloading it, see `lease`
.stamps/                          stamps of models in layers that cannot be written
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.cache.manifest import (
    MAX_MANIFEST_BYTES,
    RECORD_FOLDER,
    Manifest,
    make_record_folder,
    manifest_path,
    read_manifest,
)
from qwen3ft_jupyter.disk import LOCAL, Disk, read_regular, write_json
from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.hubs.names import RepoId, parse_repo_id, slug
from qwen3ft_jupyter.transfer.volume import FULL

if TYPE_CHECKING:
    from pathlib import Path

INCOMING_FOLDER: Final = ".incoming"
STAMPS_FOLDER: Final = ".stamps"
INCOMPLETE_NAME: Final = "incomplete"
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


def is_revision(commit: str, revision: str, wanted: str) -> bool:
    """Return whether a model at `commit`, downloaded as `revision`, is what `wanted` names, as far as is known here.

    >>> is_revision("0123456789abcdef", "main", "main"), is_revision("0123456789abcdef", "main", "0123456")
    (True, True)
    """
    return revision == wanted or (_ABBREVIATED_COMMIT.fullmatch(wanted) is not None and commit.startswith(wanted))


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


def mark_incomplete(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being changed: it is no model until the mark is gone. Raises OSError."""
    write_json(make_record_folder(folder, disk=disk) / INCOMPLETE_NAME, {"repo_id": repo_id}, disk=disk)


def unmark_incomplete(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Say that the change is complete. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        disk.unlink(folder / RECORD_FOLDER / INCOMPLETE_NAME)


def mark_evicting(folder: Path, repo_id: RepoId, *, disk: Disk = LOCAL) -> None:
    """Say in a model folder that it is being deleted: whoever finds the mark may go on. Raises OSError.

    The mark names the files of the manifest, which is the first to go. A full volume, which is when models are
    evicted, may not take one more file: then the manifest becomes the mark.
    """
    mark = make_record_folder(folder, disk=disk) / INCOMPLETE_NAME
    manifest = read_manifest(folder)
    if manifest is None and _mark(folder).get("evicting") is True:
        return  # it names what the manifest did
    files = manifest.to_dict() if manifest is not None else {}
    try:
        write_json(mark, {**files, "repo_id": repo_id, "evicting": True}, disk=disk)
    except OSError as error:
        if error.errno not in FULL:
            raise
        with contextlib.suppress(FileNotFoundError):  # no manifest, so it was nobody's verified model
            disk.replace(manifest_path(folder), mark)


def unmark_evicting(folder: Path, *, disk: Disk = LOCAL) -> None:
    """Take back `mark_evicting`: the model is one again. Raises OSError."""
    if "files" in _mark(folder) and not os.path.lexists(manifest_path(folder)):
        disk.replace(folder / RECORD_FOLDER / INCOMPLETE_NAME, manifest_path(folder))
    else:
        unmark_incomplete(folder, disk=disk)


def is_marked_incomplete(record_prefix: str) -> bool:
    """Return whether a change was begun and not completed; takes the path of the record folder with its separator."""
    return os.path.lexists(record_prefix + INCOMPLETE_NAME)


def is_half_evicted(folder: Path) -> bool:
    """Return whether a deletion went beyond asking, so that anyone may finish it: the manifest is the first to go."""
    is_marked = _mark(folder).get("evicting") is True and not os.path.lexists(manifest_path(folder))
    return is_marked and marked_manifest(folder) is not None


def marked_manifest(folder: Path) -> Manifest | None:
    """Return the manifest that a deletion of the folder has put into its mark, or None."""
    try:
        return Manifest.from_dict(_mark(folder))
    except ValueError:
        return None


def marked_repo_id(folder: Path) -> str | None:
    """Return the repo whose change was begun and not completed in a folder, or None."""
    repo_id = _mark(folder).get("repo_id")
    return repo_id if isinstance(repo_id, str) else None


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
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [root / name for name in names]


def _mark(folder: Path) -> dict[str, Any]:
    """Return what the mark of a folder says; nothing if there is none that can be read."""
    try:
        mark = json.loads(read_regular(folder / RECORD_FOLDER / INCOMPLETE_NAME, MAX_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}
