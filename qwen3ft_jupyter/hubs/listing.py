"""What a hub says about a repo: which files it has, how large they are, and how to know them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from qwen3ft_jupyter.errors import BadListing

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from qwen3ft_jupyter.hubs.names import LeftOut, RepoId, SafePath, Sha256
    from qwen3ft_jupyter.settings.declared import HubName


RepoKind = Literal["models", "datasets"]
"""What a repo holds, as the hubs' addresses have it."""
HUB_LABELS: dict[HubName, str] = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}
"""The hubs' names as people write them."""
MAX_SIZE = 2**53
"""First size in bytes that is refused: beyond it JSON numbers lose digits, and no file is that large."""
_HEX64 = re.compile(r"[0-9a-f]{64}")
_HEX40 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file as the hub lists it.

    Raises:
        BadListing: The size is no size, a digest is no digest, or there is none at all.
    """

    path: SafePath
    size: int
    """Bytes."""
    sha256: Sha256 | None = None
    git_sha1: str | None = None
    """Git's name of the content: SHA-1 over ``blob <size>``, a zero byte, and the bytes."""

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 0 <= self.size < MAX_SIZE:
            raise BadListing("{path}: the hub lists an impossible size.", path=self.path)
        if self.sha256 is not None and not _HEX64.fullmatch(self.sha256):
            raise BadListing("{path}: the hub lists a sha256 that is none.", path=self.path)
        if self.git_sha1 is not None and not _HEX40.fullmatch(self.git_sha1):
            raise BadListing("{path}: the hub lists a git digest that is none.", path=self.path)
        if self.sha256 is None and self.git_sha1 is None:
            raise BadListing("{path}: the hub lists no digest, so its bytes could not be checked.", path=self.path)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one repo at one commit."""

    repo_id: RepoId
    hub: HubName
    revision: str
    """The branch, tag or commit that was asked for, or the hub's default branch."""
    commit: str
    """40 hexadecimal digits, or "" when the hub names none."""
    files: tuple[RemoteFile, ...]
    pin: str = ""
    """What files are asked by: the commit where the hub takes one, else the revision."""
    left_out: tuple[LeftOut, ...] = ()
    """What else the repo has; hidden files, which nobody misses, are not among it."""
    notes: tuple[str, ...] = ()
    """What people should know of how it came about."""

    def __post_init__(self) -> None:
        if not self.pin:
            object.__setattr__(self, "pin", self.commit or self.revision)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for a file. The headers may hold a token, so they are never shown."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    shortcut: Mapping[str, str] = field(default_factory=dict)
    """Headers that ask for a nearer store. What they lead to may fail; then the request is made without them."""


def is_commit(text: str) -> bool:
    """Return whether `text` is a git commit: 40 hexadecimal digits."""
    return _HEX40.fullmatch(text) is not None


def known_size(value: object) -> int:
    """Return a size as it is, -1 for what is none: `RemoteFile` refuses that.

    >>> known_size(7), known_size("7"), known_size(True)
    (7, -1, -1)
    """
    return value if type(value) is int else -1


class Hub(Protocol):
    """A place that lists models and hands out their files."""

    @property
    def name(self) -> HubName:
        """Which of the two protocols it speaks."""

    @property
    def label(self) -> str:
        """What it is called in front of a person, for example "ModelScope" or "mirror 10.0.0.5:8900"."""

    @property
    def endpoint(self) -> str:
        """Its address, without a slash at the end."""

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:
        """Return the commit of `revision` (default: the hub's default branch) by one cheap request, not repeated.

        A commit is returned as it is, unasked; "" if the hub cannot say.

        Raises:
            HubError: It could not be asked, or lacks the model or the revision.
            Stopped: `stop` was set.
        """

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        """Return the wanted files of `repo_id` at `revision` (default: the hub's own default branch).

        Raises:
            ModelNotFound, AccessDenied, ModelGated, RevisionNotFound: What the hub answered.
            HubUnreachable, HubBusy: It could not be asked; another try or another hub may do.
            BadListing: Its answer cannot be trusted.
            Stopped: `stop` was set.
        """

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:
        """Return the request for the bytes of `file`; it may be redirected to another host."""


def at(value: object, *keys: str) -> object:
    """Return what lies at `keys` in JSON objects within each other, None if it is not there.

    >>> at({"Data": {"Files": []}}, "Data", "Files"), at([], "Data")
    ([], None)
    """
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
