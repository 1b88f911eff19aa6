"""Counts text that is learned as it stands, but looks like a mistake of an earlier program."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.rows import BadRow, Reason, Row
from qwen3ft_jupyter.finetune.special import GUARD
from qwen3ft_jupyter.finetune.tools import find_strangers, read_calls, split_blocks
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.finetune.turns import ChatMessage

NO_VALUES = frozenset(
    {
        "nan", "nat", "null", "(null)", "none", "<na>", "n/a", "#n/a", "undefined", "<noinput>", "\\n", "[null]",
        "#value!", "#ref!", "#name?", "#num!", "#null!", "#div/0!", "\u200b", "\u2060", "\ufeff",
    }
)  # fmt: skip
"""What programs write where there is nothing, or nothing that they could work out."""

_LONGEST = 16
"""Characters with blanks around."""

_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r"))
_LONE_RETURN = re.compile(r"\r(?!\n)")
_CALL_TAG = re.compile(r"</?tool_call>")
_FOREIGN = re.compile(
    r"<(?:/?(?:thinking|thought|reasoning|reflection|image|video|audio)>|</?SYS>>|(?:start|end)_of_turn>"
    r"|\|(?:user|assistant|system|end|eot_id|eom_id|(?:start|end)_header_id)\|>"
    r"|\|(?:begin|end)_of_(?:text|thought|solution)\|>)"
)
"""What other models mark thoughts, turns and pictures with; the model's own tokens are looked for elsewhere.

From the chat templates of Llama 2 and 3, Gemma, Phi and Zephyr, and the data of OpenThoughts and LLaVA. A pattern that
could begin with a bracket, too, would take five times as long.
"""


def is_no_value(text: str) -> bool:
    """Return whether a text is what a program writes where there is nothing.

    >>> is_no_value("NaN"), is_no_value(" #N/A"), is_no_value("none of them")
    (True, True, False)
    """
    return len(text) < _LONGEST and text.strip().lower() in NO_VALUES


def note_odd(turns: Sequence[ChatMessage], tools: str, row: Row) -> None:
    """Note in `row` what is odd in its turns. Raises BadRow for a character that no text can have here."""
    texts = list(_texts_of(turns))
    whole = " ".join(texts)  # to look through once; a return at the end of a text stays alone
    if GUARD in whole:
        raise BadRow(Message("it holds U+FDD0, which Unicode says is no character: leave it out"))
    if "\ufffd" in whole:
        row.note(Reason.REPLACED)
    if _has_control(whole):
        row.note(Reason.CONTROL)
    if any(mark in whole for mark in ("[INST]", "[/INST]")) or _FOREIGN.search(whole):
        row.note(Reason.FOREIGN)
    if any(map(is_no_value, texts)) and all(reason is not Reason.NO_VALUE for reason, _, _ in row.notes):
        row.note(Reason.NO_VALUE)
    _note_tags(turns, tools, row)


def _has_control(text: str) -> bool:
    """Return whether a text holds control characters; a pattern would take ten times as long to say."""
    raw = text.encode("utf-8", "surrogatepass")
    has_return = "\r" in text and _LONE_RETURN.search(text) is not None
    return has_return or len(raw.translate(None, _CONTROLS)) != len(raw)


def _texts_of(turns: Sequence[ChatMessage]) -> Iterator[str]:
    for one in turns:
        yield one.content
        if one.reasoning:
            yield one.reasoning
        if one.tool_calls:
            yield one.tool_calls


def _note_tags(turns: Sequence[ChatMessage], tools: str, row: Row) -> None:
    """Note calls that stand in the text of a turn, as the template writes them, where no program could read them."""
    calls: list[object] = []
    is_odd = False
    for one in turns:
        if one.role == "assistant" and "tool_call>" in one.content:
            found = _calls_in(one.content)
            calls += found or []
            is_odd |= found is None
        elif one.role in {"tool", "user"} and "tool_response>" in one.content:
            is_odd |= one.content.count("<tool_response>") != one.content.count("</tool_response>")
    if is_odd:
        row.note(Reason.TAGS)
    is_noted = any(reason is Reason.STRANGE_CALL for reason, _, _ in row.notes)
    if calls and not is_noted and find_strangers(tools, [json.dumps(calls)]):
        row.note(Reason.STRANGE_CALL)


def _calls_in(text: str) -> list[object] | None:
    """Return the calls in the tags of a text; None if a tag is not closed, or no call is in it."""
    blocks, beside = split_blocks(text, "tool_call")
    if _CALL_TAG.search(beside):
        return None
    try:
        return [call for block in blocks for call in read_calls(block.strip(), "call")]
    except BadRow:
        return None
