"""How our errors look in IPython: what failed and what to do, and the user's own line, not a page of our code."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.format import plain
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.notebook.display import current_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOOK = "_render_traceback_"
"""The method that IPython asks an exception for."""
_OURS = str(Path(__file__).parent.parent)


def readable(error: Qwen3ftError) -> Qwen3ftError:
    """Return `error` so that IPython shows it without any traceback: a magic has no line of the user's to show."""
    said = say.error(error, "magic")
    facts = [
        f"{error.code}: {said['message']}",
        said["hint"],
        *(f"{name}: {text}" for name, text in error.details.items()),
    ]
    shown = [plain(fact) for fact in facts if fact]
    setattr(error, _HOOK, lambda: shown)
    return error


def short(interrupt: KeyboardInterrupt) -> KeyboardInterrupt:
    """Return `interrupt` so that IPython says that it was one, if it says nothing of its own."""
    if not hasattr(interrupt, _HOOK):
        setattr(interrupt, _HOOK, lambda: [tr("Interrupted.")])
    return interrupt


def shorten_tracebacks() -> None:
    """Let IPython end the traceback of our errors where the user's code calls ours. `%debug` still sees all of it."""
    setattr(Qwen3ftError, _HOOK, _render)


def restore_tracebacks() -> None:
    """Undo `shorten_tracebacks`."""
    if hasattr(Qwen3ftError, _HOOK):
        delattr(Qwen3ftError, _HOOK)


def _render(error: Qwen3ftError) -> list[str]:
    shell, said = current_shell(), say.error(error, "magic")
    # A copy, without the causes: those are about our code, too.
    shown = type(error)(said["message"], hint=said["hint"], details=error.details)
    if shell is None:
        return [plain(f"{error.code}: {shown}")]
    lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), shown, _users_part(error.__traceback__))
    return lines


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a copy of `trace` that ends where this package is called."""
    steps = itertools.takewhile(lambda step: not step.tb_frame.f_code.co_filename.startswith(_OURS), _steps(trace))
    part: TracebackType | None = None
    for step in reversed([*steps]):
        part = TracebackType(part, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return part


def _steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next
