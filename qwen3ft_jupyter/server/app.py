"""The extension as Jupyter's server sees it: settings an administrator may give, routes, start and stop."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_config_dir
from jupyter_server.extension.application import ExtensionApp
from tornado.ioloop import IOLoop
from traitlets import Bool, Int, List, TraitType, Unicode

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.lab_language import VARIABLE as LAB_SETTINGS
from qwen3ft_jupyter.lab_language import files_of_lab
from qwen3ft_jupyter.server import cache, datasets, jobs, models, runs, status, tuning
from qwen3ft_jupyter.server.access import ManagerAccess
from qwen3ft_jupyter.server.answers import Answers
from qwen3ft_jupyter.server.base import Services, route_pattern
from qwen3ft_jupyter.server.curves import Curves, RunCurvesOf
from qwen3ft_jupyter.server.events import SCHEMA_FILE, SCHEMA_ID, Change, ChangeWatcher
from qwen3ft_jupyter.settings.declared import SETTINGS
from qwen3ft_jupyter.settings.places import load_settings, to_publish

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.settings.setting import Setting

START_S = 10.0
"""After the server's start, if no request comes before: a server that nobody uses may have a job to watch over."""
ROUTES = (*status.ROUTES, *models.ROUTES, *cache.ROUTES, *datasets.ROUTES, *tuning.ROUTES, *runs.ROUTES, *jobs.ROUTES)
"""Every path, as `openapi.yaml` writes it, with its handler; the first that matches is taken."""


def _trait(setting: Setting) -> TraitType[Any, Any]:
    """Return the trait with which an administrator gives a setting; empty or None means that it is not given."""
    help_text = f"{setting.help} {setting.variable} wins."
    if setting.kind.trait == "flag":
        return Bool(None, allow_none=True, config=True, help=help_text)
    if setting.kind.trait == "number":
        return Int(None, allow_none=True, config=True, help=help_text)
    if setting.kind.trait == "list":
        return List(Unicode(), config=True, help=help_text)
    return Unicode("", config=True, help=help_text)


def _settings_of_lab() -> tuple[str, str]:
    """Return the folders of JupyterLab's settings: the user's, and those that an administrator gave to all."""
    own = os.environ.get("JUPYTERLAB_SETTINGS_DIR") or str(Path(jupyter_config_dir(), "lab", "user-settings"))
    return own, str(Path(sys.prefix, "share", "jupyter", "lab", "settings"))


class Qwen3FTApp(ExtensionApp):
    """Serves ``qwen3ft/``.

    The traits are defaults for everyone on this server and for the kernels it starts. A user's own environment
    variables and ``.env`` win over them. Tokens are not among them: they belong to a person, not to a server's
    configuration.
    """

    name = "qwen3ft_jupyter"
    load_other_extensions = True

    vars().update({setting.trait_name: _trait(setting) for setting in SETTINGS if not setting.kind.is_secret})

    jobs_are_activity = Bool(
        True,
        config=True,
        help=(
            "Whether a job at work (a download, a fine-tune) counts as activity of the server, so that nothing that "
            "culls idle servers ends it. A paused job does not count, nor do the looks of an open panel."
        ),
    )

    watcher: ChangeWatcher | None = None
    _is_stopped = False

    def initialize_settings(self) -> None:
        """Prepare what the routes work with; the manager itself is built in a thread by the first request."""
        self.publish()
        self.access = ManagerAccess(self.build_manager, on_first_use=self._start_watching)
        self.watcher = ChangeWatcher(self.access, self._tell, on_work=self._note_work)
        IOLoop.current().call_later(START_S, self._start_watching)
        self.services = Services(self.access, self.watcher, Curves(), RunCurvesOf(), Answers.none_yet())
        if self.serverapp is not None and self.serverapp.event_logger is not None:
            self.serverapp.event_logger.register_event_schema(SCHEMA_FILE)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        given = {"services": self.services}
        self.handlers.extend((route_pattern(template), handler, given) for template, handler in ROUTES)

    def build_manager(self) -> ModelManager:
        """Return a manager for the settings in force. Blocks: it reads files.

        Raises:
            BadSetting: a variable or trait has a value that is not accepted.
        """
        from qwen3ft_jupyter.manager import ModelManager

        root = self._root()
        return ModelManager(load_settings(working_folder=root, server_root=root, traits=self.given_traits()))

    def publish(self) -> None:
        """Put root and traits into the environment: kernels inherit it, so that they use the panel's hub and cache.

        With them goes where the language is set, so that a cell speaks that of the panel.

        If a trait is not accepted, that is logged, and the requests are refused with it.
        """
        root = self._root()
        if root is None:
            return
        os.environ[LAB_SETTINGS] = files_of_lab(*_settings_of_lab())
        try:
            os.environ.update(to_publish(self.given_traits(), root))
        except BadSetting as error:
            self.log.warning("qwen3ft: %s", error)

    def _root(self) -> Path | None:
        return Path(self.serverapp.root_dir) if self.serverapp is not None else None

    def given_traits(self) -> dict[str, Any]:
        """Return the traits that the configuration sets, by the names of `settings.declared.Settings`."""
        traits = {one.name: getattr(self, one.trait_name) for one in SETTINGS if not one.kind.is_secret}
        return {name: value for name, value in traits.items() if value not in (None, "", [])}

    async def stop_extension(self) -> None:
        """End the watching. Jobs go on: they belong to the user, not to this server."""
        self._is_stopped = True
        if self.watcher is not None:
            await self.watcher.stop()

    def current_activity(self) -> bool:
        """Answer Jupyter, which ends an idle server when it is told to, whether a job is at work."""
        return bool(self.jobs_are_activity and self.watcher is not None and self.watcher.is_working)

    def _note_work(self) -> None:
        """Tell whoever reads the time of the last activity, as JupyterHub does, that it is now."""
        if self.jobs_are_activity and self.serverapp is not None:
            times = self.serverapp.web_app.settings["last_activity_times"]
            times[self.name] = datetime.now(timezone.utc)

    def _start_watching(self) -> None:
        """Start with the first request, else soon: a job that a kernel or a terminal has started is activity, too."""
        if self.watcher is not None and not self._is_stopped:
            self.watcher.start()

    def _tell(self, change: Change) -> None:
        if self.serverapp is not None and self.serverapp.event_logger is not None:
            self.serverapp.event_logger.emit(schema_id=SCHEMA_ID, data=change.to_dict())
