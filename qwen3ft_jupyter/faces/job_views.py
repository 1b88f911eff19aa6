"""What is shown of jobs, as values: lists, states, results, and what to do next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import make_table
from qwen3ft_jupyter.messages import Message, duration, moment, size, tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.faces.views import Columns, Table
    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager.kinds import JobResult

FINDINGS = {
    "missing": Message("missing"),
    "wrong": Message("wrong"),
    "extra": Message("not of the model"),
    "repaired": Message("repaired"),
}
"""What a check or a repair finds of files, and how that is called."""


def jobs_table(jobs: Sequence[JobSnapshot], face: Face) -> Table:
    """Return the jobs, newest first."""
    columns: Columns[JobSnapshot] = {
        tr("Job"): lambda job: job.id,
        tr("State"): lambda job: tr(job.state_word),
        "": _done,
        tr("Title"): lambda job: tr(job.title),
        tr("Started"): lambda job: moment(job.created),
    }
    if face == "cli":
        del columns[tr("Started")]
    return make_table(tr("Jobs"), columns, jobs, [])


def _done(job: JobSnapshot) -> str:
    progress = job.status.progress
    if not progress or not progress.total or job.status.ended:
        return ""
    return f"{min(100, 100 * progress.done // progress.total)}%"


def result_facts(job: JobSnapshot) -> list[tuple[str, str]]:
    """Return what a finished job has to tell."""
    from qwen3ft_jupyter.cache.reports import RepairReport, VerifyReport
    from qwen3ft_jupyter.download.result import DownloadResult
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.manager.kinds import read_result

    match read_result(job.kind, job.status.result):
        case DownloadResult() as done:
            facts = [(tr("folder"), done.folder), *fetch_facts(done)]
            facts += [(tr("time"), duration(done.seconds)), (tr("hub"), done.hub or "")]
        case VerifyReport() as done:
            facts = [(tr("verified"), size(done.checked_bytes))]
            facts += [
                (tr(FINDINGS["missing"]), ", ".join(done.missing)),
                (tr(FINDINGS["wrong"]), ", ".join(done.wrong)),
                (tr("cannot be loaded"), "; ".join(map(tr, done.problems))),
            ]
        case RepairReport() as done:
            facts = [*fetch_facts(done), (tr("verified"), size(done.checked_bytes))]
            facts.append((tr(FINDINGS["repaired"]), ", ".join(done.repaired)))
        case Outcome() as done:
            losses = f"{fmt.loss(done.first_loss)} → {fmt.loss(done.last_loss)}"
            facts = [(tr("folder"), done.output_dir), (tr("steps"), f"{done.steps}"), (tr("loss"), losses)]
            facts.append((tr("time"), duration(done.seconds)))
        case None:
            facts = []
    return [(name, value) for name, value in facts if value]


def share_words(sources: Mapping[str, int]) -> str:
    """Return how much came from where, the largest share first; `sources` holds bytes by the name of a source.

    >>> share_words({"Hugging Face": 3, "ModelScope": 7})
    '70 % ModelScope, 30 % Hugging Face'
    """
    whole = sum(sources.values())
    shown = sorted((source for source in sources.items() if source[1]), key=lambda source: -source[1])
    return ", ".join(f"{_percent(count, whole)} {name}" for name, count in shown)


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else "<1 %"


def fetch_facts(result: JobResult | None) -> list[tuple[str, str]]:
    """Return what a download or repair tells of bytes: what travelled and from whom, what did not.

    >>> from qwen3ft_jupyter.download.result import DownloadResult
    >>> fetch_facts(DownloadResult("/models/a_b", bytes=10**9, sources={"ModelScope": 10**9}, adopted=5 * 10**8))
    [('fetched', '1.0 GB (100 % ModelScope)'), ('from this disk', '500 MB')]
    """
    from qwen3ft_jupyter.cache.reports import RepairReport
    from qwen3ft_jupyter.download.result import DownloadResult

    if isinstance(result, RepairReport):
        return [(tr("fetched"), size(result.bytes_fetched))]
    if not isinstance(result, DownloadResult):
        return []
    shares = share_words(result.sources)
    facts = [(tr("fetched"), size(result.bytes) + (f" ({shares})" if shares else ""))]
    if result.adopted:
        facts.append((tr("from this disk"), size(result.adopted)))
    if result.evicted:
        facts.append((tr("deleted to make room"), ", ".join(result.evicted)))
    return facts


def job_text(job: JobSnapshot, losses: Sequence[float], face: Face = "magic") -> str:
    """Return a job as lines of text, the newest thing last."""
    job = say.job(job, speaker_of(face))
    status = job.status
    text = [f"{job.title} · {state_words(job)} · {job.id}", *(f"  {notice}" for notice in status.notices)]
    if status.error:
        text.append(f"  {status.error['code']}: {status.error['message']} {status.error.get('hint', '')}".rstrip())
    text += [f"  {name}: {value}" for name, value in result_facts(job)]
    if losses:
        text.append(f"  {loss_words(losses)}")
    text += [f"  {advice}" for advice in job_advice(job, face)]
    if status.is_active and status.progress:
        text.append("  " + " · ".join(fmt.progress_parts(status.progress)))
    return "\n".join(map(fmt.plain, text))


def loss_words(losses: Sequence[float]) -> str:
    """Return where the loss came from and where it is."""
    return tr("loss {first} → {last}", first=fmt.loss(losses[0]), last=fmt.loss(losses[-1]))


def state_words(job: JobSnapshot) -> str:
    """Return the state, and the speed limit while it matters."""
    speed = job.controls.max_speed if job.controls and job.status.is_active else None
    limit = f" ({tr('at most {speed}/s', speed=size(speed))})" if speed else ""
    return tr(job.state_word) + limit


def job_advice(job: JobSnapshot, face: Face) -> list[str]:
    """Return what can be done with a job in its state."""
    match job.shown_state:
        case "queued" | "running":
            return [tr("Stop it: {command}", command=write_command("jobs stop", job.id, face=face))]
        case "paused" | "stopped" | "interrupted" | "failed":
            return [tr("Go on with it: {command}", command=write_command("jobs resume", job.id, face=face))]
        case "succeeded" if job.kind == "finetune":
            return [tr("Talk to it: {command}", command=write_command("chat", job.id, '"…"', face=face))]
    return []
