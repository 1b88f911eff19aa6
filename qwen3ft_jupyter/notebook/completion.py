"""What can come next in a line that begins with ``%qwen3ft``. Pure but for the two questions it is given to ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.parsing import second_words
from qwen3ft_jupyter.faces.verbs import COMMON, SPELLINGS, verbs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.faces.verbs import Completes, Option, Verb

OUR_LINE = r"\s*(?:[\w., ]+=\s*)?%{0,2}qwen3ft\s"
"""A line of ours: as a magic, with automagic, or on the right of an assignment."""


def complete(line: str, *, models: Callable[[], Sequence[str]], jobs: Callable[[], Sequence[str]]) -> list[str]:
    """Return what can follow `line`, the text before the cursor; the word being typed is not looked at.

    >>> complete("%qwen3ft download --hub mod", models=list, jobs=list)
    ['modelscope', 'huggingface']
    """
    match = re.match(OUR_LINE, line)
    if match is None:
        return []
    words = re.findall(r"\S+(?=\s)", line[match.end() :])  # without the one being typed
    if not words:
        return [*(verb.name for verb in verbs_of("magic") if " " not in verb.name), "cache", "stop"]
    spelled = next((text for text in (" ".join(words[:2]), words[0]) if text in SPELLINGS), None)
    if spelled is None:
        return []
    seconds = second_words(words[0]) if len(words) == 1 else []
    offered: dict[Completes, Callable[[], Sequence[str]]] = {
        "": list,
        "model": models,
        "run": models,
        "tuned": lambda: [job for job in jobs() if "-finetune-" in job],
        "job": jobs,
        "verb": lambda: [each.name for each in verbs_of("magic")],
    }
    return seconds + _after(SPELLINGS[spelled], words[len(spelled.split()) :], offered)


def _after(verb: Verb, given: Sequence[str], offered: dict[Completes, Callable[[], Sequence[str]]]) -> list[str]:
    """Return what can follow the verb and the words that were given with it."""
    options = _options_of(verb)
    last = next((option for option in options if given[-1:] == [option.flag]), None)
    if last is not None and last.kind != "flag":
        return list(last.choices)
    at = sum(not word.startswith("-") for word in given)
    many = [argument for argument in verb.arguments[-1:] if argument.is_many]
    names = [name for argument in verb.arguments[at : at + 1] or many for name in offered[argument.completes]()]
    return names + [option.flag for option in options if option.flag not in given]


def _options_of(verb: Verb) -> list[Option]:
    asks_hubs = any(argument.completes in ("model", "run", "tuned") for argument in verb.arguments)
    return [*verb.options_in("magic"), *(COMMON if asks_hubs else ())]
