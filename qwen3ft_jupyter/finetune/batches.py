"""Makes tensors of samples: padded on the right to the longest of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.finetune.samples import IGNORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from qwen3ft_jupyter.finetune.samples import Sample


class Collator:
    """Puts samples into one batch; what `Trainer` calls a data collator."""

    def __init__(self, pad_id: int, *, multiple_of: int = 1) -> None:
        """Pad with `pad_id` up to a multiple of `multiple_of` tokens (tensor cores like 8)."""
        self._pad_id = pad_id
        self._multiple_of = multiple_of

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """Return input_ids, attention_mask and labels as torch tensors of (samples, tokens)."""
        import torch

        longest = max(len(sample.input_ids) for sample in samples)
        width = -(-longest // self._multiple_of) * self._multiple_of
        gaps = [width - len(sample.input_ids) for sample in samples]
        pairs = list(zip(samples, gaps, strict=True))
        return {
            "input_ids": torch.tensor([[*one.input_ids, *[self._pad_id] * gap] for one, gap in pairs]),
            "attention_mask": torch.tensor([[1] * len(one.input_ids) + [0] * gap for one, gap in pairs]),
            "labels": torch.tensor([[*one.labels, *[IGNORED] * gap] for one, gap in pairs]),
        }
