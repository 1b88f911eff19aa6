"""What is wrong with a fine-tune config, in our words: field, value, what is accepted, what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.finetune.names import OTHERS, SAME, SAME_IN_LORA, note_on
from qwen3ft_jupyter.finetune.rules import Unusable, Wrong, WrongGroup, accepted, shown
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    from qwen3ft_jupyter.errors import BadConfig

CLOSE = 0.85
"""How alike a field's name has to be to that of another trainer's to be taken for a slip of it."""
CLOSER = 0.9
"""How alike it has to be to one of ours, not to be taken for one of a family of another trainer's."""

UNKNOWN = Message("unknown field")


def find_problems(
    errors: Sequence[ErrorDetails], group: type[BaseModel], values: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Return what is wrong, each field once.

    Args:
        errors: What pydantic found in `values`.
        group: The model that they are the fields of.
        values: Fields as they were given.
        prefix: What leads to the group: "", "lora." or "dlc.".
    """
    by_field = {str(error["loc"][0]): error for error in reversed(errors)}  # the first of each
    unknown = [name for name in values if name in by_field and name not in group.model_fields]
    problems = _explain_unknown(unknown, list(group.model_fields), prefix)
    unusable: dict[str, list[str]] = {}
    for name, error in reversed(by_field.items()):
        if name in unknown:
            continue
        reason = error.get("ctx", {}).get("error")
        if isinstance(reason, WrongGroup) and reason.problems:
            problems += reason.problems
        elif isinstance(reason, Unusable):
            unusable.setdefault(reason.args[0], []).append(f"{prefix}{name}")
        else:
            problems.append(_explain(f"{prefix}{name}", error, accepts(group, name), values.get(name)))
    return problems + [
        Message("{names}: {note}", names=", ".join(names), note=note) for note, names in unusable.items()
    ]


def accepts(group: type[BaseModel], name: str) -> str:
    """Return in words what a field accepts."""
    field = group.model_fields[name]
    inner = getattr(field.annotation, "model_fields", None)
    if inner is not None:
        return Message("a group of fields ({names})", names=", ".join(inner))
    return accepted(field.annotation, field.metadata)


def problems_of(error: BadConfig) -> Sequence[str]:
    """Return what a group of fields was refused for, a problem each; none if it is no group."""
    said = error.message.values.get("problems") if isinstance(error.message, Message) else None
    return said.parts if isinstance(said, Texts) else ()


def _explain(name: str, error: ErrorDetails, words: str, value: object) -> str:
    reason = error.get("ctx", {}).get("error")
    if error["type"] == "missing":
        return Message("{name}: missing ({accepted})", name=name, accepted=words)
    if isinstance(reason, Wrong):
        return Message("{name}: {value} {problem}", name=name, value=shown(value), problem=reason.args[0])
    return Message("{name}: {value} is not {accepted}", name=name, value=shown(value), accepted=words)


def _explain_unknown(names: Iterable[str], known: list[str], prefix: str) -> list[str]:
    """Return what may have been meant by fields that there are none of; those not needed in one go."""
    problems: list[str] = []
    by_note: dict[str, list[str]] = {}
    theirs = {"lora.": SAME_IN_LORA, "dlc.": {}}.get(prefix, {**dict.fromkeys(OTHERS, ""), **SAME})
    listed = Message("unknown field, it is none of {names}", names=", ".join(known)) if prefix else UNKNOWN
    for name in names:
        told = f"{prefix}{shown(name)[1:-1]}"
        near = _closest(name, theirs, CLOSE) or _closest(name, known, CLOSER)
        note = OTHERS.get(name) or (None if near else note_on(name))
        near = near or _closest(name, known)
        if note is not None:
            by_note.setdefault(note, []).append(told)
        elif near in OTHERS and near not in SAME:
            problems.append(Message("{name}: unknown field; {near}: {note}", name=told, near=near, note=OTHERS[near]))
        elif near:
            near = theirs.get(near, near)
            problems.append(Message("{name}: unknown field, did you mean {near}?", name=told, near=near))
        else:
            by_note.setdefault(listed, []).append(told)
    return problems + [Message("{names}: {note}", names=", ".join(names), note=note) for note, names in by_note.items()]


def _closest(name: str, names: Iterable[str], alike: float = 0.6) -> str:
    return next(iter(difflib.get_close_matches(name, list(names), 1, alike)), "")
