"""What torch, transformers and peft give us, by name: they are not installed everywhere, so types must not need them.

To mypy, which skips these packages, each is Any; whoever reads knows what is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    import transformers

    Model: TypeAlias = transformers.PreTrainedModel  # or peft's around one
    Tokenizer: TypeAlias = transformers.PreTrainedTokenizerBase
    DeviceMap: TypeAlias = str | Mapping[str, int | str] | None


class LoadedPair(NamedTuple):
    """A model ready to generate, and its tokenizer."""

    model: Model
    tokenizer: Tokenizer
