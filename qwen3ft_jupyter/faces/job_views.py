"""What is shown of jobs, as values: lists, states, results, and what to do next. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadInput, ModelNotFound, RevisionNotFound, UnsafeModel, error_classes
from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.rank_views import rank_table, rank_words
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.faces.views import hub_words, make_table
from qwen3ft_jupyter.messages import Message, Texts, as_message, duration, moment, size, tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qwen3ft_jupyter.cache.reports import MoveReport, RepairReport, VerifyReport
    from qwen3ft_jupyter.download.result import DownloadResult
    from qwen3ft_jupyter.faces.losses import Losses
    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.faces.views import Columns, Table
    from qwen3ft_jupyter.finetune.merged import MergeResult
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.jobs.state import JobSnapshot, JobStatus
    from qwen3ft_jupyter.manager.kinds import JobResult

_HOPELESS = (BadInput, ModelNotFound, RevisionNotFound, UnsafeModel)
"""Errors, and those below them, about what a job was given."""
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
    if progress.done >= progress.total:
        return ""  # of one phase of several
    return f"{100 * progress.done // progress.total}%"


def result_facts(job: JobSnapshot, *, has_losses: bool = False) -> list[tuple[str, str]]:
    """Return what a finished job has to tell; not its first and last loss where more is known of them."""
    from qwen3ft_jupyter.cache.reports import MoveReport, RepairReport, VerifyReport
    from qwen3ft_jupyter.download.result import DownloadResult
    from qwen3ft_jupyter.faces.report_views import report_facts
    from qwen3ft_jupyter.finetune.merged import ExportResult, MergeResult
    from qwen3ft_jupyter.finetune.report.card import number_rows
    from qwen3ft_jupyter.finetune.report.evaluating import Evaluation
    from qwen3ft_jupyter.finetune.results import Outcome
    from qwen3ft_jupyter.manager.kinds import read_result
    from qwen3ft_jupyter.upload.plan import PushResult

    match read_result(job.kind, job.status.result):
        case DownloadResult() as done:
            facts = [(tr("folder"), done.folder), *fetch_facts(done)]
            facts += [(tr("time"), duration(done.seconds)), (tr("hub"), hub_words(done.model_name, done.hub))]
        case VerifyReport() | RepairReport() | MoveReport() as done:
            facts = _cache_facts(done)
        case Outcome() as done:
            losses = "" if has_losses else f"{fmt.loss(done.first_loss)} → {fmt.loss(done.last_loss)}"
            facts = [(tr("folder"), done.output_dir), *_planned_facts(done), (tr("loss"), losses)]
            facts.append((tr("token rows"), ", ".join(done.token_rows)))
            facts += report_facts(done.report)
            facts.append((tr("utilisation"), f"{done.mfu:.1%}" if done.mfu is not None else ""))
        case MergeResult() as done:
            facts = [(tr("folder"), done.output_dir), (tr("size"), size(done.size)), (tr("numbers"), done.dtype)]
            facts.append((tr("base"), tr("dequantized from 4 bits") if done.base == "dequantized" else ""))
            facts += [(tr("compared"), comparison_words(done)), (tr("time"), duration(done.seconds))]
        case ExportResult() as done:
            facts = [(tr("folder"), done.output_dir), *((tr("serve it"), line) for line in done.commands)]
        case Evaluation() as done:
            told = {name: (before, after) for name, before, after in number_rows(done.card)}
            facts = [(tr("data"), ", ".join(done.data)), *report_facts(told), (tr("time"), duration(done.seconds))]
        case PushResult() as done:
            facts = [(tr("page"), done.page), (tr("size"), size(done.size)), (tr("sent"), size(done.sent))]
            facts.append((tr("time"), duration(done.seconds)))
        case None:
            facts = []
    return [(name, value) for name, value in facts if value]


def _cache_facts(done: VerifyReport | RepairReport | MoveReport) -> list[tuple[str, str]]:
    """Return what a check, a repair or a move of what is cached has to tell."""
    from qwen3ft_jupyter.cache.reports import MoveReport, RepairReport

    if isinstance(done, MoveReport):
        copied = size(done.bytes_copied) if done.bytes_copied else ""
        facts = [(tr("folder"), done.target), (tr("moved"), f"{len(done.moved)}"), (tr("copied"), copied)]
        facts.append((tr("not moved"), ", ".join(name for name, _ in done.left)))
        return [*facts, (tr("next"), tr("Set MODEL_CACHE_DIR to this folder, and restart JupyterLab."))]
    read = (tr("verified"), size(done.checked_bytes))
    if isinstance(done, RepairReport):
        return [*fetch_facts(done), read, (tr(FINDINGS["repaired"]), ", ".join(done.repaired))]
    facts = [read, (tr(FINDINGS["missing"]), ", ".join(done.missing))]
    facts.append((tr(FINDINGS["wrong"]), ", ".join(done.wrong)))
    return [*facts, (tr("cannot be loaded"), tr(as_message("{texts}", {"texts": Texts(done.problems)})))]


def comparison_words(result: MergeResult) -> str:
    """Return how well a merged model agrees with base and adapter."""
    test = result.self_test
    return tr(
        "{prompts} prompts of the data: the same next token at {share:.1f} % of the places"
        if test.get("source") == "data"
        else "{prompts} built-in prompts: the same next token at {share:.1f} % of the places",
        prompts=test.get("prompts", 0),
        share=100 * float(test.get("same_tokens", 0)),
    )


def _planned_facts(done: Outcome) -> list[tuple[str, str]]:
    """Return steps, tokens and memory of a fine-tune, each beside what was planned."""
    planned = done.planned
    if not planned:  # a run of an older version
        return [(tr("steps"), f"{done.steps}"), (tr("time"), duration(done.seconds))]
    facts = [
        (tr("steps"), f"{done.steps}", f"{planned.get('steps', '')}"),
        (tr("tokens"), f"{done.tokens:,}", f"{planned['tokens']:,}" if "tokens" in planned else ""),
        (tr("memory"), size(done.peak_bytes), size(planned.get("memory_bytes"))),
        (tr("time"), duration(done.seconds), duration(planned["seconds"]) if "seconds" in planned else ""),
    ]
    return [
        (name, tr("{actual} (planned: {planned})", actual=actual, planned=before) if before else actual)
        for name, actual, before in facts
        if actual
    ]


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
    shares = tr("in the cache") if result.was_cached else share_words(_named(result))
    facts = [(tr("fetched"), size(result.bytes) + (f" ({shares})" if shares else ""))]
    if result.adopted:
        facts.append((tr("from this disk"), size(result.adopted)))
    if result.evicted:
        facts.append((tr("deleted to make room"), ", ".join(result.evicted)))
    return facts


def _named(result: DownloadResult) -> dict[str, int]:
    """Return how much came from where, each source called as people are to know it."""
    named: Counter[str] = Counter()
    for name, count in result.sources.items():
        named[hub_words(result.model_name, name)] += count
    return dict(named)


def job_text(job: JobSnapshot, losses: Losses | None = None, face: Face = "magic") -> str:
    """Return a job as lines of text, the newest thing last."""
    job = say.job(job, speaker_of(face))
    status = job.status
    text = [f"{job.title} · {state_words(job)} · {job.id}", *(f"  {notice}" for notice in status.notices)]
    if status.error:
        text.append(f"  {status.error['code']}: {status.error['message']} {status.error.get('hint', '')}".rstrip())
    text += [f"  {fmt.fact(*each)}" for each in result_facts(job, has_losses=bool(losses))]
    if losses:
        text.append(f"  {losses.words()}")
    text += [f"  {line}" for line in _rank_lines(status)]
    text += [f"  {part}" for part in [*job_advice(job, face), progress_words(job)] if part]
    return "\n".join(map(fmt.plain, text))


def _rank_lines(status: JobStatus) -> list[str]:
    """Return the processes that work together, a line each."""
    head, rows = rank_table(status)
    if status.ranks is None:
        return []
    return [line for line in (rank_words(status.ranks), *fmt.columns(head, rows).splitlines()) if line]


def progress_words(job: JobSnapshot) -> str:
    """Return where a job is and when that was, or where it ended early; nothing of one that succeeded.

    What is saved of a job at work is read when it may long be over, so it says of which moment it tells.
    """
    status, progress = job.status, job.status.progress
    if status.is_active:
        parts = fmt.progress_parts(progress) if progress else []
        return " · ".join([*parts, tr("as of {time}", time=moment(status.updated or job.created))])
    if status.state == "succeeded" or progress is None:
        return ""
    return tr("It came as far as: {progress}", progress=" · ".join(fmt.progress_parts(progress, is_over=True)))


def state_words(job: JobSnapshot) -> str:
    """Return the state, and the speed limit while it matters."""
    speed = job.controls.max_speed if job.controls and job.status.is_active else None
    limit = f" ({tr('at most {speed}/s', speed=size(speed))})" if speed else ""
    return tr(job.state_word) + limit


def job_advice(job: JobSnapshot, face: Face) -> list[str]:
    """Return what can be done with a job in its state."""

    def write(verb: str, *words: str) -> str:
        return write_command(verb, job.id, *words, face=face)

    match job.shown_state:
        case "queued" | "running":
            shown = tr("Follow it: {command}", command=write("jobs follow"))
            return [shown, tr("Stop it: {command}", command=write("jobs stop"))]
        case "paused" | "stopped" | "interrupted" | "failed" if can_go_on(job.status):
            return [tr("Go on with it: {command}", command=write("jobs resume"))]
        case "succeeded" if job.kind == "finetune":
            talk = tr("Talk to it: {command}", command=write("chat", '"…"'))
            is_adapter = (job.status.result or {}).get("method") == "lora"
            return [talk, *([tr("Make it a whole model: {command}", command=write("merge"))] if is_adapter else [])]
        case "succeeded" if job.kind == "merge":
            talk = tr("Talk to it: {command}", command=write("chat", '"…"'))
            return [talk, tr("Serve it: {command}", command=write("export", "--to", "vllm"))]
    return []


def can_go_on(status: JobStatus) -> bool:
    """Say whether a job that has ended early can come to another end: what it was given is not changed by trying."""
    code = (status.error or {}).get("code")
    hopeless = {each.code for base in _HOPELESS for each in error_classes(base)}
    return status.state != "failed" or code not in hopeless
