"""A fine-tune that begins with an earlier run: trains its result further (`init_from`), or repeats it (`from_run`)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import checkpoints, results
from qwen3ft_jupyter.finetune.names import in_our_words
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.presets import PRESETS
from qwen3ft_jupyter.finetune.rules import shown
from qwen3ft_jupyter.finetune.sources import absent_repo
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.paths import at_home, is_file, matching

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig

    FindRun = Callable[[str], Path | None]
    """Returns the output folder of the fine-tune with a job id; None: there is no such job."""

_BLOCK = 1 << 20
OWN = frozenset({"output_dir", "overwrite", "init_from", "from_run", "launcher", "dlc"})
"""Fields that a run never takes from an earlier one."""
COMPUTES_NOTHING = OWN | {"save_steps", "save_minutes", "keep_checkpoints", "revision", "data"}
COMPUTES_NOTHING |= {"report", "prompts", "report_to", "devices", "sharding", "hosts", "hosts_address"}
"""Fields in which a repetition may differ; data and model are compared by digest and commit."""
SHAPE = ("r", "alpha", "targets", "rslora", "dora", "trainable_token_indices")
"""Fields of an adapter that stay what they are when it is trained further."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What is trained further."""

    folder: Path
    """The output folder of the run."""
    weights: Path
    """The folder with the adapter or the model: the result's, or a checkpoint."""
    record: results.Record

    @property
    def token_rows(self) -> tuple[int, ...]:
        """Return the ids of the tokens whose rows its adapter trains. Raises BadConfig if the file cannot be read."""
        try:
            written = read_json(self.weights / ADAPTER_CONFIG).get("trainable_token_indices") or {}
            return tuple(next(iter(written.values()), ()))
        except (OSError, ValueError, AttributeError) as error:
            raise BadConfig("init_from: {name} cannot be read.", name=ADAPTER_CONFIG) from error

    def told(self) -> dict[str, Any]:
        """Return what the record of the new run says of it; `sha256` is that of the weights, which are read whole."""
        checkpoint = self.weights.name if checkpoints.step_of(self.weights) is not None else None
        told = {"folder": self.folder.name, "run_id": self.record.run_id, "checkpoint": checkpoint}
        return {**told, "sha256": _digest(self.weights)}


def find_parent(path: Path) -> Parent:
    """Return what a run's output folder, or a checkpoint in it, has to be trained further. Raises BadConfig."""
    is_checkpoint = checkpoints.step_of(path) is not None and path.parent.name == results.CHECKPOINTS
    folder = path.parent.parent if is_checkpoint else path
    record = _record(folder, "init_from")
    if is_checkpoint and not _is_whole(path):
        raise BadConfig("init_from: {name} is no whole checkpoint.", hint="Name another one.", name=path.name)
    if not is_checkpoint and not is_file(folder / results.RESULT):
        raise BadConfig(
            "init_from: {folder} is not finished.",
            hint="Resume it, or name one of its checkpoints: {folder}/checkpoints/checkpoint-N.",
            folder=folder.name,
        )
    name = results.MODEL if record.config.get("method") == "full" else results.ADAPTER
    return Parent(folder, path if is_checkpoint else folder / name, record)


def inherit(values: Mapping[str, Any], find_run: FindRun = lambda _: None) -> dict[str, Any]:
    """Return the fields of a config, those of the run that it begins with where they are not given.

    Args:
        values: Fields as they were given. With `init_from`, new `data` comes without the old one's `columns` and
            `data_format`, new `epochs` without its `max_steps`, another `objective` without its rate, and a `preset`
            gives what it says but the adapter.
        find_run: Finds a run that is named by its job's id.

    Raises:
        BadConfig: There is no such run.
    """
    problems: list[str] = []
    own = in_our_words(values, _known(), problems)
    name = next((name for name in ("from_run", "init_from") if own.get(name)), "")
    if not name or problems:  # what is wrong is named when all fields are read
        return dict(values)
    path = _path(str(own[name]), find_run)
    record = _record(path, name) if name == "from_run" else find_parent(path).record
    begun = {field: value for field, value in record.config.items() if field in _known() - OWN}
    begun |= {"data": data_of(record)} if record.datasets and "data" not in own else {}
    if name == "from_run":
        begun |= {"revision": record.base_commit, "init_from": record.config.get("init_from")}
    else:
        begun["revision"] = record.base_commit
        dropped = set(PRESETS.get(str(own.get("preset")), {})) - {"lora"}
        dropped |= {"columns", "data_format"} if "data" in own else set()
        dropped |= {"max_steps"} if "epochs" in own else set()
        if own.get("objective", begun.get("objective")) != begun.get("objective"):  # it has a rate of its own
            dropped |= {"learning_rate", "data_format", *(name for one in OBJECTIVES.values() for name in one.fields)}
        begun = {field: value for field, value in begun.items() if field not in dropped}
    if "lora" in own and isinstance(own["lora"], Mapping):
        own["lora"] = {**_group(begun.get("lora")), **own["lora"]}
    return {**begun, **own, name: str(path)}


def data_of(record: results.Record) -> tuple[str, ...]:
    """Return what a run names as data; a data set on a hub that has been deleted since by its name there."""
    items = record.config.get("data")
    items = items if isinstance(items, list | tuple) else (items,)
    named = [(str(item), absent_repo(str(item), record.datasets)) for item in items if item]
    return tuple(item if repo is None else "".join(repo) for item, repo in named)


def check_parent(config: FineTuneConfig) -> None:
    """Make sure that `config` trains what its `init_from` holds further. Raises BadConfig with every difference."""
    if not config.init_from:
        return
    path = Path(config.init_from)
    before, now = find_parent(path).record.config, config.to_dict()
    told = _differences(before, now, ("model", "method"))
    if config.method == "lora" and not told:
        shape = _group(before.get("lora"))
        told = _differences(shape, now["lora"], [name for name in SHAPE if name in shape], "lora.")
    _refuse("init_from", path, told)


def check_repetition(config: FineTuneConfig) -> None:
    """Make sure that `config` is that of the run it repeats, and its data, too. Raises BadConfig, BadData.

    The data is read: whether it is the same is known by its digest.
    """
    if config.from_run:
        from qwen3ft_jupyter.finetune.data import read_data_of

        check_same(config, read_data_of(config).digests, commit=config.revision)


def check_same(config: FineTuneConfig, data_sha256: Sequence[str], *, commit: str | None) -> list[str]:
    """Return what a person should know of a repetition: in which versions of packages it differs.

    Args:
        config: What is to be done; its `from_run` is the run that it repeats.
        data_sha256: The digest of each of its files of data.
        commit: The commit of the model. None: not known.

    Raises:
        BadConfig: It would be another run; every difference is named.
    """
    folder = Path(config.from_run or "")
    record = _record(folder, "from_run")
    same = [name for name in record.config if name in _known() - COMPUTES_NOTHING]
    told = _differences(record.config, config.to_dict(), same)
    if tuple(data_sha256) != record.data_sha256:
        told.append(Message("data: other contents than then"))
    if commit and record.base_commit and commit != record.base_commit:
        told += [_changed("revision", record.base_commit, commit)]
    if config.init_from and (then := record.parent.get("sha256")):
        told += [] if find_parent(Path(config.init_from)).told()["sha256"] == then else [Message("init_from: changed")]
    _refuse("from_run", folder, told)
    now = results.versions()
    changed = [f"{name} {then} → {now.get(name)}" for name, then in record.versions.items() if now.get(name) != then]
    words = Message("Repeats {run} with other versions: {changes}.", run=folder.name, changes=", ".join(changed))
    return [words] if changed else []


def _known() -> set[str]:
    """Return the fields that there are; a run of another version may have had others."""
    from qwen3ft_jupyter.finetune.config import FineTuneConfig  # what reads records needs nothing of it

    return set(FineTuneConfig.model_fields)


def _group(value: object) -> dict[str, Any]:
    return {str(name): entry for name, entry in value.items()} if isinstance(value, Mapping) else {}


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], names: Sequence[str], prefix: str = ""
) -> list[str]:
    changed = [name for name in names if before.get(name) != now.get(name)]
    return [_changed(f"{prefix}{name}", before.get(name), now.get(name)) for name in changed]


def _changed(name: str, before: object, now: object) -> str:
    return Message("{name}: {before} then, {now} now", name=name, before=shown(before), now=shown(now))


def _refuse(field: str, folder: Path, differences: Sequence[str]) -> None:
    if differences:
        raise BadConfig(
            "from_run: it would not be {folder} again: {differences}."
            if field == "from_run"
            else "init_from: {folder} cannot be trained further like this: {differences}.",
            hint="Leave those fields out, and restore what has changed; or write a config of its own."
            if field == "from_run"
            else "Leave those fields out: they are taken from that run.",
            folder=folder.name,
            differences=Texts(differences),
        )


def _record(folder: Path, field: str) -> results.Record:
    try:
        record = results.read_record(folder)
    except OSError as error:
        raise BadConfig(
            "{field}: {folder} cannot be read: {reason}.", field=field, folder=folder.name, reason=error.strerror
        ) from error
    if record is None:
        raise BadConfig(
            "{field}: {folder} is no fine-tune.",
            hint="Name the output folder or the job of a fine-tune.",
            field=field,
            folder=folder.name or str(folder),
        )
    return record


def _path(name: str, find_run: FindRun) -> Path:
    found = find_run(name) or at_home(name)
    return Path(os.path.normpath(found.absolute()))


def _is_whole(checkpoint: Path) -> bool:
    try:
        return checkpoints.is_complete(checkpoint)
    except OSError:
        return False


def weight_files(folder: Path) -> Sequence[Path]:
    """Return the files that hold the weights of an adapter, a model or a checkpoint."""
    return matching(folder, "*.safetensors")


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in weight_files(folder):
        for block in _blocks(path):
            digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
