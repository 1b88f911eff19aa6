"""Whether a chat template wrote what it was given: many know no tools, some no system message, and say nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.special import GUARD
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.turns import ChatMessage


def find_unwritten(
    before: Sequence[ChatMessage], answer: ChatMessage, tools: str, *, texts: tuple[str, str]
) -> str | None:
    """Return what the template left out of a turn, as a sentence; None if it wrote all.

    Args:
        before: The turns that the prompt is made of.
        answer: The turn that is learned.
        tools: JSON of the tools.
        texts: The prompt, and what follows it.

    Reasoning is not looked for: Qwen3's own templates leave it out of earlier turns, as inference does.
    """
    prompt, target = (text.replace(GUARD, "") for text in texts)
    for name in _names_of(tools):
        if name not in prompt:
            return Message("the model's chat template does not write tools, so that {name} would be unknown", name=name)
    for index, message in enumerate(before):
        if message.content.strip() not in prompt or not _calls_in(message, prompt):
            return Message(
                "the model's chat template does not write the {role} turn at {number}",
                role=message.role,
                number=index + 1,
            )
    if not _calls_in(answer, target):
        return Message("the model's chat template does not write tool calls, so that none would be learned")
    if answer.content.strip() not in target:
        return Message("the model's chat template does not write this answer as it is")
    return None


def _names_of(tools: str) -> list[str]:
    return [str(tool["function"]["name"]) for tool in json.loads(tools)] if tools else []


def _calls_in(message: ChatMessage, text: str) -> bool:
    calls = json.loads(message.tool_calls) if message.tool_calls else []
    return all(str(call["function"]["name"]) in text for call in calls)
