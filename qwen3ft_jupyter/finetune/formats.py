"""Maps one row of training data to a conversation: the formats people bring, and what they call their columns."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from qwen3ft_jupyter.finetune.odd import is_no_value
from qwen3ft_jupyter.finetune.rows import BadRow, Reason, Row, list_of, plain, short, text_of
from qwen3ft_jupyter.finetune.tools import find_strangers, read_tools
from qwen3ft_jupyter.finetune.trim import trim
from qwen3ft_jupyter.finetune.turns import (
    REASONING,
    ROLE_KEYS,
    ROLES,
    TEXT_KEYS,
    ChatMessage,
    is_row_learned,
    make_answer,
    read_turns,
    refuse_others,
    says_who_speaks,
)
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Self

FORMATS = ("messages", "alpaca", "sharegpt")
"""Names of the formats, in the order in which they are looked for."""

Columns = Mapping[str, tuple[str, ...]]
"""The plain names of the columns of each part."""

PARTS: Columns = {
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "对话"),
    "instruction": ("instruction", "指令"),
    "question": ("question", "query", "prompt", "problem", "user", "human", "问题", "提问"),
    "input": ("input", "context", "passage", "document", "background", "输入", "上下文", "背景"),
    "answer": (
        "output", "response", "completion", "answer", "assistant", "gpt", "solution", "target", "reply", "content",
        "输出", "回答", "答案", "回复",
    ),
    "reasoning": REASONING,
    "system": ("system", "system_prompt", "system_message", "sys_prompt", "系统", "系统提示"),
    "history": ("history", "历史"),
    "tools": ("tools", "functions"),
}  # fmt: skip
"""What the parts of a conversation are called in the data of other tools."""

USUAL = frozenset({"messages", "conversations", "instruction", "input", "output", "system", "history", "tools"})
"""Columns that mean to everyone what they mean here; where others are read, a person is shown how."""

MOST_CHARACTERS = 10_000_000
"""Of a row; some forty times what fits the longest context."""

SAID = ("instruction", "question", "input", "answer", "reasoning")
"""Parts that a row of turns has no use for: what stands there would be lost."""


def likely_columns(columns: Sequence[str], parts: Columns) -> tuple[str, str]:
    """Return which columns most likely hold question and answer: called so, else called like nothing known.

    >>> likely_columns(["context", "question", "answers"], PARTS), likely_columns(["Q", "A"], PARTS)
    (('question', 'answers'), ('Q', 'A'))
    """
    known = {name: part for part, names in parts.items() for name in names}
    found: list[str] = []
    for wanted in ({"question", "instruction"}, {"answer"}):
        left = [name for name in columns if name not in found]
        named = [name for name in left if known.get(name.lower()) in wanted]
        found += [*named, *(name for name in left if name.lower() not in known), *left, "…"][:1]
    return found[0], found[1]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns from one row; `where` names the file and the row. `tools` is JSON."""

    messages: tuple[ChatMessage, ...]
    where: str = ""
    tools: str = ""
    rejected: ChatMessage | None = None
    """The answer that the last one is preferred to; only preference data has it."""

    @property
    def sequences(self) -> tuple[tuple[ChatMessage, ...], ...]:
        """Return the turns, once for each answer that they end with."""
        return (self.messages, *([(*self.messages[:-1], self.rejected)] if self.rejected else []))


@dataclass(frozen=True)
class Mapper:
    """Maps rows to conversations."""

    parts: ClassVar[Columns] = PARTS
    """What the columns are called if nobody says it."""
    needs: ClassVar[str] = Message("Each row needs a user's turn followed by an assistant's.")
    """What a row needs to be learned from."""
    accepted: ClassVar[str] = Message(
        "Accepted: messages; conversations (from, value); instruction, input, output, system, history, reasoning. "
        "Or name yours, for example columns: {{question: {one}, answer: {other}}}"
    )
    """The columns that are understood; `one` and `other` are two of the file's."""

    columns: Columns = field(default_factory=lambda: PARTS)
    is_told: bool = False
    """Whether the user named the columns: then those alone are learned, and the others are only counted."""

    @classmethod
    def of(cls, named: Mapping[str, tuple[str, ...]]) -> Self:
        """Return the mapper for the columns that a config names; for our own names if it names none."""
        if not named:
            return cls(cls.parts)
        told = {part: tuple(map(plain, named.get(part, ()))) for part in cls.parts}
        return cls(told, is_told=True)

    def detect(self, row: Row) -> str | None:
        """Return the format of a row by its columns, None if it is in none."""
        for name in self.columns["messages"]:
            if name in row.names:
                turns = row.columns[row.names[name]]
                text = turns if isinstance(turns, str) else ""
                first = turns[0] if isinstance(turns, (list, tuple)) and turns else None
                is_sharegpt = '"from"' in text or (isinstance(first, dict) and "role" not in first)
                return "sharegpt" if is_sharegpt else "messages"
        asks = any(row.has(self.columns[part]) for part in ("instruction", "question", "input"))
        if not asks or not self.columns["answer"]:
            return None
        has_answer = any(name in map_plain(row) for name in self.columns["answer"])
        return "alpaca" if has_answer else None

    def columns_of(self, rows: Sequence[Row]) -> list[str]:
        """Return which column is taken for what, such as "answer = Response", where a name is not one of `USUAL`."""
        found = {
            name: part for row in rows for part, names in self.columns.items() for name in names if name in row.used
        }
        own = {key: name for row in rows for key, name in row.names.items()}
        if all(name in USUAL or name == part for name, part in found.items()):
            return []
        return [f"{part} = {own[name]}" for name, part in found.items() if name in own]

    def map(self, row: Row, data_format: str, /) -> Conversation:
        """Return the row's conversation: it begins with a question and ends with an answer.

        It has no messages if nothing is left to learn; what is left out is noted in the row. Raises BadRow.
        """
        if not self.is_told:
            refuse_others(row)
            _refuse_verdict(row)
        messages = self._table(row) if data_format == "alpaca" else self.turns(row)
        refuse_size(messages)
        tools = row.take_one(self.columns["tools"])
        said = read_tools(tools[1], tools[0]) if tools else ""
        if find_strangers(said, (one.tool_calls for one in messages)):
            row.note(Reason.STRANGE_CALL)
        if not self.is_told:
            self.refuse_unused(row)
        is_learned = self.is_told or is_row_learned(row)
        row.note_rest()
        if not is_learned:
            row.note(Reason.ROW_CONTEXT)
        return Conversation(trim(messages, row) if is_learned else (), row.where, said)

    def turns(self, row: Row) -> list[ChatMessage]:
        """Return the turns in a column of turns, behind the system message of another. Raises BadRow."""
        found = row.take_one(self.columns["messages"])
        if found is None and not map_plain(row) & {*self.columns["messages"]}:
            raise BadRow(
                Message(
                    "it has no {name}; its columns are {names}",
                    name=self.columns["messages"][0],
                    names=", ".join(map(str, row.columns)) or "–",
                )
            )
        name, value = found or (self.columns["messages"][0], [])
        if not isinstance(value, (list, tuple)) and not (isinstance(value, str) and value.lstrip().startswith("[")):
            raise BadRow(Message("{name} is not a list of turns", name=name))
        return self.with_system(row, read_turns(list_of(value, name), name, row))

    def with_system(self, row: Row, messages: list[ChatMessage]) -> list[ChatMessage]:
        """Return turns behind the system message of another column. Raises BadRow if they begin with another one."""
        system = self.text(row, "system")
        if not system:
            return messages
        if messages and messages[0].role == "system":
            first = messages.pop(0).content.strip()
            if first and first != system.strip():
                raise BadRow(Message("the system message stands twice, as a column and as the first turn"))
        return [ChatMessage("system", system), *messages]

    def _table(self, row: Row) -> list[ChatMessage]:
        if self.has_prompt_of_turns(row):
            return self._prompt_and_completion(row)
        asked = self.asked(row)
        answer = next((row.get(name) for name in self.columns["answer"] if name in row.names), None)
        if says_who_speaks(answer):
            return [*asked, *self._replies(row)]
        is_asked = bool(asked) and asked[-1].role == "user"
        return [*asked, self.reply(row)] if is_asked or row.has(self.columns["answer"]) else []

    def asked(self, row: Row) -> list[ChatMessage]:
        """Return the turns that the columns of a question say, with those before it."""
        system, history = self.text(row, "system"), row.take_one(self.columns["history"])
        messages = [ChatMessage("system", system)] if system else []
        messages += _history(history[1], history[0]) if history else []
        question = self._question(row)
        return [*messages, *([ChatMessage("user", question)] if question else [])]

    def reply(self, row: Row) -> ChatMessage:
        """Return the turn that the columns of an answer say; an empty one if they hold nothing."""
        name, value = row.take_one(self.columns["answer"]) or (self.columns["answer"][0], "")
        return make_answer(text_of(value, name), self.text(row, "reasoning"), name)

    def _replies(self, row: Row) -> list[ChatMessage]:
        """Return the turns in a column of an answer. Raises BadRow for a whole conversation."""
        name, value = row.take(self.columns["answer"])[0]
        replies = read_turns(list_of(value, name), name, row)
        if replies and replies[0].role != "assistant":
            words = Message("{name} is a whole conversation: name it so, columns: {{messages: {name}}}", name=name)
            raise BadRow(words)
        return replies

    def _question(self, row: Row) -> str:
        """Return instruction, question and input in one; what another of them contains is not said twice."""
        parts: list[str] = []
        for part in ("instruction", "question", "input"):
            names = self.columns[part]
            found = row.take(names) if self.is_told else [one for one in [row.take_one(names)] if one]
            for name, value in found:
                text = text_of(value, name)
                if not any(f"\n{text.strip()}\n" in f"\n{other.strip()}\n" for other in parts):
                    parts.append(text)
        if len(parts) > 1 and any(map(is_no_value, parts)):
            row.note(Reason.NO_VALUE)
        return "\n".join(parts)

    def has_prompt_of_turns(self, row: Row) -> bool:
        """Return whether the column prompt holds turns, and is to be learned behind."""
        return "prompt" in self.columns["question"] and are_turns(row.get("prompt"))

    def prompt(self, row: Row) -> list[ChatMessage]:
        """Return the turns in a column prompt, behind the system message of another."""
        name, value = row.take(("prompt",))[0]
        return self.with_system(row, read_turns(list_of(value, name), name, row))

    def _prompt_and_completion(self, row: Row) -> list[ChatMessage]:
        """Return the turns of TRL's prompt and completion: only the completion is learned."""
        context = [as_context(one) for one in self.prompt(row)]
        answer = row.take_one(self.columns["answer"])
        if answer is None:
            return context
        if not are_turns(answer[1]):
            raise BadRow(
                Message("{name} is a list of turns, so the answer beside it has to be one", name=row.names["prompt"])
            )
        return [*context, *read_turns(list_of(answer[1], answer[0]), answer[0], row)]

    def text(self, row: Row, part: str) -> str:
        """Return what the column of a part says, "" if there is none."""
        found = row.take_one(self.columns[part])
        return text_of(found[1], found[0]) if found else ""

    def refuse_unused(self, row: Row) -> None:
        """Raise BadRow for a column that means something, and was not read because the row has turns."""
        for part in SAID:
            for key in self.columns[part]:
                if key in row.names and key not in row.used and not _is_said(row, key):
                    raise BadRow(
                        Message(
                            "{name} stands beside the turns and would be lost: put it into them, or name what is to be "
                            "learned, for example columns: {{messages: {turns}}}",
                            name=row.names[key],
                            turns=next((row.names[one] for one in PARTS["messages"] if one in row.names), "messages"),
                        )
                    )


_TURNS = re.compile(r"""\s*\[\s*\{\s*["'](?:role|from|content|value)["']\s*:""")
_ROLE = re.compile(rf"""["'](?:role|from)["']\s*:\s*["'](?:{"|".join(ROLES)})["']""")


def are_turns(value: object) -> bool:
    """Return whether a cell holds turns: a list, or the text of one, as a csv has it.

    A text that begins with JSON of another kind, or goes on behind it, is none. One that was cut off is; it is refused.
    """
    if not isinstance(value, str) or not _TURNS.match(value):
        return isinstance(value, list)
    try:
        found, end = json.JSONDecoder().raw_decode(value, value.index("["))
    except (ValueError, RecursionError):
        return _ROLE.search(value) is not None
    return not value[end:].strip(" \r\n\t,;]}") and any(map(_is_turn, found))


def _is_turn(value: object) -> bool:
    """Return whether this is an object that says who speaks; of a role that is not known, what it says as well."""
    is_like_one = isinstance(value, dict) and not any(value.keys().isdisjoint(keys) for keys in (ROLE_KEYS, TEXT_KEYS))
    return is_like_one or says_who_speaks([value])


def map_plain(row: Row) -> set[str]:
    """Return the plain names of all columns of a row, also of those that hold nothing."""
    return _plain_names(tuple(row.columns))


@functools.lru_cache(maxsize=256)
def _plain_names(names: tuple[str, ...]) -> set[str]:
    return set(map(plain, names))


def _is_said(row: Row, key: str) -> bool:
    """Return whether a column only repeats a turn, as UltraChat's prompt does."""
    value = row.columns[row.names[key]]
    turns = [turn for name in row.used if name in row.names for turn in _turns_in(row.columns[row.names[name]])]
    is_repeated = isinstance(value, str) and any(
        isinstance(text, str) and text.strip() == value.strip() for turn in turns for text in turn.values()
    )
    row.used |= {key} if is_repeated else set()
    return is_repeated


def _turns_in(value: object) -> list[dict[str, object]]:
    return [turn for turn in value if isinstance(turn, dict)] if isinstance(value, (list, tuple)) else []


def as_context(message: ChatMessage) -> ChatMessage:
    """Return a turn that others are learned behind."""
    return replace(message, is_learned=False) if message.role == "assistant" else message


VERDICTS = ("label", "is_good", "is_chosen", "desirable", "accepted", "preference", "kto_label", "kto_tag")
_VERDICT = frozenset({"true", "false", "0", "1", "good", "bad", "desirable", "undesirable", "chosen", "rejected"})


def _refuse_verdict(row: Row) -> None:
    """Raise BadRow for a row that says whether its answer is a good one."""
    for key in VERDICTS:
        value = row.get(key)
        if isinstance(value, (str, bool, int)) and str(value).strip().lower() in _VERDICT:
            raise BadRow(
                Message(
                    "{name} {value} says whether the answer is a good one: such rows cannot be learned from, pairs of "
                    "a chosen and a rejected one can. If it says something else, name what is to be learned in columns",
                    name=row.names[key],
                    value=short(value),
                )
            )


def refuse_size(messages: Iterable[ChatMessage]) -> None:
    """Raise BadRow for a row that is no conversation: a template would run out of memory."""
    size = sum(len(one.content) + len(one.reasoning) + len(one.tool_calls) for one in messages)
    if size > MOST_CHARACTERS:
        raise BadRow(
            Message("{size:,} characters; a conversation has at most {most:,}", size=size, most=MOST_CHARACTERS)
        )


def _history(value: object, name: str) -> list[ChatMessage]:
    messages = []
    for index, pair in enumerate(list_of(value, name)):
        here = f"{name}[{index}]"
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise BadRow(Message("{name} is not a pair of question and answer", name=here))
        question, reply = (text_of(text, here) for text in pair)
        messages += [ChatMessage("user", question), make_answer(reply, "", here)]
    return messages
