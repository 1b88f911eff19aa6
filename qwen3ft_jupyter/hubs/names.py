"""Names from outside become safe here, once; afterwards the type says so.

A repo id comes from a user, a path from a hub. Both end up as names on someone's disk, on any of three platforms,
so each is held to what all of them agree on. Everything in this file is pure.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType

from qwen3ft_jupyter.errors import BadListing
from qwen3ft_jupyter.messages import Message, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RepoId = NewType("RepoId", str)
"""``owner/name``, as both hubs spell it; made by `parse_repo_id` only."""
SafePath = NewType("SafePath", str)
"""A relative path with ``/`` between its parts that may be joined to a folder; made by `check_paths` only."""
Sha256 = NewType("Sha256", str)
"""64 lowercase hexadecimal digits; made by `parse_sha256` only."""

MAX_REPO_PART = 96
"""Characters in the owner or the name: Hugging Face's own limit; two of them still fit one folder name."""
MAX_PART_BYTES = 200
"""Bytes in one part of a path: file systems take 255, and we add suffixes while a file is on its way."""
MAX_PATH_BYTES = 480
"""Bytes in a whole path: macOS takes 1,024 for the absolute path, with the cache folder in front."""
MAX_DEPTH = 16
"""Folders below each other; real repos have two or three."""

_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
# NTFS finds "QWEN3F~1" where ".qwen3ft" is: a listing must not reach our own record by its short name.
_SHORT_NAME = re.compile(r"[^.]{1,7}~[0-9]{1,6}(?:\..*)?", re.DOTALL)
# Illegal on Windows; ":" would also name a drive or an alternate stream there, and a backslash a folder.
_ILLEGAL = frozenset('<>:"|?*\\')
# Control, format (invisible, direction-changing), surrogate, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def parse_repo_id(text: str) -> RepoId:
    """Return `text` as a repo id.

    Raises:
        BadName: It is not ``owner/name`` in letters, digits, dots, dashes and underscores; the hint names what works.

    >>> parse_repo_id(" Qwen/Qwen3-0.6B ")
    'Qwen/Qwen3-0.6B'
    """
    repo_id = as_repo_id(text.strip())
    if repo_id is None:
        from qwen3ft_jupyter.hubs.spelling import not_a_name

        raise not_a_name(text)
    return repo_id


def as_repo_id(text: str) -> RepoId | None:
    """Return `text` as a repo id, None if it is none."""
    parts = text.split("/")
    return RepoId(text) if len(parts) == 2 and all(map(_is_repo_part, parts)) else None


def slug(repo_id: RepoId | str) -> str:
    """Return the folder name of a repo.

    Two repo ids can share one slug (``a_b/c`` and ``a/b_c``), so a slug is looked up, never decoded.

    >>> slug("Qwen/Qwen3-0.6B")
    'Qwen_Qwen3-0.6B'
    """
    return repo_id.replace("/", "_")


def parse_sha256(text: str) -> Sha256 | None:
    """Return `text` in lower case if it is the hexadecimal form of a SHA-256, else None."""
    lowered = text.lower()
    return Sha256(lowered) if _SHA256.fullmatch(lowered) else None


def check_paths(paths: Iterable[str]) -> list[SafePath]:
    """Return the paths of one listing, in order, after every one of them was found safe beside the others.

    Raises:
        BadListing: A path is absolute, climbs, is too long, holds characters or names that some platform gives a
            meaning, or clashes with another: the same name twice, in another case or Unicode form, or as a folder.
    """
    safe: list[SafePath] = []
    spellings: dict[str, str] = {}
    folders: set[str] = set()
    files: set[str] = set()
    for path in paths:
        problem = path_problem(path) or _clash(path, spellings, folders, files)
        if problem:
            raise BadListing(
                "The listing names {given}: {problem}.",
                hint="Nothing was downloaded. If you trust this repo, report the name to its owner.",
                given=_shown(path),
                problem=problem,
            )
        safe.append(SafePath(path))
    return safe


def path_problem(path: str) -> str:
    """Return in a few words why `path` cannot be a file of a repo, or "" if it can."""
    if not path:
        return Message("the name is empty")
    if any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in path):
        return Message("it holds control or invisible characters")
    if len(path.encode()) > MAX_PATH_BYTES:
        return Message("the path is too long")
    if not unicodedata.is_normalized("NFC", path):
        return Message("it is not in Unicode's composed form")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return Message("it is nested too deeply")
    return next(filter(None, map(_part_problem, parts)), "")


_PART_PROBLEMS: tuple[tuple[str, Callable[[str], object]], ...] = (
    (Message("it is absolute or has an empty part"), lambda part: not part),
    (Message("it climbs out of its folder"), lambda part: part in {".", ".."}),
    (Message("a part of it is too long"), lambda part: len(part.encode()) > MAX_PART_BYTES),
    (Message("it holds a character that Windows gives a meaning"), lambda part: not _ILLEGAL.isdisjoint(part)),
    (
        Message("a part of it begins or ends with a space or ends with a dot"),
        lambda part: part != part.strip().rstrip("."),
    ),
    (Message("it is the name of a device on Windows"), lambda part: _DEVICE.fullmatch(part.partition(".")[0].rstrip())),
    (Message("it is a short name on Windows"), _SHORT_NAME.fullmatch),
)


def _part_problem(part: str) -> str:
    return next((problem for problem, applies in _PART_PROBLEMS if applies(part)), "")


def _clash(path: str, spellings: dict[str, str], folders: set[str], files: set[str]) -> str:
    """Return what `path` clashes with among the paths seen so far, and remember it."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        prefix = "/".join(parts[:depth])
        key = _folded(prefix)
        if spellings.setdefault(key, prefix) != prefix:
            return Message("it differs only in case or Unicode form from {other}", other=_shown(spellings[key]))
        is_file = depth == len(parts)
        if key in files:
            return Message("it is listed twice") if is_file else Message("one of its folders is also a file")
        if is_file and key in folders:
            return Message("it is both a file and a folder")
        (files if is_file else folders).add(key)
    return ""


def _folded(path: str) -> str:
    """Return one form for all spellings that some file system takes for the same name."""
    folded = unicodedata.normalize("NFKC", path).casefold()
    return unicodedata.normalize("NFKC", folded)


def _is_repo_part(part: str) -> bool:
    if len(part) > MAX_REPO_PART or ".." in part or part.lower().endswith(".git"):
        return False
    return bool(_REPO_PART.fullmatch(part)) and not _DEVICE.fullmatch(part.partition(".")[0])


def _shown(text: str) -> str:
    """Return `text` quoted, cut and without characters that could disguise it."""
    return ascii(text if len(text) <= 120 else text[:117] + "...")


def _endings(words: str) -> frozenset[str]:
    return frozenset(words.split())


# torch, joblib, paddle and Keras unpickle or unmarshal these; .npy and .npz may hold pickled objects.
_PICKLES = _endings(
    "bin pt pth pkl pickle ckpt joblib dill npy npz h5 hdf5 keras msgpack ot pdparams pdopt nemo mar pb"
)
_PROGRAMS = _endings(
    "py pyc pyo pyw pyd pyx pyz ipynb whl egg so dylib dll exe com scr msi sys cpl ocx apk dmg deb rpm app "
    "jar class war llamafile appimage elf out run bat cmd ps1 psm1 psd1 vbs vbe js mjs cjs ts jse wsf wsh "
    "hta sh bash zsh fish ksh csh command pl pm rb php lua tcl r awk cu ptx cubin engine plan wasm reg inf "
    "lnk url desktop service scf html htm xhtml shtml svg xml swf docm xlsm pptm"
)
_ARCHIVES = _endings("zip tar gz tgz bz2 xz zst 7z rar cab iso img")
UNWANTED_SUFFIXES = _PICKLES | _PROGRAMS | _ARCHIVES
"""Endings of files that are left on the hub: they are, or may hold, code that runs when someone opens them."""

# A name without an ending can be a program; these are known not to be.
_PLAIN_NAMES = frozenset({"license", "licence", "notice", "readme", "copying", "authors", "changelog", "citation"})
_PICKLE_INDEX = re.compile(r".*\.(?:bin|pt|pth|h5|msgpack)\.index\.json", re.IGNORECASE | re.DOTALL)
_VERSIONED_LIBRARY = re.compile(r".*\.so\.[0-9.]+", re.IGNORECASE | re.DOTALL)


def is_wanted(path: SafePath | str) -> bool:
    """Return whether a file of a repo is downloaded: no dotfiles, pickles, programs or archives.

    Files in subfolders such as ``original/`` or ``onnx/`` are judged by their own ending. Files that list the
    pieces of a pickled model go with it.

    >>> [is_wanted(path) for path in ("model.safetensors", "pytorch_model.bin", ".gitattributes", "modeling.py")]
    [True, False, False, False]
    """
    parts = path.split("/")
    if any(part.startswith(".") for part in parts):
        return False
    name = parts[-1].lower()
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        return suffix in _PLAIN_NAMES
    if stem in {"license", "licence", "notice"}:
        return True
    is_disguised = _PICKLE_INDEX.fullmatch(name) or _VERSIONED_LIBRARY.fullmatch(name)
    return suffix not in UNWANTED_SUFFIXES and not is_disguised


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that stays on the hub, see `is_wanted`. Its path is only shown, never joined to a folder."""

    path: str
    size: int
    """Bytes; 0 if the hub does not say."""

    def __str__(self) -> str:
        name = self.path if self.path.isprintable() else ascii(self.path)
        return f"{name[:120]} ({size(self.size)})"


def left_out(entries: Iterable[tuple[str, object]]) -> tuple[LeftOut, ...]:
    """Return those of a repo's files, each with its size, that stay on the hub, by path.

    >>> left_out([("config.json", 2), (".gitattributes", 9), ("pytorch_model.bin", 7)])
    (LeftOut(path='pytorch_model.bin', size=7),)
    """
    found = (
        LeftOut(path, bytes_ if type(bytes_) is int and bytes_ > 0 else 0)
        for path, bytes_ in entries
        if not is_wanted(path)
    )
    visible = (file for file in found if not any(part.startswith(".") for part in file.path.split("/")))
    return tuple(sorted(visible, key=lambda file: file.path))
