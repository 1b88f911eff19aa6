"""The output folder of a fine-tune: whose it is, whether it is free, how an earlier result makes room for a new one.

An earlier result is moved into the folder `previous` when everything that can fail early has gone well, and deleted
when the new one is written; only what runs wrote, see `own`. Only files are renamed, one by one: mounts of object
stores have no rename of folders. Of a result config.json is moved first and result.json last, so that whatever a kill
leaves is recognised, is no finished fine-tune in either place, and is moved on the next time.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter import segments
from qwen3ft_jupyter.disk import write_json
from qwen3ft_jupyter.errors import BadConfig, BadData
from qwen3ft_jupyter.finetune import checkpoints, results
from qwen3ft_jupyter.finetune.earlier import COMPUTES_NOTHING, Parent, find_parent
from qwen3ft_jupyter.finetune.own import OutputFolder
from qwen3ft_jupyter.finetune.volume import check_tensorboard, check_writable, looking_into
from qwen3ft_jupyter.paths import is_folder, is_taken
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.work import Reporter

MAY_DIFFER_ON_RESUME = COMPUTES_NOTHING
"""Data, model and what is trained further are compared by digest, wherever they lie now."""

_MOVED = (results.CONFIG, results.ADAPTER, results.MODEL, results.METRICS, results.REPORT, results.CARD, results.RESULT)
"""What is kept of a finished fine-tune, in the order in which it is moved; its checkpoints are of no more use."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run begins."""

    folder: Path
    record: results.Record
    """What config.json is to hold."""
    is_resumed: bool
    checkpoint: Path | None
    """Where a resumed run goes on; None: at its beginning."""
    parent: Parent | None = None
    """What is trained further. A resumed run needs it, too: preferences are measured against it."""


def check_output(config: FineTuneConfig, *, run_id: str | None = None) -> None:
    """Make sure that a new run may write to `config.output_dir`. Quick, changes nothing, needs no torch.

    Args:
        config: Says where, and whether an earlier fine-tune there may be replaced.
        run_id: The run that is to be resumed: what it has left there itself is no obstacle. None: a new run.

    Raises:
        BadConfig: It is no folder or cannot be read or written; it holds an earlier fine-tune, finished or not, and
            `overwrite` is false; or it holds files of these names that no fine-tune wrote.
    """
    folder = Path(config.output_dir)
    check_writable(folder)
    if "tensorboard" in config.report_to:
        check_tensorboard(folder)
    with looking_into(folder):
        _check_free(config, folder, run_id)


def unfinished_run(folder: Path) -> str | None:
    """Return the name of the run in a folder that has not come to its end; None if there is none."""
    record = results.read_record(folder)
    if record is None or is_taken(folder / results.RESULT):
        return None
    return str(record.run_id) if record.run_id else None


def replaced_fields(config: FineTuneConfig) -> list[str]:
    """Return in which fields the unfinished run in the output folder differs, if it is to be replaced for that."""
    record = results.read_record(Path(config.output_dir)) if config.overwrite else None
    return _changed_fields(record.config, config.to_dict()) if record else []


def _check_free(config: FineTuneConfig, folder: Path, run_id: str | None) -> None:
    """Raise BadConfig if something is in the way, OSError if nobody can tell."""
    present = _present(folder)
    if not present or (run_id is not None and _is_run_of(folder, run_id)):
        return
    previous = folder / results.PREVIOUS
    has_own_previous = results.read_record(previous) is not None or not _lists_anything(previous)
    is_run = results.read_record(folder) is not None or results.read_record(previous) is not None
    if not has_own_previous or not is_run:
        strange = present if has_own_previous else [results.PREVIOUS]
        raise BadConfig(
            "output_dir: {folder} holds files that no fine-tune wrote: {names}.",
            hint="Name another folder: overwrite replaces fine-tunes only.",
            folder=folder.name,
            names=", ".join(strange),
        )
    if not config.overwrite:
        raise BadConfig(
            "output_dir: {folder} holds an earlier fine-tune.",
            hint="It is finished: name another folder, or set overwrite: true to train anew and replace it."
            if (folder / results.RESULT).is_file()
            else "Name another folder, resume that run, or set overwrite: true.",
            folder=folder.name,
        )


def plan(
    config: FineTuneConfig,
    data_sha256: Sequence[str],
    *,
    resume: bool,
    run_id: str | None,
    base_commit: str | None,
    datasets: Mapping[str, str] | None = None,
    overwrites: bool = False,
) -> Plan:
    """Return how to begin; nothing is written yet.

    Args:
        config: What is to be done.
        data_sha256: The digest of each of its files of data.
        resume: Whether to go on with an earlier run of this name, if there is one.
        run_id: The name of the run. None: it has none.
        base_commit: The commit of the base model. None: not known.
        datasets: Which data sets on a hub its data is, by the path.
        overwrites: Whether the run to go on with begins anew if its data has changed.

    Raises:
        BadConfig: As `check_output`, or the run to go on with had another config or another commit of the base model.
        BadData: The data has changed since the run to resume.
    """
    folder = Path(config.output_dir)
    is_resumed = resume and _is_run_of(folder, run_id)
    if not is_resumed:
        check_output(config)
    record = results.Record(config.to_dict(), run_id, base_commit or None, tuple(data_sha256), results.versions())
    record = replace(record, datasets=datasets or {})
    before = results.read_record(folder) if is_resumed else None
    checkpoint = checkpoints.last_complete(folder / results.CHECKPOINTS) if before else None
    parent = find_parent(Path(config.init_from)) if config.init_from else None
    if parent:
        record = replace(record, parent=parent.told())
        _check_same_commit(parent.record, record)
    is_replaced = overwrites and before is not None and before.data_sha256 != record.data_sha256
    if before is None or is_replaced:
        return Plan(folder, record, is_resumed=False, checkpoint=None, parent=parent)
    _check_same_run(before, record)
    record = replace(record, base_commit=before.base_commit or record.base_commit, parent=before.parent)
    return Plan(folder, record, is_resumed=True, checkpoint=checkpoint, parent=parent)


def begin(config: FineTuneConfig, planned: Plan, reporter: Reporter = SILENT) -> None:
    """Put an earlier fine-tune aside and record this run; `reporter` is told what stays.

    Raises BadConfig as `check_output`, OSError.
    """
    own = OutputFolder(planned.folder, reporter)
    if not planned.is_resumed:
        check_output(config)  # again: preparing takes its time, and another run may have begun here meanwhile
        _make_room(own)
        segments.clear(planned.folder / results.METRICS)
        own.make_way(results.CONFIG)
    own.clear_writing()
    planned.folder.mkdir(parents=True, exist_ok=True)
    write_json(planned.folder / results.CONFIG, planned.record.to_json())
    own.note(results.CONFIG)
    own.claim(results.METRICS)


def finish(planned: Plan, outcome: results.Outcome, reporter: Reporter = SILENT) -> None:
    """Write the result; then what was put aside is not needed any more, and `reporter` is told what of it stays.

    Raises OSError if the result cannot be written.
    """
    own = OutputFolder(planned.folder, reporter)
    if not is_taken(planned.folder / results.CONFIG):  # somebody has deleted the folder meanwhile, or unmounted it
        write_json(planned.folder / results.CONFIG, planned.record.to_json())
        own.note(results.CONFIG)
    own.claim(results.RESULT)
    write_json(planned.folder / results.RESULT, outcome.to_dict())
    own.note(results.RESULT)
    with contextlib.suppress(OSError):  # the new result is there; the next run with overwrite tries again
        _delete_previous(own)


def _make_room(own: OutputFolder) -> None:
    """Move a finished fine-tune into `previous`; delete an unfinished one, and keep what `previous` holds then."""
    folder = own.folder
    own.delete(results.CHECKPOINTS)  # an error here ends the run: it must never go on from another's checkpoint
    if not (folder / results.RESULT).exists():
        for name in (results.ADAPTER, results.MODEL, results.METRICS, results.REPORT, results.CARD):
            own.delete(name)
        return  # config.json is replaced: until then it says whose the folder is
    if (folder / results.CONFIG).exists():  # nothing was moved yet, so what is there is older still
        _delete_previous(own)
    for name in _MOVED:
        own.move(name, results.PREVIOUS)
    own.make_way(results.RESULT)  # one that no record names would make the new run look finished


def _delete_previous(own: OutputFolder) -> None:
    """Delete what was put aside: first what makes it a finished fine-tune, last what makes it ours."""
    if not results.is_run(own.folder / results.PREVIOUS):
        return
    own.keep_changed(results.PREVIOUS)
    for name in reversed(_MOVED):
        own.delete(f"{results.PREVIOUS}/{name}", is_told=False)
    own.delete(results.PREVIOUS)


def _present(folder: Path) -> list[str]:
    names = (*_MOVED, results.CHECKPOINTS)
    present = [name for name in names if is_taken(folder / name)]
    return [*present, results.PREVIOUS] if _lists_anything(folder / results.PREVIOUS) else present


def _lists_anything(path: Path) -> bool:
    """Return whether there is something, other than an empty folder."""
    return is_taken(path) and not (is_folder(path) and not os.listdir(path))  # noqa: PTH208


def _is_run_of(folder: Path, run_id: str | None) -> bool:
    """Return whether the fine-tune in `folder` is that run; None: one without an id."""
    record = results.read_record(folder)
    return record is not None and record.run_id == run_id


def _changed_fields(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return in which fields that decide what is computed a config differs from that of the run to resume."""
    compared = set(now) - MAY_DIFFER_ON_RESUME
    added = {name for name in compared - set(before) if not now[name]}  # a run of an older version
    return sorted(name for name in compared - added if before.get(name) != now[name])


def _check_same_run(before: results.Record, now: results.Record) -> None:
    """Make sure that what is resumed is what was begun."""
    if before.data_sha256 != now.data_sha256:
        raise BadData("The data has changed since this fine-tune began.", hint="Start a new one, or restore the files.")
    if changed := _changed_fields(before.config, now.config):
        raise BadConfig(
            "The fine-tune to resume was begun with another {names}.", hint="Start a new one.", names=", ".join(changed)
        )
    if now.parent and before.parent.get("sha256") != now.parent["sha256"]:
        raise BadConfig("init_from: what is trained further has changed since this fine-tune began.")
    _check_same_commit(before, now)


def _check_same_commit(before: results.Record, now: results.Record) -> None:
    """Make sure that an earlier run had the same base model."""
    commit, commit_now = before.base_commit, now.base_commit
    if commit and commit_now and commit != commit_now:  # an unknown one contradicts nothing
        raise BadConfig(
            "The fine-tune to go on with was begun on commit {commit} of {model}, the cached model is {commit_now}.",
            hint="Download revision {revision} of it, or start a new fine-tune.",
            commit=commit[:12],
            model=str(now.config["model"]),
            commit_now=commit_now[:12],
            revision=commit,
        )
