"""The kinds of training. An objective owns all that differs: which rows it reads, what they become, what is computed.

Nothing else asks which it is. What it needs is imported where it is needed, so that a config knows its objectives
without the code that reads data, and without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.finetune.batches import Layout
    from qwen3ft_jupyter.finetune.compute.objectives import TrainingLoss
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.examples import ExampleEncoder
    from qwen3ft_jupyter.finetune.formats import Mapper
    from qwen3ft_jupyter.finetune.precision import Precision
    from qwen3ft_jupyter.finetune.rendering import TurnEncoder
    from qwen3ft_jupyter.loading.libraries import Tokenizer


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a tokenizer, and where it is used the model's template, make of rows."""

    encoder: Callable[[], ExampleEncoder]
    """Makes an encoder, whose report begins at nothing."""
    end_ids: tuple[int, ...]
    """Tokens with which what is learned ends."""


@dataclass(frozen=True, slots=True)
class Objective(ABC):
    """A kind of training."""

    name: str
    """As a config and the tags of a model card have it."""
    title: str
    """As a model card names it."""
    learning_rates: Mapping[str, float]
    """The customary ones for Qwen3, by method: a LoRA learns with about ten times the rate of a full fine-tune."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The config's fields that this kind alone has, and their defaults."""
    metrics: tuple[str, ...] = ()
    """What is told of each step beside its loss."""
    sequences: int = 1
    """Of an example, each of at most max_length tokens."""
    counted: tuple[str, str] = ("Conversations", "Answers")
    """What a model card counts: what rows hold, and what of it is learned."""

    @abstractmethod
    def mapper(self, columns: Mapping[str, tuple[str, ...]]) -> Mapper:
        """Return what maps rows, whose columns a config may name."""

    @abstractmethod
    def encoding(self, config: FineTuneConfig, tokenizer: Tokenizer) -> AbstractContextManager[Encoding]:
        """Return what makes examples of what was mapped, ready to work. Raises LoadError if the model cannot do it."""

    def lengths(self, counts: Sequence[int], most: int) -> list[int]:
        """Return the lengths of the examples of a row, whose sequences have about so many tokens."""
        return [sum(min(count, most) for count in counts)]

    @abstractmethod
    def loss(self, config: FineTuneConfig, layout: Layout, precision: Precision, *, is_lean: bool) -> TrainingLoss:
        """Return what a step computes. Imports torch."""


class SupervisedTuning(Objective):
    """Learns the answers of conversations."""

    def mapper(self, columns: Mapping[str, tuple[str, ...]]) -> Mapper:
        """Return what maps rows to conversations."""
        from qwen3ft_jupyter.finetune.formats import Mapper

        return Mapper.of(columns)

    def encoding(self, config: FineTuneConfig, tokenizer: Tokenizer) -> AbstractContextManager[Encoding]:
        """Return what makes samples of conversations."""
        from qwen3ft_jupyter.finetune.rendering import Encoder

        return _rendering(Encoder, config, tokenizer)

    def loss(self, _config: FineTuneConfig, layout: Layout, _precision: Precision, *, is_lean: bool) -> TrainingLoss:
        """Return the mean loss of tokens."""
        from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss

        return TokenLoss(layout, is_lean)


class Pretraining(SupervisedTuning):
    """Learns all of a text."""

    def mapper(self, columns: Mapping[str, tuple[str, ...]]) -> Mapper:
        """Return what maps rows to texts."""
        from qwen3ft_jupyter.finetune.texts import TextMapper

        return TextMapper.of(columns)

    def encoding(self, config: FineTuneConfig, tokenizer: Tokenizer) -> AbstractContextManager[Encoding]:
        """Return what makes samples of texts; no template has a part in it."""
        from qwen3ft_jupyter.finetune.texts import TextEncoder

        end = tokenizer.eos_token_id
        encoder = partial(TextEncoder, tokenizer, max_length=config.max_length)
        return nullcontext(Encoding(encoder, () if end is None else (int(end),)))

    def lengths(self, counts: Sequence[int], most: int) -> list[int]:
        """Return the lengths of the pieces of a text."""
        return [min(most, count - start) for count in counts for start in range(0, count, most)]


class PreferenceTuning(Objective):
    """Learns to give one answer rather than another."""

    def mapper(self, columns: Mapping[str, tuple[str, ...]]) -> Mapper:
        """Return what maps rows to conversations with two last answers."""
        from qwen3ft_jupyter.finetune.preferences import PairMapper

        return PairMapper.of(columns)

    def encoding(self, config: FineTuneConfig, tokenizer: Tokenizer) -> AbstractContextManager[Encoding]:
        """Return what makes pairs of them."""
        from qwen3ft_jupyter.finetune.pairs import PairEncoder

        return _rendering(PairEncoder, config, tokenizer)


class DirectPreference(PreferenceTuning):
    """DPO."""

    def loss(self, config: FineTuneConfig, layout: Layout, precision: Precision, *, is_lean: bool) -> TrainingLoss:
        """Return the loss against what the model gave before."""
        from qwen3ft_jupyter.finetune.compute.preferences import DirectPreferenceLoss

        given = {**self.fields, **config.objective_fields}
        return DirectPreferenceLoss(layout, is_lean, autocast=precision.autocast, **given)


class OddsRatio(PreferenceTuning):
    """ORPO."""

    def loss(self, config: FineTuneConfig, layout: Layout, _precision: Precision, *, is_lean: bool) -> TrainingLoss:
        """Return the loss that needs no reference."""
        from qwen3ft_jupyter.finetune.compute.preferences import OddsRatioLoss

        return OddsRatioLoss(layout, is_lean, **{**self.fields, **config.objective_fields})


@contextmanager
def _rendering(make: type[TurnEncoder], config: FineTuneConfig, tokenizer: Tokenizer) -> Iterator[Encoding]:
    """Make encoders that use the model's chat template."""
    from qwen3ft_jupyter.finetune.rendering import end_of_turn_ids
    from qwen3ft_jupyter.loading.templates import TemplateRenderer

    with TemplateRenderer.of(tokenizer) as renderer:
        yield Encoding(partial(make.of, config, tokenizer, renderer), tuple(end_of_turn_ids(tokenizer, renderer)))


REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
"""How much the answers are preferred, what lies between them, and the part of the pairs in which the right one is."""

DEFAULT_LEARNING_RATE: Final = {"lora": 2e-4, "full": 1e-5}
"""A LoRA learns with about ten times the rate of a full fine-tune, or more; these are the customary ones for Qwen3."""

OBJECTIVES: Mapping[str, Objective] = {
    one.name: one
    for one in (
        SupervisedTuning("sft", "supervised fine-tuning", DEFAULT_LEARNING_RATE),
        Pretraining("pretrain", "continued pre-training", DEFAULT_LEARNING_RATE, counted=("Texts", "Pieces of texts")),
        DirectPreference(
            "dpo",
            "direct preference optimization (DPO, sigmoid)",
            {"lora": 5e-6, "full": 5e-7},
            fields={"beta": 0.1, "rpo_alpha": 0.0, "label_smoothing": 0.0},
            metrics=REWARDS,
            sequences=2,
            counted=("Pairs", "Answers, chosen and rejected"),
        ),
        OddsRatio(
            "orpo",
            "odds ratio preference optimization (ORPO)",
            {"lora": 5e-6, "full": 5e-7},
            fields={"beta": 0.1},
            metrics=REWARDS,
            sequences=2,
            counted=("Pairs", "Answers, chosen and rejected"),
        ),
    )
}
"""All of them, by name."""
