"""The one table of verbs: what people can ask for, in every face under the same words.

The parsers of the command line and of the magic, completion, help, the reference in ``docs/verbs.md`` and the names of
REST fields are made from it. The rows stand in the files of their groups: models and cache, fine-tunes, jobs, others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.faces.verbs.entries import (
    COMMON,
    HUBS,
    OTHER_OWNERS,
    PROGRAM,
    SOURCES,
    Argument,
    Completes,
    Face,
    Kind,
    Option,
    Verb,
)
from qwen3ft_jupyter.faces.verbs.jobs import JOBS
from qwen3ft_jupyter.faces.verbs.models import MODELS
from qwen3ft_jupyter.faces.verbs.others import OTHERS
from qwen3ft_jupyter.faces.verbs.tuning import TUNING
from qwen3ft_jupyter.messages import Speaker, as_message, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.messages import Command, Grammar

__all__ = [
    "COMMON",
    "HUBS",
    "OTHER_OWNERS",
    "PROGRAM",
    "SOURCES",
    "SPELLINGS",
    "VERBS",
    "Argument",
    "Completes",
    "Face",
    "Kind",
    "Option",
    "Verb",
    "find",
    "grammar",
    "rest_options",
    "speaker_of",
    "verbs_of",
    "write_command",
]

VERBS: Final[tuple[Verb, ...]] = (*MODELS, *TUNING, *JOBS, *OTHERS)
_BY_NAME: Final = {verb.name: verb for verb in VERBS}
SPELLINGS: Final = {spelled: verb for verb in VERBS for spelled in (verb.name, *verb.aliases)}
"""Every way to write a verb."""


def find(name: str) -> Verb:
    """Return the verb of this name, which is none of its aliases. Raises KeyError."""
    return _BY_NAME[name]


def verbs_of(face: Face) -> list[Verb]:
    """Return the verbs that people can type in a face."""
    return [verb for verb in VERBS if face in verb.faces]


def rest_options(name: str) -> Iterator[tuple[str, Kind]]:
    """Yield name and kind of the fields that the verb's options are in a request."""
    for option in find(name).options_in("rest"):
        yield option.field, option.kind


def write_command(*words: str, face: Face = "magic") -> str:
    """Return a command in the grammar of a face; a verb that the face lacks is written for one that has it.

    >>> [write_command("repair", "a/b", face=face) for face in ("cli", "magic", "panel")]
    ['qwen3ft repair a/b', '%qwen3ft repair a/b', 'Repair a/b']

    Raises:
        KeyError: the words begin with no verb.
    """
    parts = " ".join(words[:1]).split() + list(words[1:])
    count = 2 if " ".join(parts[:2]) in _BY_NAME else 1
    verb, arguments = _BY_NAME[" ".join(parts[:count])], parts[count:]
    if face == "panel" and verb.panel and verb.panel.count("{") <= len(arguments):
        return as_message(verb.panel, {"name": arguments[0]} if arguments else {})
    typed: Face = "cli" if face == "cli" else "magic"
    if typed not in verb.faces:
        typed = "magic" if typed == "cli" else "cli"
    program = PROGRAM if typed == "cli" else f"%{PROGRAM}"
    return " ".join([program, verb.name, *map(_quoted, arguments)])


def grammar(face: Face) -> Grammar:
    """Return how a face writes the commands of messages."""

    def write(command: Command) -> str:
        return write_command(*command.words, face=face)

    return write


def speaker_of(face: Face) -> Speaker:
    """Return who speaks to the person in front of this process."""
    return Speaker(reader(), grammar(face))


def _quoted(word: str) -> str:
    """Return a word that a shell and a magic take as one."""
    return f'"{word}"' if any(character.isspace() for character in word) else word
