"""What a fine-tune job does whose launcher is pai-dlc: submits it, once, and follows it to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from qwen3ft_jupyter.disk import make_folders, write_atomic
from qwen3ft_jupyter.dlc.command import Places, config_for_containers, user_command
from qwen3ft_jupyter.dlc.follow import PACE, Follower
from qwen3ft_jupyter.dlc.options import settle
from qwen3ft_jupyter.dlc.record import Record, read_record
from qwen3ft_jupyter.dlc.service import WAITS_S, NoAnswer, Service
from qwen3ft_jupyter.dlc.spec import job_name, job_spec, shown
from qwen3ft_jupyter.errors import BadConfig, JobFailed
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_file
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.dlc.follow import Pace
    from qwen3ft_jupyter.dlc.options import Options
    from qwen3ft_jupyter.dlc.service import DlcJob
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.jobs.kinds import JobContext

FOLDER: Final = "dlc"
"""In the output folder: a folder for each submission, with its config and its job folder."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission: where its files are here, and what is submitted."""

    folder: Path
    config: dict[str, Any]
    spec: dict[str, Any]

    def write(self) -> None:
        """Write what the containers read. Raises OSError."""
        make_folders(self.folder)
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        write_atomic(self.folder / "config.yaml", text.encode())


def submission(config: FineTuneConfig, options: Options, model_folder: Path, *, job_id: str, number: int) -> Submission:
    """Return the `number`-th submission of a job. Raises BadConfig if it is too large."""
    folder = _folder(config, job_id, number)
    there = options.paths.there
    state, cache = there(str(folder)), there(str(model_folder.parent))
    if state is None or cache is None:
        raise BadConfig("output_dir and MODEL_CACHE_DIR have to lie on a mount of dlc.mounts.")
    command = user_command(options, Places(f"{state}/config.yaml", state, cache))
    spec = job_spec(options, command, name=job_name(job_id, number), job_id=job_id)
    return Submission(folder, config_for_containers(config, options), spec)


def _folder(config: FineTuneConfig, job_id: str, number: int) -> Path:
    return Path(config.output_dir) / FOLDER / f"{job_id}-{number}"  # of another job there may be one, too


def planned_spec(config: FineTuneConfig, model_folder: Path) -> str:
    """Return, as text, what would be submitted for a fine-tune that has not begun. Raises BadConfig, BadSetting."""
    options = settle(config, model_folder=model_folder)
    return shown(submission(config, options, model_folder, job_id="JOB", number=1).spec)


def run(
    config: FineTuneConfig,
    model_folder: Path,
    context: JobContext,
    *,
    pace: Pace = PACE,
    waits_s: Sequence[float] = WAITS_S,
) -> Outcome:
    """Submit a fine-tune to PAI-DLC and follow it; a job that was submitted before is found again.

    Raises:
        BadConfig: Something is missing in the config, or the model is in no cache of ours.
        JobFailed: PAI-DLC refuses it, or it failed there.
        Stopped: It was stopped, here or there.
        MissingPackage: Alibaba Cloud's client is not installed.
    """
    options = settle(config, model_folder=model_folder)
    if not is_file(model_folder / ".qwen3ft" / "manifest.json"):
        raise BadConfig(
            "MODEL_CACHE_DIR: {model} is used where another program keeps it, which the containers cannot find.",
            hint="Download it into the cache: qwen3ft download {model} --force",
            model=config.model,
        )
    context.work.progress(Progress("queued", detail=Message("submitting to PAI-DLC")))
    try:
        service = Service(options, waits_s=waits_s)
        record, job = _submitted_once(service, config, options, model_folder, context)
        mount = _folder(config, context.folder.name, record.number)
        return Follower(service, options, context, record, mount=mount, pace=pace).follow(job)
    except NoAnswer as error:
        raise error.error from error


def delete_there(config: FineTuneConfig, folder: Path, *, waits_s: Sequence[float] = WAITS_S) -> None:
    """Delete what the job in `folder` has submitted from the list of PAI-DLC; what may still run is left.

    Raises JobFailed, BadConfig, MissingPackage.
    """
    record = read_record(folder)
    if record is None or not record.is_over:
        return
    try:
        service = Service(settle(config), waits_s=waits_s)
        for number in range(1, record.number + 1):
            job = service.find(job_name(folder.name, number))
            if job is not None:
                service.delete(job.id)
    except NoAnswer as error:
        raise error.error from error


def _submitted_once(
    service: Service, config: FineTuneConfig, options: Options, model_folder: Path, context: JobContext
) -> tuple[Record, DlcJob]:
    """Return the job that goes on or has a result to be told; submit one if there is none."""
    folder, job_id = context.folder, context.folder.name
    record = read_record(folder)
    if record is not None and not record.is_over:
        job = service.look(record.id) if record.id else service.find(record.name)
        if job is not None:
            context.work.notice("Found again at PAI-DLC: {id}.", id=job.id)
            return record.write(folder, id=job.id, url=options.console_url(job.id)), job
    number = record.number + bool(record.id) if record is not None else 1
    new = submission(config, options, model_folder, job_id=job_id, number=number)
    new.write()
    record = Record(number, new.spec["DisplayName"]).write(folder)
    context.work.check()
    dlc_id = _submit(service, new.spec, lambda: record.write(folder, is_over=True))
    submitted = record.write(folder, id=dlc_id, url=options.console_url(dlc_id))
    context.work.notice("Submitted to PAI-DLC as {id}: {url}", id=dlc_id, url=submitted.url)
    return submitted, service.get(dlc_id)


def _submit(service: Service, spec: dict[str, Any], on_refused: Callable[[], object]) -> str:
    """Submit a job, and return its id. What was not answered is looked for before it is submitted again.

    `on_refused` is called if nothing runs there. If a look is refused, nobody knows: what was not answered may run.
    """
    is_unsure = False
    for wait_s in (*service.waits_s, None):
        try:
            return service.create(spec)
        except NoAnswer:
            if wait_s is None:
                raise
            is_unsure = True
            time.sleep(wait_s)
            found = service.find(spec["DisplayName"])
        except JobFailed:
            found = service.find(spec["DisplayName"]) if is_unsure else None  # it may be what has used up the quota
            if found is None:
                on_refused()
                raise
        if found is not None:
            return found.id
    raise AssertionError("the last try returns or raises")
