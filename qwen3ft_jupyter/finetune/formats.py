"""Maps one row of training data to a conversation: the three formats people bring, and what they call the roles."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMATS = ("messages", "alpaca", "sharegpt")
"""Names of the formats, in the order in which they are looked for."""

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "chatgpt": "assistant", "qwen": "assistant",
    "tool": "tool", "observation": "tool", "tool_response": "tool", "function_response": "tool",
    "function_call": "function_call", "tool_call": "function_call",
}  # fmt: skip
"""Every role accepted, and the one it means."""

COLUMNS = {
    "instruction": ("instruction", "query", "prompt", "question"),
    "output": ("output", "response", "completion", "answer"),
}
"""What the two necessary alpaca columns are called elsewhere; "input", "system" and "history" have one name."""


TURNS = ("messages", "conversations", "conversation")
"""What the column of turns is called."""


class BadRow(ValueError):
    """A row that cannot be mapped; the message names the field and what is accepted."""


@dataclass(frozen=True, slots=True)
class Row:
    """An object in the data, a row or one of its turns: columns of anything, under names of the user's choice."""

    columns: Mapping[str, object]
    where: str = ""
    """Where it stands, for a person: "train.jsonl row 37"."""

    def get(self, name: str) -> object:
        """Return a column, None if it is not there."""
        return self.columns.get(name)

    def named(self, names: Iterable[str]) -> str | None:
        """Return the first of these columns that is there and not null, or None."""
        return next((name for name in names if self.columns.get(name) is not None), None)


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn. `reasoning` is the text between think tags; `tool_calls` is JSON, as the chat template takes it."""

    role: str
    content: str
    reasoning: str = ""
    tool_calls: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return what a chat template reads."""
        message: dict[str, object] = {"role": self.role, "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = json.loads(self.tool_calls)
        return message

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to learn."""
        return not self.content.strip() and not self.tool_calls


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns from one row; `where` names the file and the row. `tools` is JSON."""

    messages: tuple[ChatMessage, ...]
    where: str = ""
    tools: str = ""


def detect(rows: Sequence[Row]) -> str | None:
    """Return the format most of these rows are in, None if they are in none."""
    found = [detect_row(row) for row in rows]
    counts = {name: found.count(name) for name in FORMATS}
    best = max(FORMATS, key=lambda name: counts[name])
    return best if counts[best] else None


def detect_row(row: Row) -> str | None:
    """Return the format of one row by its columns."""
    turns = next((value for name in TURNS if (value := row.get(name))), None)
    if turns is not None:
        first = next((turn for turn in _list(turns) if isinstance(turn, dict)), {})
        return "sharegpt" if {"from", "value"} & set(first) else "messages"
    return "alpaca" if all(set(names) & set(row.columns) for names in COLUMNS.values()) else None


def to_conversation(row: Row, data_format: str) -> Conversation:
    """Return the row's conversation, trimmed so that it begins with a question and ends with an answer.

    The result has no messages if nothing is left to learn. Raises BadRow.
    """
    messages = {"messages": _from_messages, "sharegpt": _from_sharegpt, "alpaca": _from_alpaca}[data_format](row)
    tools = row.get("tools") or ""
    if tools and not isinstance(tools, str):
        tools = json.dumps(tools, ensure_ascii=False)
    return Conversation(trim(messages), row.where, str(tools))


def trim(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Drop what comes before the first question, and what comes after the last answer before an empty one."""
    kept = list(messages)
    system = kept[:1] if kept and kept[0].role == "system" else []
    asked = itertools.dropwhile(lambda one: one.role != "user", kept[len(system) :])
    rest = list(itertools.takewhile(lambda one: one.role != "assistant" or not one.is_empty, asked))
    while rest and rest[-1].role != "assistant":
        rest.pop()
    return tuple(system + rest) if rest else ()


def _from_messages(row: Row) -> list[ChatMessage]:
    return _turns(row, row.named(TURNS) or TURNS[0], role_key="role", text_key="content")


def _from_sharegpt(row: Row) -> list[ChatMessage]:
    name = row.named(("conversations", "conversation", "messages")) or "conversations"
    turns = _turns(row, name, role_key="from", text_key="value")
    system = row.get("system")
    if isinstance(system, str) and system.strip() and (not turns or turns[0].role != "system"):
        turns.insert(0, ChatMessage("system", system))
    return turns


def _turns(row: Row, name: str, *, role_key: str, text_key: str) -> list[ChatMessage]:
    turns = _list(row.get(name))
    if not turns:
        raise BadRow(Message("{name} is not a list of turns", name=name))
    messages = []
    for index, turn in enumerate(turns):
        here = f"{name}[{index}]"
        if not isinstance(turn, dict):
            raise BadRow(
                Message("{name} is not an object with {role!r} and {text!r}", name=here, role=role_key, text=text_key)
            )
        role = ROLES.get(str(turn.get(role_key)).strip().lower())
        if role is None:
            raise BadRow(
                Message(
                    "{name} {value} is not one of {names}",
                    name=f"{here}.{role_key}",
                    value=_short(turn.get(role_key)),
                    names=", ".join(ROLES),
                )
            )
        if role == "system" and index > 0:
            raise BadRow(Message("{name} is 'system', which can only be the first turn", name=f"{here}.{role_key}"))
        text = _content(turn.get(text_key), f"{here}.{text_key}", may_lack=bool(turn.get("tool_calls")))
        messages.append(_message(role, text, Row(turn)))
    return messages


def _message(role: str, text: str, turn: Row) -> ChatMessage:
    if role == "function_call":  # sharegpt writes the call as text; this is how Qwen3's template writes one
        return ChatMessage("assistant", f"<tool_call>\n{text.strip()}\n</tool_call>")
    if role != "assistant":
        return ChatMessage(role, text)
    reasoning = turn.get("reasoning_content") or turn.get("reasoning") or ""
    if not reasoning:
        reasoning, text = split_reasoning(text)
    calls = turn.get("tool_calls")
    return ChatMessage(role, text, str(reasoning).strip(), json.dumps(calls, ensure_ascii=False) if calls else "")


def split_reasoning(text: str) -> tuple[str, str]:
    r"""Return the text between leading think tags, and the answer after them.

    >>> split_reasoning("<think>\nhm\n</think>\n\nYes.")
    ('hm', 'Yes.')
    >>> split_reasoning("No tags.")
    ('', 'No tags.')
    """
    head, tag, answer = text.partition("</think>")
    if not tag or not head.lstrip().startswith("<think>"):
        return "", text
    return head.lstrip().removeprefix("<think>").strip(), answer.lstrip("\n")


def _from_alpaca(row: Row) -> list[ChatMessage]:
    instruction = _content(_column(row, "instruction"), "instruction")
    extra = _content(row.get("input"), "input", may_lack=True)
    output = _content(_column(row, "output"), "output", may_lack=True)
    messages = []
    system = _content(row.get("system"), "system", may_lack=True)
    if system.strip():
        messages.append(ChatMessage("system", system))
    for index, pair in enumerate(_list(row.get("history"))):
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise BadRow(Message("{name} is not a pair of question and answer", name=f"history[{index}]"))
        question, reply = (_content(text, f"history[{index}]") for text in pair)
        messages += [ChatMessage("user", question), _message("assistant", reply, Row({}))]
    question = "\n".join(part for part in (instruction, extra) if part.strip())
    if not question.strip():
        raise BadRow(Message("instruction is empty"))
    return [*messages, ChatMessage("user", question), _message("assistant", output, Row({}))]


def _column(row: Row, name: str) -> object:
    found = row.named(COLUMNS[name])
    return None if found is None else row.get(found)


def _content(value: object, name: str, *, may_lack: bool = False) -> str:
    if value is None and may_lack:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(map(_is_text_part, value)):
        return "".join(str(part.get("text", "")) for part in value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)  # a number that a spreadsheet wrote
    raise BadRow(Message("{name} {value} is not text", name=name, value=_short(value)))


def _is_text_part(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _list(value: object) -> list[object]:
    """Return a list; in a csv it is written as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return list(value) if isinstance(value, (list, tuple)) else []


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
