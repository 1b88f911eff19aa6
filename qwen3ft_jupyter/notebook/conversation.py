"""A conversation with a model, of which a question may be answered twice: with the adapter and without. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.finetune.chat import without_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BASE: Final = "base"
TUNED: Final = "tuned"
SIDES: Final = (BASE, TUNED)

OPTIONS: Final = ("max_new_tokens", "thinking", "temperature", "top_p", "top_k", "seed")
"""What a page may choose of `AnswerOptions`."""


@dataclass(slots=True)
class Reply:
    """One answer, as far as it is written."""

    text: str = ""
    """The reasoning, too, in its tags."""
    tokens: int = 0
    seconds: float = 0.0
    end: str = ""
    """How it ended: "complete", "length", "stopped" or "failed"; empty while it is written."""
    error: dict[str, str] | None = None
    """What it failed with, as a face shows it."""


@dataclass(slots=True)
class Turn:
    """A question and its answers by side."""

    question: str
    replies: dict[str, Reply] = field(default_factory=dict)
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    """How it was asked: fields of `AnswerOptions`, the seed that chance began with among them."""

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold of it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Turn:
        """Rebuild from `to_dict`; a page may send anything, and what is no text or number counts for nothing."""
        replies, options = ({**one} if isinstance(one, dict) else {} for one in map(data.get, ("replies", "options")))
        known = {side: _reply(replies[side]) for side in SIDES if isinstance(replies.get(side), dict)}
        usable = {name: options[name] for name in OPTIONS if isinstance(options.get(name), (int, float))}
        return cls(str(data.get("question", "")), known, str(data.get("system", "")), usable)


def messages_for(turns: Sequence[Turn], side: str) -> list[dict[str, str]]:
    """Return what the model is given for the last turn: each side goes on with its own earlier answers.

    A turn that only the other side has answered counts with that answer; one that nobody has is left out.

    >>> said = {"base": Reply("Hello."), "tuned": Reply("<think>hm</think>Meow.")}
    >>> turns = [Turn("Hi", said), Turn("Why?", system="Be brief.")]
    >>> [one["content"] for one in messages_for(turns, "tuned")]
    ['Be brief.', 'Hi', 'Meow.', 'Why?']
    """
    system = turns[-1].system.strip()
    messages = [{"role": "system", "content": system}] if system else []
    for turn in turns[:-1]:
        own, *others = (turn.replies.get(one) for one in (side, *SIDES))
        found = next((one for one in (own, *others) if one is not None and one.text.strip()), None)
        if found is not None:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": without_thinking(found.text)})
    return [*messages, {"role": "user", "content": turns[-1].question}]


@dataclass(frozen=True, slots=True)
class Source:
    """What was loaded, as it is named in code."""

    name: str
    """A model, or the result of a fine-tune."""
    adapter: str = ""
    """A folder with an adapter that is no result of ours."""
    has_adapter: bool = False


def write_code(source: Source, turns: Sequence[Turn]) -> str:
    """Return code that asks what the last turn has asked, and gets the same answers.

    >>> print(write_code(Source("Qwen/Qwen3-0.6B"), [Turn("Hi", {"base": Reply("Hello.")}, "", {"temperature": 0.0})]))
    from qwen3ft_jupyter import get_model_manager
    <BLANKLINE>
    manager = get_model_manager()
    options = {'temperature': 0.0}
    messages = [
        {'role': 'user', 'content': 'Hi'},
    ]
    print(manager.chat('Qwen/Qwen3-0.6B', messages, **options))
    """
    sides = tuple(side for side in SIDES if side in turns[-1].replies) or (TUNED,)
    talks = {side: messages_for(turns, side) for side in sides}
    are_same = len({repr(talk) for talk in talks.values()}) == 1
    lines = [*_load_lines(source), f"options = {turns[-1].options!r}"]
    for index, side in enumerate(sides):
        if not (are_same and index):
            lines += ["messages = [", *(f"    {message!r}," for message in talks[side]), "]"]
        lines.append(_ask_line(source, side))
    return "\n".join(lines)


def _load_lines(source: Source) -> list[str]:
    lines = ["from qwen3ft_jupyter import get_model_manager", "", "manager = get_model_manager()"]
    if source.adapter:
        lines.insert(1, "from qwen3ft_jupyter.finetune.chat import AnswerOptions, answer")
        lines.append(f"loaded = manager.load_model_and_tokenizer({source.name!r}, adapter=Path({source.adapter!r}))")
        lines.insert(0, "from pathlib import Path\n")
    return lines


def _ask_line(source: Source, side: str) -> str:
    without = "use_adapter=False, " if source.has_adapter and side == BASE else ""
    if source.adapter:
        return f"print(answer(loaded, messages, AnswerOptions({without}**options)))"
    return f"print(manager.chat({source.name!r}, messages, {without}**options))"


def parse_sides(asked: Iterable[object], *, has_adapter: bool) -> tuple[str, ...]:
    """Return the sides to answer, in their order. Without an adapter there is one model, and it is the base.

    >>> parse_sides(["tuned", "base"], has_adapter=True), parse_sides(["tuned"], has_adapter=False)
    (('base', 'tuned'), ('base',))
    """
    named = set(asked)
    sides = tuple(side for side in SIDES if side in named)
    return (sides or (TUNED,)) if has_adapter else (BASE,)


def _reply(data: Mapping[str, Any]) -> Reply:
    numbers = [data.get(name) for name in ("tokens", "seconds")]
    tokens, seconds = (one if isinstance(one, (int, float)) else 0 for one in numbers)
    end = str(data.get("end") or "stopped")  # nobody writes it any more
    return Reply(str(data.get("text", "")), int(tokens), float(seconds), end)
