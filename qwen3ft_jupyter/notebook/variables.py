"""The variables of a notebook in a config that stands in its cell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")


def fill_in(value: Any, variables: Mapping[str, Any]) -> Any:
    """Return `value` with each text in it that is just ``$name`` replaced by the variable of that name.

    Raises:
        BadConfig: there are no such variables, all of them named.
    """
    missing: dict[str, None] = {}

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(name): fill(item) for name, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        match = _VARIABLE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return value
        if match[1] not in variables:
            missing[match[1]] = None
        return variables.get(match[1])

    filled = fill(value)
    if missing:
        problems = [
            Message("The config names {value}, but there is no variable {name}.", value=f"${name}", name=name)
            for name in missing
        ]
        raise BadConfig("{problems}", problems=Texts(problems, " "))
    return filled
