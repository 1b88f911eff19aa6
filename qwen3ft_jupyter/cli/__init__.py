"""``qwen3ft VERB …``: every verb is parsed by the table, calls the manager, and prints."""

from __future__ import annotations

import atexit
import gc
import io
import itertools
import sys
from typing import TYPE_CHECKING, TypeVar

from qwen3ft_jupyter.cli.commands import FAILED, find_command
from qwen3ft_jupyter.cli.output import (
    AS_IT_IS,
    end_stderr,
    in_words,
    open_missing_streams,
    say,
    show,
    stopped_words,
    unwritten,
    write,
)
from qwen3ft_jupyter.errors import Qwen3ftError, Stopped
from qwen3ft_jupyter.faces.parsing import help_on, match_verb, parse
from qwen3ft_jupyter.faces.refusals import WrongLine
from qwen3ft_jupyter.faces.verbs import COMMON, PROGRAM, SPELLINGS, verbs_of
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.paths import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Code = TypeVar("Code", int, "int | str | None")

INTERRUPTED = 130
WRONG_LINE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error it names, 130 when it was interrupted.

    Raises:
        SystemExit: with 2, for a line that is not in the grammar; with 128 and its number after another signal.
    """
    open_missing_streams()
    atexit.register(gc.freeze)  # the interpreter's last collection is spared some 50,000 objects, 25 to 50 ms
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=AS_IT_IS)
    try:
        return _written(_do(list(sys.argv[1:] if arguments is None else arguments)))
    except SystemExit as leaving:
        raise SystemExit(_written(leaving.code)) from leaving.__cause__
    finally:
        end_stderr()


def _written(code: Code) -> Code:
    """Return the exit code of what has been done: it is an error, too, if not all of its output could be written."""
    write("")
    error = unwritten()
    if error is None or code:
        return code
    if not isinstance(error, BrokenPipeError):  # `qwen3ft list | head` wants no more
        say(tr("The work is done, but its output could not be written: {reason}.", reason=reason_of(error)))
    return FAILED


def _do(words: list[str]) -> int:
    """Run one command and say what it ended with, if that was an error."""
    try:
        return _run(words)
    except WrongLine as error:
        if error.is_value:
            say(f"{PROGRAM}: bad-input: {error.message}")
            return FAILED
        say(f"{PROGRAM}: {error}")
        raise SystemExit(WRONG_LINE) from None
    except Stopped as error:
        say(stopped_words(error))
        return INTERRUPTED
    except KeyboardInterrupt:
        say("")
        return INTERRUPTED
    except Qwen3ftError as error:
        say(in_words(error))
        return FAILED


def _run(words: list[str]) -> int:
    at = _verb_at(words)
    before, rest = words[:at], words[at:]
    if "--version" in before:
        from qwen3ft_jupyter import __version__

        show(__version__)
        raise SystemExit(0)
    if {"-h", "--help"} & {*before} or rest == ["help"]:
        show(help_text())
        return 0
    if not rest:
        said = tr("usage: {usage}", usage=f"{PROGRAM} VERB …")
        raise WrongLine(tr("{names} is missing.", names="VERB"), f"{said}; {_all_verbs()}")
    if rest[0] == "help":
        rest = [*rest[1:], "--help"]
    verb, spelled = match_verb(rest, "cli")
    if {"-h", "--help"} & {*itertools.takewhile("--".__ne__, rest)}:
        show(help_on(verb, "cli", spelled))
        return 0
    given = parse(verb, [*before, *rest[len(spelled.split()) :]], "cli", spelled)
    return find_command(verb.name)(given) or 0


def _verb_at(words: Sequence[str]) -> int:
    """Return where the verb is: options may come before it."""
    options = (*COMMON, *(option for verb in verbs_of("cli") for option in verb.options_in("cli")))
    valued = {option.flag for option in options if option.kind != "flag"}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in valued else 1
    return min(at, len(words))


def help_text() -> str:
    """Return what ``qwen3ft --help`` prints."""
    verbs = verbs_of("cli")
    common = [f"{option.flag} {option.metavar}".strip() for option in COMMON]
    wide = max(len(spelled) for spelled in SPELLINGS)
    rows: list[tuple[str, Iterable[tuple[str, str]]]] = [
        (tr("verbs:"), ((verb.name, tr(verb.summary)) for verb in verbs)),
        (tr("other spellings:"), ((alias, verb.name) for verb in verbs for alias in verb.aliases)),
        (tr("options of every verb:"), zip(common, (tr(option.help) for option in COMMON), strict=True)),
    ]
    lines = [tr("usage: {usage}", usage=f"{PROGRAM} {' '.join(f'[{option}]' for option in common)} VERB …")]
    lines += ["", tr("Download, load and fine-tune Qwen3 models.")]
    for title, entries in rows:
        lines += ["", title, *(f"    {name:<{wide}}  {text}" for name, text in entries)]
    about_one = tr("{command} lists the options of a verb.", command=f"{PROGRAM} VERB --help")
    return "\n".join([*lines, f"    {'--version':<{wide}}  {tr('prints the version.')}", "", about_one])


def _all_verbs() -> str:
    return tr("{command} lists the verbs.", command=f"{PROGRAM} --help")
