"""What is wrong with a line that people typed, in their language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.messages import Message, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SAID: Final[tuple[str, ...]] = (
    Message("one of the arguments {names} is required"),
    Message("unrecognized arguments: {words}"),
    Message("argument {name}: expected one argument"),
    Message("argument {name}: invalid choice: {value} (choose from {choices})"),
    Message("argument {name}: invalid int value: {value}"),
    Message("argument {name}: not allowed with argument {other}"),
    Message("argument {name}: ignored explicit argument {value}"),
    Message("ambiguous option: {option} could match {matches}"),
)
"""What argparse says; it knows English alone."""
_REQUIRED = "the following arguments are required: "


class WrongLine(Exception):
    """A line that is not in the grammar; the text says why, and how it is meant."""

    def __init__(self, message: str, usage: str = "", *, is_value: bool = False) -> None:
        super().__init__(f"{message}\n{usage}".strip())
        self.message = message
        self.is_value = is_value
        """It is well formed, but what it asks for does not go together."""


def explain(message: str, flags: Sequence[str]) -> str:
    """Return what argparse says in the reader's language; for an option that there is not, the nearest of `flags`.

    >>> explain("unrecognized arguments: --forse", ["--force"])
    'unrecognized arguments: --forse. Did you mean --force?'
    """
    if message.startswith(_REQUIRED):
        return tr("{names} is missing.", names=message.removeprefix(_REQUIRED))
    for said in _SAID:
        if found := _pattern(said).fullmatch(message):
            words = found.groupdict().get("words", "").split()
            options = [word.partition("=")[0] for word in words if word.startswith("-")]
            meant = "".join(f" {question}" for word in options if (question := did_you_mean(word, flags)))
            return f"{tr(said, **found.groupdict())}{'.' if meant else ''}{meant}"
    return message


def _pattern(said: str) -> re.Pattern[str]:
    """Return what a template was filled from."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*?)", re.escape(said)), re.DOTALL)


def did_you_mean(word: str, known: Iterable[str], before: str = "") -> str:
    """Return the question whether the nearest of `known` is meant, or nothing if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), 1, 0.7)
    return tr("Did you mean {near}?", near=f"{before}{near[0]}") if near else ""
