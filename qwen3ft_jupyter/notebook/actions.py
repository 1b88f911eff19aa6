"""What each verb does: one function a verb, named after it, which calls the manager and returns a view."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from qwen3ft_jupyter import format as fmt
from qwen3ft_jupyter.cache_lists import read_speed, split_sources
from qwen3ft_jupyter.errors import BadConfig, CacheDamaged
from qwen3ft_jupyter.job_lists import job_rows, match_id
from qwen3ft_jupyter.notebook import views
from qwen3ft_jupyter.notebook.job_view import JobView
from qwen3ft_jupyter.notebook.verbs import JOB_ACTIONS, VERBS, find_verb
from qwen3ft_jupyter.notebook.views import Note, TextView
from qwen3ft_jupyter.words import tr

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.jobs import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.notebook.forms import FineTuneForm, ModelPicker

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_LOG_BYTES = 200_000
"""How much of the end of a log a cell shows."""


class Room:
    """What the verbs work with: the manager, and the variables of the notebook."""

    def __init__(self, open_manager: Callable[..., ModelManager], variables: dict[str, Any]) -> None:
        self._open_manager = open_manager
        self._manager: ModelManager | None = None
        self.variables = variables

    @property
    def manager(self) -> ModelManager:
        """Return the manager for the settings in force now.

        ``%env USE_MODELSCOPE=false`` counts from the next line on; while nothing changes it is the same manager, which
        keeps the model that was last talked to.
        """
        fresh = self._open_manager()
        if self._manager is None or self._manager.settings != fresh.settings:
            self._manager = fresh
        return self._manager

    def manager_for(self, hub: str | None) -> ModelManager:
        """Return a manager that asks `hub` first."""
        return self.manager if hub is None else self._open_manager(use_modelscope=hub == "modelscope")


def status(room: Room, _: Namespace) -> views.TableView:
    """Show the settings in force."""
    return views.status_view(room.manager.describe().to_dict())


def models(room: Room, _: Namespace) -> views.TableView:
    """Show the models there are."""
    return views.models_view(room.manager.models())


def download(room: Room, given: Namespace) -> JobView | ModelPicker | views.TableView:
    """Download a model, show what that would take, or show the form."""
    speed = _speed(given)
    if given.name is None:
        from qwen3ft_jupyter.notebook.forms import ModelPicker

        return ModelPicker(room.manager_for(given.hub))
    wishes: dict[str, Any] = {
        "force": given.force,
        "revision": given.revision,
        "update": given.update,
        "sources": None if given.sources is None else split_sources(given.sources),
        "in_place": given.in_place,
    }
    manager = room.manager_for(given.hub)
    if given.dry_run:
        return views.plan_view(manager.plan(given.name, **wishes, max_speed=speed).to_dict())
    job = manager.download(given.name, **wishes, max_speed=speed)
    return _followed(job, is_detached=given.detach)


def cache(room: Room, given: Namespace) -> views.View:
    """List the cache, do something to a model in it, or move it."""
    manager, speed = room.manager, _speed(given)
    _check_cache(given)
    if given.action == "list":
        return views.cache_view(manager.list_cached_models(), manager.cache_summary())
    if given.action == "evict":
        return _evicted(manager, given)
    if given.action in ("verify", "repair"):
        start = manager.start_verify if given.action == "verify" else manager.start_repair
        job = start(given.name, revision=given.revision, max_speed=speed)
        return _checked(job, given.name, is_detached=given.detach)
    if given.action == "move":
        folder = Path(given.name).expanduser().absolute()
        return views.moved_view(manager.move_cache(folder))
    is_pinned = given.action == "pin"
    manager.pin(given.name, is_pinned, revision=given.revision)
    sentence = "{name} is pinned: it will not be deleted to make room." if is_pinned else "{name} is no longer pinned."
    return Note(tr(sentence, name=given.name), is_pinned)


def load(room: Room, given: Namespace) -> Note:
    """Load a model into the notebook's variables."""
    if given.variable and not given.variable.isidentifier():
        raise UsageError(f"{given.variable!r} cannot be the name of a variable.")
    model, tokenizer = room.manager.load_model_and_tokenizer(given.name, quantization=given.quantization)
    names = (given.variable, f"{given.variable}_tokenizer") if given.variable else ("model", "tokenizer")
    room.variables.update(zip(names, (model, tokenizer), strict=True))
    return views.loaded_view(given.name, model, *names)


def finetune(room: Room, given: Namespace, cell: str | None = None) -> JobView | FineTuneForm:
    """Start a fine-tune from a cell or a file, or show the form."""
    if cell is not None and given.config is not None:
        raise UsageError("Give the config in the cell or in a file, not in both.")
    if cell is None and given.config is None:
        from qwen3ft_jupyter.notebook.forms import FineTuneForm

        return FineTuneForm(room.manager)
    from qwen3ft_jupyter.finetune import parse_yaml, read_config

    written = read_config(Path(given.config)) if cell is None else parse_yaml(cell)
    return _followed(room.manager.fine_tune(_filled_in(written, room.variables)), is_detached=given.detach)


def jobs(room: Room, given: Namespace) -> views.View:
    """List the jobs, or do something to one."""
    if bool(given.speed) != (given.action == "limit"):
        raise UsageError(find_verb("jobs").parser().format_usage().strip())
    if not given.action:
        return views.jobs_view(job_rows(room.manager.jobs()))
    action, wanted = (given.action, given.id) if given.action in JOB_ACTIONS else ("show", given.action)
    if not wanted or (action == "show" and given.id):
        raise UsageError(find_verb("jobs").parser().format_usage().strip())
    speed = read_speed(given.speed) if given.speed else None
    job = find_job(room.manager, wanted)
    if action in ("pause", "limit"):
        job.limit(speed) if action == "limit" else job.pause()
        return JobView(job)
    if action == "log":
        return TextView(job.log(-_LOG_BYTES, _LOG_BYTES).text or tr("The log is empty."), is_code=True)
    if action == "forget":
        job.forget()
        return Note(tr("The job {id} is forgotten; its results stay.", id=job.id), job.id)
    if action == "resume":
        return _followed(job.resume(), is_detached=given.detach)
    return _followed(job, is_detached=action == "show")


def stop(room: Room, given: Namespace) -> JobView:
    """Ask a job to stop."""
    job = find_job(room.manager, given.id)
    job.stop()
    return JobView(job)


def chat(room: Room, given: Namespace) -> TextView:
    """Ask a model."""
    options = {} if given.max_new_tokens is None else {"max_new_tokens": given.max_new_tokens}
    name = given.name
    if "/" not in name and not Path(name).exists():  # a job's id, perhaps the end of one
        name = find_job(room.manager, name).id
    return TextView(room.manager.chat(name, " ".join(given.question), **options))


def help(_: Room, given: Namespace) -> views.TableView:  # noqa: A001 - functions here are named after their verbs
    """Show the verbs."""
    return views.help_view([find_verb(given.verb)] if given.verb else VERBS)


def find_job(manager: ModelManager, text: str) -> Job:
    """Return the job whose id is `text`, or the only one whose id begins or ends with it.

    Raises:
        JobNotFound: there is none, or more than one.
    """
    return manager.job(match_id([job.id for job in manager.jobs()], text))


def _filled_in(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return `value` with each text in it that is just ``$name`` replaced by the variable of that name."""
    if isinstance(value, dict):
        return {str(name): _filled_in(item, variables) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled_in(item, variables) for item in value]
    match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    if match[1] not in variables:
        raise BadConfig(f"The config names {value}, but there is no variable {match[1]}.")
    return variables[match[1]]


def _check_cache(given: Namespace) -> None:
    """Refuse what does not go together. Raises UsageError."""
    is_unclear = given.is_all != (given.action == "evict" and given.name is None)
    is_about_one = given.action not in ("list", "move") and given.name is not None
    if (
        is_unclear
        or (given.action == "list" and given.name)
        or (given.max_speed and given.action not in ("verify", "repair"))
        or (given.revision and not is_about_one)
        or ((given.owner or given.everything) and not (is_about_one and given.action == "evict"))
    ):
        raise UsageError(find_verb("cache").parser().format_usage().strip())
    if given.name is None and given.action not in ("list", "evict"):
        missing = "DIR" if given.action == "move" else "NAME"
        raise UsageError(f"{missing} is missing: %qwen3ft cache {given.action} {missing}")


def _speed(given: Namespace) -> int | None:
    return read_speed(given.max_speed) if given.max_speed else None


def _evicted(manager: ModelManager, given: Namespace) -> Note:
    """Delete one model, or all of them if no name is given; the value is the bytes freed by model name."""
    freed: Counter[str] = Counter()
    kept: list[str] = []
    if given.name is None:
        for model in manager.evict_all():
            freed[model.repo_id] += model.freed_bytes
            if model.left:
                kept.append(tr("Kept in {folder}: {names}", folder=model.slug, names=fmt.first_names(model.left)))
    else:
        freed[given.name] = manager.evict_model(
            given.name, revision=given.revision, owner=given.owner, everything=given.everything
        )
    names, size = ", ".join(freed) or tr("none"), fmt.size(sum(freed.values()))
    said = [tr("Deleted {names}; {size} are free again.", names=names, size=size), *kept]
    return Note("\n".join(said), dict(freed))


def _followed(job: Job, *, is_detached: bool) -> JobView:
    view = JobView(job)
    return view if is_detached else view.follow()


def _checked(job: Job, name: str, *, is_detached: bool) -> JobView:
    """Follow a check or a repair and fail the cell if the model is not right in the end."""
    view = _followed(job, is_detached=is_detached)
    from qwen3ft_jupyter.manager.kinds import VERIFY  # with it comes all that jobs need

    report = VERIFY.read_result(job.status().result) if job.kind == VERIFY.name else None
    if report is not None and not report.is_ok:
        raise CacheDamaged(
            f"{name}: {len(report.missing)} files are missing and {len(report.wrong)} are wrong.",
            hint=f"Fetch just these again: %qwen3ft cache repair {name}",
        )
    return view
