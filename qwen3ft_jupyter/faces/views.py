"""What an answer shows, as values: tables, facts and words that every face shows in its own way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from qwen3ft_jupyter.errors import BadInput, BadSetting
from qwen3ft_jupyter.faces.format import count
from qwen3ft_jupyter.faces.verbs import OTHER_OWNERS, verbs_of, write_command
from qwen3ft_jupyter.messages import Message, Names, duration, moment, size, tr
from qwen3ft_jupyter.work import PHASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeAlias

    from qwen3ft_jupyter.cache.datasets import CachedDataset
    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.own.partials import Unfinished
    from qwen3ft_jupyter.download.plan import DownloadPlan, PlannedFile
    from qwen3ft_jupyter.faces.verbs import Face, Verb
    from qwen3ft_jupyter.manager.overview import CacheSummary, Description, ModelRow, SettingRow

    Columns: TypeAlias = "dict[str, Callable[[Row], str]]"


class Shown(Protocol):
    """What a row of a table is made of."""

    def to_dict(self) -> Mapping[str, object]:
        """Return it as JSON."""


Row = TypeVar("Row", bound=Shown)
ACTIONS = {
    "kept": Message("kept"),
    "adopted": Message("adopted"),
    "resumed": Message("resumed"),
    "fetched": Message("to be fetched"),
    "removed": Message("removed"),
}
"""What a download does with a file, and how that is called; in the order in which a plan shows it."""
OWNERS = {
    "qwen3ft": Message("this cache"),
    "shared": Message("shared"),
    "huggingface": "Hugging Face",
    "modelscope": "ModelScope",
    "folder": Message("a folder"),
}
"""Whose a copy is, and how that is called."""
MOST_PATHS = 20
"""Changed files that a plan names; a large model has hundreds."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title above it and sentences below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    data: tuple[Mapping[str, object], ...] = ()
    """What the rows were made of."""


def read_speed(text: str) -> int:
    """Return bytes a second, 0 for no limit.

    >>> read_speed("20MB"), read_speed("none")
    (20000000, 0)

    Raises:
        BadInput: it is no speed.
    """
    from qwen3ft_jupyter.settings.kinds import parse_bytes

    try:
        return parse_bytes("max_speed", text) or 0
    except BadSetting as error:
        raise BadInput(error.message, hint="Give bytes a second, for example 20MB, or none.") from None


def split_sources(text: str) -> list[str]:
    """Return the names of a list with commas.

    >>> split_sources("modelscope, mirrors")
    ['modelscope', 'mirrors']
    """
    return text.replace(",", " ").split()


def check_owner(owner: str | None) -> str | None:
    """Return `owner` if it is one whose copies can be deleted by naming it. Raises BadInput."""
    if owner is not None and owner not in OTHER_OWNERS:
        raise BadInput(
            "owner: there is no such owner of copies.", hint="Accepted: {names}.", names=", ".join(OTHER_OWNERS)
        )
    return owner


def owner_words(owner: str) -> str:
    """Return whose a copy is.

    >>> owner_words("qwen3ft"), owner_words("huggingface"), owner_words("folder")
    ('this cache', 'Hugging Face', 'a folder')
    """
    return tr(OWNERS.get(owner, owner))


def hub_words(repo_id: str, hub: str | None) -> str:
    """Return the hub that a model came from. The practice model comes from none: it is served as a hub would do it.

    >>> hub_words("a/b", "modelscope"), hub_words("qwen3ft/Qwen3-Practice", "modelscope")
    ('modelscope', 'this package')
    """
    from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID

    is_ours = repo_id == PRACTICE_REPO_ID and hub in ("modelscope", "huggingface", *OWNERS.values())
    return tr("this package") if is_ours else tr(hub or "")


def state_words(model: CachedModel) -> str:
    """Return what else there is to say of a cached model, for example "verified, pinned"."""
    state = tr("verified") if model.is_sound else tr("not verified")
    reasons = "; ".join(map(tr, (*model.problems, *model.changes)))
    states = [f"{state}: {reasons}" if reasons else state]
    if model.pinned:
        states.append(tr("pinned"))
    return ", ".join(states)


def room_words(summary: CacheSummary) -> str:
    """Return how much room our own models take and may take, and what is free, in a line; "" if nothing is known.

    >>> from qwen3ft_jupyter.manager.overview import CacheSummary
    >>> room_words(CacheSummary("/models", 2, 15 * 10**9, used=15 * 10**9, free=10**12, quota=2 * 10**11, incoming=0))
    '15.0 GB of 200 GB used · 1.0 TB free'
    """
    parts = []
    if summary.quota:
        parts.append(tr("{used} of {quota} used", used=size(summary.used), quota=size(summary.quota)))
    if summary.free is not None:
        parts.append(tr("{size} free", size=size(summary.free)))
    if summary.incoming:
        parts.append(tr("{size} of unfinished downloads", size=size(summary.incoming)))
    return " · ".join(parts)


def plan_table(plan: DownloadPlan) -> Table:
    """Return what a download would do: how many files of which kind, then room, time and sources."""
    rows = [_action_row(action, plan) for action in ACTIONS]
    facts = [plan.repo_id, hub_words(plan.repo_id, OWNERS[plan.hub]), plan.listing.revision, plan.commit[:12]]
    return Table(
        " · ".join(fact for fact in facts if fact),
        (tr("What"), tr("Files"), tr("Size"), tr("To fetch"), tr("From")),
        tuple(row for row in rows if row is not None),
        tuple(_plan_notes(plan)),
        tuple(file.to_dict() for file in plan.files),
    )


def _action_row(action: str, plan: DownloadPlan) -> tuple[str, ...] | None:
    these = [file for file in plan.files if file.action == action]
    if not these:
        return None
    to_fetch = sum(file.bytes_to_fetch for file in these)
    sources = dict.fromkeys(source for file in these for source in file.source.split(", ") if source)
    whole = size(sum(file.size for file in these))
    names = ", ".join(hub_words(plan.repo_id, source) for source in sources)
    return tr(ACTIONS[action]), str(len(these)), whole, size(to_fetch) if to_fetch else "", names


def _plan_notes(plan: DownloadPlan) -> list[str]:
    fetched, reused = plan.bytes_to_fetch, plan.bytes_reused
    if fetched:
        notes = [tr("To fetch: {size}; on this disk already: {reused}.", size=size(fetched), reused=size(reused))]
    else:
        notes = [tr("Nothing has to travel: {reused} are on this disk already.", reused=size(reused))]
    if fetched and plan.rate and plan.seconds is not None:
        notes.append(tr("About {time} at {rate}/s.", time=duration(plan.seconds), rate=size(plan.rate)))
    if plan.sources and fetched:
        notes.append(
            tr("Sources: {names}.", names=", ".join(hub_words(plan.repo_id, source) for source in plan.sources))
        )
    if plan.listing.left_out:
        notes.append(tr("Left on the hub: {names}.", names=Names(plan.listing.left_out)))
    if plan.problems:
        notes.append(tr("It cannot be loaded as it is: {problems}.", problems="; ".join(map(tr, plan.problems))))
    return [*notes, *_room_notes(plan), *(_change_notes(plan.files) if plan.is_update else [])]


def _room_notes(plan: DownloadPlan) -> list[str]:
    notes = []
    if plan.room_bytes and plan.free_bytes is not None:
        room, free = size(plan.room_bytes), size(plan.free_bytes)
        notes.append(tr("Room: {room} of {free} free.", room=room, free=free))
    if plan.quota:
        notes.append(tr("Quota: {quota}.", quota=size(plan.quota)))
    if plan.to_evict:
        notes.append(tr("Deleted before that to make room: {names}.", names=", ".join(map(tr, plan.to_evict))))
    if plan.over_quota_bytes:
        notes.append(tr("It does not fit: {size} over the quota.", size=size(plan.over_quota_bytes)))
    if plan.missing_bytes:
        notes.append(tr("It does not fit: {size} are missing.", size=size(plan.missing_bytes)))
        could = ", ".join(f"{name} ({size(freed)})" for name, freed in plan.evictable)
        notes += [tr("Could be deleted: {names}.", names=could)] if could else []
    return notes


def _change_notes(files: Iterable[PlannedFile]) -> list[str]:
    """Return a line for each file that an update changes."""
    changed = [file for file in files if file.action != "kept"]
    if not changed:
        return [tr("Nothing has changed.")]
    words = {action: tr(word) for action, word in ACTIONS.items()}
    lines = [f"  {words[file.action]}  {file.path}  {size(file.size)}" for file in changed[:MOST_PATHS]]
    more = len(changed) - len(lines)
    return [
        tr("Changed files: {count}", count=len(changed)),
        *lines,
        *([tr("  and {count} more", count=more)] if more else []),
    ]


def status_table(status: Description) -> Table:
    """Return the settings in force; `status` is in its reader's language."""
    missing = [name for name, is_there in status.training.items() if not is_there]
    notes = list(status.notices)
    if missing:
        notes.append(tr("not installed here: {packages}", packages=", ".join(missing)))
        notes.append("pip install 'qwen3ft-jupyter[train]'")
    title = tr(
        "Hub: {hub} · version {version} · Python {python}",
        hub=" → ".join(status.hubs),
        version=status.version,
        python=status.python,
    )
    columns: Columns[SettingRow] = {
        tr("Setting"): lambda row: row.variable,
        tr("Value"): lambda row: row.value,
        tr("Where from"): lambda row: row.origin,
    }
    return make_table(title, columns, status.rows, notes)


def models_table(models: Sequence[ModelRow], face: Face) -> Table:
    """Return the catalogue joined with the cache."""
    columns: Columns[ModelRow] = {
        tr("Model"): lambda model: model.model_name,
        tr("For"): lambda model: tr(model.role if model.role or face == "cli" else model.note),
        tr("Parameters"): lambda model: count(model.parameters),
        tr("Download"): lambda model: size(model.download_bytes),
        tr("LoRA needs"): lambda model: size((model.memory_bytes or {}).get("lora")),
        tr("State"): _model_state,
    }
    note = " · ".join(write_command(verb, "NAME", face=face) for verb in ("download", "load"))
    return make_table(tr("Qwen3 models"), columns, models, [note])


def _model_state(model: ModelRow) -> str:
    if model.job_id:
        return tr(PHASES["transferring"].word)
    if not model.cached:
        return ""
    return tr("in the cache") + ("" if model.verified else f" ({tr('not verified')})")


def cache_table(models: Sequence[CachedModel], summary: CacheSummary, face: Face, unseen: Sequence[str] = ()) -> Table:
    """Return what is in the cache, the room there is, and what cannot be seen; a command line shows the folders."""
    columns: Columns[CachedModel] = {
        tr("Model"): lambda model: model.repo_id,
        tr("Revision"): lambda model: model.revision or model.commit[:12],
        tr("Size"): lambda model: size(model.size_bytes),
        tr("Whose"): lambda model: owner_words(model.owner),
        tr("Hub"): lambda model: hub_words(model.repo_id, model.hub),
        tr("Last used"): lambda model: moment(model.last_used),
        tr("State"): state_words,
        tr("Folder"): lambda model: str(model.folder),
    }
    for left_out in (tr("Hub"), tr("Last used")) if face == "cli" else (tr("Folder"),):
        del columns[left_out]
    title = tr("Models in the cache: {count}, {size}", count=summary.total, size=size(summary.total_size))
    notes = [room_words(summary), *([] if face == "cli" else [summary.cache_dir]), *unfinished_notes(summary, face)]
    notes += dataset_notes(summary, face)
    return make_table(title, columns, models, [note for note in [*notes, *map(tr, unseen)] if note])


def datasets_table(datasets: Sequence[CachedDataset], face: Face) -> Table:
    """Return the data sets in the cache; a command line shows their folders."""
    columns: Columns[CachedDataset] = {
        tr("Data set"): lambda dataset: str(dataset.name),
        tr("Size"): lambda dataset: size(dataset.kept.size_bytes),
        tr("Last used"): lambda dataset: moment(dataset.kept.last_used),
        tr("State"): lambda dataset: tr("unfinished") if dataset.kept.is_unfinished else state_words(dataset.kept),
        tr("Folder"): lambda dataset: str(dataset.kept.folder),
    }
    if face != "cli":
        del columns[tr("Folder")]
    total = sum(dataset.kept.size_bytes for dataset in datasets)
    title = tr("Data sets in the cache: {count}, {size}", count=len(datasets), size=size(total))
    return make_table(title, columns, datasets, [])


def dataset_notes(summary: CacheSummary, face: Face) -> list[str]:
    """Return a line about the data sets in the cache, if there are any, and how to see them."""
    if not summary.datasets:
        return []
    command = write_command("list", "--datasets", face=face)
    count, bytes_ = summary.datasets, size(summary.datasets_size)
    return [
        tr("Data sets in the cache: {count}, {size}. Show them: {command}", count=count, size=bytes_, command=command)
    ]


def unfinished_notes(summary: CacheSummary, face: Face) -> list[str]:
    """Return a line for each download that has not ended: what it takes, and how to go on or to free that."""
    return [unfinished_note(one, face) for one in summary.unfinished]


def unfinished_note(one: Unfinished, face: Face) -> str:
    """Return what a download that has not ended takes, and how to go on or to free that."""
    given = {"name": one.repo_id, "size": size(one.size_bytes), "moment": moment(one.last_active)}
    if one.is_active:
        return tr("On its way: {name}, {size} so far.", **given)
    at = ["--revision", one.revision] if one.revision else []
    return tr(
        "Unfinished: {name}, {size}, last worked on {moment}. Go on: {download} · Delete: {evict}",
        **given,
        download=write_command("download", one.repo_id, *at, face=face),
        evict=write_command("evict", one.repo_id, face=face),
    )


def loaded_facts(model: Any) -> str:  # whatever transformers made: each fact is shown only if it tells it
    """Return how large a loaded model is, in which numbers, and where."""
    facts = [str(getattr(model, fact)) for fact in ("dtype", "device") if getattr(model, fact, None) is not None]
    if callable(getattr(model, "num_parameters", None)):
        facts.insert(0, count(model.num_parameters()))
    return " · ".join(facts)


# Help


def help_table(face: Face, verb: Verb | None = None) -> Table:
    """Return the verbs; of a single one, its options as well."""
    verbs = verbs_of(face) if verb is None else [verb]
    program = write_command("help", face=face).removesuffix("help")
    options = [] if verb is None else verb.options_in(face)
    notes = [*map(tr, verb.details if verb else ()), *(f"{each.flag} {tr(each.help)}" for each in options)]
    return Table(
        "qwen3ft",
        (tr("Verb"), tr("What it does")),
        tuple((program + each.usage(face), tr(each.summary)) for each in verbs),
        tuple(notes),
        tuple({"name": each.name, "usage": each.usage(face), "summary": each.summary} for each in verbs),
    )


def make_table(title: str, columns: Columns[Row], data: Sequence[Row], notes: Sequence[str]) -> Table:
    """Return a table with one row for each of `data`, which `columns` says how to show."""
    rows = tuple(tuple(cell(row) for cell in columns.values()) for row in data)
    return Table(title, tuple(columns), rows, tuple(notes), tuple(row.to_dict() for row in data))
