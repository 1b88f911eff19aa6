"""Maps a row of preference data to a conversation with two last answers: the chosen one, and the one rejected for it.

Understood are: `prompt`, `chosen`, `rejected` as texts or lists of turns; `chosen` and `rejected` as whole
conversations, prompt included; a question as in any table, or turns, with `chosen` and `rejected` beside them
(LLaMA-Factory); turns that end with the chosen answer, or a question and an answer, beside `rejected_response`
(ms-swift).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.formats import (
    PARTS,
    Columns,
    Conversation,
    Mapper,
    are_turns,
    as_context,
    map_plain,
    refuse_size,
)
from qwen3ft_jupyter.finetune.rows import BadRow, Reason, Row, list_of, text_of
from qwen3ft_jupyter.finetune.tools import find_strangers, read_tools
from qwen3ft_jupyter.finetune.trim import trim
from qwen3ft_jupyter.finetune.turns import ChatMessage, is_row_learned, make_answer, read_turns, refuse_media
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIR_PARTS: Columns = {
    **PARTS,
    "chosen": ("chosen", "chosen_response", "chosen_messages", "preferred"),
    "rejected": (
        "rejected", "rejected_response", "rejected_messages", "rejected_output", "rejected_answer",
        "rejected_completion", "reject", "dispreferred",
    ),
}  # fmt: skip


class PairMapper(Mapper):
    """Maps rows to conversations with two last answers."""

    parts = PAIR_PARTS
    needs = Message("Each row needs a question, a chosen and a rejected answer.")
    accepted = Message(
        "Accepted: prompt, chosen, rejected; chosen and rejected as whole conversations; messages or a question and "
        "its answer, with rejected_response. Or name yours, for example columns: {{question: {one}, chosen: {other}, "
        "rejected: …}}"
    )

    def detect(self, row: Row) -> str | None:
        """Return the format of a row by its columns, None if it is in none."""
        if not any(name in map_plain(row) for name in self.columns["rejected"]):
            return None
        for part in ("messages", "chosen"):
            found = next((row.get(name) for name in self.columns[part] if name in row.names), None)
            if isinstance(found, (list, tuple, dict)):
                first = found if isinstance(found, dict) else found[0]
                return "messages" if isinstance(first, dict) and "role" in first else "sharegpt"
        return "alpaca"

    def map(self, row: Row, _data_format: str, /) -> Conversation:
        """Return the row's conversation, which ends with the chosen answer; it has no messages if it teaches nothing.

        Raises BadRow.
        """
        if not self.is_told:
            refuse_media(row)
        chosen, rejected = self._answers(row)
        tools = row.take_one(self.columns["tools"])
        said = read_tools(tools[1], tools[0]) if tools else ""
        refuse_size([*chosen, *rejected])
        if not self.is_told:
            self.refuse_unused(row)
        is_learned = self.is_told or is_row_learned(row)
        row.note_rest()
        if reason := _why_not(chosen, rejected) if is_learned else Reason.ROW_CONTEXT:
            row.note(reason)
            return Conversation((), row.where, said)
        *before, answer = chosen
        if before != rejected[:-1]:
            raise BadRow(
                Message(
                    "the chosen and the rejected conversation differ before their last answers: write what both have "
                    "in common as the prompt, and one answer in either"
                )
            )
        if find_strangers(said, (one.tool_calls for one in (*chosen, rejected[-1]))):
            row.note(Reason.STRANGE_CALL)
        messages = trim([replace(one, is_learned=True) for one in (*before, answer)], row)
        context = tuple(map(as_context, messages[:-1]))
        return Conversation((*context, *messages[-1:]), row.where, said, replace(rejected[-1], is_learned=True))

    def _answers(self, row: Row) -> tuple[list[ChatMessage], list[ChatMessage]]:
        """Return two conversations."""
        chosen, rejected = self._turns_in(row, "chosen"), self._turns_in(row, "rejected")
        before = self._before(row)
        if not chosen:  # it ends the turns, or stands in a column of its own
            chosen = before
            before = before[:-1]
        elif _opens(chosen) and all(any(_is_same(one, other) for other in chosen) for one in before):
            before = []  # what stands beside whole conversations is said in them
        return _joined(before, chosen), _joined(before, rejected)

    def _turns_in(self, row: Row, part: str) -> list[ChatMessage]:
        """Return what a column of an answer holds: the answer alone, or turns."""
        found = row.take_one(self.columns[part])
        if found is None:
            return []
        name, value = found
        if isinstance(value, Mapping):
            return read_turns([value], name, row)
        if isinstance(value, tuple) or are_turns(value):
            return read_turns(list_of(value, name), name, row)
        return [make_answer(text_of(value, name), "", name)]

    def _before(self, row: Row) -> list[ChatMessage]:
        """Return the turns beside the answers; with the chosen one at their end where no column says it."""
        if row.has(self.columns["messages"]):
            return self.turns(row)
        if self.has_prompt_of_turns(row):
            return self.prompt(row)
        asked = self.asked(row)
        is_answered = row.has(self.columns["answer"]) and not row.has(self.columns["chosen"])
        return [*asked, self.reply(row)] if is_answered else asked


def _why_not(chosen: Sequence[ChatMessage], rejected: Sequence[ChatMessage]) -> Reason | None:
    """Return why nothing can be learned from a row; None if something can."""
    if not chosen and not rejected:
        return Reason.ROW_EMPTY
    ends = [turns[-1] for turns in (chosen, rejected) if turns]
    if len(ends) < 2 or any(one.role != "assistant" for one in ends):
        return Reason.ROW_NO_PAIR
    if any(one.is_empty for one in ends):
        return Reason.ROW_EMPTY_ANSWER
    return Reason.ROW_SAME if _is_same(*ends) and len(chosen) == len(rejected) else None


def _joined(before: list[ChatMessage], turns: list[ChatMessage]) -> list[ChatMessage]:
    """Return the turns behind those before, unless they are a whole conversation. Raises BadRow if those differ."""
    if not turns or not _opens(turns):
        return [*before, *turns] if turns else []
    if all(any(_is_same(one, other) for other in turns) for one in before):
        return turns
    raise BadRow(Message("what stands beside whole conversations is not said in them, and would be lost"))


def _opens(turns: Sequence[ChatMessage]) -> bool:
    """Return whether these turns begin a conversation, instead of going on with one."""
    return bool(turns) and turns[0].role != "assistant"


def _is_same(one: ChatMessage, other: ChatMessage) -> bool:
    return replace(one, content=one.content.strip(), is_learned=True) == replace(
        other, content=other.content.strip(), is_learned=True
    )
