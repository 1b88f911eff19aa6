"""What verbs do that the typed faces share: each calls the manager and returns a value; a face only shows it."""

from __future__ import annotations

import contextlib
import keyword
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import JobNotFound
from qwen3ft_jupyter.faces.refusals import WrongLine
from qwen3ft_jupyter.faces.verbs import find
from qwen3ft_jupyter.messages import Command, Message, Names, tr
from qwen3ft_jupyter.paths import at_home, is_there
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    import threading
    from argparse import Namespace
    from collections.abc import Iterable, Mapping, Sequence

    from qwen3ft_jupyter.cache.models import EvictedModel
    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.finetune.preview import Preview
    from qwen3ft_jupyter.finetune.runs import Comparison
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.details import ModelCard, ModelDetails
    from qwen3ft_jupyter.manager.updates import ModelNews
    from qwen3ft_jupyter.upload.plan import PushPlan

_NEAR_ID = 0.8
"""Similarity (difflib, 1.0 is equal) of a whole id with a slip of the finger."""
_LIST = Message("See `{command}` for those there are.", command=Command("jobs"))


def overrides(given: Namespace) -> dict[str, Any]:
    """Return the settings that a line sets for itself alone, as `get_model_manager` takes them."""
    settings: dict[str, Any] = {}
    if given.hub:
        settings["use_modelscope"] = given.hub == "modelscope"
    if given.cache_dir:
        settings["cache_dir"] = given.cache_dir
    if given.offline:
        settings["offline"] = True
    if getattr(given, "max_speed", None) == 0 and "in_place" in given:  # a download without the limit that is set
        settings["max_speed"] = "none"
    return settings


class Notices(Reporter):
    """Keeps what it is told, to be shown with the answer."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)


# Models


def start_download(manager: ModelManager, given: Namespace) -> Job:
    """Start a download."""
    return manager.download(given.model_name, **find("download").wishes(given), max_speed=given.max_speed or None)


def start_check(manager: ModelManager, name: str, given: Namespace) -> Job:
    """Start what "verify" or "repair" means."""
    start = manager.start_verify if name == "verify" else manager.start_repair
    return start(given.model_name, revision=given.revision, max_speed=given.max_speed or None)


def find_details(manager: ModelManager, given: Namespace, *, stop: threading.Event | None = None) -> ModelDetails:
    """Return what is known of a model; a hub is asked for what is not here, if one may be."""
    ask = not manager.settings.offline
    return manager.details(given.model_name, revision=given.revision, ask=ask, stop=stop)


def find_card(manager: ModelManager, given: Namespace, *, stop: threading.Event | None = None) -> ModelCard:
    """Return the card of a model, likewise."""
    ask = not manager.settings.offline
    return manager.card(given.model_name, revision=given.revision, ask=ask, stop=stop)


def check_updates(manager: ModelManager, given: Namespace, *, stop: threading.Event | None = None) -> list[ModelNews]:
    """Return what the hubs say of cached models."""
    return manager.check_updates(given.model_names, sizes=True, stop=stop)


def plan(
    manager: ModelManager, given: Namespace, *, reporter: Reporter | None = None, stop: threading.Event | None = None
) -> DownloadPlan:
    """Return what a download would do."""
    wishes, max_speed = find("download").wishes(given), given.max_speed or None
    return manager.plan(given.model_name, max_speed=max_speed, reporter=reporter, stop=stop, **wishes)


PREVIEWED = 3
"""Samples that a preview shows in full."""


def preview(manager: ModelManager, given: Namespace, source: object, *, reporter: Reporter | None = None) -> Preview:
    """Return the data of `source`, a config or data, as the model will see it."""
    count = PREVIEWED if given.count is None else given.count
    return manager.preview(source, given.model, count=count, reporter=reporter)


def evict(manager: ModelManager, given: Namespace, **watch: Reporter) -> list[tuple[str, int, str]]:
    """Delete one model, or all of them; return the name of each, the bytes that are free again, and what is kept.

    `watch` is a reporter, which is told what is kept of a single model, or which models are.
    """
    if given.is_all:
        return [(_title(model), model.freed_bytes, _kept(model)) for model in manager.evict_all(**watch)]
    freed = manager.evict_model(
        given.model_name, revision=given.revision, owner=given.owner, everything=given.everything, **watch
    )
    return [(given.model_name, freed, "")]


def _title(model: EvictedModel) -> str:
    return tr("the unfinished download of {name}", name=model.repo_id) if model.is_unfinished else model.repo_id


def _kept(model: EvictedModel) -> str:
    return tr("Kept in {folder}: {names}", folder=model.slug, names=Names(model.left)) if model.left else ""


def set_pin(manager: ModelManager, given: Namespace, *, is_pinned: bool) -> str:
    """Protect a model or do so no longer; return the sentence that says so."""
    manager.pin(given.model_name, is_pinned, revision=given.revision)
    if is_pinned:
        return tr("{name} is pinned: it will not be deleted to make room.", name=given.model_name)
    return tr("{name} is no longer pinned.", name=given.model_name)


def name_to_load(manager: ModelManager, name: str) -> str:
    """Return what the manager loads for `name`: of a job's id, a part is enough.

    Raises:
        JobNotFound: several jobs are called so.
    """
    if is_there(at_home(name)):
        return name
    if "/" in name:
        return _plain_name(name)
    ids = [job.id for job in manager.jobs()]
    return match_id(ids, name) if like(ids, name) else name


def _plain_name(name: str) -> str:
    """Return the name of the model that an address means; what is none stays, for it may be a path."""
    from qwen3ft_jupyter.errors import BadInput
    from qwen3ft_jupyter.hubs.spelling import parse_model

    with contextlib.suppress(BadInput):
        repo_id, revision = parse_model(name)
        return f"{repo_id}@{revision}" if revision else repo_id
    return name


def repeated(manager: ModelManager, given: Namespace, config: Mapping[str, object]) -> Mapping[str, object]:
    """Return a config, that of the run to repeat if the line names one."""
    return {**config, "from_run": name_to_load(manager, given.from_run)} if given.from_run else config


def start_evaluate(manager: ModelManager, given: Namespace, *, reporter: Reporter | None = None) -> Job:
    """Start an evaluation; the reporter is told of what is fetched and read."""
    fields = {} if given.max_length is None else {"max_length": given.max_length}
    name = name_to_load(manager, given.run)
    return manager.evaluate(name, given.data, at_once=given.at_once, reporter=reporter, **fields)


def compare(manager: ModelManager, given: Namespace) -> Comparison:
    """Return several fine-tunes beside each other."""
    return manager.compare(name_to_load(manager, name) for name in given.runs)


def start_merge(manager: ModelManager, given: Namespace) -> Job:
    """Start a merge."""
    base = given.base or "original"
    return manager.merge(name_to_load(manager, given.run), given.output_dir, base=base, overwrite=given.overwrite)


def start_export(manager: ModelManager, given: Namespace) -> Job:
    """Start an export."""
    name, to = name_to_load(manager, given.run), given.to or "safetensors"
    return manager.export(name, to, given.output_dir, overwrite=given.overwrite)


def plan_push(manager: ModelManager, given: Namespace) -> PushPlan:
    """Return what a push would be."""
    return manager.push(name_to_load(manager, given.run), given.repo_id, private=not given.public)


def start_push(manager: ModelManager, given: Namespace) -> Job:
    """Start a push."""
    return manager.push(name_to_load(manager, given.run), given.repo_id, private=not given.public, confirm=True)


def variables(given: Namespace) -> tuple[str, str]:
    """Return what a loaded model and its tokenizer are called. Raises WrongLine for no name of a variable."""
    if given.variable is not None and (not given.variable.isidentifier() or keyword.iskeyword(given.variable)):
        raise WrongLine(tr("{name!r} cannot be the name of a variable.", name=given.variable))
    return (given.variable, f"{given.variable}_tokenizer") if given.variable else ("model", "tokenizer")


def ask(manager: ModelManager, given: Namespace, question: str | list[dict[str, str]]) -> str:
    """Return the answer of a model or of a fine-tune's result."""
    options = {} if given.max_new_tokens is None else {"max_new_tokens": given.max_new_tokens}
    return manager.chat(name_to_load(manager, given.model_name), question, **options)


# Jobs


def snapshots(jobs: Iterable[Job]) -> list[JobSnapshot]:
    """Return what is known of each job; one that has been forgotten meanwhile is left out."""
    known = []
    for job in jobs:
        with contextlib.suppress(JobNotFound):
            known.append(job.snapshot())
    return known


def forget_job(manager: ModelManager, given: Namespace) -> Job:
    """Delete a job's record, and where that is asked for its entries at PAI-DLC."""
    job = find_job(manager, given.id)
    if given.there:
        manager.delete_there(job)
    job.forget()
    return job


def find_job(manager: ModelManager, text: str) -> Job:
    """Return the job whose id is `text`, or the only one whose id begins or ends with it.

    Raises:
        JobNotFound: there is none, or more than one.
    """
    return manager.job(match_id([job.id for job in manager.jobs()], text))


def match_id(ids: Sequence[str], text: str) -> str:
    """Return the id that is `text`, or the only one that begins or ends with it.

    >>> match_id(["20260102-030405-download-abcd", "20260102-030405-verify-0123"], "abcd")
    '20260102-030405-download-abcd'

    Raises:
        JobNotFound: there is none, or more than one.
    """
    if text in ids:
        return text
    near = like(ids, text)
    if len(near) == 1:
        return near[0]
    if near:
        raise JobNotFound(
            "{count} jobs are called like {id!r}.",
            hint="Give more of the id. See `{command}` for those there are.",
            count=len(near),
            id=text,
            command=Command("jobs"),
        )
    close = get_close_matches(text, ids, 1, _NEAR_ID)
    question = Message('Did you mean "{near}"? {more}', near=close[0], more=_LIST) if close else _LIST
    raise JobNotFound("There is no job {id!r}.", hint=question, id=text)


def like(ids: Sequence[str], text: str) -> list[str]:
    """Return the ids that are `text`, or begin or end with it."""
    return [known for known in ids if text and (known.startswith(text) or known.endswith(text))]
