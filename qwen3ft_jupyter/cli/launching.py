"""Fine-tunes on several hosts, on the command line: this host joins one, or is one of those that a launcher starts."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.jobs import tell_end
from qwen3ft_jupyter.cli.output import is_given, show, stop_on_signals
from qwen3ft_jupyter.errors import BadConfig, BadInput, JobError, Stopped
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.paths import at_home
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager


def check_line(given: Namespace) -> None:
    """Make sure that all options of a line go together, and that a host that joins sees the config of the first one.

    Raises BadInput, BadConfig.
    """
    check_together(given)
    if given.join and given.config:
        _look_for(at_home(Path(given.config)))


def _look_for(config: Path) -> None:
    """Make sure that this host sees a file that the first one has written. Raises BadConfig."""
    try:
        config.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadConfig(
            "{name} is not on this host.",
            hint="Is the first host's job still at work? Then this host does not see its folder: output_dir has to lie "
            "on a mount that all hosts share, at the same path.",
            details={"file": str(config)},
            name=config.name,
        ) from error
    except OSError:  # who reads it says why
        return


def launch(manager: ModelManager, config: Mapping[str, object], given: Namespace) -> int:
    """Do what a line says of other hosts or launchers, and return the exit code. Raises BadInput, BadConfig."""
    if given.print_command or given.print_for:
        show(printed(manager, config, given))
        return 0
    if given.join:
        return join(manager, config, given.join)
    return take_place(manager, config, place_of(given), at_once=given.at_once)


_OPTIONS = {
    "join": "--join",
    "node": "--node",
    "print_command": "--print-command",
    "print_for": "--print",
    "nodes": "--nodes",
    "master": "--master",
    "dry_run": "--dry-run",
    "is_json": "--json",
    "detach": "--detach",
    "at_once": "--at-once",
    "from_run": "--from-run",
}
_STARTS_NO_JOB = ("node", "master", "join", "dry_run", "is_json", "detach", "at_once")
_MEANS_NOTHING_WITH = {
    "print_command": _STARTS_NO_JOB,
    "print_for": _STARTS_NO_JOB,
    "join": ("nodes", "master", "dry_run", "is_json", "detach", "at_once", "from_run"),
    "node": ("dry_run", "is_json", "detach"),
}
"""What would be dropped beside an option."""


def check_together(given: Namespace) -> None:
    """Make sure that every option of the line has a meaning beside the others. Raises BadInput, naming both."""
    for name, others in _MEANS_NOTHING_WITH.items():
        for other in others if is_given(given, name) else ():
            if is_given(given, other):
                raise BadInput(
                    "{option} and {other} do not go together.",
                    hint="Leave one of them out.",
                    option=_OPTIONS[name],
                    other=_OPTIONS[other],
                )


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the hosts that a launcher starts this is."""

    node: int
    nodes: int
    master: str


def place_of(given: Namespace) -> Place:
    """Return the place that a line gives this host. Raises BadInput: it is not whole."""
    if None in {given.node, given.nodes} or (given.nodes > 1 and not given.master):
        raise BadInput("--node, --nodes and --master go together.", hint="--node K --nodes N --master HOST:PORT")
    if not 0 <= given.node < given.nodes:
        raise BadInput(
            "--node: {node} is no place among {nodes} hosts.",
            hint="Hosts are counted from 0: 0 to {last}.",
            node=given.node,
            nodes=given.nodes,
            last=given.nodes - 1,
        )
    return Place(given.node, given.nodes, given.master or "")


def join(manager: ModelManager, config: Mapping[str, object], address: str, index: int | None = None) -> int:
    """Take part in a fine-tune until it ends; a signal stops all of it, with a checkpoint."""
    output_dir = output_dir_of(config)
    with ProgressLine() as line, stop_on_signals(patience_s=None) as stop:
        manager.join_fine_tune(output_dir, address, index=index, reporter=line, stop=stop)
    return 0


def output_dir_of(config: Mapping[str, object]) -> str:
    """Return the folder in which hosts find each other. Raises BadConfig if none is named."""
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.probe import needs_folder

    resolved = FineTuneConfig.from_dict(config)
    needs_folder(config)
    return resolved.output_dir


def take_place(manager: ModelManager, config: Mapping[str, object], place: Place, *, at_once: bool) -> int:
    """Be one of the hosts that a launcher has started: the first one starts the job, the others join it.

    A signal stops all, with a checkpoint: launchers end what they have started so.
    """
    from qwen3ft_jupyter.finetune.wire import leave_places

    output_dir_of(config)
    leave_places()
    if place.node > 0:
        return join(manager, config, place.master, place.node)
    given = {**config, "hosts": place.nodes, **({"hosts_address": place.master} if place.nodes > 1 else {})}
    with stop_on_signals(patience_s=None) as stop:
        with ProgressLine() as line:
            job = manager.fine_tune(given, at_once=at_once, go_on=True, reporter=line)
        start_thread(threading.Thread(target=_stop_with, args=(job, stop), daemon=True))
        code = tell_end(job)
        if code and stop.is_set():
            raise Stopped("The fine-tune was stopped.")
    return code


def _stop_with(job: Job, stop: threading.Event) -> None:
    stop.wait()
    with contextlib.suppress(JobError):  # it is over
        job.stop()


_IN_OTHER_FOLDERS = {"kubeflow": "Kubeflow", "ray": "Ray"}
"""Launchers that start processes in other folders than the one in which a line is typed."""


def printed(manager: ModelManager, config: Mapping[str, object], given: Namespace) -> str:
    """Return what starts a fine-tune elsewhere. Raises BadConfig, BadInput."""
    from qwen3ft_jupyter.finetune.commands import Launch, by_hand, needs_whole_paths, written_for
    from qwen3ft_jupyter.finetune.config import FineTuneConfig

    if not given.config:
        raise BadInput("CONFIG.yaml is missing: every host reads it.")
    resolved = FineTuneConfig.from_dict({**config, **({"hosts": given.nodes} if is_given(given, "nodes") else {})})
    if given.print_for or resolved.hosts > 1:
        output_dir_of(config)
    if given.print_for in _IN_OTHER_FOLDERS:
        needs_whole_paths(config, _IN_OTHER_FOLDERS[given.print_for])
    path = Path(os.path.abspath(given.config))  # noqa: PTH100 - a link stays what it is
    launch = Launch.of(resolved, path, cache=manager.settings.cache_dir)
    return written_for(given.print_for, launch) if given.print_for else by_hand(launch)
