"""Keeps text from acting as a template's own tokens: `<|im_start|>` inside a question begins no turn.

A guard, a character that no text has, is put into such a token before the template writes the text. What the template
itself writes has none, so the two can be told apart when the text becomes tokens.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen3ft_jupyter.loading.libraries import Tokenizer

GUARD = "\ufdd0"
"""Unicode says that this is no character."""


class SpecialTokens:
    """The tokens of a tokenizer that stand for structure, not for text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a transformers tokenizer."""
        self._tokenizer = tokenizer
        self.names = special_tokens(tokenizer)
        longest_first = sorted(self.names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def are_in(self, value: Any) -> bool:  # Any: JSON
        """Return whether text, or a text in JSON data, holds such a token."""
        if isinstance(value, str):
            return self._pattern.search(value) is not None
        if isinstance(value, dict):
            return any(map(self.are_in, value.values()))
        return isinstance(value, (list, tuple)) and any(map(self.are_in, value))

    def guard(self, value: Any) -> Any:
        """Return JSON data with a guard in each such token."""
        if isinstance(value, str):
            return self._pattern.sub(lambda found: found[0][:1] + GUARD + found[0][1:], value)
        if isinstance(value, dict):
            return {key: self.guard(inner) for key, inner in value.items()}
        return [self.guard(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of each text; where there is a guard, only what has none becomes a special token."""
        if any(GUARD in text for text in texts):
            return [self._tokenize_guarded(text) for text in texts]
        # silent: a text may be longer than the model bears before it is cut
        ids: list[list[int]] = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _tokenize_guarded(self, text: str) -> list[int]:
        ids: list[int] = []
        begin = 0
        for found in self._pattern.finditer(text):
            ids += self._plain(text[begin : found.start()])
            ids.append(int(self._tokenizer.convert_tokens_to_ids(found[0])))
            begin = found.end()
        return ids + self._plain(text[begin:])

    def _plain(self, text: str) -> list[int]:
        if not text:
            return []
        bare = text.replace(GUARD, "")
        ids: list[int] = self._tokenizer(bare, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids


def special_tokens(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the tokens that stand for structure, not for text."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return tuple(dict.fromkeys([*tokenizer.all_special_tokens, *added]))
