"""What is shown of jobs, as values: lists, states, results, and what to do next. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.say import shown_state, state_word
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import make_table
from qwen3ft_jupyter.messages import Message, duration, moment, size, tr
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.faces.views import Columns, Table
    from qwen3ft_jupyter.jobs.state import JobJson

ACTIVE = ("queued", "running", "stopping")
FINDINGS = {
    "missing": Message("missing"),
    "wrong": Message("wrong"),
    "extra": Message("not of the model"),
    "repaired": Message("repaired"),
}
"""What a check or a repair finds of files, and how that is called."""


def jobs_table(jobs: Sequence[JobJson], face: Face) -> Table:
    """Return the jobs, newest first; `jobs` holds what `Job.to_dict` gives."""
    columns: Columns[JobJson] = {
        tr("Job"): lambda job: job["id"],
        tr("State"): lambda job: tr(state_word(job)),
        "": _done,
        tr("Title"): lambda job: tr(job["title"]),
        tr("Started"): lambda job: moment(job["created"]),
    }
    if face == "cli":
        del columns[tr("Started")]
    return make_table(tr("Jobs"), columns, jobs, [])


def result_facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a finished job has to tell: any of the facts that downloads, checks and fine-tunes may have."""
    facts = [(tr("folder"), str(result[key])) for key in ("folder", "output_dir") if result.get(key)]
    facts += fetch_facts(result)
    if "checked_bytes" in result:
        facts.append((tr("verified"), size(result["checked_bytes"])))
    facts += [
        (tr(FINDINGS[key]), ", ".join(result[key])) for key in ("missing", "wrong", "repaired") if result.get(key)
    ]
    if result.get("steps"):
        facts.append((tr("steps"), str(result["steps"])))
    if isinstance(result.get("last_loss"), int | float):
        facts.append((tr("loss"), f"{fmt.loss(result.get('first_loss'))} → {fmt.loss(result['last_loss'])}"))
    if isinstance(result.get("seconds"), int | float):
        facts.append((tr("time"), duration(result["seconds"])))
    if result.get("hub"):
        facts.append((tr("hub"), str(result["hub"])))
    return facts


def _done(job: JobJson) -> str:
    progress = job["progress"]
    if not progress or not progress["total"] or job["ended"]:
        return ""
    return f"{min(100, 100 * progress['done'] // progress['total'])}%"


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


def _percent(part: int, whole: int) -> str:
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else "<1 %"


# Settings, models, cache


def job_text(job: JobJson, losses: Sequence[float], face: Face = "magic") -> str:
    """Return a job as lines of text, the newest thing last; `job` is what `Job.to_dict` gives."""
    job = say.job(job, speaker_of(face))
    text = [f"{job['title']} · {state_words(job)} · {job['id']}", *(f"  {notice}" for notice in job["notices"])]
    if job["error"]:
        text.append(f"  {job['error']['code']}: {job['error']['message']} {job['error'].get('hint', '')}".rstrip())
    text += [f"  {name}: {value}" for name, value in result_facts(job["result"] or {})]
    if losses:
        text.append(f"  {loss_words(losses)}")
    text += [f"  {advice}" for advice in job_advice(job, face)]
    if job["state"] in ACTIVE and job["progress"]:
        text.append("  " + " · ".join(fmt.progress_parts(Progress.from_dict(job["progress"]))))
    return "\n".join(map(fmt.plain, text))


def loss_words(losses: Sequence[float]) -> str:
    """Return where the loss came from and where it is."""
    return tr("loss {first} → {last}", first=fmt.loss(losses[0]), last=fmt.loss(losses[-1]))


def state_words(job: JobJson) -> str:
    """Return the state, and the speed limit while it matters."""
    speed = job["controls"]["max_speed"] if job["controls"] and job["state"] in ACTIVE else None
    limit = f" ({tr('at most {speed}/s', speed=size(speed))})" if speed else ""
    return tr(state_word(job)) + limit


def job_advice(job: JobJson, face: Face) -> list[str]:
    """Return what can be done with a job in its state."""
    job_id, resume = job["id"], write_command("jobs resume", job["id"], face=face)
    if shown_state(job) == "paused":
        return [tr("Go on with it: {command}", command=resume)]
    if job["state"] in ("queued", "running"):
        return [tr("Stop it: {command}", command=write_command("jobs stop", job_id, face=face))]
    if job["state"] in ("stopped", "interrupted", "failed"):
        return [tr("Go on with it: {command}", command=resume)]
    if job["state"] == "succeeded" and job["kind"] == "finetune":
        return [tr("Talk to it: {command}", command=write_command("chat", job_id, '"…"', face=face))]
    return []
