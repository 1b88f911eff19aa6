"""The verbs of the command line that are about fine-tunes: what one would be, its data, and its start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.commands import FAILED, open_manager, say_lines, show_rows
from qwen3ft_jupyter.cli.jobs import detach, tell_end
from qwen3ft_jupyter.cli.output import is_given, show, show_json
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.format import fact
from qwen3ft_jupyter.faces.report_views import comparison_table
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.tuning_views import fine_tune_table, preview_table, sample_lines
from qwen3ft_jupyter.messages import reader

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from qwen3ft_jupyter.manager import ModelManager

_ELSEWHERE = ("join", "node", "nodes", "master", "print_command", "print_for")
"""What is given where other hosts or launchers have a part in it."""


def finetune_(given: Namespace) -> int:
    """Start a fine-tune, and follow it; or say what it would be, or which fields it has."""
    if given.schema:
        from qwen3ft_jupyter.finetune.config import FineTuneConfig

        show_json(FineTuneConfig.json_schema(reader()))
        return 0
    from qwen3ft_jupyter.finetune.strict_yaml import read_config

    is_elsewhere = any(is_given(given, name) for name in _ELSEWHERE)
    if is_elsewhere:
        from qwen3ft_jupyter.cli.launching import check_line, launch

        check_line(given)
    manager = open_manager(given)
    config = actions.repeated(manager, given, read_config(Path(given.config)) if given.config else {})
    if is_elsewhere:
        return launch(manager, config, given)
    if given.dry_run or given.is_json:
        return _show_plan(manager, config, given)
    with ProgressLine() as line:
        job = manager.fine_tune(config, at_once=given.at_once, reporter=line)
    return detach(job) if given.detach else tell_end(job)


def _show_plan(manager: ModelManager, config: Mapping[str, object], given: Namespace) -> int:
    """Print what a fine-tune would be; the exit code says whether it can be."""
    with ProgressLine() as line:
        plan = manager.plan_fine_tune(config, reporter=line)
    if given.is_json:
        show_json(plan.to_dict())
    else:
        table = fine_tune_table(plan, "cli")
        show("\n".join([table.title, *(fact(name, value) for name, value in table.rows), *table.notes]))
    return 0 if plan.fits != "no" and plan.has_room else FAILED


def compare_(given: Namespace) -> None:
    """Print fine-tunes beside each other."""
    found = actions.compare(open_manager(given), given)
    if given.is_json:
        show_json(found.to_dict())
    else:
        show_rows(comparison_table(found))


def preview_(given: Namespace) -> None:
    """Print data as a model will see it; what is learned is in bold, or in brackets where there is no colour."""
    with ProgressLine() as line:
        found = actions.preview(open_manager(given), given, given.source, reporter=line)
    if given.is_json:
        show_json(found.to_dict())
        return
    table = preview_table(found, "cli")
    show("\n".join([table.title, *(fact(name, value) for name, value in table.rows)]))
    say_lines(table.notes)
    for sample in found.first:
        show("\n".join(["", *sample_lines(sample, is_coloured=sys.stdout.isatty())]))
