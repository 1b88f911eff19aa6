"""Which turns of a conversation can be learned, or learned behind; why the others cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.rows import BadRow, Reason, Row
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.finetune.turns import ChatMessage


def trim(messages: Sequence[ChatMessage], row: Row) -> tuple[ChatMessage, ...]:
    """Return the turns that can be learned, or learned behind; note in `row` what is left out, and why.

    A talk is a series of exchanges, each from a question to before the next one. Those with an empty answer are left
    out, and so is what comes before the first question and after the last answer.
    """
    if any(one.role == "system" for one in messages[1:]):
        raise BadRow(Message("a system message stands behind other turns; it can only be the first"))
    system = [one for one in messages[:1] if one.role == "system" and one.content.strip()]
    rest = [one for one in messages if one.role != "system"]
    first = next((index for index, one in enumerate(rest) if one.role == "user"), len(rest))
    kept: list[ChatMessage] = []
    empty: dict[Reason, int] = {}
    trailing = 0
    for exchange in _exchanges(rest[first:]):
        answers = [one for one in exchange if one.role == "assistant"]
        reason = _why_not(exchange, answers)
        if reason is not None:
            empty[reason] = empty.get(reason, 0) + len(exchange)
        elif answers:
            kept += exchange
            empty[Reason.UNANSWERED] = empty.get(Reason.UNANSWERED, 0) + trailing
            trailing = 0
        else:
            trailing += len(exchange)
    while kept and kept[-1].role != "assistant":
        kept.pop()
        trailing += 1
    if not kept or not any(one.role == "assistant" and one.is_learned for one in kept):
        row.note(_why_nothing(messages, empty, has_answers=bool(kept)))
        return ()
    for reason, count in [(Reason.BEFORE, first), (Reason.AFTER, trailing), *empty.items()]:
        if count:
            row.note(reason, count)
    if context := sum(one.role == "assistant" and not one.is_learned for one in kept):
        row.note(Reason.CONTEXT, context)
    return (*system, *kept)


def _why_not(exchange: Sequence[ChatMessage], answers: Sequence[ChatMessage]) -> Reason | None:
    """Return why an exchange cannot be learned from, if its turns are empty."""
    bad = next((one for one in answers if one.is_empty), None)
    if bad is not None:
        return Reason.THOUGHT if bad.reasoning else Reason.EMPTY
    is_asked = any(one.content.strip() for one in exchange if one.role == "user")
    return Reason.BLANK if answers and not is_asked else None


def _exchanges(messages: Sequence[ChatMessage]) -> Iterator[list[ChatMessage]]:
    exchange: list[ChatMessage] = []
    for message in messages:
        if message.role == "user" and exchange and exchange[-1].role != "user":
            yield exchange
            exchange = []
        exchange.append(message)
    if exchange:
        yield exchange


_OF_ROW = {
    Reason.EMPTY: Reason.ROW_EMPTY_ANSWER,
    Reason.THOUGHT: Reason.ROW_THOUGHT,
    Reason.BLANK: Reason.ROW_NO_QUESTION,
}


def _why_nothing(messages: Sequence[ChatMessage], empty: dict[Reason, int], *, has_answers: bool) -> Reason:
    if has_answers:
        return Reason.ROW_CONTEXT
    for reason in (Reason.EMPTY, Reason.THOUGHT, Reason.BLANK):
        if reason in empty:
            return _OF_ROW[reason]
    if not messages:
        return Reason.ROW_EMPTY
    roles = {one.role for one in messages}
    return Reason.ROW_NO_QUESTION if "user" not in roles else Reason.ROW_NO_ANSWER
