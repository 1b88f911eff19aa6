"""The one list of what `%qwen3ft` can do; parser, help, completion and the tests of the documentation read it."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn

from IPython.core.error import UsageError

from qwen3ft_jupyter.cache_lists import OTHER_OWNERS

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = "qwen3ft"
CACHE_ACTIONS = ("list", "verify", "repair", "evict", "pin", "unpin", "move")
JOB_ACTIONS = ("log", "pause", "resume", "limit", "forget", "follow")
HUBS = ("modelscope", "huggingface")


class Parser(argparse.ArgumentParser):
    """Raises IPython's `UsageError` where argparse would end the process."""

    def error(self, message: str) -> NoReturn:
        """Refuse, and show how it is meant."""
        raise UsageError(f"{message}\n{self.format_usage().strip()}")


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that `%qwen3ft` can do."""

    name: str
    usage: str
    """What is typed after ``%qwen3ft``."""
    summary: str
    """One line for the help."""
    details: tuple[str, ...]
    """More lines, for the help on this verb alone."""
    declare: Callable[[Parser], None]
    """Declares the arguments."""
    takes_cell: bool = False

    def parser(self) -> Parser:
        """Return the parser of what follows the verb."""
        # argparse formats the usage with %, so a percent sign is written twice
        parser = Parser(prog=MAGIC, usage=f"%%{MAGIC} {self.usage}", add_help=False, allow_abbrev=False)
        self.declare(parser)
        return parser

    def options(self) -> list[str]:
        """Return the options, for completion."""
        return sorted(option for action in self.parser()._actions for option in action.option_strings)  # noqa: SLF001 - argparse has no other way to ask


def _none(parser: Parser) -> None:
    """Declare nothing."""


def _download(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--hub", choices=HUBS)
    parser.add_argument("--revision", metavar="R")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--sources", metavar="A,B")
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--max-speed", metavar="SPEED")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--detach", action="store_true")


def _cache(parser: Parser) -> None:
    parser.add_argument("action", nargs="?", choices=CACHE_ACTIONS, default="list")
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--all", action="store_true", dest="is_all")
    parser.add_argument("--owner", choices=OTHER_OWNERS)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--revision", metavar="R")
    parser.add_argument("--max-speed", metavar="SPEED")
    parser.add_argument("--detach", action="store_true")


def _load(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--as", dest="variable", metavar="VARIABLE", default="")
    bits = parser.add_mutually_exclusive_group()
    bits.add_argument("--4bit", action="store_const", const="4bit", dest="quantization")
    bits.add_argument("--8bit", action="store_const", const="8bit", dest="quantization")


def _finetune(parser: Parser) -> None:
    parser.add_argument("config", nargs="?", metavar="CONFIG.yaml")
    parser.add_argument("--detach", action="store_true")


def _jobs(parser: Parser) -> None:
    parser.add_argument("action", nargs="?", metavar="ACTION", default="")
    parser.add_argument("id", nargs="?", metavar="ID", default="")
    parser.add_argument("speed", nargs="?", metavar="SPEED", default="")
    parser.add_argument("--detach", action="store_true")


def _stop(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID")


def _chat(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME_OR_RUN")
    parser.add_argument("question", nargs="+", metavar="QUESTION")
    parser.add_argument("--max-new-tokens", type=int, metavar="N")


def _help(parser: Parser) -> None:
    parser.add_argument("verb", nargs="?", metavar="VERB", default="")


VERBS: tuple[Verb, ...] = (
    Verb("status", "status", "Says which hub and which cache are used, and why.", (), _none),
    Verb("models", "models", "Lists the Qwen3 models, what each needs, and what is cached.", (), _none),
    Verb(
        "download",
        "download [NAME] [--dry-run] [--update] [--force] [--hub modelscope|huggingface] [--revision R] "
        "[--sources A,B] [--in-place] [--max-speed SPEED] [--detach]",
        "Downloads a model into the cache as a job, and follows it.",
        (
            "Without NAME: a form to pick one.",
            "--dry-run only shows what would travel, whether there is room, and how long it takes.",
            "--update fetches what has changed since, --force everything again.",
            "--revision takes a branch, tag or commit, --hub asks that hub first.",
            "--sources takes bytes only from these: modelscope, huggingface, mirrors, disk.",
            "--in-place uses the copy that another tool has on this disk where it is.",
            "--max-speed takes at most so many bytes a second, for example 20MB.",
            "--detach returns at once. Interrupting the kernel leaves the job at work.",
        ),
        _download,
    ),
    Verb(
        "cache",
        "cache [list | verify NAME [--max-speed SPEED] | repair NAME [--max-speed SPEED] | "
        "evict NAME [--owner O] [--everything] | evict --all | pin NAME | unpin NAME | move DIR] [--revision R]",
        "Lists the cache; checks, repairs, deletes or protects a model in it; moves it.",
        (
            "verify reads every byte again, as a job; repair fetches what is wrong as well.",
            "evict deletes; with --owner huggingface, modelscope or folder the copy that another tool has.",
            "What is not of the model stays in its folder; with --everything that goes, too.",
            "A pinned model is not deleted to make room.",
            "--revision names the one of several revisions.",
            "move takes the whole cache to another folder; every file is checked before the old one goes.",
        ),
        _cache,
    ),
    Verb(
        "load",
        "load NAME [--as VARIABLE] [--4bit | --8bit]",
        "Loads a model, downloading it if need be, into model and tokenizer.",
        (
            "NAME is a repo id, or the job id or output folder of a fine-tune.",
            "--as chat puts it into chat and chat_tokenizer.",
        ),
        _load,
    ),
    Verb(
        "finetune",
        "finetune [CONFIG.yaml] [--detach]",
        "Fine-tunes a model as a job, and follows it.",
        (
            "%%qwen3ft finetune takes the YAML in the cell; a value $name is the variable of that name.",
            "Without CONFIG.yaml and without a cell: a form.",
        ),
        _finetune,
        takes_cell=True,
    ),
    Verb(
        "jobs",
        "jobs [ID | log ID | pause ID | resume ID | limit ID SPEED | follow ID | forget ID]",
        "Lists the jobs; shows, pauses, resumes, slows down, follows or forgets one.",
        (
            "Downloads, checks and repairs can be paused, and limited to a SPEED such as 20MB a second, or none.",
            "The beginning or the end of an ID is enough if no other job has it.",
        ),
        _jobs,
    ),
    Verb("stop", "stop ID", "Stops a job; what it has done is kept.", (), _stop),
    Verb(
        "chat",
        'chat NAME_OR_RUN "QUESTION" [--max-new-tokens N]',
        "Asks a model, or the result of a fine-tune.",
        ("NAME_OR_RUN is a repo id, or the job id or output folder of a fine-tune.",),
        _chat,
    ),
    Verb("help", "help [VERB]", "Says what there is.", (), _help),
)
_BY_NAME = {verb.name: verb for verb in VERBS}


def find_verb(name: str) -> Verb:
    """Return the verb of this name.

    Raises:
        UsageError: there is none; the nearest is named.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = get_close_matches(name, _BY_NAME, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no %{MAGIC} {name}.{meant} The verbs: {', '.join(_BY_NAME)}.")


def split_line(line: str) -> list[str]:
    r"""Split what follows ``%qwen3ft`` into words.

    Quotes hold words together, ``#`` begins a comment, ``\`` is a letter like any other.

    >>> split_line('chat runs/first "Who are you?"   # base and adapter')
    ['chat', 'runs/first', 'Who are you?']

    Raises:
        UsageError: a quote is left open.
    """
    words = shlex.shlex(line, posix=True)
    words.whitespace_split = True
    words.escape = ""  # a Windows path
    try:
        return list(words)
    except ValueError as error:
        raise UsageError(f"A quote is left open: {line}") from error
