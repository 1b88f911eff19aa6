"""Turns conversations with two last answers into pairs of token sequences, each behind the same prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.rendering import MIN_KEPT_TOKENS, Rendered, Turn, TurnEncoder
from qwen3ft_jupyter.finetune.samples import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.formats import Conversation


class PairEncoder(TurnEncoder):
    """Renders and tokenizes conversations with two last answers for one model."""

    def encode(self, conversations: Sequence[Conversation]) -> list[Pair]:
        """Return the pairs of some conversations, in order; `report` counts on. Raises BadData, UnsafeModel."""
        rendered = self.render([turn for conversation in conversations for turn in _answers(conversation)])
        both = zip(rendered[::2], rendered[1::2], strict=True)
        pairs = [pair for chosen, rejected in both if chosen and rejected and (pair := self._pair(chosen, rejected))]
        self.count(pairs, conversations=len(pairs))
        self.count_forged(conversations)
        return pairs

    def _pair(self, chosen: Rendered, rejected: Rendered) -> Pair | None:
        """Return the pair, with less before both answers if one does not fit, None if nothing makes it fit."""
        pair = Pair(self.sample(chosen), self.sample(rejected))
        if self._fits(pair):
            return pair
        is_first = pair.chosen.length >= pair.rejected.length
        longer, other = (chosen.turn, rejected.turn) if is_first else (rejected.turn, chosen.turn)
        whole = pair.chosen if is_first else pair.rejected
        if whole.trained_tokens + MIN_KEPT_TOKENS <= self.max_length:
            for turn, sample in self.shorter(longer, whole.length):
                second = self.sample_of(replace(other, before=turn.before))
                if second is None:
                    continue
                pair = Pair(sample, second) if is_first else Pair(second, sample)
                if self._fits(pair):
                    self.report = replace(self.report, shortened=self.report.shortened + 1)
                    return pair
        self.report.enter("dropped", other.where)
        self.report = replace(self.report, dropped=self.report.dropped + len(pair.sequences))
        return None

    def _fits(self, pair: Pair) -> bool:
        return all(one.length <= self.max_length for one in pair.sequences)


def _answers(conversation: Conversation) -> list[Turn]:
    """Return the two answers of a conversation; if one has a thought, both follow the prompt that asks for it."""
    *before, chosen = conversation.messages
    answers = [chosen, conversation.rejected or chosen]
    thinks = any(one.reasoning for one in answers)
    return [Turn(tuple(before), one, conversation.tools, conversation.where, is_thinking=thinks) for one in answers]
