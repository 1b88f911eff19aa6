"""The published Qwen3 models: what they are, how large, what they need, and which names nobody published."""

from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from qwen3ft_jupyter.catalog.spelling import is_near, nearest_published, same_letters
from qwen3ft_jupyter.errors import UnknownModel

if TYPE_CHECKING:
    from qwen3ft_jupyter.catalog.memory import Architecture

Kind = Literal["hybrid", "instruct", "thinking", "base", "moe"]

PRACTICE_REPO_ID: Final = "qwen3ft/Qwen3-Practice"
"""The name under which the practice model is served and cached. Its owner is ours: no hub is asked for such names."""

__all__ = [
    "PRACTICE_REPO_ID",
    "CatalogModel",
    "Kind",
    "catalog",
    "check_published",
    "find",
    "nearest_known",
    "whole_repo",
]

_QUANTIZED = re.compile(r"(-unsloth)?-bnb-4bit|-FP8|-AWQ|-GPTQ(-Int[48])?", re.IGNORECASE)
"""What is added to the name of a repo that holds the weights quantized."""


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One published model."""

    repo_id: str
    kind: Kind
    """hybrid models think or not, as asked; base models were not trained to converse."""
    architecture: Architecture
    download_bytes: int
    is_approximate: bool
    """Whether `download_bytes` was worked out from the parameters instead of read from a listing."""
    context: int
    """Tokens it was made for."""
    extended_context: int
    """Tokens it reaches with YaRN rope scaling; equal to `context` where nobody claims more."""
    role: str = ""
    """quick experiments, recommended for production, higher quality, or nothing."""
    badge: str = ""
    """The role in two words, for a label; or nothing."""
    note: str = ""
    license: str = "Apache-2.0"

    @property
    def parameters(self) -> int:
        """How many numbers the model is made of."""
        return self.architecture.parameters

    @property
    def tied(self) -> bool:
        """Whether the output layer is the embedding."""
        return self.architecture.tied


@functools.cache
def catalog() -> tuple[CatalogModel, ...]:
    """Return the models in the order they are shown."""
    from qwen3ft_jupyter.catalog.memory import Architecture  # here: most look up a name, which costs none of this

    data = _load()
    sizes = {name: Architecture(**numbers) for name, numbers in data["sizes"].items()}
    return tuple(_model(row, sizes) for row in data["models"])


def find(repo_id: str) -> CatalogModel | None:
    """Return the model of this name, or None if it is not in the catalogue."""
    return next((model for model in catalog() if model.repo_id == repo_id), None)


def check_published(repo_id: str) -> None:
    """Refuse names under ``Qwen/`` that look published and never were, and those under ``qwen3ft/`` but our own.

    Every other name passes: other owners, other families, quantised versions, releases younger than this catalogue.

    Raises:
        UnknownModel: The hint names the nearest model that exists.
    """
    owner, _, name = repo_id.partition("/")
    if owner.lower() == PRACTICE_REPO_ID.partition("/")[0] and repo_id != PRACTICE_REPO_ID:
        raise UnknownModel(
            'There is no practice model "{name}".', hint='Did you mean "{near}"?', name=repo_id, near=PRACTICE_REPO_ID
        )
    if owner.lower() != "qwen":
        return
    published = _published_names()
    nearest = None if owner == "Qwen" and name in published else nearest_published(name, published)
    if nearest is None:
        return
    is_instruct = "instruct" in name.lower() and not nearest.endswith("-2507") and nearest in published
    raise UnknownModel(
        'Qwen never published "{name}".',
        hint='Did you mean "{near}"? It follows instructions without the word in its name.'
        if is_instruct
        else 'Did you mean "{near}"?',
        name=repo_id,
        near=f"Qwen/{nearest}",
    )


def nearest_known(text: str) -> str | None:
    """Return the published model, or our practice model, that a name without its owner, or with a wrong one, means.

    >>> nearest_known("qwen3:0.6b"), nearest_known("Practice"), nearest_known("bert-base")
    ('Qwen/Qwen3-0.6B', 'qwen3ft/Qwen3-Practice', None)
    """
    owner, _, name = text.rpartition("/")
    practice = PRACTICE_REPO_ID.partition("/")[2]
    if is_near(name, ("practice", practice, "practice-model")):
        return PRACTICE_REPO_ID
    known = nearest_published(name, _published_names()) if not owner else None
    known = known or same_letters(name, _published_names())
    return f"Qwen/{known}" if known is not None else None


def whole_repo(repo_id: str) -> str | None:
    """Return the published repo with the weights in 16 bits of which this one holds quantized ones; None: nobody knows.

    >>> whole_repo("unsloth/Qwen3-8B-unsloth-bnb-4bit"), whole_repo("Qwen/Qwen3-4B-AWQ"), whole_repo("Qwen/Qwen3-8B")
    ('Qwen/Qwen3-8B', 'Qwen/Qwen3-4B', None)
    """
    name = repo_id.partition("/")[2]
    stem = _QUANTIZED.sub("", name)
    known = same_letters(stem, {model.repo_id.partition("/")[2] for model in catalog()}) if stem != name else None
    return f"Qwen/{known}" if known is not None else None


@functools.cache
def _published_names() -> frozenset[str]:
    catalogued = {model.repo_id.partition("/")[2] for model in catalog()}
    return frozenset(catalogued | set(_load()["published"]["names"]))


def _load() -> dict[str, Any]:  # a TOML table is any; the tests hold every row against the dataclasses
    from importlib import resources

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(resources.files(__name__).joinpath("models.toml").read_text("utf-8"))


def _model(row: dict[str, Any], sizes: dict[str, Architecture]) -> CatalogModel:
    given = dict(row)
    return CatalogModel(
        architecture=sizes[given.pop("size")],
        is_approximate=given.pop("approximate", False),
        extended_context=given.pop("extended_context", given["context"]),
        **given,
    )
