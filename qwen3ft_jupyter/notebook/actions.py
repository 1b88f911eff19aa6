"""What each verb does in a notebook: one function a verb, which returns a value that shows itself."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import CacheDamaged
from qwen3ft_jupyter.faces import actions, say
from qwen3ft_jupyter.faces.job_views import jobs_table
from qwen3ft_jupyter.faces.model_views import card_words, details_table, updates_table
from qwen3ft_jupyter.faces.move_views import move_table
from qwen3ft_jupyter.faces.parsing import match_verb
from qwen3ft_jupyter.faces.push_views import push_table
from qwen3ft_jupyter.faces.refusals import WrongLine
from qwen3ft_jupyter.faces.report_views import comparison_table
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import (
    cache_table,
    datasets_table,
    help_table,
    loaded_facts,
    models_table,
    plan_table,
    status_table,
)
from qwen3ft_jupyter.messages import Command, Texts, size, tr
from qwen3ft_jupyter.notebook.job_view import JobView
from qwen3ft_jupyter.notebook.variables import fill_in
from qwen3ft_jupyter.notebook.views import Note, TableView, TextView, View
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.notebook.chat_form import ChatForm
    from qwen3ft_jupyter.notebook.form_parts import Form
    from qwen3ft_jupyter.notebook.forms import FineTuneForm, ModelPicker
    from qwen3ft_jupyter.notebook.tuning_views import PlanView, PreviewView

_LEADING_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
"""Empty ones; the indentation of the first that is not is the text's own."""
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

    def manager_for(self, given: Namespace) -> ModelManager:
        """Return the manager, with the settings that the line sets for itself alone."""
        settings = actions.overrides(given)
        return self._open_manager(**settings) if settings else self.manager


def status(room: Room, given: Namespace) -> TableView:
    """Show the settings in force."""
    return TableView(status_table(say.status(room.manager_for(given).describe(), speaker_of("magic"))))


def models(room: Room, given: Namespace) -> TableView:
    """Show the models there are."""
    return TableView(models_table(room.manager_for(given).model_rows(), "magic"))


def details(room: Room, given: Namespace) -> TableView | TextView:
    """Show what is known of a model, or its card, as the text that it is: a stranger wrote it."""
    manager = room.manager_for(given)
    if given.is_card:
        card = actions.find_card(manager, given)
        return TextView("\n\n".join(filter(None, (card_words(card), card.text))))
    return TableView(details_table(actions.find_details(manager, given), "magic"))


def updates(room: Room, given: Namespace) -> TableView:
    """Show what is cached and what the hubs have."""
    return TableView(updates_table(actions.check_updates(room.manager_for(given), given), "magic"))


def download(room: Room, given: Namespace) -> JobView | ModelPicker | TableView:
    """Download a model, show what that would take, or show the form."""
    manager = room.manager_for(given)
    if given.model_name is None:
        from qwen3ft_jupyter.notebook.forms import ModelPicker

        return ModelPicker(manager)
    if given.dry_run:
        return TableView(plan_table(actions.plan(manager, given)))
    return _followed(actions.start_download(manager, given), is_detached=given.detach)


def list_cache(room: Room, given: Namespace) -> TableView:
    """Show what is in the cache."""
    manager = room.manager_for(given)
    if given.datasets:
        return TableView(datasets_table(manager.cached_datasets(), "magic"))
    return TableView(cache_table(manager.cached_models(), manager.summarize_cache(), "magic", manager.unseen()))


def verify(room: Room, given: Namespace) -> JobView:
    """Check a model."""
    return _checked(room, "verify", given)


def repair(room: Room, given: Namespace) -> JobView:
    """Repair a model."""
    return _checked(room, "repair", given)


def pin(room: Room, given: Namespace) -> Note:
    """Protect a model."""
    return Note(actions.set_pin(room.manager_for(given), given, is_pinned=True), True)


def unpin(room: Room, given: Namespace) -> Note:
    """Protect a model no longer."""
    return Note(actions.set_pin(room.manager_for(given), given, is_pinned=False), False)


def evict(room: Room, given: Namespace) -> Note:
    """Delete one model, or all of them; the value is the bytes freed by model name."""
    freed: Counter[str] = Counter()
    kept = []
    told = actions.Notices()
    for name, count, left in actions.evict(room.manager_for(given), given, reporter=told):
        freed[name] += count
        kept += [left] if left else []
    names, total = ", ".join(freed) or tr("none"), size(sum(freed.values()))
    kept += map(tr, told.said)
    return Note(
        "\n".join([tr("Deleted {names}; {size} are free again.", names=names, size=total), *kept]),
        dict(freed),
    )


def where(room: Room, given: Namespace) -> Note:
    """Say where a model lies; the value is its folder."""
    folder = str(room.manager_for(given).where(given.model_name, revision=given.revision, owner=given.owner))
    return Note(folder, folder)


def move(room: Room, given: Namespace) -> Note | TableView:
    """Move the cache, and say what of it has not moved; the value is the new folder. Or say what that would be."""
    if given.dry_run:
        return TableView(move_table(room.manager_for(given).plan_move(parse_folder("FOLDER", given.folder))))
    report = room.manager_for(given).move_cache(parse_folder("FOLDER", given.folder))
    said = [
        tr("Moved folders: {count}; {size} copied.", count=len(report.moved), size=size(report.bytes_copied)),
        tr("The cache has moved. Use it there: {command}", command=f"%env MODEL_CACHE_DIR={report.target}"),
        *(tr("{name} stayed: {reason}", name=name, reason=reason) for name, reason in report.left),
    ]
    return Note("\n".join(said), report.target)


def load(room: Room, given: Namespace) -> Note:
    """Load a model into the notebook's variables."""
    names, manager, name = actions.variables(given), room.manager_for(given), given.model_name
    loaded = manager.load_model_and_tokenizer(actions.name_to_load(manager, name), quantization=given.quantization)
    room.variables.update(zip(names, loaded, strict=True))
    said = tr("{name} is loaded into {model} and {tokenizer}.", name=name, model=names[0], tokenizer=names[1])
    return Note(f"{said} {loaded_facts(loaded[0])}".strip(), names)


def finetune(room: Room, given: Namespace) -> JobView | FineTuneForm | PlanView:
    """Start a fine-tune from a cell or a file, say what it would be, or show the form."""
    manager = room.manager_for(given)
    if given.cell is None and given.config is None and given.from_run is None and not given.dry_run:
        from qwen3ft_jupyter.notebook.forms import FineTuneForm

        return FineTuneForm(manager)
    is_alone = given.from_run is not None and given.cell is None and given.config is None
    config = actions.repeated(manager, given, {} if is_alone else _config(room, given, given.config))
    if given.dry_run:
        from qwen3ft_jupyter.notebook.tuning_views import PlanView

        return PlanView(manager.plan_fine_tune(config))
    return _followed(manager.fine_tune(config, at_once=given.at_once), is_detached=given.detach)


def _config(room: Room, given: Namespace, file: str | None) -> Any:
    """Return the config in the cell or in a file, with the notebook's variables in it."""
    if given.cell is not None and file is not None:
        raise WrongLine(tr("Give the config in the cell or in a file, not in both."))
    if given.cell is None and file is None:
        raise WrongLine(tr("Give the config in the cell, or name its file."))
    from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml, read_config

    written = parse_yaml(given.cell) if given.cell is not None else read_config(Path(str(file)))
    return fill_in(written, room.variables)


def preview(room: Room, given: Namespace) -> PreviewView:
    """Show data as a model will see it."""
    from qwen3ft_jupyter.notebook.tuning_views import PreviewView

    is_config = given.cell is not None or given.source is None or given.source.lower().endswith((".yaml", ".yml"))
    source = _config(room, given, given.source) if is_config else given.source
    return PreviewView(actions.preview(room.manager_for(given), given, source))


def evaluate(room: Room, given: Namespace) -> JobView:
    """Start an evaluation."""
    return _followed(actions.start_evaluate(room.manager_for(given), given), is_detached=given.detach)


def compare(room: Room, given: Namespace) -> TableView:
    """Show fine-tunes beside each other."""
    return TableView(comparison_table(actions.compare(room.manager_for(given), given)))


def merge(room: Room, given: Namespace) -> JobView:
    """Start a merge."""
    return _followed(actions.start_merge(room.manager_for(given), given), is_detached=given.detach)


def export(room: Room, given: Namespace) -> JobView:
    """Start an export."""
    return _followed(actions.start_export(room.manager_for(given), given), is_detached=given.detach)


def push(room: Room, given: Namespace) -> JobView | TableView:
    """Say what a push would upload, or start it."""
    manager = room.manager_for(given)
    if given.confirm:
        return _followed(actions.start_push(manager, given), is_detached=given.detach)
    return TableView(push_table(actions.plan_push(manager, given), "magic"))


def chat(room: Room, given: Namespace) -> TextView | ChatForm:
    """Ask a model what the line and the cell say, or show the form."""
    if given.model_name is None:
        from qwen3ft_jupyter.notebook.chat_form import ChatForm

        return ChatForm(room.manager_for(given))
    written = (given.cell or "").rstrip()
    question = "\n\n".join(part for part in (given.question, _LEADING_LINES.sub("", written)) if part)
    if not question:
        command = write_command("chat", given.model_name, "QUESTION")
        raise WrongLine(tr("QUESTION is missing: {command}", command=command))
    return TextView(actions.ask(room.manager_for(given), given, question))


def jobs(room: Room, given: Namespace) -> TableView | JobView:
    """Show the jobs, or one of them."""
    if given.id:
        return JobView(_job(room, given))
    return TableView(jobs_table(actions.snapshots(room.manager_for(given).jobs()), "magic"))


def jobs_stop(room: Room, given: Namespace) -> JobView:
    """Ask a job to stop."""
    return _told(room, given, lambda job: job.stop())


def jobs_pause(room: Room, given: Namespace) -> JobView:
    """Let a job rest."""
    return _told(room, given, lambda job: job.pause())


def jobs_resume(room: Room, given: Namespace) -> JobView:
    """Let a job go on."""
    return _followed(_job(room, given).resume(), is_detached=given.detach)


def jobs_limit(room: Room, given: Namespace) -> JobView:
    """Change a job's speed limit."""
    return _told(room, given, lambda job: job.limit(given.max_speed or None))


def jobs_follow(room: Room, given: Namespace) -> JobView:
    """Show a job until it ends."""
    return _followed(_job(room, given), is_detached=False)


def jobs_log(room: Room, given: Namespace) -> TextView:
    """Show the end of a job's log."""
    return TextView(_job(room, given).log(-_LOG_BYTES, _LOG_BYTES).text or tr("The log is empty."), is_code=True)


def jobs_forget(room: Room, given: Namespace) -> Note:
    """Delete a job's record."""
    job = actions.forget_job(room.manager_for(given), given)
    return Note(tr("The job {id} is forgotten; its results stay.", id=job.id), job.id)


def practice(_room: Room, given: Namespace) -> Note:
    """Copy the practice model and its data to a folder, which is the value."""
    from qwen3ft_jupyter.practice.model import make_practice

    folder = str(make_practice(parse_folder("FOLDER", given.folder)).folder)
    return Note(folder, folder)


def help_on(_room: Room, given: Namespace) -> TableView:
    """Show the verbs, or one of them."""
    verb = match_verb(given.verb.split(), "magic")[0] if given.verb else None
    return TableView(help_table("magic", verb))


ACTIONS: dict[str, Callable[[Room, Namespace], View | Form]] = {
    "status": status,
    "models": models,
    "details": details,
    "download": download,
    "list": list_cache,
    "updates": updates,
    "verify": verify,
    "repair": repair,
    "pin": pin,
    "unpin": unpin,
    "evict": evict,
    "where": where,
    "move": move,
    "load": load,
    "finetune": finetune,
    "preview": preview,
    "chat": chat,
    "evaluate": evaluate,
    "compare": compare,
    "merge": merge,
    "export": export,
    "push": push,
    "jobs": jobs,
    "jobs stop": jobs_stop,
    "jobs pause": jobs_pause,
    "jobs resume": jobs_resume,
    "jobs limit": jobs_limit,
    "jobs follow": jobs_follow,
    "jobs log": jobs_log,
    "jobs forget": jobs_forget,
    "practice": practice,
    "help": help_on,
}
"""By verb."""


def _job(room: Room, given: Namespace) -> Job:
    return actions.find_job(room.manager_for(given), given.id)


def _told(room: Room, given: Namespace, tell: Callable[[Job], None]) -> JobView:
    job = _job(room, given)
    tell(job)
    return JobView(job)


def _followed(job: Job, *, is_detached: bool) -> JobView:
    view = JobView(job)
    return view if is_detached else view.follow()


def _checked(room: Room, name: str, given: Namespace) -> JobView:
    """Follow a check or a repair and fail the cell if the model is not right in the end."""
    job = actions.start_check(room.manager_for(given), name, given)
    view = _followed(job, is_detached=given.detach)
    from qwen3ft_jupyter.manager.kinds import VERIFY  # with it comes all that jobs need

    report = VERIFY.read_result(job.status().result) if name == VERIFY.name else None
    if report is not None and report.problems:
        raise CacheDamaged(
            "{repo_id} is as the hub has it, and cannot be loaded: {problems}.",
            hint="Use another revision or another repo.",
            repo_id=given.model_name,
            problems=Texts(report.problems),
        )
    if report is not None and not report.is_ok:
        raise CacheDamaged(
            "{model_name}: {count} files are missing and {wrong} are wrong.",
            hint="Fetch just these again: {command}",
            model_name=given.model_name,
            count=len(report.missing),
            wrong=len(report.wrong),
            command=Command("repair", given.model_name),
        )
    return view
