"""``%qwen3ft`` and ``%%qwen3ft``: parse by the table of verbs, do what `actions` has for it, show what that returns."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from qwen3ft_jupyter.errors import Qwen3ftError
from qwen3ft_jupyter.faces.parsing import match_verb, parse, parse_text, split_line
from qwen3ft_jupyter.faces.refusals import WrongLine
from qwen3ft_jupyter.faces.verbs import verbs_of
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.notebook.actions import ACTIONS, Room
from qwen3ft_jupyter.notebook.cells import MAGIC, cell_at_work, fill_in, keep_questions, use_of_value, users_frame
from qwen3ft_jupyter.notebook.completion import OUR_LINE, complete
from qwen3ft_jupyter.notebook.display import get_model_manager, ipython_display
from qwen3ft_jupyter.notebook.tracebacks import readable, restore_tracebacks, short, shorten_tracebacks

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping
    from types import SimpleNamespace

    from IPython.core.interactiveshell import InteractiveShell

    from qwen3ft_jupyter.faces.verbs import Verb
    from qwen3ft_jupyter.manager import ModelManager

__all__ = ["Qwen3FTMagics", "load_ipython_extension", "unload_ipython_extension"]

_completing: WeakSet[InteractiveShell] = WeakSet()
"""The shells that complete our lines: IPython can add a completer, but not take it away again."""


@magics_class
class Qwen3FTMagics(Magics):
    """Download, load, fine-tune and talk to Qwen3 models. ``%qwen3ft help`` lists the verbs."""

    def __init__(self, shell: InteractiveShell, open_manager: Callable[..., ModelManager] = get_model_manager) -> None:
        super().__init__(shell)
        self._room = Room(open_manager, shell.user_ns)

    @no_var_expand
    @line_cell_magic
    def qwen3ft(self, line: str, cell: str | None = None) -> Any:
        """Run ``%qwen3ft VERB …``; ``%qwen3ft help`` lists the verbs."""
        frame = users_frame()
        try:
            line, is_quiet = _cut_quiet(line)
            _check_first_line(line, cell)
            verb, given = _read(line, {**self._room.variables, **frame.f_locals})
            _check_cell(verb, cell)
            given.cell = cell
            answer = ACTIONS[verb.name](self._room, given)
        except WrongLine as error:
            raise UsageError(str(error)) from None
        except Qwen3ftError as error:
            raise readable(error) from None
        except KeyboardInterrupt as error:
            raise short(error) from None
        use = use_of_value(frame)
        if use == "kept" or (use == "shown" and not is_quiet):
            return answer
        if not is_quiet:
            ipython_display().display(answer)
        return None

    def complete(self, event: SimpleNamespace) -> list[str]:
        """Return what may follow the text before the cursor."""
        return complete(event.text_until_cursor, models=self._model_names, jobs=self._job_ids)

    def _model_names(self) -> list[str]:
        with contextlib.suppress(Qwen3ftError, OSError):  # a wrong setting is for the next command to tell
            return [model.model_name for model in self._room.manager.model_rows()]
        return []

    def _job_ids(self) -> list[str]:
        with contextlib.suppress(Qwen3ftError, OSError):
            return [job.id for job in self._room.manager.jobs()]
        return []


def _cut_quiet(line: str) -> tuple[str, bool]:
    """Return a line without the ``;`` at its end, which in IPython asks to show no value, and whether it had one.

    A question may end with it, as with anything else.
    """
    ends = line.rstrip().endswith(";") and not _is_question(line)
    return (line.rstrip().rstrip("; \t"), True) if ends else (line, False)


def _is_question(line: str) -> bool:
    return line.split(None, 1)[:1] == ["chat"]


def _check_first_line(line: str, cell: str | None) -> None:
    if cell is not None and not line.strip():
        lines = ", ".join(f"%%{MAGIC} {verb.name}" for verb in verbs_of("magic") if verb.takes_cell)
        raise WrongLine(tr("The first line names no verb: {lines}", lines=lines))


def _read(line: str, variables: Mapping[str, Any]) -> tuple[Verb, Namespace]:
    """Return the verb of a line and what is given with it, variables filled in but for free text. Raises WrongLine."""
    rest = "".join(line.split(None, 1)[1:])
    if _is_question(line) and rest.strip() not in ("", "?", "??", "-h", "--help"):
        verb, _ = match_verb(["chat"], "magic")
        given, question = parse_text(verb, rest, fill_in=lambda word: fill_in(word, variables))
        given.question = question
        return verb, given
    words = split_line(fill_in(line.rstrip().rstrip("?"), variables))
    asks = {"-h", "--help"} & {*words} or words[:1] in ([], ["help"]) or line.rstrip().endswith("?")
    if asks:
        about = [word for word in words if not word.startswith("-")]
        about = about[1:] if about[:1] == ["help"] else about
        words = ["help", *([match_verb(about, "magic")[0].name] if about else [])]
    verb, spelled = match_verb(words, "magic")
    return verb, parse(verb, words[len(spelled.split()) :], "magic", spelled)


def _check_cell(verb: Verb, cell: str | None) -> None:
    if cell is not None and not verb.takes_cell:
        line, usage = f"%%{MAGIC} {verb.name}", f"%{MAGIC} {verb.usage('magic')}"
        raise WrongLine(tr("{line} takes no cell. Write {usage}", line=line, usage=usage))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%qwen3ft``; IPython calls this for ``%load_ext qwen3ft_jupyter``."""
    magics = Qwen3FTMagics(shell)
    shell.register_magics(magics)
    _keep_questions(shell)
    shorten_tracebacks()
    if shell not in _completing:
        hooks: Any = shell  # IPython's method has no types
        hooks.set_hook("complete_command", _complete, re_key=OUR_LINE)
        _completing.add(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take ``%qwen3ft`` away again."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop(MAGIC, None)
    _leave_questions(shell)
    restore_tracebacks()


def _keep_questions(shell: InteractiveShell) -> None:
    """Have cells keep questions from now on; say so if that is too late for the cell that loads the extension."""
    if keep_questions in shell.input_transformers_cleanup:  # the extension may be loaded twice
        return
    cell, transform = cell_at_work(), cast("Callable[[str], str]", shell.transform_cell)  # it has no types
    read = transform(cell)
    shell.input_transformers_cleanup.append(keep_questions)
    if transform(cell) != read:
        said = tr("The question in this cell was read before the extension was loaded. Run the cell again to ask it.")
        sys.stderr.write(f"{said}\n")


def _leave_questions(shell: InteractiveShell) -> None:
    with contextlib.suppress(ValueError):
        shell.input_transformers_cleanup.remove(keep_questions)


def _complete(shell: InteractiveShell, event: SimpleNamespace) -> list[str]:
    """Ask the magics that are registered now: the extension may have been loaded again since, or unloaded."""
    owner = getattr(shell.magics_manager.magics["line"].get(MAGIC), "__self__", None)
    return owner.complete(event) if isinstance(owner, Qwen3FTMagics) else []
