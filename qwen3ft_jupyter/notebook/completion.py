"""What can come next in a line that begins with ``%qwen3ft``. Pure but for the two questions it is given to ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache_lists import OTHER_OWNERS
from qwen3ft_jupyter.notebook.verbs import CACHE_ACTIONS, HUBS, JOB_ACTIONS, VERBS
from qwen3ft_jupyter.settings import SOURCE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OUR_LINE = r"\s*(?:[\w., ]+=\s*)?%{0,2}qwen3ft\s"
"""A line of ours: as a magic, with automagic, or on the right of an assignment."""

_NAMED = frozenset({"download", "load", "chat"})
_CHOICES = {"--hub": HUBS, "--owner": OTHER_OWNERS, "--sources": SOURCE_NAMES}


def complete(line: str, *, models: Callable[[], Sequence[str]], jobs: Callable[[], Sequence[str]]) -> list[str]:
    """Return what can follow `line`, the text before the cursor; the word being typed is not looked at.

    >>> complete("%qwen3ft download --hub mod", models=list, jobs=list)
    ['modelscope', 'huggingface']
    """
    match = re.match(OUR_LINE, line)
    if match is None:
        return []
    words = line[match.end() :].split()
    if words and not line[-1].isspace():
        words.pop()  # the word being typed
    if not words:
        return [verb.name for verb in VERBS]
    verb = next((verb for verb in VERBS if verb.name == words[0]), None)
    if verb is None:
        return []
    if words[-1] in _CHOICES:
        return list(_CHOICES[words[-1]])
    arguments = [word for word in words[1:] if not word.startswith("-")]
    return _arguments(verb.name, arguments, models=models, jobs=jobs) + [
        option for option in verb.options() if option not in words
    ]


def _arguments(
    verb: str, given: Sequence[str], *, models: Callable[[], Sequence[str]], jobs: Callable[[], Sequence[str]]
) -> list[str]:
    if verb in _NAMED and not given:
        return list(models())
    if verb == "cache":
        is_named = len(given) == 1 and given[0] not in ("list", "move")
        return list(CACHE_ACTIONS) if not given else list(models()) if is_named else []
    if verb == "jobs":
        is_named = len(given) == 1 and given[0] in JOB_ACTIONS
        return [*JOB_ACTIONS, *jobs()] if not given else list(jobs()) if is_named else []
    if verb == "stop" and not given:
        return list(jobs())
    if verb == "help" and not given:
        return [other.name for other in VERBS]
    return []
