"""Names from outside become safe here, once; afterwards the type says so.

A repo id comes from a user, a path from a hub. Both end up as names on someone's disk, on any of three platforms,
so each is held to what all of them agree on. Everything in this file is pure.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NewType

from qwen3ft_jupyter.errors import BadListing
from qwen3ft_jupyter.messages import Message, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from qwen3ft_jupyter.hubs.listing import Listing
    from qwen3ft_jupyter.settings.declared import HubName

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
MAX_ODD: Final = 5
"""So many files are named that stay on the hub for their names; of the others, how many."""

DATASETS_FOLDER: Final = ".datasets"
"""Of a cache: its data sets, as ``HUB/CHOICE/owner_name``."""
PREFIXES: Final[Mapping[str, HubName]] = {
    "hf": "huggingface",
    "huggingface": "huggingface",
    "ms": "modelscope",
    "modelscope": "modelscope",
}
"""What in front of a name says which hub is meant; ms-swift writes two colons."""

_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
# NTFS finds "QWEN3F~1" where ".qwen3ft" is: a listing must not reach our own record by its short name.
_SHORT_NAME = re.compile(r"[^.]{1,7}~[0-9]{1,6}(?:\..*)?", re.DOTALL)
# Illegal on Windows; ":" would also name a drive or an alternate stream there, and a backslash a folder.
_ILLEGAL = frozenset('<>:"|?*\\')
# Control, format (invisible, direction-changing), surrogate, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # the emoji of a woman at a computer is two emoji and a joiner
_SEPARATOR = re.compile(r"[/\\]")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")


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


def check_paths(paths: Iterable[str], rules: NameRules | None = None) -> list[SafePath]:
    """Return the paths of one folder, in order, after every one of them was found safe beside the others.

    Args:
        paths: What was named.
        rules: Those of the system whose names they will be; this one's if left out.

    Raises:
        BadListing: A path is absolute, climbs, is too long, holds characters or names that the system gives a
            meaning, or clashes with another: the same name twice, one that the system takes for the same, or as a
            folder.
    """
    taken = _Taken(rules or HERE)
    return [taken.add(path) for path in paths]


def choose_paths(
    entries: Sequence[tuple[str, object]], rules: NameRules | None = None
) -> tuple[Mapping[int, SafePath], tuple[LeftOut, ...]]:
    """Return which files of a listing are downloaded, by their place in it, and what else it has, by path.

    What nobody wants may be called anything. What is wanted, but cannot be kept under its name here, stays on the
    hub, too, unless a model does not load without it.

    >>> choose_paths([("config.json", 2), (".gitattributes", 9), ("pytorch_model.bin", 7)])
    ({0: 'config.json'}, (LeftOut(path='pytorch_model.bin', size=7, problem=''),))

    Args:
        entries: Path and size of each file, as the hub says.
        rules: Those of the system whose names they will be; this one's if left out.

    Raises:
        BadListing: A path, wanted or not, leads out of the model's folder, or one is listed twice; or a file without
            which a model does not load has a name that cannot be kept.
    """
    for path, _ in entries:
        if problem := _escape(path):
            raise _bad(path, problem)
    taken, chosen, rest = _Taken(rules or HERE), dict[int, SafePath](), list[LeftOut]()
    order = sorted(range(len(entries)), key=lambda number: (not is_needed(entries[number][0]), entries[number][0]))
    for number in order:
        path, size_ = entries[number]
        bytes_ = size_ if type(size_) is int and size_ > 0 else 0
        if not is_wanted(path):
            rest.append(LeftOut(path, bytes_))
        elif problem := taken.problem(path):
            if is_needed(path) or taken.is_contradiction(path):
                raise _bad(path, problem)
            rest.append(LeftOut(path, bytes_, problem))
        else:
            chosen[number] = taken.add(path)
    visible = (file for file in rest if not any(part.startswith(".") for part in file.path.split("/")))
    return dict(sorted(chosen.items())), tuple(sorted(visible, key=lambda file: file.path))


def _bad(path: str, problem: str) -> BadListing:
    return BadListing(
        "The listing names {given}: {problem}.",
        hint="Nothing was downloaded. If you trust this repo, report the name to its owner.",
        given=_shown(path),
        problem=problem,
    )


@dataclass(frozen=True, slots=True)
class NameRules:
    """What a system's file names may be."""

    is_windows: bool = False
    folds: bool = False
    """Whether names that differ only in case or Unicode form are one."""


LINUX = NameRules()
MAC = NameRules(folds=True)
WINDOWS = NameRules(is_windows=True, folds=True)
HERE = WINDOWS if sys.platform in {"win32", "cygwin"} else MAC if sys.platform == "darwin" else LINUX


def path_problem(path: str, rules: NameRules | None = None) -> str:
    """Return in a few words why `path` cannot be a file of a model here, or "" if it can."""
    problem = _escape(path)
    if problem:
        return problem
    if any(unicodedata.category(one) in _HIDDEN_CATEGORIES and one not in _JOINERS for one in path):
        return Message("it holds control or invisible characters")
    if len(path.encode()) > MAX_PATH_BYTES:
        return Message("the path is too long")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return Message("it is nested too deeply")
    problems = _PART_PROBLEMS + (_PROBLEMS_ON_WINDOWS if (rules or HERE).is_windows else ())
    return next((problem for part in parts for problem, applies in problems if applies(part)), "")


def _escape(path: str) -> str:
    """Return how a path leads out of its folder on some system, or "" if on none."""
    if not path:
        return Message("the name is empty")
    parts = _SEPARATOR.split(path)
    if ".." in parts or "." in parts:
        return Message("it climbs out of its folder")
    if "" in path.split("/") or path.startswith("\\") or _DRIVE.match(path):
        return Message("it is absolute or has an empty part")
    return ""


_PartProblems = tuple[tuple[str, "Callable[[str], object]"], ...]

_PART_PROBLEMS: _PartProblems = (
    (Message("a part of it is too long"), lambda part: len(part.encode()) > MAX_PART_BYTES),
    (Message("it holds a backslash"), lambda part: "\\" in part),
)
_PROBLEMS_ON_WINDOWS: _PartProblems = (
    (Message("it holds a character that Windows gives a meaning"), lambda part: not _ILLEGAL.isdisjoint(part)),
    (
        Message("a part of it begins or ends with a space or ends with a dot"),
        lambda part: part != part.strip().rstrip("."),
    ),
    (Message("it is the name of a device on Windows"), lambda part: _DEVICE.fullmatch(part.partition(".")[0].rstrip())),
    (Message("it is a short name on Windows"), _SHORT_NAME.fullmatch),
)


class _Taken:
    """The names that are taken in one folder."""

    def __init__(self, rules: NameRules) -> None:
        self._rules = rules
        self._spellings: dict[str, str] = {}
        self._folders: set[str] = set()
        self._files: set[str] = set()

    def add(self, path: str) -> SafePath:
        """Take a name. Raises BadListing if it cannot be, or is taken."""
        if problem := self.problem(path):
            raise _bad(path, problem)
        *folders, file = self._keys(path)
        for key, prefix in (*folders, file):
            self._spellings[key] = prefix
        self._folders.update(key for key, _ in folders)
        self._files.add(file[0])
        return SafePath(path)

    def problem(self, path: str) -> str:
        """Return in a few words why a name cannot be taken, or "" if it can."""
        return path_problem(path, self._rules) or self._clash(path)

    def is_contradiction(self, path: str) -> bool:
        """Return whether no folder at all could hold this name beside those that are taken, letter by letter."""
        keys = [(key, self._spellings.get(key) == prefix) for key, prefix in self._keys(path)]
        is_file_within = any(key in self._files and is_same for key, is_same in keys)
        return is_file_within or (keys[-1][0] in self._folders and keys[-1][1])

    def _clash(self, path: str) -> str:
        keys = self._keys(path)
        for key, prefix in keys:
            known = self._spellings.get(key, prefix)
            if known != prefix:
                return Message("it differs only in case or Unicode form from {other}", other=_shown(known))
            if key in self._files:
                is_file = prefix == path
                return Message("it is listed twice") if is_file else Message("one of its folders is also a file")
        return Message("it is both a file and a folder") if keys[-1][0] in self._folders else ""

    def _keys(self, path: str) -> list[tuple[str, str]]:
        """Return the folders of a path and the path itself: each by what the system takes it for, and as written."""
        parts = path.split("/")
        prefixes = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        return [(_folded(prefix) if self._rules.folds else prefix, prefix) for prefix in prefixes]


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
    problem: str = ""
    """Why it cannot be kept under its name here, if it is wanted."""

    def __str__(self) -> str:
        name = self.path if self.path.isprintable() else ascii(self.path)
        return f"{name[:120]} ({size(self.size)})"


_NEEDED = re.compile(
    r"(?:.*/)?[^/]*\.safetensors(?:\.index\.json)?"
    r"|(?:adapter_|generation_|preprocessor_|processor_|tokenizer_)?config\.json"
    r"|tokenizer\.(?:json|model)|vocab\.(?:json|txt)|merges\.txt|special_tokens_map\.json|added_tokens\.json"
    r"|chat_template\.(?:jinja|json)",
    re.DOTALL,
)


def is_needed(path: str) -> bool:
    """Return whether a model may not load, or not speak as it should, without a file: a weight, config or tokenizer.

    >>> [is_needed(path) for path in ("config.json", "a/b.safetensors", "readme.md", "original/params.json")]
    [True, True, False, False]
    """
    return _NEEDED.fullmatch(path) is not None


def without_twins(listing: Listing) -> Listing:
    """Return a listing for a volume that takes names which differ only in case or Unicode form for one.

    Raises:
        BadListing: Two of them are files that a model needs.
    """
    chosen, twins = choose_paths([(file.path, file.size) for file in listing.files], MAC)
    return replace(
        listing,
        files=tuple(listing.files[number] for number in chosen),
        left_out=(*listing.left_out, *twins),
        notes=(*listing.notes, *odd_names(twins)),
    )


def odd_names(left_out: Iterable[LeftOut]) -> tuple[Message, ...]:
    """Return what is said of files that stay on the hub for their names alone."""
    odd = [file for file in left_out if file.problem]
    said = [Message("{name} stays on the hub: {problem}.", name=file, problem=file.problem) for file in odd[:MAX_ODD]]
    if len(odd) > MAX_ODD:
        said.append(Message("{count} more files stay on the hub for their names.", count=len(odd) - MAX_ODD))
    return tuple(said)
