"""What an upload would be: the files, where they go, who will see them, and what stands in the way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import AccessDenied, BadInput
from qwen3ft_jupyter.hubs.tokens import TOKEN_PAGES
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.hubs.tokens import Token
    from qwen3ft_jupyter.settings.declared import HubName

LABELS: Mapping[HubName, str] = {"modelscope": "ModelScope", "huggingface": "Hugging Face"}


@dataclass(frozen=True, slots=True)
class Item:
    """A file that is to be in the repo."""

    path: str
    """Its name there."""
    size: int
    """Bytes."""
    source: Path | None = None
    """Where its bytes are; None: they are `content`."""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Standing:
    """A repo that is there, as its hub describes it."""

    is_private: bool | None
    """None: the hub does not say."""
    digests: Mapping[str, str | None]
    """Its files by path: SHA-256 in hexadecimal digits, None where the hub does not say."""
    commit: str = ""
    """Its newest, where the hub says so."""


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What an upload would be; nothing has been sent."""

    hub: HubName
    repo_id: RepoId
    page: str
    """The address of the repo's page, there or not."""
    is_private: bool
    """Whether only those who may see it anyway are to see it."""
    files: tuple[Item, ...]
    left: tuple[str, ...] = ()
    """What is in the folder beside them, and stays here."""
    standing: Standing | None = None
    """The repo; None: there is none yet, or nobody was asked."""
    problem: Qwen3ftError | None = None
    """Why it cannot be done."""

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def present(self) -> list[str]:
        """Return the files that the repo has under the same name: what differs in them is replaced."""
        return [file.path for file in self.files if self.standing is not None and file.path in self.standing.digests]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        standing, problem = self.standing, self.problem
        told = problem and {"code": problem.code, "message": problem.message, "hint": problem.hint}
        return {
            "hub": self.hub,
            "repo_id": self.repo_id,
            "page": self.page,
            "private": self.is_private,
            "files": [{"path": file.path, "size": file.size} for file in self.files],
            "size": self.size,
            "left": list(self.left),
            "exists": standing is not None,
            "exists_private": standing.is_private if standing is not None else None,
            "present": self.present,
            "problem": told,
        }


@dataclass(frozen=True, slots=True)
class PushResult:
    """What an upload came to."""

    hub: HubName
    repo_id: str
    page: str
    commit: str
    """"" where the hub names none, or if everything was there already."""
    files: int
    size: int
    """Bytes of all files."""
    sent: int
    """Bytes that travelled of large files, those that the hub had left out; small ones are part of the commit."""
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PushResult:
        """Rebuild from `to_dict`; unknown keys of newer versions are ignored. Raises TypeError if any is missing."""
        return cls(**{name: data[name] for name in cls.__slots__ if name in data})


def find_obstacle(hub: HubName, repo_id: str, token: Token, *, is_offline: bool) -> Qwen3ftError | None:
    """Return why nothing can be uploaded to a hub at all."""
    if is_offline:
        return BadInput("Nothing is uploaded offline.", hint="Unset {variable}.", variable="QWEN3FT_OFFLINE")
    if not token.value:
        return AccessDenied(
            "{label} takes no files for {repo_id} from strangers: there is no token.",
            hint="Make one that may write on {tokens_page}, and set {variable}.",
            label=LABELS[hub],
            repo_id=repo_id,
            tokens_page=TOKEN_PAGES[hub],
            variable=token.variable,
        )
    return None


def find_exposure(standing: Standing, repo_id: str, label: str, *, is_private: bool) -> BadInput | None:
    """Return why files that are to be private must not go to a repo that is there: others would see them."""
    if not is_private or standing.is_private:
        return None
    return BadInput(
        "{label}: {repo_id} is public, and the files are to be private."
        if standing.is_private is False
        else "{label} does not say whether {repo_id} is private, and the files are to be.",
        hint=Message("Name another repo, make it private on its page, or publish them: --public, private=False."),
        label=label,
        repo_id=repo_id,
    )
