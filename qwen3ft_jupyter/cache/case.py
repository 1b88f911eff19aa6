"""Names that differ in nothing but case: one model on both hubs, and one folder on many volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog import check_published
from qwen3ft_jupyter.errors import UnknownModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache


def check_known(repo_id: str, cache: ModelCache) -> None:
    """Refuse to ask a hub for a name that nobody can have: see `check_published` and `check_case`."""
    if cache.find(repo_id) is None:
        check_case(repo_id, (model for model in cache.kept() if model.is_verified))
        check_published(repo_id)


def check_case(repo_id: str, models: Iterable[CachedModel]) -> None:
    """Refuse a name that is not among the models, if one in another case is: else there would be two of one model.

    Raises UnknownModel, which says the spelling that is here.
    """
    names = {model.repo_id for model in models if not model.is_guessed}
    near = next((name for name in sorted(names) if name.lower() == repo_id.lower()), None)
    if repo_id not in names and near is not None:
        raise UnknownModel(
            "{name} is spelled {near} in the cache.", hint='Write it as "{near}".', name=repo_id, near=near
        )
