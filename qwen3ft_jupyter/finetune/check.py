"""Everything that can be told of a fine-tune before it starts: fields, machine, output folder, data. All at once."""

from __future__ import annotations

import importlib.util
from argparse import Namespace
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadConfig, BadInput, MissingPackage, Qwen3ftError
from qwen3ft_jupyter.finetune import tables
from qwen3ft_jupyter.finetune.absent import split_absent
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import check_data
from qwen3ft_jupyter.finetune.devices import pick_gpus
from qwen3ft_jupyter.finetune.earlier import check_parent, check_repetition, inherit
from qwen3ft_jupyter.finetune.holding import check_not_held
from qwen3ft_jupyter.finetune.output import check_output, unfinished_run
from qwen3ft_jupyter.finetune.sources import absent_repo, find_sources, named_repo
from qwen3ft_jupyter.finetune.strict_yaml import read_config
from qwen3ft_jupyter.loading.libraries import import_whole
from qwen3ft_jupyter.loading.load import require
from qwen3ft_jupyter.messages import Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.earlier import FindRun

Check = Callable[[FineTuneConfig], object]
Fetch = Callable[[str], Path | None]
"""Returns the folder of a data set on a hub; None: it is not here, and is to be fetched later."""

ATTENTION_PACKAGES = {
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "flash_attention_3": ("flash_attn_interface", ""),
}
"""Module that an attention needs, and the package that has it; "": it is built from source."""

TRACKER_MODULES = {"tensorboard": ("tensorboard", "tensorboardX")}
"""Modules of which any will do, where they are not called like what they report to."""

_READS_DATA = ("data", "columns", "data_format", "skip_bad_rows")


def check_fine_tune(
    config: object,
    fields: Mapping[str, object],
    *checks: Check,
    read: Check = check_data,
    tables_in: Path | None = None,
    find_run: FindRun = lambda _: None,
    fetch: Fetch | None = None,
    goes_on: bool = False,
) -> FineTuneConfig:
    """Return the config of a fine-tune that can start.

    Args:
        config: The fields as a mapping, a `FineTuneConfig`, an `argparse.Namespace`, or the path of a YAML file.
        fields: More of them; they win.
        checks: What else to make sure of.
        read: Reads the data, and whatever else is to be told of it.
        tables_in: Where data that a notebook holds is written; None: beside output_dir, for a job to read.
        find_run: Finds the run of `init_from` or `from_run` where it is named by its job's id.
        fetch: Brings or finds the data sets of a hub that data names, once nothing else is wrong. Those that it has
            not keep their names, and `read` has to know.

        goes_on: Whether an unfinished run in output_dir is to be gone on with.

    Raises:
        BadConfig: Fields are wrong, output_dir cannot be used, or the run it begins with cannot.
        BadData: The data is wrong.
        Qwen3ftError: What `checks` raise. Where several things are wrong, the error names all of them.
    """
    values = inherit({**_as_fields(config), **fields}, find_run)
    table = tables.rows_of(values.get("data"))
    if table is not None:
        values["data"] = tables.STAND_IN
    own: list[Check] = [check_this_machine, check_evaluation]
    all_checks = [*own, check_parent, *checks, _check_unfinished if goes_on else check_output]
    try:
        resolved = FineTuneConfig.from_dict(values)
    except BadConfig as error:
        right = _right_fields(values)
        known = _config_of(right)
        errors = _run(all_checks, known)
        is_here = table is None and known is not None and not any(map(named_repo, known.data))
        if is_here and "data" in right and all(name in right for name in _READS_DATA if name in values):
            errors += _run([check_data], known)
        raise _together([error, *errors]) from error
    errors = _run(all_checks, resolved)
    if table is not None and not errors:
        resolved = tables.write(resolved, table, tables_in)
    is_elsewhere = table is not None or any(map(named_repo, resolved.data))
    if not errors and fetch:
        resolved = with_fetched(resolved, fetch)
    errors += [] if is_elsewhere and errors else _run([read], resolved)
    errors += [] if errors or any(map(named_repo, resolved.data)) else _run([check_repetition], resolved)
    if errors:
        raise _together(errors) from errors[0]
    return resolved


def _check_unfinished(config: FineTuneConfig) -> None:
    check_not_held(Path(config.output_dir))
    check_output(config, run_id=unfinished_run(Path(config.output_dir)))


def config_for_preview(
    config: object,
    fields: Mapping[str, object],
    tables_in: Path,
    *,
    find_run: FindRun = lambda _: None,
) -> FineTuneConfig:
    """Return the config of a preview, which needs no more than a model and data; `with_fetched` completes it.

    Args:
        config: As `check_fine_tune` takes it; or data alone: files, folders, a table.
        fields: More fields; they win.
        tables_in: Where data that a notebook holds is written.
        find_run: As there.

    Raises:
        BadConfig: Fields are wrong.
    """
    is_config = config is None or isinstance(config, (FineTuneConfig, Mapping, Namespace))
    if isinstance(config, (str, PathLike)):
        is_config = Path(config).suffix.lower() in {".yaml", ".yml"}
    values = inherit({**(_as_fields(config) if is_config else {"data": config}), **fields}, find_run)
    table = tables.rows_of(values.get("data"))
    if table is not None:
        values["data"] = tables.STAND_IN
    resolved = FineTuneConfig.from_dict(values)
    return tables.write(resolved, table, tables_in) if table is not None else resolved


def with_fetched(config: FineTuneConfig, fetch: Fetch, names: Mapping[str, str] | None = None) -> FineTuneConfig:
    """Return the config with the folders of the data sets that it names and `fetch` has. Raises what that raises.

    `names` are those of data sets on a hub by their paths, as a job or a run has them.
    """

    def folder_or_name(item: str) -> str:
        repo = absent_repo(item, names or {})
        folder = fetch(repo[0]) if repo is not None else None
        return item if repo is None or folder is None else f"{folder}{repo[1]}"

    return config.model_copy(update={"data": tuple(map(folder_or_name, config.data))})


def check_files(config: FineTuneConfig) -> None:
    """Make sure that the data that is here is where the config says, without reading it. Raises BadData, all named."""
    here, _ = split_absent(config)
    problems = find_sources(here.data, [])[1] if here is not None else []
    if problems:
        raise _together(problems)


def check_this_machine(config: FineTuneConfig) -> None:
    """Make sure that this machine has what the fine-tune needs, if it runs here. Raises all that is wrong as one."""
    needs: list[Check] = [check_attention, check_quantization, check_trackers, check_device]
    if config.launcher == "local" and (errors := _run(needs, config)):
        raise _together(errors)


def check_attention(config: FineTuneConfig) -> None:
    """Make sure that the attention asked for is installed. Raises MissingPackage."""
    module, package = ATTENTION_PACKAGES.get(config.attn_implementation, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise MissingPackage(
            "attn_implementation: {name} needs the package {module}, which is not installed.",
            hint="pip install {package} --no-build-isolation; or say auto." if package else "Say auto.",
            name=config.attn_implementation,
            module=module,
            package=package,
        )


def check_trackers(config: FineTuneConfig) -> None:
    """Make sure that the packages of `report_to` are installed. Raises MissingPackage."""
    for name in config.report_to:
        if not any(importlib.util.find_spec(module) for module in TRACKER_MODULES.get(name, (name,))):
            raise MissingPackage(
                "report_to: {name} is not installed.", hint="pip install {package}", name=name, package=name
            )


def check_evaluation(config: FineTuneConfig) -> None:
    """Make sure that there is something to measure where a run is to end or to be chosen by it. Raises BadConfig."""
    if config.keeps_best and not config.eval_fraction:
        raise BadConfig(
            "{name} needs rows to measure on.",
            hint="Keep some out of training, for example eval_fraction: 0.1.",
            name="early_stopping" if config.early_stopping else "load_best_model_at_end",
        )


def check_quantization(config: FineTuneConfig) -> None:
    """Make sure that what quantizes is installed, if it is needed. Raises MissingPackage."""
    if config.quantization is not None:
        require("bitsandbytes")


def check_device(config: FineTuneConfig) -> None:
    """Make sure that this machine has the device asked for. Starts no CUDA.

    Raises:
        BadInput: It lacks the device.
        MissingPackage: torch is not installed.
        BadConfig: float16 was asked for without CUDA, or more GPUs than there are.
    """
    if config.device in {"auto", "cpu"} and config.dtype != "float16" and config.devices == 1:
        return
    devices = _devices()
    pick_gpus(config.device, config.devices, sum(name.startswith("cuda:") for name in devices))
    if config.device != "auto" and config.device not in devices:
        raise BadInput(
            "device: {device} is not on this machine.",
            hint="It has {names}; or say auto.",
            device=config.device,
            names=", ".join(devices),
        )
    is_cuda = config.device.startswith("cuda") or (config.device == "auto" and "cuda" in devices)
    if config.dtype == "float16" and not is_cuda:
        raise BadConfig("dtype: float16 trains on CUDA only.", hint="Use auto or float32.")


def _devices() -> list[str]:
    """Return the names of this machine's devices. Raises MissingPackage."""
    if importlib.util.find_spec("torch") is None:
        raise MissingPackage(
            "The package {package} is not installed.", hint='pip install "qwen3ft-jupyter[train]"', package="torch"
        )
    import_whole("torch")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = getattr(torch.backends, "mps", None)
    return ["cpu", *(["mps"] if mps and mps.is_available() else []), *(["cuda"] if count else [])] + [
        f"cuda:{index}" for index in range(count)
    ]


def _as_fields(config: object) -> dict[str, Any]:
    """Return the fields of a config in any of its forms. Raises BadConfig."""
    if config is None:
        return {}
    if isinstance(config, FineTuneConfig):
        return config.to_dict()
    if isinstance(config, Mapping):
        return {str(name): value for name, value in config.items()}
    if isinstance(config, Namespace):
        return vars(config)
    if isinstance(config, (str, PathLike)):
        return read_config(Path(config))
    raise BadConfig(
        "A fine-tune's config cannot be of type {kind}.",
        hint="Give a dict of fields, or the path of a YAML file.",
        kind=type(config).__name__,
    )


def _right_fields(values: Mapping[str, object]) -> dict[str, object]:
    """Return the fields that would be right if all others were."""
    return {name: value for name, value in values.items() if _config_of({name: value}) is not None}


def _config_of(values: Mapping[str, object]) -> FineTuneConfig | None:
    """Return a config with these fields, those that are required made up if need be; None if they are wrong."""
    try:
        return FineTuneConfig.from_dict({"model": "owner/name", "data": tables.STAND_IN, **values})
    except BadConfig:
        return None


def _run(checks: Sequence[Check], config: FineTuneConfig | None) -> list[Qwen3ftError]:
    errors = []
    for check in checks if config else ():
        try:
            check(config)  # type: ignore[arg-type]  # not None here
        except Qwen3ftError as error:  # noqa: PERF203 - every one is named
            errors.append(error)
    return errors


def _together(errors: Sequence[Qwen3ftError]) -> Qwen3ftError:
    """Return one error that says all of them, each once; of the kind of the first."""
    errors = list({str(error): error for error in errors}.values())
    if len(errors) == 1:
        return errors[0]
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    details = {name: text for error in errors for name, text in error.details.items()}
    messages = Texts([error.message for error in errors], " ")
    return type(errors[0])("{errors}", hint="{hints}", details=details, errors=messages, hints=Texts(hints, " "))
