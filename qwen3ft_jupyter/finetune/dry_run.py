"""The memory of a fine-tune as a dry run finds it: trained for a step on tensors without numbers (see `compute.tried`).

It takes neither weights nor a GPU, and a few seconds. Layers are alike, so a few of them are tried, at two lengths; the
rest is a straight line: each phase's peak is one in layers and in tokens.
"""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qwen3ft_jupyter.catalog.memory import Memory, Training, training_memory
from qwen3ft_jupyter.errors import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.catalog.memory import Architecture
    from qwen3ft_jupyter.finetune.config import FineTuneConfig

Kind = Literal["weights", "adapter", "gradients", "optimizer", "activations", "logits"]
"""What memory is for; activations are all that a pass or the optimizer's step makes for itself."""
KINDS: tuple[Kind, ...] = ("weights", "adapter", "gradients", "optimizer", "activations", "logits")
Phase = Literal["forward", "loss", "first layers", "middle layers", "last layers", "step"]
"""Backward is told in three: memory is a straight line within, so that it is greatest at either end."""
PHASES: tuple[Phase, ...] = ("forward", "loss", "first layers", "middle layers", "last layers", "step")
COMMAND = "dry-run"
"""The word after our own file that makes a process do this."""
QUANTIZED = "quantized"
"""The word after that which says that the base will be."""
LIMIT_S = 10.0
"""Seconds of a processor for a dry run, beside the import of the libraries; without other work they are its seconds."""
WAIT_S = 30.0
"""A plan waits no longer, however busy the machine is."""
_ENTRY = Path(__file__).parent.parent / "__main__.py"

Peaks = dict[str, dict[str, int]]
"""By phase and kind, in bytes."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A step that was tried."""

    tokens: int
    """Of its batch, padding included."""
    peaks: Peaks


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a dry run found. It holds for its model, method and adapter, at any batch and length."""

    parameters: int
    """Of the base model."""
    trained: int
    """Weights that are trained."""
    checkpointed: tuple[Tried, ...] = ()
    """Steps that compute activations again, one or two."""
    kept: tuple[Tried, ...] = ()
    """Steps that keep them; one of the two may be empty."""

    def memory(self, how: Training) -> Memory | None:
        """Return what is needed at the worst moment; None: it was not tried with or without activations kept."""
        tried = self.checkpointed if how.is_checkpointed else self.kept
        if not tried:
            return None
        peaks = [_at(tried, phase, how.length * how.batch) for phase in PHASES if phase in tried[0].peaks]
        if how.is_accumulated:  # those of earlier batches are there all the time
            whole = max(peak["gradients"] for peak in peaks)
            peaks = [{**peak, "gradients": whole} for peak in peaks]
        worst = max(peaks, key=lambda peak: sum(peak.values()))
        return Memory(**worst, margin=how.overhead_bytes)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DryRun:
        """Rebuild from `to_dict`."""
        tried = {name: tuple(Tried(**one) for one in data[name]) for name in ("checkpointed", "kept")}
        return cls(int(data["parameters"]), int(data["trained"]), **tried)


class TryIt(Protocol):
    """Asks for a dry run."""

    def __call__(self, asked: Mapping[str, Any], *, wait_s: float = ...) -> DryRun:
        """Return what it finds. Raises JobFailed."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What training one model needs, as far as anybody knows."""

    config: FineTuneConfig
    """That the dry run was of."""
    numbers: Architecture | None
    """None: its layers are not those that the arithmetic knows."""
    tried: DryRun | None = None
    token_rows: int = 0
    """Tokens whose rows in embedding and head are trained with an adapter."""

    @property
    def parameters(self) -> int:
        """Return the model's weights; 0: nobody knows."""
        if self.tried:
            return self.tried.parameters
        return self.numbers.parameters if self.numbers else 0

    def adapter_weights(self, config: FineTuneConfig) -> int:
        """Return the weights that an adapter adds."""
        if config.method == "full":
            return 0
        if self.tried and self._is_alike(config):
            return self.tried.trained
        if self.numbers is None:
            return 0
        targets = None if config.lora.targets == "all-linear" else config.lora.targets
        return self.numbers.lora_weights(config.lora.r, targets) + self.numbers.row_weights(self.token_rows, targets)

    def memory(self, config: FineTuneConfig, how: Training) -> Memory | None:
        """Return what is needed, by the dry run where it says it, else by arithmetic; None: neither knows.

        A dry run is of a whole model, and tells nothing of one that is sharded.
        """
        found = self.tried.memory(how) if self.is_tried(config, how) and self.tried else None
        return found or (training_memory(self.numbers, how) if self.numbers else None)

    def is_tried(self, config: FineTuneConfig, how: Training) -> bool:
        """Return whether the dry run says it."""
        return bool(self.tried and how.shards == 1 and self._is_alike(config) and self.tried.memory(how))

    def _is_alike(self, config: FineTuneConfig) -> bool:
        """Return whether only batch, length and checkpointing differ, which a dry run tells of."""
        mine = self.config
        if config.trainable_layers is not None or mine.trainable_layers is not None:
            return False  # a few layers tell what all take where all are alike
        return (config.method, config.lora, config.quantization) == (mine.method, mine.lora, mine.quantization)


def _at(tried: tuple[Tried, ...], phase: str, tokens: int) -> dict[str, int]:
    """Return a phase's peak for so many tokens."""
    one, other = tried[0], tried[-1]
    return line(one.peaks[phase], other.peaks[phase], one.tokens, other.tokens, tokens)


def line(one: Mapping[str, int], other: Mapping[str, int], at: int, at_other: int, wanted: int) -> dict[str, int]:
    """Return where the straight lines through two points are at a third, by name; never below 0.

    >>> line({"weights": 10}, {"weights": 12}, 2, 3, 28)
    {'weights': 62}
    """
    if at == at_other:
        return dict(one)
    share = (wanted - at) / (at_other - at)
    return {name: max(0, round(value + (other[name] - value) * share)) for name, value in one.items()}


def try_in_child(asked: Mapping[str, Any], *, wait_s: float = WAIT_S) -> DryRun:
    """Return what `compute.tried.answer` finds in a process of its own, so that this one imports no torch.

    Raises JobFailed if it fails or takes longer.
    """
    with child(is_quantized=bool(asked.get("config", {}).get("quantization"))) as find_out:
        return find_out(asked, wait_s=wait_s)


@contextlib.contextmanager
def child(*, is_quantized: bool) -> Iterator[TryIt]:
    """Start such a process, which imports what it needs at once, and give what asks it, once; end it with the block.

    Args:
        is_quantized: Whether what is tried will be: only that needs bitsandbytes, a quarter of what is imported.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, str(_ENTRY), COMMAND, *([QUANTIZED] if is_quantized else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    except OSError as error:
        problem = type(error).__name__

        def refuse(asked: Mapping[str, Any], *, wait_s: float = WAIT_S) -> DryRun:  # noqa: ARG001 - a `TryIt`
            raise JobFailed("{problem}", problem=problem)

        yield refuse
        return
    with process:
        try:
            yield functools.partial(_ask, process)
        finally:
            if process.poll() is None:
                process.kill()


def _ask(process: subprocess.Popen[str], asked: Mapping[str, Any], *, wait_s: float = WAIT_S) -> DryRun:
    try:
        told = json.loads(process.communicate(json.dumps(asked), timeout=wait_s)[0])
        if "problem" in told:
            raise JobFailed("{problem}", problem=told["problem"])
        return DryRun.from_dict(told)
    except subprocess.TimeoutExpired as error:
        raise JobFailed("it took longer than {seconds:.0f} s", seconds=wait_s) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JobFailed("{problem}", problem=type(error).__name__) from error
