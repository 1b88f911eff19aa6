"""What each verb does on a command line: it asks the manager, prints the answer, and returns the exit code."""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cli.output import say, show, show_json, stop_on_signals
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.format import columns, plain
from qwen3ft_jupyter.faces.model_views import card_words, details_table, updates_table
from qwen3ft_jupyter.faces.move_views import move_table
from qwen3ft_jupyter.faces.say import status as say_status
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import (
    cache_table,
    dataset_notes,
    datasets_table,
    models_table,
    plan_table,
    status_table,
    unfinished_notes,
)
from qwen3ft_jupyter.messages import Texts, size, tr
from qwen3ft_jupyter.paths import at_home, is_there
from qwen3ft_jupyter.settings.kinds import parse_folder

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable

    from qwen3ft_jupyter.download.plan import DownloadPlan
    from qwen3ft_jupyter.faces.views import Table
    from qwen3ft_jupyter.manager import ModelManager

    Command = Callable[[Namespace], int | None]

FAILED = 1
HAS_UPDATES = 3
"""Neither an error (1) nor a line that cannot be read (2)."""
_ELSEWHERE = {
    **dict.fromkeys(("download", "verify", "repair"), "work"),
    **dict.fromkeys(("finetune", "preview", "compare"), "tuning"),
    **dict.fromkeys(("merge", "export", "push", "evaluate", "jobs"), "jobs"),
    "mirror": "mirror",
}
"""The modules of the verbs that are not here."""


def find_command(name: str) -> Command:
    """Return what does a verb and gives its exit code, None for 0; its module is imported now."""
    home = _ELSEWHERE.get(name.split(maxsplit=1)[0], "commands")
    command: Command = getattr(importlib.import_module(f"qwen3ft_jupyter.cli.{home}"), name.replace(" ", "_") + "_")
    return command


def open_manager(given: Namespace, **settings: Any) -> ModelManager:
    """Return the manager, with the options that were given as overrides."""
    from qwen3ft_jupyter.manager import get_model_manager

    return get_model_manager(**{**actions.overrides(given), **settings})


def say_lines(lines: Iterable[str]) -> None:
    """Print lines for people, in their language."""
    for line in lines:
        say(tr(line))


def status_(given: Namespace) -> None:
    """Print the settings in force."""
    description = open_manager(given).describe()
    if given.is_json:
        show_json(description.to_dict())
    else:
        table = status_table(say_status(description, speaker_of("cli")))
        show(table.title)
        show_rows(table)
        if table.notes:
            show("\n".join(table.notes))


def models_(given: Namespace) -> None:
    """Print the catalogue."""
    models = open_manager(given).model_rows()
    if given.is_json:
        show_json([model.to_dict() for model in models])
    else:
        table = models_table(models, "cli")
        show_rows(table)
        say("\n".join(table.notes))


def details_(given: Namespace) -> None:
    """Print what is known of a model, or its card."""
    if given.is_card:
        _print_card(given)
        return
    with stop_on_signals() as stop:
        details = actions.find_details(open_manager(given), given, stop=stop)
    if given.is_json:
        show_json(details.to_dict())
        return
    table = details_table(details, "cli")
    show("\n".join([table.title, *map(plain, table.notes)]))
    if table.rows:
        show_rows(table)


def _print_card(given: Namespace) -> None:
    with stop_on_signals() as stop:
        card = actions.find_card(open_manager(given), given, stop=stop)
    if given.is_json:
        show_json(card.to_dict())
    else:
        say(card_words(card))
        show(plain(card.text or ""))


def updates_(given: Namespace) -> int:
    """Print what is cached and what the hubs have; the exit code says whether anything is newer."""
    with stop_on_signals() as stop:
        news = actions.check_updates(open_manager(given), given, stop=stop)
    if given.is_json:
        show_json([one.to_dict() for one in news])
    elif news:
        table = updates_table(news, "cli")
        show_rows(table)
        say("\n".join([table.title, *map(plain, table.notes)]))
    else:
        say(tr("No cached model follows a branch or tag of a hub."))
    if any(one.problem for one in news):
        return FAILED
    return HAS_UPDATES if any(one.has_update for one in news) else 0


def list_(given: Namespace) -> None:
    """Print what is in the cache."""
    manager = open_manager(given)
    if given.datasets:
        _list_datasets(manager, given)
        return
    models = manager.cached_models()
    say_lines([*manager.settings.notices, *manager.unseen()])
    summary = manager.summarize_cache()
    if given.is_json:  # as REST answers them, but in one list: a program that reads it meets what takes room as well
        begun = [{**one.to_dict(), "path": str(one.folder), "verified": False} for one in summary.unfinished]
        show_json([*(model.to_dict() for model in models), *({**row, "unfinished": True} for row in begun)])
        return
    unfinished = unfinished_notes(summary, "cli")
    if models:
        table = cache_table(models, replace(summary, unfinished=()), "cli")
        show_rows(table)
        show(" · ".join([table.title, *table.notes]))
    elif not unfinished and not summary.datasets:
        say(tr("The cache is empty."))
    for line in [*unfinished, *([] if models else dataset_notes(summary, "cli"))]:
        show(line)


def _list_datasets(manager: ModelManager, given: Namespace) -> None:
    """Print the data sets in the cache."""
    datasets = manager.cached_datasets()
    if given.is_json:
        show_json([dataset.to_dict() for dataset in datasets])
    elif datasets:
        table = datasets_table(datasets, "cli")
        show_rows(table)
        show(table.title)
    else:
        say(tr("There are no data sets in the cache."))


def show_rows(table: Table) -> None:
    """Print the rows below their head."""
    show(columns([title.upper() if title.isascii() else title for title in table.columns], table.rows))


def show_plan(plan: DownloadPlan) -> int:
    """Print what a download would do; the exit code says whether there is room."""
    table = plan_table(plan)
    show("\n".join([table.title, columns(table.columns, table.rows), *table.notes]))
    return 0 if plan.has_room else FAILED


def pin_(given: Namespace) -> None:
    """Protect a model."""
    show(actions.set_pin(open_manager(given), given, is_pinned=True))


def unpin_(given: Namespace) -> None:
    """Protect it no longer."""
    show(actions.set_pin(open_manager(given), given, is_pinned=False))


def evict_(given: Namespace) -> None:
    """Delete one model, or all of them."""
    with ProgressLine() as line:
        evicted = actions.evict(open_manager(given), given, reporter=line)
    if not evicted:
        say(tr("Nothing was deleted."))
    for name, freed, kept in evicted:
        show(tr("{name}  {size} freed", name=name, size=size(freed)))
        if kept:
            say(kept)


def where_(given: Namespace) -> None:
    """Print the folder of a model."""
    show(str(open_manager(given).where(given.model_name, revision=given.revision, owner=given.owner)))


def move_(given: Namespace) -> int:
    """Move the cache, or say what that would be."""
    manager = open_manager(given)
    target = parse_folder("FOLDER", given.folder)
    if given.dry_run:
        plan = manager.plan_move(target)
        table = move_table(plan)
        show(table.title)
        show_rows(table)
        say_lines(table.notes)
        return FAILED if plan.missing_bytes else 0
    with ProgressLine() as line, stop_on_signals() as stop:
        report = manager.move_cache(target, reporter=line, stop=stop)
    copied = size(report.bytes_copied)
    say(tr("Moved folders: {count}; {size} copied.", count=len(report.moved), size=copied))
    say(tr("The cache has moved. Use it there: {command}", command=export_line("MODEL_CACHE_DIR", target)))
    show(str(target))
    return FAILED if report.left else 0  # what stayed, and why, has been said as it was met


def export_line(variable: str, value: Path) -> str:
    """Return the line that sets a variable in the shell of this platform."""
    if os.name == "nt":
        return f'set "{variable}={value}"'
    return f"export {variable}={shlex.quote(str(value))}"


def load_(given: Namespace) -> None:
    """Print how a model is loaded, and whether it is here: a process that ends can keep none."""
    model, tokenizer = actions.variables(given)
    manager = open_manager(given)
    name = actions.name_to_load(manager, given.model_name)
    manager.check_name(name)
    options = f', quantization="{given.quantization}"' if given.quantization else ""
    flags = [f"--{given.quantization}"] if given.quantization else []
    flags += ["--as", given.variable] if given.variable else []
    show("from qwen3ft_jupyter import get_model_manager\n")
    show(f'{model}, {tokenizer} = get_model_manager().load_model_and_tokenizer("{name}"{options})')
    say(tr("In a notebook: {command}", command=write_command("load", name, *flags, face="magic")))
    _say_where(manager, name, given)


def _say_where(manager: ModelManager, name: str, given: Namespace) -> None:
    """Say where a model is that is to be loaded; if it is a hub's and not here, how to download it."""
    here = [model for model in manager.cached_models() if model.repo_id == name and not model.is_guessed]
    model = next((one for one in here if one.is_sound), next(iter(here), None))
    command = write_command("download", name, face="cli")
    if model is not None:
        say(tr("{name} is in the cache: {folder}", name=name, folder=str(model.folder)))
        if model.problems:
            problems = Texts(model.problems)
            say(tr("{repo_id} cannot be loaded as it is: {problems}.", repo_id=name, problems=problems))
        if not model.is_sound:
            say(tr("It is not verified. To compare it with the hub: {command}", command=command))
    elif name == given.model_name and "/" in name and not is_there(at_home(name)):
        say(tr("Loading downloads it first. To do that now: {command}", command=command))


def chat_(given: Namespace) -> None:
    """Print the answer to a question, or to each line of the standard input."""
    with ProgressLine() as line:
        manager = open_manager(given, reporter=lambda: line)
        if given.question:
            _answer(manager, given, " ".join(given.question), line)
        else:
            _talk(manager, given, line)


def _answer(manager: ModelManager, given: Namespace, question: str | list[dict[str, str]], line: ProgressLine) -> str:
    answer = actions.ask(manager, given, question)
    line.clear()
    show(answer)
    return answer


def _talk(manager: ModelManager, given: Namespace, line: ProgressLine) -> None:
    """Answer line by line; the model is told what has been said before."""
    messages: list[dict[str, str]] = []
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        question = sys.stdin.readline()
        if not question:
            return
        if not question.strip():
            continue
        messages.append({"role": "user", "content": question.strip()})
        messages.append({"role": "assistant", "content": _answer(manager, given, messages, line)})


def practice_(given: Namespace) -> None:
    """Copy the practice model and its data to a folder."""
    from qwen3ft_jupyter.practice.model import make_practice

    show(str(make_practice(parse_folder("FOLDER", given.folder)).folder))
