"""``%qwen3ft`` and ``%%qwen3ft``: parse, call one function of `actions`, show what it returns."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class

from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.notebook import actions
from qwen3ft_jupyter.notebook.completion import OUR_LINE, complete
from qwen3ft_jupyter.notebook.display import get_model_manager
from qwen3ft_jupyter.notebook.tracebacks import readable, restore_tracebacks, shorten_tracebacks
from qwen3ft_jupyter.notebook.verbs import MAGIC, VERBS, find_verb, split_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from IPython.core.interactiveshell import InteractiveShell

    from qwen3ft_jupyter.manager import ModelManager

__all__ = ["VERBS", "Qwen3FTMagics", "load_ipython_extension", "unload_ipython_extension"]

_completing: WeakSet[InteractiveShell] = WeakSet()
"""The shells that complete our lines: IPython can add a completer, but not take it away again."""


@magics_class
class Qwen3FTMagics(Magics):
    """Download, load, fine-tune and talk to Qwen3 models. ``%qwen3ft help`` lists the verbs."""

    def __init__(self, shell: InteractiveShell, open_manager: Callable[..., ModelManager] = get_model_manager) -> None:
        super().__init__(shell)
        self._room = actions.Room(open_manager, shell.user_ns)

    @line_cell_magic
    def qwen3ft(self, line: str, cell: str | None = None) -> Any:
        """Run ``%qwen3ft VERB …``; ``%qwen3ft help`` lists the verbs."""
        words = split_line(line)
        if "-h" in words or "--help" in words:
            words = ["help", *words[:1]] if not words[0].startswith("-") else ["help"]
        verb = find_verb(words[0]) if words else find_verb("help")
        if cell is not None and not verb.takes_cell:
            raise UsageError(f"%%{MAGIC} {verb.name} takes no cell: write %{MAGIC} {verb.usage}")
        given = verb.parser().parse_args(words[1:])
        act = getattr(actions, verb.name)
        try:
            return act(self._room, given, cell) if verb.takes_cell else act(self._room, given)
        except Qwen3ftError as error:
            raise readable(error) from None

    def complete(self, event: SimpleNamespace) -> list[str]:
        """Return what may follow the text before the cursor."""
        return complete(event.text_until_cursor, models=self._model_names, jobs=self._job_ids)

    def _model_names(self) -> list[str]:
        with contextlib.suppress(Qwen3ftError, OSError):  # a wrong setting is for the next command to tell
            return [model["model_name"] for model in self._room.manager.models()]
        return []

    def _job_ids(self) -> list[str]:
        with contextlib.suppress(Qwen3ftError, OSError):
            return [job.id for job in self._room.manager.jobs()]
        return []


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%qwen3ft``; IPython calls this for ``%load_ext qwen3ft_jupyter``."""
    magics = Qwen3FTMagics(shell)
    shell.register_magics(magics)
    shorten_tracebacks()
    if shell not in _completing:
        hooks: Any = shell  # IPython's method has no types
        hooks.set_hook("complete_command", _complete, re_key=OUR_LINE)
        _completing.add(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take ``%qwen3ft`` away again."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(MAGIC, None)
    restore_tracebacks()


def _complete(shell: InteractiveShell, event: SimpleNamespace) -> list[str]:
    """Ask the magics that are registered now: the extension may have been loaded again since, or unloaded."""
    owner = getattr(shell.magics_manager.magics["line"].get(MAGIC), "__self__", None)
    return owner.complete(event) if isinstance(owner, Qwen3FTMagics) else []
