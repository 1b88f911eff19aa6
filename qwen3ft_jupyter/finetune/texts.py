"""Continued pre-training: rows that hold one text, of which every token is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.examples import ExampleEncoder
from qwen3ft_jupyter.finetune.formats import Columns, Conversation, Mapper
from qwen3ft_jupyter.finetune.rows import Reason, Row, text_of
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample
from qwen3ft_jupyter.finetune.turns import ChatMessage, is_row_learned, refuse_media
from qwen3ft_jupyter.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.loading.libraries import Tokenizer

TEXT: Columns = {"text": ("text", "content", "raw_content", "body", "article", "正文", "文本", "内容")}


class TextMapper(Mapper):
    """Maps a row to its text: a conversation of one turn, which no template writes."""

    parts = TEXT
    needs = Message("Each row needs a text.")
    accepted = Message("Accepted: text. Or name yours, for example columns: {{text: {one}}}")

    def detect(self, row: Row) -> str | None:
        """Return that a row is a text if one of its columns is."""
        return "text" if row.has(self.columns["text"]) else None

    def map(self, row: Row, _data_format: str, /) -> Conversation:
        """Return the row's text; no turn if it is empty. Raises BadRow."""
        refuse_media(row)
        found = row.take_one(self.columns["text"])
        is_learned = self.is_told or is_row_learned(row)
        row.note_rest()
        if found is None or not is_learned:
            row.note(Reason.ROW_EMPTY if found is None else Reason.ROW_CONTEXT)
            return Conversation((), row.where)
        return Conversation((ChatMessage("assistant", text_of(found[1], found[0])),), row.where)


class TextEncoder(ExampleEncoder):
    """Makes samples of texts: each ends with the tokenizer's end of text, and a long one is cut into pieces."""

    def __init__(self, tokenizer: Tokenizer, *, max_length: int) -> None:
        """Take a transformers tokenizer, and the most tokens of a piece."""
        super().__init__(tokenizer, max_length=max_length)
        self._end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]

    def encode(self, conversations: Sequence[Conversation]) -> list[Sample]:
        """Return the pieces of some texts, in order; `report` counts on."""
        texts = [turn.content for conversation in conversations for turn in conversation.messages]
        guarded = [self.special.guard(text) if self.special.are_in(text) else text for text in texts]
        samples = [piece for ids in self.tokens(guarded) for piece in pieces([*ids, *self._end], self.max_length)]
        self.count(samples, conversations=len(texts))
        self.count_forged(conversations)
        return samples


def pieces(ids: Sequence[int], most: int) -> list[Sample]:
    """Return pieces of at most so many tokens, each of which begins with the last token of the one before.

    So that every token but a text's first is learned, once, behind what stands before it.

    >>> [list(piece.labels) for piece in pieces([5, 6, 7, 8, 9, 10], 3)]
    [[-100, 6, 7], [-100, 8, 9], [-100, 10]]
    """
    starts = range(0, max(1, len(ids) - 1), most - 1)
    parts = [list(ids[start : start + most]) for start in starts]
    return [Sample.of(part, [IGNORED, *part[1:]]) for part in parts if len(part) > 1]
