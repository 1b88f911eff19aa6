"""Download, load and fine-tune Qwen3 models from a notebook.

The public names below are loaded when they are first used: importing this package costs milliseconds, because
JupyterLab's server and every kernel import it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.jobs.store import Job
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.notebook.chat_form import ChatForm
    from qwen3ft_jupyter.notebook.display import get_model_manager
    from qwen3ft_jupyter.notebook.forms import FineTuneForm, ModelPicker

_HOMES = {
    "CachedModel": "qwen3ft_jupyter.cache.models",
    "ChatForm": "qwen3ft_jupyter.notebook.chat_form",
    "FineTuneConfig": "qwen3ft_jupyter.finetune.config",
    "FineTuneForm": "qwen3ft_jupyter.notebook.forms",
    "Job": "qwen3ft_jupyter.jobs.store",
    "ModelManager": "qwen3ft_jupyter.manager.manager",
    "ModelPicker": "qwen3ft_jupyter.notebook.forms",
    "Qwen3ftError": "qwen3ft_jupyter.errors",
    "__version__": "qwen3ft_jupyter._version",
    "get_model_manager": "qwen3ft_jupyter.notebook.display",
}

__all__ = [
    "CachedModel",
    "ChatForm",
    "FineTuneConfig",
    "FineTuneForm",
    "Job",
    "ModelManager",
    "ModelPicker",
    "Qwen3ftError",
    "__version__",
    "get_model_manager",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%qwen3ft``; IPython calls this for ``%load_ext qwen3ft_jupyter``."""
    from qwen3ft_jupyter.notebook.magics import load_ipython_extension as load

    load(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "qwen3ft-jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from qwen3ft_jupyter.server.app import Qwen3FTApp

    return [{"module": "qwen3ft_jupyter", "app": Qwen3FTApp}]
