"""Two forms for people who would rather click: pick and download a model, and fine-tune one.

They are thin: each button calls one function of the manager. What they start is a job, so nothing depends on a cell
that runs, and closing the notebook loses nothing. ipywidgets is imported when a form is made, not before.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.errors import BadConfig, JobNotFound, Qwen3ftError, WrongJobState
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.verbs import write_command
from qwen3ft_jupyter.messages import Message, Texts, size, tr
from qwen3ft_jupyter.notebook.display import get_model_manager, ipython_display
from qwen3ft_jupyter.notebook.form_fields import draw_fields
from qwen3ft_jupyter.notebook.job_view import JobView, pause_s
from qwen3ft_jupyter.notebook.markup import element, verbatim
from qwen3ft_jupyter.paths import is_folder, names_in
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.overview import ModelRow

_LOOK_S = 0.5
"""Between two looks at a job; widgets share the kernel's channel with everything else."""
_HUBS = (("ModelScope", "modelscope"), ("Hugging Face", "huggingface"))
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_MOST_FILES = 50


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
        self.problem.value = verbatim(_error_html(error))

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


class _Form:
    """A widget that is shown when the form is the last value of a cell."""

    widget: Any
    instead: str
    """What does the same without widgets."""

    def _ipython_display_(self) -> None:
        """Show the widget, and what to type where none is shown: on GitHub, in an export, without a kernel."""
        said = tr("This form needs a running kernel. The same without it: {command}", command=self.instead)
        bundle = {**self.widget._repr_mimebundle_(), "text/html": verbatim(said), "text/plain": said}
        ipython_display().display(bundle, raw=True)


class ModelPicker(_Form):
    """A form that downloads one of the models there are.

    Args:
        manager: what it works with; one for the settings in force if left out.
        for_hub: returns the manager that asks a hub ("modelscope" or "huggingface") first.
    """

    instead = write_command("download", "NAME")

    def __init__(
        self,
        manager: ModelManager | None = None,
        *,
        for_hub: Callable[[ModelManager, str], ModelManager] | None = None,
    ) -> None:
        import ipywidgets

        self._manager = manager or get_model_manager()
        self._for_hub = for_hub or with_hub
        choices = [(_choice(model), model.model_name) for model in self._manager.model_rows()]
        self.model = ipywidgets.Dropdown(options=choices, description=tr("Model"), layout={"width": "40em"})
        self.hub = ipywidgets.ToggleButtons(
            options=_HUBS, value=self._manager.settings.hub, description=tr("Hub"), style={"button_width": "auto"}
        )
        self.download_button = ipywidgets.Button(description=tr("Download"), icon="download", button_style="primary")
        self.download_button.on_click(lambda _: self._download())
        self.panel = JobPanel()
        self.widget = ipywidgets.VBox([self.model, self.hub, self.download_button, self.panel.widget])

    def _download(self) -> None:
        self.panel.start(lambda: self._for_hub(self._manager, self.hub.value).download(self.model.value))


class FineTuneForm(_Form):
    """A form that fine-tunes a model, and shows the YAML that it runs, to be kept as ``%%qwen3ft finetune``.

    Args:
        manager: what it works with; one for the settings in force if left out.
    """

    instead = "%" + write_command("finetune")

    def __init__(self, manager: ModelManager | None = None) -> None:
        import ipywidgets

        self._manager = manager or get_model_manager()
        names = [model.model_name for model in self._manager.model_rows()]
        model = ipywidgets.Combobox(options=names, value=names[0] if names else "", ensure_option=False)
        data = ipywidgets.Combobox(options=_data_files(), placeholder="train.jsonl", ensure_option=False)
        self.fields = {field.name: field for field in draw_fields({"model": model, "data": data})}
        self.preview = ipywidgets.HTML()
        self.start_button = ipywidgets.Button(description=tr("Start"), icon="play", button_style="primary")
        self.start_button.on_click(lambda _: self._start())
        self.panel = JobPanel()
        for field in self.fields.values():
            field.widget.observe(lambda _: self._show_yaml(), names="value")
        self._show_yaml()
        basic, advanced = (
            [field.widget for field in self.fields.values() if field.group == group] for group in ("basic", "advanced")
        )
        more = ipywidgets.Accordion([ipywidgets.VBox(advanced)], titles=(tr("Advanced"),), selected_index=None)
        self.widget = ipywidgets.VBox([*basic, more, self.preview, self.start_button, self.panel.widget])

    def __getattr__(self, name: str) -> Any:
        """Return the widget of a field, such as `form.epochs`; those of lora are in `fields`."""
        try:
            return self.__dict__["fields"][name].widget
        except KeyError:
            raise AttributeError(name) from None

    def config(self) -> dict[str, Any]:
        """Return the fields as the config they stand for; what is empty is left to its default.

        Raises:
            BadConfig: numbers are none, all of them named.
        """
        wrong = [
            Message("{name}: {text!r} is no number.", name=field.name, text=field.typed())
            for field in self.fields.values()
            if field.is_no_number()
        ]
        if wrong:
            raise BadConfig("{problems}", problems=Texts(wrong, " "))
        return self._typed()

    def _typed(self) -> dict[str, Any]:
        """Return the fields that differ from their default; what should be a number and is none, as it is typed."""
        typed: dict[str, Any] = {}
        for name, field in self.fields.items():
            value = field.widget.value if name == "method" else field.typed()  # the method is always said
            if value is not None:
                group, _, inner = name.rpartition(".")
                (typed.setdefault(group, {}) if group else typed)[inner] = value
        return typed

    def _show_yaml(self) -> None:
        self._show_defaults()
        try:
            written = yaml.safe_dump(self.config(), sort_keys=False, allow_unicode=True)
        except BadConfig as error:
            self.preview.value = verbatim(_error_html(error))
            return
        code = element("pre", "%%qwen3ft finetune\n" + written, style="margin:0")
        self.preview.value = verbatim(element("div", tr("It runs this:"), code))

    def _show_defaults(self) -> None:
        """Show what preset, method and objective give where nothing is typed."""
        from qwen3ft_jupyter.finetune.presets import fill_in

        filled = fill_in(self._typed())
        within: Any = filled.get("lora", {})
        filled |= {f"lora.{name}": value for name, value in within.items()}
        for name, field in self.fields.items():
            field.show_default(filled.get(name, field.default))

    def _start(self) -> None:
        """Start what is typed, or show all that is wrong with it: who starts a fine-tune looks at more than numbers."""
        self.panel.start(lambda: self._manager.fine_tune(self._typed()))


def with_hub(manager: ModelManager, hub: str) -> ModelManager:
    """Return `manager` if it asks `hub` first, else one that does and is the same in all else."""
    if manager.settings.hub == hub:
        return manager
    from qwen3ft_jupyter.manager import ModelManager

    return ModelManager(replace(manager.settings, use_modelscope=hub == "modelscope"))


def _choice(model: ModelRow) -> str:
    about = tr(model.role) if model.role else model.badge
    parts = [model.model_name, size(model.download_bytes), about, tr("in the cache") if model.cached else ""]
    return " · ".join(part for part in parts if part)


def _data_files() -> list[str]:
    """Return the files below the kernel's folder that may hold data, for the list of suggestions."""
    folders = [Path(), *(Path(name) for name in names_in(Path()) if is_folder(name))]
    found = (folder / name for folder in folders for name in names_in(folder) if Path(name).suffix in _DATA_SUFFIXES)
    return sorted(path.as_posix() for path in itertools.islice(found, _MOST_FILES))


def _error_html(error: Qwen3ftError) -> Markup:
    said = say.error(error, "magic")
    return element("div", element("b", said["code"]), ": ", said["message"], " ", said["hint"], role="alert")
