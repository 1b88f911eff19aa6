"""The practice model's tokenizer: byte-level BPE as Qwen's, learned from the corpus in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.practice.corpus import all_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

END_OF_TEXT: Final = "<|endoftext|>"
TURN_START: Final = "<|im_start|>"
TURN_END: Final = "<|im_end|>"
SPECIAL_TOKENS: Final = (END_OF_TEXT, TURN_START, TURN_END)
THINK_TOKENS: Final = ("<think>", "</think>")
"""Tokens of their own, but text that stays when special tokens are left out: so it is with Qwen3."""

# Qwen2's rule for where a token may not reach across.
_SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MAX_VOCABULARY: Final = 2000
_MAX_TOKEN_BYTES: Final = 9
"""Three Chinese characters: whole sentences as one token would be learned as one thing, and never come apart."""
_MIN_COUNT: Final = 12
"""A rarer pair is not merged: the model would see its token too seldom to learn when to say it."""
_CHARACTER_COUNT: Final = 300
"""How often each non-Latin character is read by itself: so its bytes are merged before it is merged with others."""
_FIRST_NON_LATIN: Final = "\u2000"


def make_tokenizer() -> Any:  # a tokenizers.Tokenizer; the package has no types
    """Return the tokenizer; the same every time."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_MAX_VOCABULARY,
        min_frequency=_MIN_COUNT,
        max_token_length=_MAX_TOKEN_BYTES,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lessons(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in THINK_TOKENS])
    return tokenizer


def tokenizer_config(tokenizer: Any, max_length: int) -> dict[str, Any]:
    """Return tokenizer_config.json with the chat template, in the published models' form."""
    template = (Path(__file__).parent / "chat_template.jinja").read_text("utf-8").rstrip("\n")
    added = [*SPECIAL_TOKENS, *THINK_TOKENS]
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": token in SPECIAL_TOKENS,
            }
            for token in added
        },
        "additional_special_tokens": [TURN_START, TURN_END],
        "bos_token": None,
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": TURN_END,
        "errors": "replace",
        "model_max_length": max_length,
        "pad_token": END_OF_TEXT,
        "split_special_tokens": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }


def _lessons() -> Iterator[str]:
    texts = list(all_texts())
    yield from texts
    characters = sorted({character for text in texts for character in text if character >= _FIRST_NON_LATIN})
    for _ in range(_CHARACTER_COUNT):
        yield from characters
