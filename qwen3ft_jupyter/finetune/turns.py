"""Maps the turns of a conversation to what a chat template reads, and keeps those that can be learned."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.finetune.rows import BadRow, Reason, Row, is_text_part, plain, short, text_of
from qwen3ft_jupyter.finetune.tools import read_calls, read_responses
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "chatgpt": "assistant", "qwen": "assistant",
    "tool": "tool", "observation": "tool", "tool_response": "tool", "function_response": "tool", "function": "tool",
    "function_call": "function_call", "tool_call": "function_call",
}  # fmt: skip
"""Every role accepted, and the one it means."""

ROLE_KEYS, TEXT_KEYS = ("role", "from"), ("content", "value", "text", "refusal")
"""What a turn calls who speaks, and what is said; OpenAI has an answer that declines in a field of its own."""

REASONING = (
    "reasoning_content", "reasoning", "think", "thinking", "thought", "thoughts", "cot", "complex_cot",
    "chain_of_thought", "rationale", "reasoning_trace", "思考", "推理", "思考过程", "推理过程",
)  # fmt: skip
"""What the thought before an answer is called."""

LEARN_KEYS = (
    "loss", "weight", "loss_weight", "loss_scale", "loss_mask", "learn", "train", "training", "trainable",
    "train_on_turn", "output_with_loss",
)  # fmt: skip
"""What says of a turn whether it is learned; of `SKIP_KEYS` the opposite."""

SKIP_KEYS = ("mask", "masked")

_MARKS = {**dict.fromkeys(LEARN_KEYS, True), **dict.fromkeys(SKIP_KEYS, False)}
"""What says of a whole row whether it is learned, and what it says then."""

PREFERENCE = (
    "chosen", "rejected", "chosen_response", "rejected_response", "chosen_messages", "rejected_messages",
    "rejected_output", "rejected_answer", "rejected_completion", "reject", "preferred", "dispreferred",
)  # fmt: skip
"""Columns of preference data."""

_CHOSEN = ("chosen", "chosen_response", "chosen_messages", "preferred")

MEDIA = (
    "image", "images", "video", "videos", "audio", "audios", "image_path", "image_url", "video_path", "audio_path",
    "pixel_values", "objects", "图片", "图像",
)  # fmt: skip
"""Columns of what a text model cannot read."""

_ASKS, _ANSWERS = ("human", "user", "input", "question", "query", "instruction", "prompt"), (
    "assistant", "gpt", "output", "answer", "response", "bot", "completion",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn. `reasoning` is the text between think tags; `tool_calls` is JSON, as the chat template takes it."""

    role: str
    content: str
    reasoning: str = ""
    tool_calls: str = ""
    is_learned: bool = True
    """Whether an assistant's turn is learned, or is there for those after it only."""

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


def read_turns(turns: Sequence[object], name: str, row: Row) -> list[ChatMessage]:
    """Return the turns in a column of that name; what is not read of them is noted in `row`. Raises BadRow."""
    messages: list[ChatMessage] = []
    for index, turn in enumerate(turns):
        here = f"{name}[{index}]"
        if not isinstance(turn, dict):
            raise BadRow(
                Message("{name} is not an object with role and content, but {value}", name=here, value=short(turn))
            )
        plain = _read_plain(turn)
        if plain is not None and (plain.role != "system" or not messages):
            messages.append(plain)
            continue
        one = Row(turn, row.where, row.notes, place=here)
        refuse_others(one, f"{here}.")
        read = _read_turn(one, here)
        if messages and any(message.role == "system" for message in read):
            raise BadRow(
                Message("{name} is 'system', which can only be the first turn", name=f"{here}.{_role_key(one)}")
            )
        one.note_rest(f"{name}[].")
        for message in read:
            _append(messages, message, here)
    return messages


def _read_plain(turn: dict[str, object]) -> ChatMessage | None:
    """Return a turn of a role and a text and nothing else; None for all others. Most are so: it halves the time."""
    if len(turn) != 2:
        return None
    role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if type(role) is not str or type(text) is not str or "think>" in text or not text or text.isspace():
        return None
    role = ROLES.get(role)
    return ChatMessage(role, text) if role in {"system", "user", "assistant"} else None


def _read_turn(turn: Row, here: str) -> list[ChatMessage]:
    given = turn.take_one(ROLE_KEYS)
    if given is None:
        return _read_pair(turn, here)
    role = ROLES.get(str(given[1]).strip().lower())
    if role is None:
        raise _wrong_role(f"{here}.{given[0]}", given[1])
    is_learned = _is_learned(turn, here, may_be=role in {"assistant", "function_call"})
    if role == "function_call":
        name, value = _said(turn, here)
        calls, thought = _dump(read_calls(value, name)), _bare(_thought(turn, here), name)
        return [ChatMessage("assistant", "", thought, calls, is_learned=is_learned)]
    if role == "assistant":
        return [replace(_assistant(turn, here), is_learned=is_learned)]
    _refuse_misplaced(turn, here)
    name, value = _said(turn, here)
    if role == "tool":
        is_data = isinstance(value, dict) or (isinstance(value, list) and not all(map(is_text_part, value)))
        text = _dump(value) if is_data else text_of(value, name, may_lack=True)
        return [ChatMessage(role, one) for one in read_responses(text)]
    return [ChatMessage(role, text_of(value, name))]


def _wrong_role(name: str, value: object) -> BadRow:
    return BadRow(
        Message("{name} {value} is not one of {names}", name=name, value=short(value), names=", ".join(ROLES))
    )


def _said(turn: Row, here: str) -> tuple[str, object]:
    found = turn.take_one(TEXT_KEYS)
    if found is not None:
        return f"{here}.{found[0]}", found[1]
    name = next((one for one in TEXT_KEYS if one in turn.columns), TEXT_KEYS[0])
    return f"{here}.{name}", turn.raw(name)


def _assistant(turn: Row, here: str) -> ChatMessage:
    given = _thought(turn, here)
    calls = turn.take_one(("tool_calls",))
    old = turn.take_one(("function_call",))  # what OpenAI had before tool_calls
    if calls and old:
        raise BadRow(Message("{name} has both tool_calls and function_call", name=here))
    called = _called(calls or old, here)
    name, value = _said(turn, here)
    return make_answer(text_of(value, name, may_lack=bool(called or given)), given, name, called)


def _thought(turn: Row, here: str) -> str:
    found = turn.take_one(REASONING)
    return text_of(found[1], f"{here}.{found[0]}") if found else ""


def _called(given: tuple[str, object] | None, here: str) -> list[dict[str, Any]]:
    is_none = given is None or (isinstance(given[1], str) and given[1].strip() in {"[]", "null"})  # in a csv
    return read_calls(given[1], f"{here}.{given[0]}") if given and not is_none else []


def make_answer(text: str, reasoning: str, name: str, calls: list[dict[str, Any]] | None = None) -> ChatMessage:
    """Return an assistant's turn; a thought may stand in tags before the answer, or apart. Raises BadRow."""
    within, text = split_reasoning(text, name)
    apart = _bare(reasoning, name)
    if within and apart and within != apart:
        raise BadRow(Message("{name} has a thought in think tags, and another one stands beside it", name=name))
    return ChatMessage("assistant", text, apart or within, _dump(calls) if calls else "")


def split_reasoning(text: str, name: str = "") -> tuple[str, str]:
    r"""Return the text between leading think tags, and the answer after them. Raises BadRow for tags elsewhere.

    What R1 and Thinking-2507 write begins inside the tags.

    >>> split_reasoning("<think>\nhm\n</think>\n\nYes.")
    ('hm', 'Yes.')
    >>> split_reasoning("hm\n</think>\n\nYes.")
    ('hm', 'Yes.')
    >>> split_reasoning("No tags.")
    ('', 'No tags.')
    """
    if "<think>" not in text and "</think>" not in text:
        return "", text
    head, _, answer = text.partition("</think>")
    begun = head.lstrip()
    is_opened = begun.startswith("<think>")
    thought = begun.removeprefix("<think>") if is_opened else begun
    own_line = is_opened or head.endswith("\n") or answer.startswith("\n") or not head.strip()
    if text.count("</think>") != 1 or "<think>" in thought or "<think>" in answer or not own_line:
        raise BadRow(Message("{name} has think tags that are not around what comes before the answer", name=name))
    return thought.strip(), answer.lstrip("\n")


def _bare(reasoning: str, name: str) -> str:
    """Return a thought without the tags that some data has around it."""
    text = reasoning.strip().removeprefix("<think>").removesuffix("</think>").strip()
    if "<think>" in text or "</think>" in text:
        raise BadRow(Message("{name}: the thought beside it has think tags inside", name=name))
    return text


def is_row_learned(row: Row) -> bool:
    """Return whether a row is to be learned: some data marks whole rows, as it marks turns."""
    for name in row.names.keys() & _MARKS.keys():
        said = _read_mark(row.get(name))
        if said is not None:
            row.used.add(name)
            if said is not _MARKS[name]:
                return False
    return True


def _is_learned(turn: Row, here: str, *, may_be: bool) -> bool:
    found = [(name, _truth(value, f"{here}.{name}")) for name, value in turn.take(LEARN_KEYS)]
    found += [(name, not _truth(value, f"{here}.{name}")) for name, value in turn.take(SKIP_KEYS)]
    if len({is_on for _, is_on in found}) > 1:
        raise BadRow(
            Message("{name}: {names} contradict each other", name=here, names=", ".join(name for name, _ in found))
        )
    is_on = all(is_on for _, is_on in found)
    if found and not may_be and is_on:
        turn.note(Reason.NOT_OURS)
    return is_on


def _truth(value: object, name: str) -> bool:
    said = _read_mark(value)
    if said is None:
        raise BadRow(Message("{name} is neither true nor false, 1 nor 0: shares of a loss are not known", name=name))
    return said


def _read_mark(value: object) -> bool | None:
    """Return what a mark says, None if it is none; in a csv it is text."""
    if isinstance(value, str):
        value = {"true": True, "false": False, "1": 1, "0": 0, "1.0": 1, "0.0": 0}.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int, float)) and value in (0, 1) else None


def _refuse_misplaced(turn: Row, here: str) -> None:
    for name, _ in turn.take(("tool_calls", "function_call", *REASONING)):
        raise BadRow(Message("{name}: only an assistant's turn has it", name=f"{here}.{name}"))
    for name, _ in turn.take(("tools", "functions")):
        raise BadRow(Message("{name}: tools are a column of the row, not of a turn", name=f"{here}.{name}"))


def refuse_media(row: Row, prefix: str = "") -> None:
    """Raise BadRow where a row or turn has what no text model can read."""
    if row.has(MEDIA):
        names = ", ".join(prefix + name for name, _ in row.take(MEDIA))
        raise BadRow(Message("{names}: pictures, sound and video cannot be learned by a text model", names=names))


def refuse_others(row: Row, prefix: str = "") -> None:
    """Raise BadRow where a row or turn has what is no text to learn from: pictures, or answers to choose from."""
    refuse_media(row, prefix)
    if row.has(PREFERENCE):
        names = ", ".join(prefix + name for name, _ in row.take(PREFERENCE))
        raise BadRow(
            Message(
                "{names}: preference data; objective: dpo and orpo learn from both answers. To learn the good ones "
                "alone, name their column in columns, for example columns: {{{example}}}",
                names=names,
                example=_columns_of_the_good(row),
            )
        )


def _columns_of_the_good(row: Row) -> str:
    """Return what to write in columns for the good answers of a row of preference data."""
    chosen = next((row.names[key] for key in _CHOSEN if key in row.names), None)
    turns = next((row.names[key] for key in ("messages", "conversations", "conversation") if key in row.names), None)
    if chosen is None:
        return f"messages: {turns}" if turns else "question: prompt, answer: completion"
    value = row.columns[chosen]
    is_whole = says_who_speaks(value) and _speaker(value[0]) != "assistant"  # type: ignore[index]  # a list of turns
    return f"messages: {chosen}" if is_whole else f"question: prompt, answer: {chosen}"


def says_who_speaks(value: object) -> bool:
    """Return whether a cell is a list of turns, each with a role."""
    return isinstance(value, list) and bool(value) and _speaker(value[0]) is not None


def _speaker(turn: object) -> str | None:
    """Return the role of a turn, None if it is no turn or has none that is known."""
    return ROLES.get(str(turn.get("role", turn.get("from"))).lower()) if isinstance(turn, dict) else None


def _role_key(turn: Row) -> str:
    return next((turn.names[key] for key in ROLE_KEYS if key in turn.names), "system")


def _read_pair(turn: Row, here: str) -> list[ChatMessage]:
    """Return the two turns of an object that holds a question and its answer, as ms-swift and XTuner have them."""
    ask, reply = turn.take_one(_ASKS), turn.take_one(_ANSWERS)
    role = next((key for key in turn.columns if plain(key) in ROLE_KEYS), None)
    if role is not None:
        raise _wrong_role(f"{here}.{role}", turn.columns[role])
    if ask is None or reply is None:
        raise BadRow(
            Message(
                "{name} is not a turn: it has no role and content, nor from and value; its keys are {names}",
                name=here,
                names=", ".join(map(str, turn.columns)) or "–",
            )
        )
    system, given = turn.take_one(("system",)), _thought(turn, here)
    messages = [ChatMessage("system", text_of(system[1], f"{here}.{system[0]}"))] if system else []
    name = f"{here}.{reply[0]}"
    question = ChatMessage("user", text_of(ask[1], f"{here}.{ask[0]}"))
    answer = make_answer(text_of(reply[1], name), given, name)
    return [*messages, question, replace(answer, is_learned=_is_learned(turn, here, may_be=True))]


def _append(messages: list[ChatMessage], message: ChatMessage, here: str) -> None:
    """Add a turn; a call joins what the assistant said just before it, as the template writes it: in one turn."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant" or not _is_bare_call(message):
        messages.append(message)
        return
    if last.is_learned != message.is_learned:
        raise BadRow(Message("{name}: one part of this turn is to be learned, the other is not", name=here))
    calls = [*json.loads(last.tool_calls or "[]"), *json.loads(message.tool_calls)]
    messages[-1] = replace(last, tool_calls=_dump(calls))


def _is_bare_call(message: ChatMessage) -> bool:
    return message.role == "assistant" and bool(message.tool_calls) and not (message.content or message.reasoning)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
