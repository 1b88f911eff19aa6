"""The verbs of the command line that are about models on this disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache_lists import (
    OTHER_OWNERS,
    fetch_facts,
    owner_words,
    plan_table,
    read_speed,
    revision_words,
    room_words,
    split_sources,
    state_words,
)
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.format import columns, first_names, size
from qwen3ft_jupyter.terminal import ProgressLine, say, show, show_json, stop_on_interrupt
from qwen3ft_jupyter.words import tr
from qwen3ft_jupyter.work import Controls

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from qwen3ft_jupyter.manager import ModelManager

FAILED = 1


def open_manager(options: argparse.Namespace) -> ModelManager:
    """Return the front door with the options that were given as overrides."""
    from qwen3ft_jupyter.manager import get_model_manager

    overrides: dict[str, Any] = {}
    if "hub" in options:
        overrides["use_modelscope"] = options.hub == "modelscope"
    if "cache_dir" in options:
        overrides["cache_dir"] = options.cache_dir
    if "offline" in options:
        overrides["offline"] = True
    if getattr(options, "max_speed", None):
        read_speed(options.max_speed)  # the setting of this name takes the text; a wrong one is named as it was typed
        overrides["max_speed"] = options.max_speed
    return get_model_manager(**overrides)


def add_cache_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare the verbs; `verb` is given name, function and help of each, and returns its parser."""
    download = verb("download", _download, "download a model; the last line on stdout is its folder")
    download.add_argument("name", metavar="NAME", help="for example Qwen/Qwen3-0.6B")
    download.add_argument("--revision", help="branch, tag or commit; the hub's default if left out")
    download.add_argument("--update", action="store_true", help="fetch what has changed since it was downloaded")
    download.add_argument("--force", action="store_true", help="fetch every file again although the model is cached")
    download.add_argument(
        "--sources", metavar="A,B", help="take bytes only from these: modelscope, huggingface, mirrors, disk"
    )
    download.add_argument(
        "--in-place", action="store_true", help="use the copy that another tool has on this disk where it is"
    )
    download.add_argument("--max-speed", metavar="SPEED", help="at most so many bytes a second, for example 20MB")
    download.add_argument(
        "--dry-run", action="store_true", help="only show what would travel; exit code 1 where there is no room for it"
    )
    listing = verb("list", _list, "list the cached models, and those that other tools have on this disk")
    listing.add_argument("--json", action="store_true")
    verify = verb("verify", _verify, "read every byte of a cached model again")
    verify.add_argument("name", metavar="NAME")
    verify.add_argument("--max-speed", metavar="SPEED", help="at most so many bytes a second, for example 200MB")
    repair = verb("repair", _repair, "read every byte of a cached model again and fetch what is wrong")
    repair.add_argument("name", metavar="NAME")
    repair.add_argument("--max-speed", metavar="SPEED", help="at most so many bytes a second, for example 200MB")
    pin = verb("pin", _pin, "protect a model from being deleted to make room")
    pin.add_argument("name", metavar="NAME")
    unpin = verb("unpin", _unpin, "protect a model no longer")
    unpin.add_argument("name", metavar="NAME")
    for about_one in (verify, repair, pin, unpin):
        about_one.add_argument("--revision", help="the one of several revisions")
    _add_evict(verb)
    cache = verb("cache", _list, "list the cache, or move it to another folder")
    cache.set_defaults(json=False)
    about = cache.add_subparsers(metavar="[move DIR]")
    verb("move", _move, "move the whole cache; every file is checked before the old one goes", about).add_argument(
        "folder", metavar="DIR"
    )


def _add_evict(verb: Callable[..., argparse.ArgumentParser]) -> None:
    evict = verb("evict", _evict, "delete cached models")
    which = evict.add_mutually_exclusive_group(required=True)
    which.add_argument("name", metavar="NAME", nargs="?")
    which.add_argument(
        "--all", action="store_true", help="delete every model we downloaded; pinned ones and files of others stay"
    )
    evict.add_argument("--revision", help="the one of several revisions")
    evict.add_argument("--owner", choices=OTHER_OWNERS, help="delete the copy that another tool has on this disk")
    evict.add_argument(
        "--everything", action="store_true", help="delete also what lies in the folder and is not of the model"
    )


def _download(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    wishes: dict[str, Any] = {
        "force": options.force,
        "revision": options.revision,
        "update": options.update,
        "sources": None if options.sources is None else split_sources(options.sources),
        "in_place": options.in_place,
    }
    with ProgressLine() as line, stop_on_interrupt() as stop:
        if options.dry_run:
            plan = manager.plan(options.name, **wishes, reporter=line, stop=stop).to_dict()
        else:
            result = manager.ensure(options.name, **wishes, reporter=line, stop=stop).to_dict()
    if options.dry_run:
        return _show_plan(plan)
    if not result["was_cached"]:
        for fact, value in fetch_facts(result):
            say(f"{fact}: {value}")
    show(result["folder"])
    return 0


def _show_plan(plan: dict[str, Any]) -> int:
    table = plan_table(plan)
    show("\n".join([table.title, columns(table.columns, table.rows), *table.notes]))
    return 0 if plan["has_room"] else FAILED


def _list(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    models = manager.list_cached_models()
    if options.json:
        show_json(models)
        return 0
    if not models:
        say(tr("The cache is empty."))
        return 0
    head = (tr("Model"), tr("Revision"), tr("Size"), tr("Whose"), tr("State"), tr("Folder"))
    rows = [
        (
            model["model_name"],
            revision_words(model),
            size(model["size"]),
            owner_words(model["owner"]),
            state_words(model),
            model["path"],
        )
        for model in models
    ]
    summary = manager.cache_summary()
    total = tr("Models in the cache: {count}, {size}", count=summary["total"], size=size(summary["total_size"]))
    show(columns([title.upper() for title in head], rows))
    show(" · ".join(part for part in (total, room_words(summary)) if part))
    return 0


def _verify(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    with ProgressLine() as line, stop_on_interrupt() as stop:
        controls = _controls(options)
        report = manager.verify(options.name, revision=options.revision, reporter=line, stop=stop, controls=controls)
    for word, paths in (("missing", report.missing), ("wrong", report.wrong), ("not of the model", report.extra)):
        for path in paths:
            show(f"{tr(word)}: {path}")
    if not report.is_ok:
        revision = f" --revision {options.revision}" if options.revision else ""
        say(tr("Fetch just these again: {command}", command=f"qwen3ft repair {options.name}{revision}"))
        return FAILED
    checked = size(report.checked_bytes)
    show(tr("{name}: {count} files, {size}, all as they should be", name=options.name, count=report.checked_files,
            size=checked))  # fmt: skip
    return 0


def _repair(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    with ProgressLine() as line, stop_on_interrupt() as stop:
        controls = _controls(options)
        report = manager.repair(options.name, revision=options.revision, reporter=line, stop=stop, controls=controls)
    for path in report.repaired:
        show(f"{tr('repaired')}: {path}")
    if report.repaired:
        fetched = size(report.bytes_fetched)
        show(tr("{name}: all is as it should be, {size} fetched", name=options.name, size=fetched))
    else:
        show(tr("{name}: nothing was wrong", name=options.name))
    return 0


def _controls(options: argparse.Namespace) -> Controls | None:
    """Return the speed that was given; None for what is set."""
    return Controls(max_speed=read_speed(options.max_speed)) if options.max_speed else None


def _pin(options: argparse.Namespace) -> int:
    open_manager(options).pin(options.name, True, revision=options.revision)
    show(tr("{name} is pinned: it will not be deleted to make room.", name=options.name))
    return 0


def _unpin(options: argparse.Namespace) -> int:
    open_manager(options).pin(options.name, False, revision=options.revision)
    show(tr("{name} is no longer pinned.", name=options.name))
    return 0


def _evict(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    if options.all and (options.owner or options.revision or options.everything):
        raise BadInput("--owner and --revision go with the NAME of a model, not with --all; so does --everything.")
    if options.all:
        for model in manager.evict_all():
            show(tr("{name}  {size} freed", name=model.repo_id, size=size(model.freed_bytes)))
            if model.left:
                say(tr("Kept in {folder}: {names}", folder=model.slug, names=first_names(model.left)))
        return 0
    with ProgressLine() as line:
        freed = manager.evict_model(
            options.name,
            revision=options.revision,
            owner=options.owner,
            everything=options.everything,
            reporter=line,
        )
    show(tr("{name}  {size} freed", name=options.name, size=size(freed)))
    return 0


def _move(options: argparse.Namespace) -> int:
    manager = open_manager(options)
    target = Path(options.folder).expanduser().absolute()
    with ProgressLine() as line, stop_on_interrupt() as stop:
        report = manager.move_cache(target, reporter=line, stop=stop)
    copied = size(report.bytes_copied)
    say(tr("Moved folders: {count}; {size} copied.", count=len(report.moved), size=copied))
    say(tr("The cache has moved. Use it there: {command}", command=f"export MODEL_CACHE_DIR={target}"))
    show(str(target))
    return FAILED if report.left else 0  # what stayed, and why, has been said as it was met
