"""Two forms for people who would rather click: pick and download a model, and fine-tune one.

They are thin: each button calls one function of the manager. What they start is a job, so nothing depends on a cell
that runs, and closing the notebook loses nothing. ipywidgets is imported when a form is made, not before.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.errors import BadConfig, Qwen3ftError
from qwen3ft_jupyter.messages import size, tr
from qwen3ft_jupyter.notebook.display import get_model_manager, ipython_display
from qwen3ft_jupyter.notebook.job_view import JobView
from qwen3ft_jupyter.notebook.markup import element

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.overview import ModelRow

_LOOK_S = 0.5
"""Between two looks at a job; widgets share the kernel's channel with everything else."""
_HUBS = (("ModelScope", "modelscope"), ("Hugging Face", "huggingface"))
_METHODS = ("lora", "full")


class JobPanel:
    """One job in a form: what it is doing, and a button that stops it."""

    def __init__(self) -> None:
        import ipywidgets

        self.output = ipywidgets.HTML()
        self.stop_button = ipywidgets.Button(description=tr("Stop"), icon="stop", disabled=True)
        self.stop_button.on_click(lambda _: self._stop())
        self.widget: Any = ipywidgets.VBox([self.output, self.stop_button])
        self.follower: threading.Thread | None = None
        self._job: Job | None = None

    def follow(self, job: Job) -> None:
        """Show `job` until it has ended, from a thread that touches nothing but these widgets."""
        self._job = job
        self.stop_button.disabled = False
        self.follower = threading.Thread(target=self._watch, args=(job,), name="qwen3ft form", daemon=True)
        self.follower.start()

    def show_error(self, error: Qwen3ftError) -> None:
        """Show what failed and what to do."""
        self.output.value = str(_error_html(error))

    def _watch(self, job: Job) -> None:
        view = JobView(job)
        try:
            is_active = True
            while is_active and self._job is job:
                self.output.value = str(view.html())
                is_active = job.wait(timeout_s=_LOOK_S).is_active
            if self._job is job:
                self.output.value = str(view.html())
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

    def _ipython_display_(self) -> None:
        ipython_display().display(self.widget)


class ModelPicker(_Form):
    """A form that downloads one of the models there are.

    Args:
        manager: what it works with; one for the settings in force if left out.
        for_hub: returns the manager that asks a hub ("modelscope" or "huggingface") first.
    """

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
            options=_HUBS, value=self._manager.settings.hub, description=tr("Hub"), style={"button_width": "8em"}
        )
        self.download_button = ipywidgets.Button(description=tr("Get it"), icon="download", button_style="primary")
        self.download_button.on_click(lambda _: self._download())
        self.panel = JobPanel()
        self.widget = ipywidgets.VBox([self.model, self.hub, self.download_button, self.panel.widget])

    def _download(self) -> None:
        try:
            job = self._for_hub(self._manager, self.hub.value).download(self.model.value)
        except Qwen3ftError as error:
            self.panel.show_error(error)
        else:
            self.panel.follow(job)


class FineTuneForm(_Form):
    """A form that fine-tunes a model, and shows the YAML that it runs, to be kept as ``%%qwen3ft finetune``.

    Args:
        manager: what it works with; one for the settings in force if left out.
    """

    def __init__(self, manager: ModelManager | None = None) -> None:
        import ipywidgets

        self._manager = manager or get_model_manager()
        names = [model.model_name for model in self._manager.model_rows()]
        wide = {"layout": {"width": "40em"}, "style": {"description_width": "9em"}}
        self.model = ipywidgets.Combobox(
            options=names, value=names[0] if names else "", description=tr("Model"), ensure_option=False, **wide
        )
        self.data = ipywidgets.Text(placeholder="train.jsonl", description=tr("Data file"), **wide)
        self.method = ipywidgets.Dropdown(options=_METHODS, description=tr("Method"), **wide)
        self.epochs = ipywidgets.Text(value="1", description=tr("Epochs"), **wide)
        self.learning_rate = ipywidgets.Text(placeholder="auto", description=tr("Learning rate"), **wide)
        self.batch_size = ipywidgets.Text(placeholder="auto", description=tr("Batch size"), **wide)
        self.output_dir = ipywidgets.Text(placeholder="runs/…", description=tr("Output folder"), **wide)
        self.preview = ipywidgets.HTML()
        self.start_button = ipywidgets.Button(description=tr("Start"), icon="play", button_style="primary")
        self.start_button.on_click(lambda _: self._start())
        self.panel = JobPanel()
        fields = [self.model, self.data, self.method, self.epochs, self.learning_rate, self.batch_size, self.output_dir]
        for field in fields:
            field.observe(lambda _: self._show_yaml(), names="value")
        self._show_yaml()
        self.widget = ipywidgets.VBox([*fields, self.preview, self.start_button, self.panel.widget])

    def config(self) -> dict[str, Any]:
        """Return the fields as the config they stand for; what is empty is left to its default.

        Raises:
            BadConfig: a number is none.
        """
        config: dict[str, Any] = {
            "model": self.model.value.strip(),
            "data": self.data.value.strip(),
            "method": self.method.value,
            "epochs": _number("epochs", self.epochs.value, float),
            "learning_rate": _number("learning_rate", self.learning_rate.value, float),
            "batch_size": _number("batch_size", self.batch_size.value, int),
            "output_dir": self.output_dir.value.strip(),
        }
        return {name: value for name, value in config.items() if value not in ("", None)}

    def _show_yaml(self) -> None:
        try:
            written = yaml.safe_dump(self.config(), sort_keys=False, allow_unicode=True)
        except BadConfig as error:
            self.preview.value = str(_error_html(error))
            return
        code = element("pre", "%%qwen3ft finetune\n" + written, style="margin:0")
        self.preview.value = str(element("div", tr("It runs this:"), code))

    def _start(self) -> None:
        try:
            job = self._manager.fine_tune(self.config())
        except Qwen3ftError as error:
            self.panel.show_error(error)
        else:
            self.panel.follow(job)


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


def _number(name: str, text: str, kind: type[int | float]) -> float | None:
    if not text.strip():
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise BadConfig("{name}: {text!r} is no number.", name=name, text=text) from error


def _error_html(error: Qwen3ftError) -> Markup:
    return element("div", element("b", error.code), ": ", error.message, " ", error.hint, role="alert")
