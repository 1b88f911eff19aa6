"""What every face takes and tells about models on this disk: speeds and sources, plans and lists as tables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadInput, BadSetting
from qwen3ft_jupyter.format import duration, size
from qwen3ft_jupyter.settings import parse_bytes
from qwen3ft_jupyter.words import tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OTHER_OWNERS = ("huggingface", "modelscope", "folder")
"""Those of whose copies none is deleted unless they are named."""
ACTIONS = {
    "kept": "kept",
    "adopted": "adopted",
    "resumed": "resumed",
    "fetched": "to be fetched",
    "removed": "removed",
}
"""What a download does with a file, and how that is called; in the order in which a plan shows it."""
OWNERS = {
    "qwen3ft": "this cache",
    "shared": "shared",
    "huggingface": "Hugging Face",
    "modelscope": "ModelScope",
    "folder": "a folder",
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


def read_speed(text: str) -> int | None:
    """Return bytes a second, or None for no limit.

    >>> read_speed("20MB"), read_speed("none")
    (20000000, None)

    Raises:
        BadInput: it is no speed.
    """
    try:
        return parse_bytes("max_speed", text)
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
        raise BadInput("owner: there is no such owner of copies.", hint=f"Accepted: {', '.join(OTHER_OWNERS)}.")
    return owner


def owner_words(owner: str) -> str:
    """Return whose a copy is.

    >>> owner_words("qwen3ft"), owner_words("huggingface"), owner_words("folder")
    ('this cache', 'Hugging Face', 'a folder')
    """
    return tr(OWNERS.get(owner, owner))


def revision_words(model: Mapping[str, Any]) -> str:
    """Return the revision of a cached model as it can be typed, "" if nobody knows it."""
    return str(model["revision"] or (model["commit"] or "")[:12])


def state_words(model: Mapping[str, Any]) -> str:
    """Return what else there is to say of a cached model, for example "verified, pinned"."""
    states = [tr("verified") if model["verified"] else tr("not verified")]
    if model["pinned"]:
        states.append(tr("pinned"))
    return ", ".join(states)


def room_words(summary: Mapping[str, Any]) -> str:
    """Return how much room our own models take and may take, and what is free, in a line; "" if nothing is known.

    `summary` is what `ModelManager.cache_summary` gives.

    >>> room_words({"used": 15 * 10**9, "quota": 2 * 10**11, "free": 10**12, "incoming": 0})
    '15.0 GB of 200 GB used · 1.0 TB free'
    """
    parts = []
    if summary["quota"]:
        used, quota = size(summary["used"]), size(summary["quota"])
        parts.append(tr("{used} of {quota} used", used=used, quota=quota))
    if summary["free"] is not None:
        parts.append(tr("{size} free", size=size(summary["free"])))
    if summary["incoming"]:
        parts.append(tr("{size} of unfinished downloads", size=size(summary["incoming"])))
    return " · ".join(parts)


def share_words(sources: Sequence[Mapping[str, Any]]) -> str:
    """Return how much came from where, the largest share first. `sources` holds dicts with `name` and `bytes`.

    >>> share_words([{"name": "Hugging Face", "bytes": 3}, {"name": "ModelScope", "bytes": 7}])
    '70 % ModelScope, 30 % Hugging Face'
    """
    whole = sum(source["bytes"] for source in sources)
    shown = sorted((source for source in sources if source["bytes"]), key=lambda source: -source["bytes"])
    return ", ".join(f"{_percent(source['bytes'], whole)} {source['name']}" for source in shown)


def fetch_facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the result of a download or repair tells of bytes: what travelled and from whom, what did not.

    >>> fetch_facts({"bytes": 10**9, "sources": [{"name": "ModelScope", "bytes": 10**9}], "adopted": 5 * 10**8})
    [('fetched', '1.0 GB (100 % ModelScope)'), ('from this disk', '500 MB')]
    """
    facts = []
    fetched = result.get("bytes", result.get("bytes_fetched"))
    if fetched is not None:
        shares = share_words(result.get("sources") or ())
        facts.append((tr("fetched"), size(fetched) + (f" ({shares})" if shares else "")))
    if result.get("adopted"):
        facts.append((tr("from this disk"), size(result["adopted"])))
    if result.get("evicted"):
        facts.append((tr("deleted to make room"), ", ".join(result["evicted"])))
    return facts


def plan_table(plan: Mapping[str, Any]) -> Table:
    """Return what a download would do: how many files of which kind, then room, time and sources.

    `plan` is what `DownloadPlan.to_dict` gives.
    """
    rows = [_action_row(action, plan["files"]) for action in ACTIONS]
    facts = [plan["model_name"], OWNERS[plan["hub"]], plan["revision"], plan["commit"][:12]]
    return Table(
        " · ".join(fact for fact in facts if fact),
        (tr("What"), tr("Files"), tr("Size"), tr("To fetch"), tr("From")),
        tuple(row for row in rows if row is not None),
        tuple(_plan_notes(plan)),
    )


def _action_row(action: str, files: Iterable[Mapping[str, Any]]) -> tuple[str, ...] | None:
    these = [file for file in files if file["action"] == action]
    if not these:
        return None
    to_fetch = sum(file["bytes_to_fetch"] for file in these)
    sources = dict.fromkeys(source for file in these for source in file["source"].split(", ") if source)
    whole = size(sum(file["size"] for file in these))
    return tr(ACTIONS[action]), str(len(these)), whole, size(to_fetch) if to_fetch else "", ", ".join(sources)


def _plan_notes(plan: Mapping[str, Any]) -> list[str]:
    fetched, reused = plan["bytes_to_fetch"], plan["bytes_reused"]
    if fetched:
        notes = [tr("To fetch: {size}; on this disk already: {reused}.", size=size(fetched), reused=size(reused))]
    else:
        notes = [tr("Nothing has to travel: {reused} are on this disk already.", reused=size(reused))]
    if fetched and plan["rate"]:
        notes.append(tr("About {time} at {rate}/s.", time=duration(plan["seconds"]), rate=size(plan["rate"])))
    if plan["sources"] and fetched:
        notes.append(tr("Sources: {names}.", names=", ".join(plan["sources"])))
    return [*notes, *_room_notes(plan), *(_change_notes(plan["files"]) if plan["is_update"] else [])]


def _room_notes(plan: Mapping[str, Any]) -> list[str]:
    notes = []
    if plan["room_bytes"] and plan["free_bytes"] is not None:
        room, free = size(plan["room_bytes"]), size(plan["free_bytes"])
        notes.append(tr("Room: {room} of {free} free.", room=room, free=free))
    if plan["quota"]:
        notes.append(tr("Quota: {quota}.", quota=size(plan["quota"])))
    if plan["to_evict"]:
        notes.append(tr("Deleted before that to make room: {names}.", names=", ".join(plan["to_evict"])))
    if plan["over_quota_bytes"]:
        notes.append(tr("It does not fit: {size} over the quota.", size=size(plan["over_quota_bytes"])))
    if plan["missing_bytes"]:
        notes.append(tr("It does not fit: {size} are missing.", size=size(plan["missing_bytes"])))
        could = ", ".join(f"{name} ({size(freed)})" for name, freed in plan["evictable"])
        notes += [tr("Could be deleted: {names}.", names=could)] if could else []
    return notes


def _change_notes(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each file that an update changes."""
    changed = [file for file in files if file["action"] != "kept"]
    if not changed:
        return [tr("Nothing has changed.")]
    words = {action: tr(word) for action, word in ACTIONS.items()}
    lines = [f"  {words[file['action']]}  {file['path']}  {size(file['size'])}" for file in changed[:MOST_PATHS]]
    more = len(changed) - len(lines)
    return [
        tr("Changed files: {count}", count=len(changed)),
        *lines,
        *([tr("  and {count} more", count=more)] if more else []),
    ]


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else "<1 %"
