"""The extension as Jupyter's server sees it: settings an administrator may give, routes, start and stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Int, List, Unicode

from qwen3ft_jupyter.errors import BadSetting
from qwen3ft_jupyter.server import cache, jobs, models, status
from qwen3ft_jupyter.server.access import ManagerAccess
from qwen3ft_jupyter.server.base import Services, route_pattern
from qwen3ft_jupyter.server.curves import Curves
from qwen3ft_jupyter.server.events import SCHEMA_FILE, SCHEMA_ID, Change, ChangeWatcher

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager import ModelManager

ROUTES = (*status.ROUTES, *models.ROUTES, *cache.ROUTES, *jobs.ROUTES)
"""Every path, as `openapi.yaml` writes it, with its handler; the first that matches is taken."""


class Qwen3FTApp(ExtensionApp):
    """Serves ``qwen3ft/``.

    The traits are defaults for everyone on this server and for the kernels it starts. A user's own environment
    variables and ``.env`` win over them. Tokens are not among them: they belong to a person, not to a server's
    configuration.
    """

    name = "qwen3ft_jupyter"
    load_other_extensions = True

    use_modelscope = Bool(
        None,
        allow_none=True,
        config=True,
        help="Ask ModelScope first (True) or Hugging Face first (False). Not set: ModelScope. USE_MODELSCOPE wins.",
    )
    model_cache_dir = Unicode(
        "",
        config=True,
        help="The folder where models are kept. Empty: a place that lasts on this host. MODEL_CACHE_DIR wins.",
    )
    shared_dirs = List(
        Unicode(),
        config=True,
        help="Folders of models that everyone may read and nobody here writes. MODEL_CACHE_SHARED_DIRS wins.",
    )
    other_dirs = List(
        Unicode(),
        config=True,
        help="More folders to look in for files that are already on this disk, besides the caches of the hubs' own "
        "clients. MODEL_CACHE_OTHER_DIRS wins.",
    )
    quota = Unicode(
        "",
        config=True,
        help="The most bytes the models of one user may take, for example 200GB; the least recently used make room. "
        "Empty: no limit. MODEL_CACHE_QUOTA wins.",
    )
    state_dir = Unicode(
        "",
        config=True,
        help="The folder where jobs keep their state and logs; best on a local disk that lasts. Empty: the user's own "
        "state folder. QWEN3FT_STATE_DIR wins.",
    )
    modelscope_endpoint = Unicode(
        "",
        config=True,
        help="Address of ModelScope or of a mirror of it. Empty: the public one. MODELSCOPE_ENDPOINT wins.",
    )
    hf_endpoint = Unicode(
        "",
        config=True,
        help="Address of Hugging Face or of a mirror of it. Empty: the public one. HF_ENDPOINT wins.",
    )
    offline = Bool(
        None,
        allow_none=True,
        config=True,
        help="Use only what is in the cache and open no connection. Not set: False. QWEN3FT_OFFLINE wins.",
    )
    fallback = Bool(
        None,
        allow_none=True,
        config=True,
        help="Go to the other hub, and say so, when the first has no such model or cannot be reached. Not set: True. "
        "QWEN3FT_FALLBACK wins.",
    )
    mirrors = List(
        Unicode(),
        config=True,
        help="Addresses of mirrors that speak Hugging Face's protocol, such as a team's `qwen3ft mirror`: more sources "
        "for every download. QWEN3FT_MIRRORS wins.",
    )
    max_connections = Int(
        None,
        allow_none=True,
        config=True,
        help="The most connections one download may open, 1 to 64. Not set: 16. QWEN3FT_MAX_CONNECTIONS wins.",
    )
    max_speed = Unicode(
        "",
        config=True,
        help="The most bytes a second one download may take, for example 20MB. Empty: no limit. "
        "QWEN3FT_MAX_SPEED wins.",
    )

    watcher: ChangeWatcher | None = None

    def initialize_settings(self) -> None:
        """Prepare what the routes work with; the manager itself is built in a thread by the first request."""
        self.publish()
        self.access = ManagerAccess(self.build_manager, on_first_use=self._start_watching)
        self.watcher = ChangeWatcher(self.access, self._tell)
        self.services = Services(self.access, self.watcher, Curves())
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
        from qwen3ft_jupyter.settings import load_settings

        root = self._root()
        return ModelManager(load_settings(working_folder=root, server_root=root, traits=self.given_traits()))

    def publish(self) -> None:
        """Put root and traits into the environment: kernels inherit it, so that they use the panel's hub and cache.

        If a trait is not accepted, that is logged, and the requests are refused with it.
        """
        from qwen3ft_jupyter.settings import to_publish

        root = self._root()
        if root is None:
            return
        try:
            os.environ.update(to_publish(self.given_traits(), root))
        except BadSetting as error:
            self.log.warning("qwen3ft: %s", error)

    def _root(self) -> Path | None:
        return Path(self.serverapp.root_dir) if self.serverapp is not None else None

    def given_traits(self) -> dict[str, Any]:
        """Return the traits that the configuration sets, by the names of `qwen3ft_jupyter.settings.Settings`."""
        traits: dict[str, Any] = {
            "use_modelscope": self.use_modelscope,
            "cache_dir": self.model_cache_dir,
            "shared_dirs": list(self.shared_dirs),
            "other_dirs": list(self.other_dirs),
            "quota": self.quota,
            "state_dir": self.state_dir,
            "modelscope_endpoint": self.modelscope_endpoint,
            "hf_endpoint": self.hf_endpoint,
            "offline": self.offline,
            "fallback": self.fallback,
            "mirrors": list(self.mirrors),
            "max_connections": self.max_connections,
            "max_speed": self.max_speed,
        }
        return {name: value for name, value in traits.items() if value not in (None, "", [])}

    async def stop_extension(self) -> None:
        """End the watching. Jobs go on: they belong to the user, not to this server."""
        if self.watcher is not None:
            await self.watcher.stop()

    def _start_watching(self) -> None:
        """Start with the first request: before it, no panel listens."""
        if self.watcher is not None:
            self.watcher.start()

    def _tell(self, change: Change) -> None:
        if self.serverapp is not None and self.serverapp.event_logger is not None:
            self.serverapp.event_logger.emit(schema_id=SCHEMA_ID, data=change.to_dict())
