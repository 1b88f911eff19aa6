"""Downloads, checks and repairs of the command line: jobs whose work this process does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cli.commands import FAILED, open_manager, show_plan
from qwen3ft_jupyter.cli.jobs import detach, see_through
from qwen3ft_jupyter.cli.terminal import say, show, stop_on_signals
from qwen3ft_jupyter.errors import JobError
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.job_views import fetch_facts
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import find, write_command
from qwen3ft_jupyter.format import size
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.jobs.here import is_waiting_here, run_here
from qwen3ft_jupyter.words import tr
from qwen3ft_jupyter.work import Controls, Work

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager

    Do = Callable[[Work], Mapping[str, Any]]


def download_(given: Namespace) -> int:
    """Download a model; the last line on stdout is its folder."""
    manager, wishes = open_manager(given), find("download").wishes(given)
    if given.dry_run:
        with ProgressLine() as line, stop_on_signals() as stop:
            plan = actions.plan(manager, given, reporter=line, stop=stop)
        return show_plan(plan)

    def do(work: Work) -> Mapping[str, Any]:
        return manager.ensure(
            given.model_name, controls=work.controls, reporter=work.reporter, stop=work.stop, **wishes
        ).to_dict()

    speed = given.max_speed or manager.settings.max_speed
    if _is_ready(manager, given):
        result: Mapping[str, Any] | None = _do_without_job(do, speed)
    elif given.detach:
        return detach(actions.start_download(manager, given))
    else:
        result = _do(manager, lambda: actions.start_download(manager, given), do, speed)
    if result is None:
        return FAILED
    if not result.get("was_cached"):
        for fact, value in fetch_facts(result):
            say(f"{fact}: {value}")
    show(result["folder"])
    return 0


def _is_ready(manager: ModelManager, given: Namespace) -> bool:
    """Say whether a model is here and nobody has to be asked: no job is made to find that out."""
    if given.force or given.update:
        return False
    model = manager.cache.find(parse_repo_id(given.model_name), given.revision)
    return model is not None and model.is_verified and given.revision in (None, model.commit)


def verify_(given: Namespace) -> int:
    """Check a model, and print what is missing or wrong."""
    if given.detach:
        return detach(actions.start_check(open_manager(given), "verify", given))
    report = _check("verify", given)
    if report is None:
        return FAILED
    for word, key in (("missing", "missing"), ("wrong", "wrong"), ("not of the model", "extra")):
        for path in report[key]:
            show(f"{tr(word)}: {path}")
    name = given.model_name
    if report["missing"] or report["wrong"]:
        at = ["--revision", given.revision] if given.revision else []
        say(tr("Fetch just these again: {command}", command=write_command("repair", name, *at, face="cli")))
        return FAILED
    count, checked = report["checked_files"], size(report["checked_bytes"])
    show(tr("{name}: {count} files, {size}, all as they should be", name=name, count=count, size=checked))
    return 0


def repair_(given: Namespace) -> int:
    """Repair a model, and print what was repaired."""
    if given.detach:
        return detach(actions.start_check(open_manager(given), "repair", given))
    report = _check("repair", given)
    if report is None:
        return FAILED
    for path in report["repaired"]:
        show(f"{tr('repaired')}: {path}")
    if report["repaired"]:
        fetched = size(report["bytes_fetched"])
        show(tr("{name}: all is as it should be, {size} fetched", name=given.model_name, size=fetched))
    else:
        show(tr("{name}: nothing was wrong", name=given.model_name))
    return 0


def _check(name: str, given: Namespace) -> Mapping[str, Any] | None:
    manager = open_manager(given)

    def do(work: Work) -> Mapping[str, Any]:
        check = manager.verify if name == "verify" else manager.repair
        return check(
            given.model_name,
            revision=given.revision,
            controls=work.controls,
            reporter=work.reporter,
            stop=work.stop,
        ).to_dict()

    return _do(manager, lambda: actions.start_check(manager, name, given), do, given.max_speed or None)


def _do(manager: ModelManager, start: Callable[[], Job], do: Do, max_speed: float | None) -> Mapping[str, Any] | None:
    """Do the work of the job that `start` writes down, and return its result, as `see_through` does."""
    try:
        with manager.job_store.here():
            job = start()
    except (JobError, OSError) as error:  # no room or right to write it down, which is no reason not to do it
        say(str(error))
        return _do_without_job(do, max_speed)
    if not is_waiting_here(job):  # another process is at it
        return see_through(job)
    with ProgressLine() as line, stop_on_signals() as stop:
        return run_here(job, do, reporter=line, stop=stop)


def _do_without_job(do: Do, max_speed: float | None) -> Mapping[str, Any]:
    with ProgressLine() as line, stop_on_signals() as stop:
        return do(Work(line, stop, Controls(max_speed=max_speed)))
