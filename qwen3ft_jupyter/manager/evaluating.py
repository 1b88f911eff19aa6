"""What an evaluation is begun with: which model, which data, read how."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.absent import check_here
from qwen3ft_jupyter.finetune.check import config_for_preview, with_fetched
from qwen3ft_jupyter.finetune.earlier import data_of
from qwen3ft_jupyter.finetune.results import is_run, read_record
from qwen3ft_jupyter.finetune.sources import named_repo
from qwen3ft_jupyter.hubs.spelling import parse_model
from qwen3ft_jupyter.manager.datasets import dataset_names
from qwen3ft_jupyter.manager.foreseen import Foreseen
from qwen3ft_jupyter.manager.params import EvaluateParams
from qwen3ft_jupyter.paths import at_home, is_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.finetune.check import Check, Fetch
    from qwen3ft_jupyter.loading.loaded import ModelLocation
    from qwen3ft_jupyter.manager.jobs import ModelJobs

TAKEN = (
    "objective", "data", "data_format", "columns", "max_length", "eval_fraction", "seed", "prompts", "skip_bad_rows",
    "empty_think_loss",
)  # fmt: skip
"""Fields that are those of the fine-tune where they are not given."""
_NO_REPO = "a/folder"
"""A config names a repo; what lies in a folder has none, and nothing asks for it."""


def evaluation_params(
    name: str,
    given: Mapping[str, Any],
    jobs: ModelJobs,
    find: Callable[[str], ModelLocation],
    *,
    fetch: Fetch = lambda _: None,
    read: Check = check_here,
) -> EvaluateParams:
    """Return what an evaluation is given.

    Data sets of a hub that `fetch` does not bring keep their names: the job fetches them, and reads them first.

    Args:
        name: What is evaluated.
        given: Fields of the config; without data the rows that a fine-tune kept out of training are measured.
        jobs: Know the folders of fine-tunes.
        find: Makes sure that the model is here.
        fetch: Brings or finds the data sets of a hub that data names.
        read: Makes sure of the data that is here; without reading it, rows that are wrong are told by the job.

    Raises:
        BadInput: There is no data.
        BadConfig, BadData: Fields or rows are wrong.
        Qwen3ftError: What `find` and fetching a data set raise.
    """
    output_dir = jobs.output_dir_of(name)
    folder = (output_dir or jobs.merged_dir_of(name) or at_home(name)).absolute()
    is_path = output_dir is not None or is_folder(folder)
    source = str(folder) if is_path else name
    find(source)
    base, own = _of_run(folder) if is_run(folder) else ("", {})
    with contextlib.suppress(BadInput):
        base = base or ("" if is_path else str(parse_model(name).repo_id))
    if "data" in given:
        own = {field: value for field, value in own.items() if field not in {"columns", "data_format", "objective"}}
    elif not own:
        raise BadInput("There is nothing to measure on.", hint="Name data: files of conversations, or of a table.")
    elif not own.get("eval_fraction"):
        raise BadInput(
            "{folder} kept no rows out of training.", hint="Name data that it has not seen.", folder=folder.name
        )
    values = {**own, **given, "model": base or _NO_REPO}
    config = config_for_preview(values, {}, jobs.settings.state_dir / "tables")
    config = with_fetched(config, fetch)
    read(config)
    datasets = dataset_names(config.data)
    return EvaluateParams(
        jobs.starter(), source, base, config.to_dict(), is_held_out="data" not in given, datasets=datasets
    )


def _of_run(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return base model and fields of a fine-tune."""
    record = read_record(folder)
    config = record.config if record is not None else {}
    own = {name: config[name] for name in TAKEN if name in config}
    if record is not None and record.datasets:
        own["data"] = data_of(record)
    return str(config.get("model", "")), own


def foresee(params: EvaluateParams) -> Foreseen:
    """Return what an evaluation would be."""
    data = params.config.get("data")
    names = [str(one) for one in data] if isinstance(data, list) else [str(data)]
    repos = [named_repo(name) for name in names]
    told = tuple(name if repo is None else "".join(repo) for name, repo in zip(names, repos, strict=True))
    return Foreseen(params.model_name, data=told, is_held_out=params.is_held_out)
