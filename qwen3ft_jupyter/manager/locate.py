"""What a name given to load or chat stands for: a repo, the result of a fine-tune, or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.results import is_run, read_run
from qwen3ft_jupyter.loading.loaded import ModelLocation
from qwen3ft_jupyter.paths import at_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.manager.jobs import ModelJobs


def locate(name: str, jobs: ModelJobs, ensure: Callable[[str], CachedModel]) -> ModelLocation:
    """Return the folders to load; `ensure` brings a repo here. Raises LoadError for a fine-tune without a result."""
    output_dir = jobs.output_dir_of(name)
    path = output_dir or at_home(name)
    if output_dir is not None or is_run(path):
        result = read_run(path)
        made = (path / "result.json").stat().st_mtime
        if result.model_folder is not None:
            return ModelLocation(result.model_folder, None, made)
        return ModelLocation(ensure(result.base_model).folder, result.adapter_folder, made)
    if path.is_absolute() or name.startswith((".", "~")):
        return ModelLocation(path)
    model = ensure(name)
    return ModelLocation(model.folder, None, model.created or 0.0)
