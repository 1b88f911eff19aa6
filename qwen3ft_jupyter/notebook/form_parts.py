"""What the forms are made of: a job that they started, something that they look at, and how they show themselves."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import JobNotFound, Qwen3ftError, Stopped, WrongJobState
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.notebook.display import ipython_display
from qwen3ft_jupyter.notebook.failures import as_ours
from qwen3ft_jupyter.notebook.job_view import JobView, pause_s
from qwen3ft_jupyter.notebook.markup import element, verbatim
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from qwen3ft_jupyter.jobs.store import Job

_LOOK_S = 0.5
"""Between two looks at a job; widgets share the kernel's channel with everything else."""


class JobPanel:
    """One job in a form: what it is doing, and a button that stops it."""

    def __init__(self) -> None:
        import ipywidgets

        self.output = ipywidgets.HTML()
        self.problem = ipywidgets.HTML()
        self.stop_button = ipywidgets.Button(description=tr("Stop"), icon="stop", disabled=True)
        self.stop_button.layout.display = "none"  # there is nothing to stop yet
        self.stop_button.on_click(lambda _: self._stop())
        self.widget: Any = ipywidgets.VBox([self.problem, self.output, self.stop_button])
        self.follower: threading.Thread | None = None
        self._job: Job | None = None

    def start(self, start: Callable[[], Job]) -> None:
        """Start a job and follow it, or show why not; while one is at work it is not lost to a second click."""
        try:
            if self._job is not None and self._job.status().is_active:
                raise WrongJobState(
                    "The job {id} of this form is at work.",
                    hint="Stop it first, or open a form in another cell.",
                    id=self._job.id,
                )
            job = start()
        except JobNotFound:  # the one before is forgotten
            self._job = None
            self.start(start)
        except Qwen3ftError as error:
            self.show_error(error)
        else:
            self.follow(job)

    def follow(self, job: Job) -> None:
        """Show `job` until it has ended, from a thread that touches nothing but these widgets."""
        self._job = job
        self.problem.value = ""
        self.stop_button.layout.display = ""
        self.stop_button.disabled = False
        self.follower = threading.Thread(target=self._watch, args=(job,), name="qwen3ft form", daemon=True)
        if not start_thread(self.follower):
            self.output.value = str(JobView(job).html())  # as it is now

    def show_error(self, error: Qwen3ftError) -> None:
        """Show what failed and what to do; what is shown of a job stays."""
        self.problem.value = verbatim(error_html(error))

    def _watch(self, job: Job) -> None:
        view = JobView(job)
        try:
            is_active, began = True, time.monotonic()
            while is_active and self._job is job:
                self.output.value = verbatim(view.html())
                is_active = job.wait(timeout_s=max(_LOOK_S, pause_s(time.monotonic() - began))).is_active
            if self._job is job:
                self.output.value = verbatim(view.html())
                self.problem.value = ""  # that it was at work
        except Qwen3ftError as error:
            self.show_error(error)
        if self._job is job:
            self.stop_button.disabled = True

    def _stop(self) -> None:
        """Ask the job to stop through its folder: that works whatever the kernel is doing by the time it is read."""
        if self._job is not None:
            try:
                self._job.stop()
            except Qwen3ftError as error:
                self.show_error(error)


class LookPanel:
    """What was looked at last, in a thread. A new look ends the one before, whose result then counts for nothing."""

    def __init__(self) -> None:
        import ipywidgets

        self.output = ipywidgets.HTML()
        self.stop_button = ipywidgets.Button(description=tr("Stop"), icon="stop")
        self.stop_button.layout.display = "none"
        self.stop_button.on_click(lambda _: self.stop())
        self.widget: Any = ipywidgets.VBox([self.stop_button, self.output])
        self.thread: threading.Thread | None = None
        self._stop = threading.Event()

    def look(self, words: str, find: Callable[[threading.Event], Markup]) -> None:
        """Show `words`, call `find` with the event that ends it, and show what it returns or why it cannot."""
        self.stop()
        stop = self._stop = threading.Event()
        self.output.value = verbatim(element("div", words))
        self.stop_button.layout.display = ""
        self.thread = threading.Thread(target=self._look, args=(find, stop), name="qwen3ft form", daemon=True)
        if not start_thread(self.thread):
            self._look(find, stop)

    def stop(self) -> None:
        """End what is under way."""
        self._stop.set()

    def _look(self, find: Callable[[threading.Event], Markup], stop: threading.Event) -> None:
        try:
            shown = find(stop)
        except Stopped:
            shown = element("div", tr("Stopped."))
        except Exception as error:  # noqa: BLE001 - border of a thread: else it would look for ever
            shown = error_html(as_ours(error))
        if stop is self._stop:
            self.output.value = verbatim(shown)
            self.stop_button.layout.display = "none"


class Form:
    """Base of the forms: each is shown when it is the last value of a cell."""

    widget: Any
    instead: str
    """What does the same without widgets."""

    def _ipython_display_(self) -> None:
        """Show the widget, and what to type where none is shown: on GitHub, in an export, without a kernel."""
        said = tr("This form needs a running kernel. The same without it: {command}", command=self.instead)
        bundle = {**self.widget._repr_mimebundle_(), "text/html": verbatim(said), "text/plain": said}
        ipython_display().display(bundle, raw=True)


def error_html(error: Qwen3ftError) -> Markup:
    """Return an error with its cure."""
    said = say.error(error, "magic")
    return element("div", element("b", said["code"]), ": ", said["message"], " ", said["hint"], role="alert")
