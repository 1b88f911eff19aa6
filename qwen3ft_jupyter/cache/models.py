"""The models of a cache as others see them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from qwen3ft_jupyter.messages import Command, Message, Names

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.cache.own.manifest import ManifestFile
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.settings.declared import HubName

ModelOwner = Literal["qwen3ft", "shared", "huggingface", "modelscope", "folder"]
"""Whose a model is: ours, a shared cache's, another tool's, or in a folder that the user named."""


_MODEL_FILE = re.compile(
    r".*\.safetensors|.*\.safetensors\.index\.json|(?:.+_)?config\.json|configuration\.json|tokenizer\.(?:json|model)"
    r"|vocab\.json|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template\.(?:jinja|json)"
    r"|README\.md|LICENSE(?:\.txt)?|\.gitattributes"
)


class CachedRow(TypedDict):
    """A model on this disk as the faces and ``GET /qwen3ft/cache`` have it, see `CachedModel`."""

    model_name: str
    size: int
    path: str
    slug: str
    hub: HubName | None
    commit: str
    revision: str
    created: float | None
    last_used: float | None
    pinned: bool
    verified: bool
    recorded: bool
    """Whether we have a record of its bytes, as of every model we downloaded; `verified` is more."""
    shared: bool
    owner: ModelOwner
    problems: list[str]
    """What keeps it from being loaded or called verified."""


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model on this disk."""

    repo_id: RepoId
    slug: str
    """The name of its folder, unique within a cache; of another tool's model, its owner, a colon and its repo."""
    folder: Path
    size_bytes: int
    owner: ModelOwner
    """Other tools' models are used where they are or copied from, and never written to."""
    hub: HubName | None = None
    """None for a folder without our manifest."""
    commit: str = ""
    """"" if unknown, like `revision`; other tools know one or the other."""
    revision: str = ""
    created: float | None = None
    """Unix seconds."""
    last_used: float | None = None
    """Unix seconds."""
    pinned: bool = False
    is_verified: bool = False
    """Whether our manifest vouches for every byte; else the folder was found, and its repo id guessed from its name."""
    is_guessed: bool = False
    """Whether it lies in a folder that the user named, and only what that is called like tells which model it is.

    Such a folder may be the user's own work. It is listed, and its bytes are compared with what a hub lists, but it is
    neither handed out nor deleted as that model."""

    is_unfinished: bool = False
    """Whether it is no model yet, but what is here of a download that was given up."""
    dataset: str = ""
    """What `data` calls it, if it is a data set; see `datasets`."""
    problems: tuple[str, ...] = field(default=(), compare=False)
    """What keeps it from being loaded, for a person; see `catalog.usable`."""
    changes: tuple[str, ...] = field(default=(), compare=False)
    """What is not as our record says, for a person: it is read again, and what is wrong fetched, at the next use."""

    @property
    def is_sound(self) -> bool:
        """Whether it may be called verified: our record vouches for every byte, and it can be loaded."""
        return self.is_verified and not self.problems and not self.changes

    @property
    def is_shared(self) -> bool:
        """Whether it lies in a shared cache, which is only read."""
        return self.owner == "shared"

    @property
    def is_others(self) -> bool:
        """Whether it is another tool's or the user's own, and no part of this cache or its shared caches."""
        return self.owner not in {"qwen3ft", "shared"}

    def to_dict(self) -> CachedRow:
        """Return what faces show of it."""
        return {
            "model_name": self.repo_id,
            "size": self.size_bytes,
            "path": str(self.folder),
            "slug": self.slug,
            "hub": self.hub,
            "commit": self.commit,
            "revision": self.revision,
            "created": self.created,
            "last_used": self.last_used,
            "pinned": self.pinned,
            "verified": self.is_sound,
            "recorded": self.is_verified,
            "shared": self.is_shared,
            "owner": self.owner,
            "problems": [*self.problems, *self.changes],
        }


@dataclass(frozen=True, slots=True)
class EvictedModel:
    """A model that was deleted."""

    repo_id: RepoId
    slug: str
    freed_bytes: int
    left: tuple[str, ...] = ()
    """What else lies in its folder, and still does."""
    is_unfinished: bool = False
    """Whether it was no model yet, but what was here of a download that had been given up."""
    owner: ModelOwner = "qwen3ft"

    @property
    def left_words(self) -> str:
        """Return what to say of it to who named the model."""
        if self.owner != "qwen3ft":
            return Message(
                "{names} in {slug}: not known to be of the model, so kept. Delete it there if nobody needs it.",
                names=Names(self.left),
                slug=self.slug,
            )
        return Message(
            "{names} in {slug}: not of the model, so kept. To delete that as well: {command}",
            names=Names(self.left),
            slug=self.slug,
            command=Command("evict", self.repo_id, "--everything"),
        )


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of another model in the same cache, right by its stamp."""

    path: Path
    entry: ManifestFile
    lender: str = ""
    """The slug of that model."""


def is_model_file(name: str) -> bool:
    """Return whether published models have files of this name; asked where no record tells."""
    return _MODEL_FILE.fullmatch(name) is not None
