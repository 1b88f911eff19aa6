"""The verbs of the command line that are about jobs, and those that start a merge, an export or a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.cli.commands import FAILED, open_manager, show_rows
from qwen3ft_jupyter.cli.output import say, show, show_json, write
from qwen3ft_jupyter.errors import error_from_json
from qwen3ft_jupyter.faces import actions
from qwen3ft_jupyter.faces.format import fact
from qwen3ft_jupyter.faces.job_views import comparison_words, fetch_facts, job_text, jobs_table
from qwen3ft_jupyter.faces.terminal import ProgressLine, follow
from qwen3ft_jupyter.faces.verbs import write_command
from qwen3ft_jupyter.jobs.state import STATE_WORDS
from qwen3ft_jupyter.messages import size, tr

if TYPE_CHECKING:
    from argparse import Namespace

    from qwen3ft_jupyter.jobs.store import Job


def jobs_(given: Namespace) -> None:
    """Print the jobs, or one of them."""
    if given.id:
        job = _job(given).snapshot()
        show_json(job.to_dict()) if given.is_json else show(job_text(job, face="cli"))
        return
    jobs = actions.snapshots(open_manager(given).jobs())
    if given.is_json:
        show_json([job.to_dict() for job in jobs])
    elif not jobs:
        say(tr("There are no jobs."))
    else:
        show_rows(jobs_table(jobs, "cli"))


def _job(given: Namespace) -> Job:
    return actions.find_job(open_manager(given), given.id)


def jobs_stop_(given: Namespace) -> None:
    """Ask a job to stop."""
    job = _job(given)
    job.stop()
    show(tr("{id} is {state}", id=job.id, state=STATE_WORDS[job.status().state]))


def jobs_pause_(given: Namespace) -> None:
    """Let a job rest."""
    job = _job(given)
    job.pause()
    say(tr("Go on with it: {command}", command=write_command("jobs resume", job.id, face="cli")))
    show(tr("{id} is paused", id=job.id))


def jobs_limit_(given: Namespace) -> None:
    """Change a job's speed limit."""
    job = _job(given)
    job.limit(given.max_speed or None)
    if not given.max_speed:
        show(tr("{id} has no speed limit", id=job.id))
    else:
        show(tr("{id} takes at most {speed}/s", id=job.id, speed=size(given.max_speed)))


def jobs_resume_(given: Namespace) -> None:
    """Let a job go on."""
    job = _job(given).resume()
    say(tr("Follow it: {command}", command=write_command("jobs follow", job.id, face="cli")))
    show(tr("{id} is {state}", id=job.id, state=STATE_WORDS[job.status().state]))


def jobs_forget_(given: Namespace) -> None:
    """Delete a job's record."""
    actions.forget_job(open_manager(given), given)


def jobs_log_(given: Namespace) -> None:
    """Print a job's log."""
    job = _job(given)
    chunk = job.log()
    while chunk.text:
        write(chunk.text)
        chunk = job.log(chunk.next_offset)


def jobs_follow_(given: Namespace) -> int:
    """Show a job until it ends."""
    return tell_end(_job(given))


def evaluate_(given: Namespace) -> int:
    """Start an evaluation, and follow it; stdout gets its numbers."""
    with ProgressLine() as line:
        job = actions.start_evaluate(open_manager(given), given, reporter=line)
    return detach(job) if given.detach else tell_end(job)


def merge_(given: Namespace) -> int:
    """Start a merge, and follow it; the last line on stdout is the model's folder."""
    job = actions.start_merge(open_manager(given), given)
    return detach(job) if given.detach else tell_end(job)


def export_(given: Namespace) -> int:
    """Start an export, and follow it; stdout gets the lines that serve the model."""
    job = actions.start_export(open_manager(given), given)
    return detach(job) if given.detach else tell_end(job)


def push_(given: Namespace) -> int:
    """Print what a push would upload; with --yes start it and follow it: the last line on stdout is the page."""
    from qwen3ft_jupyter.faces.push_views import push_table

    manager = open_manager(given)
    if given.confirm:
        job = actions.start_push(manager, given)
        return detach(job) if given.detach else tell_end(job)
    plan = actions.plan_push(manager, given)
    if given.is_json:
        show_json(plan.to_dict())
    else:
        table = push_table(plan, "cli")
        show("\n".join([table.title, *(fact(name, value) for name, value in table.rows), *table.notes]))
    return 0 if plan.problem is None else FAILED


def detach(job: Job) -> int:
    """Print the id of a job that has been started, and how to follow it."""
    say(tr("Follow it: {command}", command=write_command("jobs follow", job.id, face="cli")))
    show(job.id)
    return 0


def tell_end(job: Job) -> int:
    """Show a job until it ends, and what it ended with."""
    from qwen3ft_jupyter.download.result import DownloadResult
    from qwen3ft_jupyter.faces.report_views import report_facts, report_numbers
    from qwen3ft_jupyter.finetune.merged import ExportResult, MergeResult
    from qwen3ft_jupyter.finetune.report.evaluating import Evaluation
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.manager.kinds import read_result
    from qwen3ft_jupyter.upload.plan import PushResult

    if not see_through(job):
        return FAILED
    result = read_result(job.kind, job.status().result)
    for name, value in fetch_facts(result):
        say(fact(name, value))
    match result:
        case MergeResult():
            say(fact(tr("compared"), comparison_words(result)))
            show(result.output_dir)
        case ExportResult():
            say(fact(tr("folder"), result.output_dir))
            show("\n".join(result.commands))
        case Evaluation():
            show_rows(report_numbers(result.card))
        case PushResult():
            show(result.page)
        case Outcome():
            for name, value in report_facts(result.report):
                say(fact(name, value))
            show(result.output_dir)
        case DownloadResult():
            show(result.folder)
        case _:
            show(job.id)
    return 0


def see_through(job: Job) -> bool:
    """Show a job until it ends and return whether it has a result; say so if it was stopped or interrupted.

    Raises:
        KeyboardInterrupt: the showing was interrupted; the job goes on.
        Qwen3ftError: what the job failed with.
    """
    try:
        with ProgressLine() as line:
            status = follow(job, line)
    except KeyboardInterrupt:
        again, stop = (write_command(verb, job.id, face="cli") for verb in ("jobs follow", "jobs stop"))
        say(tr("The job goes on. {follow} shows it again, {stop} stops it.", follow=again, stop=stop))
        raise
    if status.error:
        raise error_from_json(status.error)
    if status.result is None:
        command = write_command("jobs resume", job.id, face="cli")
        say(tr("The job is {state}. {command} goes on with it.", state=STATE_WORDS[status.state], command=command))
    return status.result is not None
