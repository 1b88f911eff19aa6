"""Two forms for people who would rather click: pick and download a model, and fine-tune one.

They are thin: each button calls one function of the manager. What they start is a job, so nothing depends on a cell
that runs, and closing the notebook loses nothing. ipywidgets is imported when a form is made, not before.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.faces.verbs import write_command
from qwen3ft_jupyter.messages import Message, Texts, size, tr
from qwen3ft_jupyter.notebook.display import get_model_manager
from qwen3ft_jupyter.notebook.form_fields import draw_fields
from qwen3ft_jupyter.notebook.form_parts import Form, JobPanel, LookPanel, error_html
from qwen3ft_jupyter.notebook.markup import element, verbatim
from qwen3ft_jupyter.paths import is_folder, names_in

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.manager.overview import ModelRow
    from qwen3ft_jupyter.notebook.views import View

_HUBS = (("ModelScope", "modelscope"), ("Hugging Face", "huggingface"))
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".xlsx")
_MOST_FILES = 50


class ModelPicker(Form):
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
        self.model = ipywidgets.Dropdown(
            options=choices, description=tr("Model"), layout={"width": "40em", "max_width": "100%"}
        )
        self.hub = ipywidgets.ToggleButtons(
            options=_HUBS, value=self._manager.settings.hub, description=tr("Hub"), style={"button_width": "auto"}
        )
        self.download_button = ipywidgets.Button(description=tr("Download"), icon="download", button_style="primary")
        self.download_button.on_click(lambda _: self._download())
        self.panel = JobPanel()
        self.widget = ipywidgets.VBox([self.model, self.hub, self.download_button, self.panel.widget])

    def _download(self) -> None:
        self.panel.start(lambda: self._for_hub(self._manager, self.hub.value).download(self.model.value))


class FineTuneForm(Form):
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
        self.data_button = ipywidgets.Button(description=tr("Show the data"), icon="search")
        self.data_button.on_click(lambda _: self._look(tr("Reading the data…"), self._find_data))
        self.plan_button = ipywidgets.Button(description=tr("Plan"), icon="calculator")
        self.plan_button.on_click(lambda _: self._look(tr("Planning…"), self._find_plan))
        self.looking = LookPanel()
        self.panel = JobPanel()
        for field in self.fields.values():
            field.widget.observe(lambda _: self._show_yaml(), names="value")
        self._show_yaml()
        basic, advanced = (
            [field.widget for field in self.fields.values() if field.group == group] for group in ("basic", "advanced")
        )
        more = ipywidgets.Accordion([ipywidgets.VBox(advanced)], titles=(tr("Advanced"),), selected_index=None)
        buttons = ipywidgets.HBox([self.data_button, self.plan_button, self.start_button])
        # Beside each other where there is room for both
        wrap = {"display": "flex", "flex_flow": "row wrap", "grid_gap": "0 2em"}
        left, right = (
            ipywidgets.VBox(children, layout={"flex": "1 1 30em", "min_width": "0"})
            for children in ([*basic, more], [self.preview, buttons, self.looking.widget, self.panel.widget])
        )
        self.widget = ipywidgets.Box([left, right], layout=wrap)

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
        """Show what would run, and all that is wrong with it while it is typed."""
        from qwen3ft_jupyter.finetune.form import check_form  # which imports pydantic

        self._show_defaults()
        try:
            written = yaml.safe_dump(self.config(), sort_keys=False, allow_unicode=True)
        except BadConfig as error:
            self.preview.value = verbatim(error_html(error))
            return
        code = element("pre", "%%qwen3ft finetune\n" + written, style="margin:0")
        problems = [element("li", tr(problem.message)) for problem in check_form(self._typed(), root=Path()).problems]
        missing = element("div", tr("Before it can start:"), element("ul", *problems, style="margin:0"))
        self.preview.value = verbatim(element("div", tr("It runs this:"), code, *([missing] if problems else [])))

    def _look(self, words: str, find: Callable[[threading.Event], View]) -> None:
        self.looking.look(words, lambda stop: find(stop).html())

    def _find_data(self, stop: threading.Event) -> View:
        from qwen3ft_jupyter.notebook.tuning_views import PreviewView

        return PreviewView(self._manager.preview(self._typed(), stop=stop))

    def _find_plan(self, stop: threading.Event) -> View:
        from qwen3ft_jupyter.notebook.tuning_views import PlanView

        return PlanView(self._manager.plan_fine_tune(self._typed(), stop=stop))

    def _show_defaults(self) -> None:
        """Show what preset, method and objective give where nothing is typed, and the fields that are of account."""
        from qwen3ft_jupyter.finetune.presets import fill_in

        filled = fill_in(self._typed())
        within: Any = filled.get("lora", {})
        filled |= {f"lora.{name}": value for name, value in within.items()}
        for name, field in self.fields.items():
            field.show_default(filled.get(name, field.default))
            field.show_if_needed({other: each.widget.value for other, each in self.fields.items()})

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
