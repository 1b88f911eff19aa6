"""What a push begins with: which files of which result go to which repo of which hub."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.catalog.usable import ADAPTER_CONFIG
from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.errors import BadInput, JobNotFound, Qwen3ftError
from qwen3ft_jupyter.finetune.front_matter import Facts, data_repos, licence_in, write_front_matter
from qwen3ft_jupyter.finetune.merged import read_merge_record
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.published import Private, check_private, find_published, make_item
from qwen3ft_jupyter.finetune.report.card import without_answers
from qwen3ft_jupyter.finetune.results import CARD, is_run, read_record, read_run
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.names import as_repo_id, parse_repo_id
from qwen3ft_jupyter.hubs.tokens import TOKEN_VARIABLES, Token
from qwen3ft_jupyter.manager.locate import unknown
from qwen3ft_jupyter.manager.merging import find_source
from qwen3ft_jupyter.paths import at_home, current_folder, is_folder
from qwen3ft_jupyter.upload.look import look
from qwen3ft_jupyter.upload.plan import LABELS, PushPlan, find_exposure, find_obstacle
from qwen3ft_jupyter.upload.push import open_shelf, push
from qwen3ft_jupyter.upload.refusals import Place
from qwen3ft_jupyter.upload.shelf import missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.manager.jobs import ModelJobs
    from qwen3ft_jupyter.settings.declared import HubName, Settings
    from qwen3ft_jupyter.upload.plan import Item, PushResult
    from qwen3ft_jupyter.work import Work

_CLIENTS: Final[Mapping[HubName, tuple[str, str]]] = {
    "modelscope": ("modelscope_hub", "modelscope"),
    "huggingface": ("huggingface_hub", "huggingface_hub"),
}
"""What is imported to write to a hub, and what installs it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a result is to go."""

    hub: str
    """"" for the one that is asked first."""
    repo_id: str
    is_private: bool


class Pushing:
    """A result that can be published; nothing has been sent.

    Args:
        name: A fine-tune, a merge or an export (job id or folder), or a folder with a model or an adapter.
        target: Where it is to go.
        jobs: Know the folders.
        cache: May have the base, whose card names its licence.

    Raises:
        UnknownModel: There is no such job or folder.
        BadName, BadInput: No repo or hub can be called so; or something private is in a file.
        LoadError, UnsafeModel: There is nothing finished there.
    """

    def __init__(self, name: str, target: Target, jobs: ModelJobs, cache: ModelCache) -> None:
        settings = jobs.settings
        hub = _parse_hub(target.hub, settings)
        self.place = Place(hub, _endpoint(hub, settings), parse_repo_id(target.repo_id), _token(hub, settings))
        self.source = _find_export(name, jobs) or find_source(name, jobs)
        """What the job finds it by, whichever folder that runs in."""
        if not is_folder(self.source):
            raise unknown(name, jobs)
        self._is_private, self._settings = target.is_private, settings
        self.folder, self._facts = _find_result(self.source, jobs)
        if self._facts.base_model:
            self._facts = _with_licence(self._facts, cache)
        private = _private(settings, self.source, cache)
        found, self.left = find_published(self.folder, private)
        self.files = _with_card(found, self.folder, self._facts, hub, private)

    def plan(self) -> PushPlan:
        """Return what an upload would be; the hub is asked whether the repo is there. Never raises what a hub says."""
        place, standing = self.place, None
        problem = find_obstacle(place.hub, place.repo_id, place.token, is_offline=self._settings.offline)
        if problem is None:
            try:
                with contextlib.closing(self._client()) as client:
                    standing = look(client, place)
            except Qwen3ftError as error:
                problem = error
        if standing is not None:
            problem = find_exposure(standing, place.repo_id, place.label, is_private=self._is_private)
        module, package = _CLIENTS[place.hub]
        if problem is None and importlib.util.find_spec(module) is None:
            problem = missing(package)
        return PushPlan(
            place.hub, place.repo_id, place.page, self._is_private, self.files, self.left, standing, problem
        )

    def run(self, work: Work) -> PushResult:
        """Upload. Raises what `upload.push.push` raises."""
        shelf = open_shelf(self.place, self._facts.licence)
        with contextlib.closing(self._client()) as client:
            return push(shelf, client, self.files, work, is_private=self._is_private)

    def _client(self) -> HttpClient:
        return HttpClient(max_connections=self._settings.max_connections)


def _parse_hub(hub: str, settings: Settings) -> HubName:
    for known in LABELS:
        if (hub or settings.hub) == known:
            return known
    raise BadInput("hub: {value} is not known.", hint="Accepted: {names}.", value=hub, names=", ".join(LABELS))


def _endpoint(hub: HubName, settings: Settings) -> str:
    return (settings.modelscope_endpoint if hub == "modelscope" else settings.hf_endpoint).rstrip("/")


def _token(hub: HubName, settings: Settings) -> Token:
    field = "modelscope_token" if hub == "modelscope" else "hf_token"
    secret = getattr(settings, field)
    return Token(TOKEN_VARIABLES[hub], secret.reveal() if secret else None, settings.origins.get(field, ""))


def _find_export(name: str, jobs: ModelJobs) -> Path | None:
    """Return the folder that the export with this id made; None if there is no such job, or it is not over."""
    with contextlib.suppress(JobNotFound):
        job = jobs.store.get(name)
        folder = (job.status().result or {}).get("output_dir") if job.kind == "export" else None
        return Path(folder) if folder else None
    return None


def _find_result(source: Path, jobs: ModelJobs) -> tuple[Path, Facts]:
    """Return the folder with the files, and what is known of them."""
    if is_run(source):
        return _find_run(source)
    record, title = read_merge_record(source), source.name
    if record is not None:
        merged = Facts(title, str(record.get("base", {}).get("repo_id", "")))
        run_id = str(record.get("run_id") or "")
        run = jobs.output_dir_of(run_id)
        known = read_record(run) if run is not None else None
        if run is None or known is None or known.run_id != run_id:  # it is gone, or another one is there now
            return source, merged
        return source, replace(_find_run(run)[1], title=title, relation=merged.relation, library=merged.library)
    with contextlib.suppress(OSError, ValueError):
        base = str(read_json(source / ADAPTER_CONFIG).get("base_model_name_or_path", ""))
        return source, Facts(title, as_repo_id(base) or "", "adapter", "peft")
    return source, Facts(title)


def _find_run(source: Path) -> tuple[Path, Facts]:
    run = read_run(source)
    folder = run.adapter_folder or run.model_folder or source
    is_adapter = run.adapter_folder is not None
    data = run.config.get("data")
    names: list[Any] = data if isinstance(data, list) else [data] if data else []
    eval_loss, objective = run.result.get("eval_loss"), OBJECTIVES.get(str(run.config.get("objective")))
    return folder, Facts(
        source.name,
        run.base_model,
        "adapter" if is_adapter else "finetune",
        "peft" if is_adapter else "transformers",
        datasets=data_repos(names),
        held_out=", ".join(Path(str(name).partition("#")[0]).name for name in names),
        eval_loss=eval_loss if isinstance(eval_loss, float) and math.isfinite(eval_loss) else None,
        is_likelihood=objective is None or objective.sequences == 1,
    )


def _with_licence(facts: Facts, cache: ModelCache) -> Facts:
    """Add the licence of the base: what its card says, or the catalogue."""
    licence, published = "", catalog.find(facts.base_model)
    with contextlib.suppress(Qwen3ftError, OSError, UnicodeDecodeError):
        base = cache.find(facts.base_model)
        licence = licence_in((base.folder / CARD).read_text("utf-8")) if base is not None else ""
    return replace(facts, licence=licence or (published.license.lower() if published else ""))


def _private(settings: Settings, source: Path, cache: ModelCache) -> Private:
    tokens = (settings.modelscope_token, settings.hf_token, settings.mirror_tokens)
    folders = (at_home("~"), source.parent, cache.root, settings.state_dir, current_folder())
    return Private(
        tuple(token.reveal() for token in tokens if token),
        tuple(path for path in folders if path and path.is_absolute()),
    )


def _with_card(files: tuple[Item, ...], folder: Path, facts: Facts, hub: HubName, private: Private) -> tuple[Item, ...]:
    """Return the files with the card as the hub reads it; one is written if there is none."""
    card = ""
    if any(file.path == CARD for file in files):
        try:
            card = (folder / CARD).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("{name} cannot be read.", name=CARD) from error
    text = write_front_matter(without_answers(card), facts, hub)  # a card beside its run may quote the data
    check_private(CARD, text, private)
    return (make_item(CARD, text), *(file for file in files if file.path != CARD))
