"""Downloads, checks and repairs of the command line: jobs whose work this process does."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.commands import FAILED, open_manager, say_lines, show_plan
from qwen3ft_jupyter.cli.jobs import detach, see_through
from qwen3ft_jupyter.cli.output import say, show, stop_on_signals
from qwen3ft_jupyter.errors import JobError, Stopped
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.format import fact
from qwen3ft_jupyter.faces.job_views import FINDINGS, fetch_facts
from qwen3ft_jupyter.faces.say import error as error_words
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import find, write_command
from qwen3ft_jupyter.hubs.datasets import as_dataset
from qwen3ft_jupyter.jobs.here import is_waiting_here, leave_word, run_here
from qwen3ft_jupyter.messages import Command, Message, Texts, size, tr
from qwen3ft_jupyter.work import Controls, Work

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.cache.reports import RepairReport, VerifyReport
    from qwen3ft_jupyter.download.result import DownloadResult
    from qwen3ft_jupyter.jobs.kinds import Result
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager


_GO_ON = Message("Go on with it: {command}")


def download_(given: Namespace) -> int:
    """Download a model; the last line on stdout is its folder."""
    manager, wishes = open_manager(given), find("download").wishes(given)
    say_lines(manager.settings.notices)
    if given.dry_run:
        with ProgressLine() as line, stop_on_signals() as stop:
            plan = actions.plan(manager, given, reporter=line, stop=stop)
        return show_plan(plan)

    def do(work: Work) -> DownloadResult:
        return manager.ensure(given.model_name, **work.parts(), **wishes).result()

    speed = given.max_speed or manager.settings.max_speed
    if _is_ready(manager, given):
        result: DownloadResult | None = _do_without_job(do, speed)
    elif given.detach:
        return detach(actions.start_download(manager, given))
    else:
        result = _do(manager, lambda: actions.start_download(manager, given), do, speed)
    if result is None:
        return FAILED
    for name, value in fetch_facts(None if result.was_cached else result):
        say(fact(name, value))
    show(result.folder)
    return 0


def _is_ready(manager: ModelManager, given: Namespace) -> bool:
    """Say whether a model is here and nobody has to be asked: no job is made to find that out."""
    if given.force or given.update:
        return False
    if as_dataset(given.model_name) is not None:
        return manager.finder()(given.model_name) is not None
    model = manager.cache.find(given.model_name, given.revision)
    return model is not None and model.is_sound and given.revision in (None, model.commit)


def verify_(given: Namespace) -> int:
    """Check a model, and print what is missing or wrong."""
    manager, name, revision = open_manager(given), given.model_name, given.revision
    if given.detach:
        return detach(actions.start_check(manager, "verify", given))

    def do(work: Work) -> VerifyReport:
        return manager.verify(name, revision=revision, **work.parts())

    report = _do(manager, lambda: actions.start_check(manager, "verify", given), do, given.max_speed or None)
    if report is None:
        return FAILED
    for key, paths in (("missing", report.missing), ("wrong", report.wrong), ("extra", report.extra)):
        for path in paths:
            show(fact(tr(FINDINGS[key]), path))
    for problem in report.problems:
        show(tr(problem))
    if not report.is_ok and not report.problems:
        at = ["--revision", revision] if revision else []
        say(tr("Fetch just these again: {command}", command=write_command("repair", name, *at, face="cli")))
    if not report.is_ok:
        return FAILED
    count, checked = report.checked_files, size(report.checked_bytes)
    show(tr("{name}: {count} files, {size}, all as they should be", name=name, count=count, size=checked))
    return 0


def repair_(given: Namespace) -> int:
    """Repair a model, and print what was repaired."""
    manager, name = open_manager(given), given.model_name
    if given.detach:
        return detach(actions.start_check(manager, "repair", given))

    def do(work: Work) -> RepairReport:
        return manager.repair(name, revision=given.revision, **work.parts())

    report = _do(manager, lambda: actions.start_check(manager, "repair", given), do, given.max_speed or None)
    if report is None:
        return FAILED
    for path in report.repaired:
        show(fact(tr(FINDINGS["repaired"]), path))
    if report.repaired:
        show(tr("{name}: all is as it should be, {size} fetched", name=name, size=size(report.bytes_fetched)))
    else:
        show(tr("{name}: nothing was wrong", name=name))
    return 0


def _do(
    manager: ModelManager, start: Callable[[], Job], do: Callable[[Work], Result], max_speed: float | None
) -> Result | None:
    """Do the work of the job that `start` writes down, and return its result; None, as `see_through` says."""
    try:
        with manager.job_store.here():
            job = start()
    except JobError as error:  # no room or right to write it down, which is no reason not to do it
        said = error_words(error, "cli")
        say(tr("No job is kept of this. {why}", why=Texts([said["message"], said["hint"]], " ")))
        return _do_without_job(do, max_speed)
    if is_waiting_here(job):
        with ProgressLine() as line, stop_on_signals(lambda: _leave(job)) as stop, _telling_how_to_go_on(job):
            return run_here(job, do, reporter=line, stop=stop)
    if not see_through(job):  # another process was at it
        return None
    from qwen3ft_jupyter.manager.kinds import KINDS

    result: Result | None = KINDS[job.kind].read_result(job.status().result)
    return result


@contextlib.contextmanager
def _telling_how_to_go_on(job: Job) -> Iterator[None]:
    try:
        yield
    except Stopped as error:
        raise Stopped(error.message, hint=_GO_ON, command=Command("jobs resume", job.id)) from error


def _leave(job: Job) -> str:
    """Write down that the work was stopped; return how to go on with it."""
    leave_word(job)
    return tr(_GO_ON, command=write_command("jobs resume", job.id, face="cli"))


def _do_without_job(do: Callable[[Work], Result], max_speed: float | None) -> Result:
    with ProgressLine() as line, stop_on_signals() as stop:
        return do(Work(line, stop, Controls(max_speed=max_speed)))
