"""A job in a cell: live while it is followed, readable for ever after.

One bundle holds three forms. JupyterLab with our extension renders the first from the server, live even after the
kernel is gone; every other place (VS Code, Colab, GitHub) shows the HTML, which the kernel renews; a terminal the text.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import JobFailed, JobNotFound, Stopped, error_from_json
from qwen3ft_jupyter.faces import say, terminal
from qwen3ft_jupyter.faces.format import fact
from qwen3ft_jupyter.faces.job_views import (
    job_advice,
    job_text,
    progress_words,
    result_facts,
    state_words,
)
from qwen3ft_jupyter.faces.losses import Losses
from qwen3ft_jupyter.faces.rank_views import rank_table, rank_words
from qwen3ft_jupyter.faces.terminal import ProgressLine
from qwen3ft_jupyter.faces.verbs import speaker_of, write_command
from qwen3ft_jupyter.jobs.state import STATE_WORDS
from qwen3ft_jupyter.messages import Command, tr
from qwen3ft_jupyter.notebook.display import (
    SHORTEST_S,
    CellScreen,
    current_shell,
    ipython_display,
    is_notebook,
)
from qwen3ft_jupyter.notebook.markup import bar, curve, element, table, verbatim
from qwen3ft_jupyter.notebook.views import View, lines
from qwen3ft_jupyter.notebook.watching import WATCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.notebook.display import Bundle, Screen

JOB_MIME_TYPE = "application/vnd.qwen3ft.job+json"
_LONGEST_S = 5.0
"""Between two updates of a job that has been followed for long."""
_SIGNS = {
    "queued": "◌",
    "running": "●",
    "paused": "‖",
    "stopping": "◌",
    "succeeded": "✓",
    "failed": "✗",
    "stopped": "■",
    "interrupted": "⚠",
}


class NoLongerFollowed(KeyboardInterrupt):
    """The user interrupted the cell that followed a job. The job goes on; the cells after this one do not run."""

    def __init__(self, job_id: str) -> None:
        super().__init__(tr("No longer followed; the job goes on."))
        self.job_id = job_id

    def _render_traceback_(self) -> list[str]:
        return [str(self), tr("Stop it: {command}", command=write_command("jobs stop", self.job_id))]


class JobView(View):
    """Shows a job; `job` is the job itself."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._known: JobSnapshot | None = None
        self._losses = Losses()
        self._events_read = 0
        self._shown_in_cell: int | None = None

    def bundle(self) -> Bundle:
        """Return all three forms of what the job is now."""
        job = self._look()
        return {
            JOB_MIME_TYPE: {"id": self.job.id},
            "text/html": verbatim(element("div", job_html(job, self._losses), *self._report())),
            "text/plain": job_text(job, self._losses),
        }

    def html(self) -> Markup:
        """Return the rich form."""
        return element("div", job_html(self._look(), self._losses), *self._report())

    def _report(self) -> list[Markup]:
        """Return the report card of a fine-tune, as far as it has come; nothing of another job's in its folder."""
        from qwen3ft_jupyter.finetune.runs import as_report, report_of
        from qwen3ft_jupyter.notebook.report_view import report_html

        params = getattr(self.job, "params", None)
        card = None
        if self.job.kind == "finetune" and (folder := getattr(params, "output_dir", None)) is not None:
            card = report_of(folder, self.job.id)
        elif self.job.kind == "evaluate" and self._known is not None and self._known.status.result:
            card = as_report(self._known.status.result.get("report"))
        return [report_html(card)] if card is not None else []

    def text(self) -> str:
        """Return the plain form."""
        return str(self.bundle()["text/plain"])

    def follow(self, screen: Screen | None = None) -> JobView:
        """Show the job and renew what is shown until it has ended.

        Interrupting the kernel leaves the job at work.

        Raises:
            NoLongerFollowed: the kernel was interrupted.
            Stopped: someone stopped the job, or its processes died and it can be resumed.
            Qwen3ftError: the job failed; it is the error it failed with.
        """
        try:
            if screen is None and not is_notebook():
                with ProgressLine(face="magic") as line:
                    terminal.follow(self.job, line)
            else:
                self._follow_in_cell(screen or self._screen())
        except KeyboardInterrupt:
            self._renew_at_end()
            raise NoLongerFollowed(self.job.id) from None
        self._raise_unless_succeeded()
        return self

    def _follow_in_cell(self, screen: Screen) -> None:
        shell = current_shell()
        self._shown_in_cell = shell.execution_count if shell is not None else None
        WATCH.discard(self.job)
        shown = self.bundle()
        screen.show(shown)
        began = time.monotonic()
        while self.job.wait(timeout_s=pause_s(time.monotonic() - began)).is_active:
            bundle = self.bundle()
            if bundle != shown:
                shown = bundle
                screen.show(shown)
        screen.show(self.bundle())

    def _renew_at_end(self) -> None:
        """See to it that what the notebook shows of the job is true in the end, although nobody follows it."""

        def renew() -> None:
            ipython_display().update_display(self.bundle(), display_id=self._id, raw=True)

        if is_notebook() and self._look().status.is_active:
            WATCH.add(self.job, renew, current_shell())

    def _raise_unless_succeeded(self) -> None:
        """Fail the cell if the job failed, so that "Run all" does not go on without the model."""
        status = self.job.status()
        if status.state == "failed":
            raise error_from_json(status.error) if status.error else JobFailed("The job {id} failed.", id=self.job.id)
        if status.state in ("stopped", "interrupted"):
            raise Stopped(
                "The job {id} was {state}.",
                hint="Go on with it: {command}",
                id=self.job.id,
                state=STATE_WORDS[status.state],
                command=Command("jobs resume", self.job.id),
            )

    @property
    def _id(self) -> str:
        return f"qwen3ft-{self.job.id}"

    def _screen(self) -> Screen:
        return CellScreen(self._id)

    def _look(self) -> JobSnapshot:
        """Return what the job is now, or was when it was last seen: an old cell may show a job that is forgotten.

        Raises:
            JobNotFound: it has never been seen.
        """
        try:
            known = self._known = self.job.snapshot()
            self._read_events()
        except JobNotFound:
            if self._known is None:
                raise
            known = self._known
        return known

    def _read_events(self) -> None:
        for event in self.job.events(self._events_read):
            self._events_read = event["n"]
            if event.get("type") == "metrics" and isinstance(event["values"].get("loss"), int | float):
                self._losses.add(float(event["values"]["loss"]))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:  # noqa: ARG002
        return self.bundle()

    def _ipython_display_(self) -> None:
        """Show the job, except as the last value of the very cell that has followed it: there it is on the screen."""
        shell = current_shell()
        if shell is None or shell.execution_count != self._shown_in_cell:
            self.show()

    def show(self) -> None:
        """Show the job as it is now, in a notebook with its end once it has one."""
        if is_notebook():
            self._screen().show(self.bundle())
            self._renew_at_end()
        else:
            ipython_display().display({"text/plain": self.text()}, raw=True)


def pause_s(followed_s: float) -> float:
    """Return the time between two updates: the longer a job is followed, the rarer, so that a night costs little.

    >>> pause_s(0), pause_s(60), pause_s(3600)
    (0.25, 0.6, 5.0)
    """
    return min(_LONGEST_S, max(SHORTEST_S, followed_s / 100))


def job_html(job: JobSnapshot, losses: Losses | None = None) -> Markup:
    """Return a job as HTML. Pure."""
    job = say.job(job, speaker_of("magic"))
    status = job.status
    state = f"{_SIGNS.get(job.shown_state, '')} {state_words(job)}"
    parts: list[str] = [element("div", element("b", job.title), " · ", state, " · ", element("code", job.id))]
    if reached := progress_words(job):
        shown = [bar(status.progress.fraction), " "] if status.is_active and status.progress else []
        parts.append(element("div", *shown, reached))
    if losses:
        parts += [element("div", curve(losses.points(), losses.words())), element("div", losses.words())]
    if status.ranks:
        parts += [element("div", rank_words(status.ranks)), table(*rank_table(status))]
    parts.append(lines([f"ℹ {notice}" for notice in status.notices]))
    if status.error:
        parts += _error_parts(status.error)
    parts += [element("div", fact(*each)) for each in result_facts(job, has_losses=bool(losses))]
    parts += [element("div", advice, style="opacity:0.75") for advice in job_advice(job, "magic")]
    return element("div", *parts)


def _error_parts(error: Mapping[str, str]) -> list[Markup]:
    said = element("div", element("b", error["code"]), ": ", error["message"])
    return [said, element("div", error.get("hint", ""))]
