"""What each verb does on a command line: it asks the manager, prints the answer, and returns the exit code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cli.terminal import say, show, show_json, stop_on_signals
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.format import columns
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import write_command
from qwen3ft_jupyter.faces.views import cache_table, models_table, plan_table
from qwen3ft_jupyter.format import size
from qwen3ft_jupyter.words import tr

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from qwen3ft_jupyter.faces.views import Table
    from qwen3ft_jupyter.manager import ModelManager

    Command = Callable[[Namespace], int]

FAILED = 1
_ELSEWHERE = {
    **dict.fromkeys(("download", "verify", "repair"), "work"),
    **dict.fromkeys(("finetune", "jobs"), "jobs"),
    "mirror": "mirror",
}
"""The modules of the verbs that are not here."""


def find_command(name: str) -> Command:
    """Return what does a verb; its module is imported now."""
    home = _ELSEWHERE.get(name.split(maxsplit=1)[0], "commands")
    command: Command = getattr(importlib.import_module(f"qwen3ft_jupyter.cli.{home}"), name.replace(" ", "_") + "_")
    return command


def open_manager(given: Namespace, **settings: Any) -> ModelManager:
    """Return the manager, with the options that were given as overrides."""
    from qwen3ft_jupyter.manager import get_model_manager

    return get_model_manager(**{**actions.overrides(given), **settings})


def status_(given: Namespace) -> int:
    """Print the settings in force."""
    description = open_manager(given).describe()
    if given.is_json:
        show_json(description.to_dict())
    else:
        show(str(description))
    return 0


def models_(given: Namespace) -> int:
    """Print the catalogue."""
    models = open_manager(given).models()
    if given.is_json:
        show_json(models)
    else:
        table = models_table(models, "cli")
        show_rows(table)
        say("\n".join(table.notes))
    return 0


def list_(given: Namespace) -> int:
    """Print what is in the cache."""
    manager = open_manager(given)
    models = manager.list_cached_models()
    if given.is_json:
        show_json(models)
    elif not models:
        say(tr("The cache is empty."))
    else:
        table = cache_table(models, manager.cache_summary(), "cli")
        show_rows(table)
        show(" · ".join([table.title, *table.notes]))
    return 0


def show_rows(table: Table) -> None:
    """Print the rows below their head."""
    show(columns([title.upper() for title in table.columns], table.rows))


def show_plan(plan: dict[str, Any]) -> int:
    """Print what a download would do; the exit code says whether there is room."""
    table = plan_table(plan)
    show("\n".join([table.title, columns(table.columns, table.rows), *table.notes]))
    return 0 if plan["has_room"] else FAILED


def pin_(given: Namespace) -> int:
    """Protect a model."""
    show(actions.set_pin(open_manager(given), given, is_pinned=True))
    return 0


def unpin_(given: Namespace) -> int:
    """Protect it no longer."""
    show(actions.set_pin(open_manager(given), given, is_pinned=False))
    return 0


def evict_(given: Namespace) -> int:
    """Delete one model, or all of them."""
    with ProgressLine() as line:
        evicted = actions.evict(open_manager(given), given, reporter=line)
    for name, freed, kept in evicted:
        show(tr("{name}  {size} freed", name=name, size=size(freed)))
        if kept:
            say(kept)
    return 0


def move_(given: Namespace) -> int:
    """Move the cache."""
    manager = open_manager(given)
    target = Path(given.folder).expanduser().absolute()
    with ProgressLine() as line, stop_on_signals() as stop:
        report = manager.move_cache(target, reporter=line, stop=stop)
    copied = size(report.bytes_copied)
    say(tr("Moved folders: {count}; {size} copied.", count=len(report.moved), size=copied))
    say(tr("The cache has moved. Use it there: {command}", command=f"export MODEL_CACHE_DIR={target}"))
    show(str(target))
    return FAILED if report.left else 0  # what stayed, and why, has been said as it was met


def load_(given: Namespace) -> int:
    """Print how a model is loaded, and whether it is here: a process that ends can keep none."""
    manager = open_manager(given)
    name = actions.name_to_load(manager, given.model_name)
    names = (given.variable, f"{given.variable}_tokenizer") if given.variable else ("model", "tokenizer")
    options = f', quantization="{given.quantization}"' if given.quantization else ""
    flags = ([f"--{given.quantization}"] if given.quantization else []) + (
        ["--as", given.variable] if given.variable else []
    )
    show("from qwen3ft_jupyter import get_model_manager\n")
    show(f'{names[0]}, {names[1]} = get_model_manager().load_model_and_tokenizer("{name}"{options})')
    say(tr("In a notebook: {command}", command=write_command("load", name, *flags, face="magic")))
    cached = [model for model in manager.list_cached_models() if model["model_name"] == name]
    if cached:
        say(tr("{name} is in the cache: {folder}", name=name, folder=cached[0]["path"]))
    elif name == given.model_name and "/" in name and not Path(name).expanduser().exists():
        command = write_command("download", name, face="cli")
        say(tr("Loading downloads it first. To do that now: {command}", command=command))
    return 0


def chat_(given: Namespace) -> int:
    """Print the answer to a question, or to each line of the standard input."""
    with ProgressLine() as line:
        manager = open_manager(given, reporter=lambda: line)
        if given.question:
            answer = actions.ask(manager, given, " ".join(given.question))
            line.clear()
            show(answer)
            return 0
        return _talk(manager, given, line)


def _talk(manager: ModelManager, given: Namespace, line: ProgressLine) -> int:
    """Answer line by line; the model is told what has been said before."""
    messages: list[dict[str, str]] = []
    while True:
        if sys.stdin.isatty():
            sys.stderr.write("> ")
            sys.stderr.flush()
        question = sys.stdin.readline()
        if not question:
            return 0
        if not question.strip():
            continue
        messages.append({"role": "user", "content": question.strip()})
        answer = actions.ask(manager, given, messages)
        line.clear()
        show(answer)
        messages.append({"role": "assistant", "content": answer})


def practice_(given: Namespace) -> int:
    """Copy the practice model and its data to a folder."""
    from qwen3ft_jupyter.practice.model import make_practice

    show(str(make_practice(Path(given.folder)).folder))
    return 0
