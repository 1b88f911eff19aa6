"""The `transformers.Trainer` of a fine-tune: a batch of its loader is an optimizer step, laid out by the objective."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from accelerate.utils import AutocastKwargs
from transformers import PrinterCallback, Trainer
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_utils import EvalLoopOutput

from qwen3ft_jupyter.finetune.batches import parted
from qwen3ft_jupyter.finetune.compute.longest import generators_of, reserve_states, seconds_on
from qwen3ft_jupyter.finetune.compute.sharding import part_states, whole, whole_states
from qwen3ft_jupyter.finetune.model import load_weights
from qwen3ft_jupyter.finetune.pace import efficiency
from qwen3ft_jupyter.finetune.ranks import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader
    from transformers import TrainerCallback, TrainingArguments

    from qwen3ft_jupyter.finetune.batches import MicroBatch, Step
    from qwen3ft_jupyter.finetune.compute.longest import Trial
    from qwen3ft_jupyter.finetune.compute.objectives import Metrics, TrainingLoss
    from qwen3ft_jupyter.finetune.ranks import Ranks
    from qwen3ft_jupyter.finetune.samples import Example
    from qwen3ft_jupyter.loading.libraries import Model

T = TypeVar("T")


def _collate(objective: TrainingLoss, ranks: Ranks, samples: Sequence[Example]) -> Step:
    """Return the tensors of a process's part of a step; of one without a part, where it has to compute all the same."""
    step = objective.collate(samples, ranks.part)
    if ranks.is_sharded and not step["micro_batches"]:
        shortest = min(samples, key=lambda sample: sample.length)
        step["idle"] = objective.collate([shortest])["micro_batches"][0]
    return step


class StepTrainer(Trainer):  # type: ignore[misc]  # the train extra has no types
    """Computes a step's micro-batches itself, so that a step has the same samples in every layout."""

    def __init__(
        self,
        model: Model,
        arguments: TrainingArguments,
        objective: TrainingLoss,
        *,
        samples: Sequence[Example],
        held_out: Sequence[Example],
        callback: TrainerCallback,
        optimizer: Optimizer | None = None,
        on_parted: Callable[[int], None] | None = None,
        trial: Trial | None = None,
        ranks: Ranks = ALONE,
        metrics: Sequence[str] = (),
    ) -> None:
        """Take what is trained, on what, and who is told. An optimizer of None is made by the arguments.

        `on_parted` is told how many tokens are computed at once from now on, after memory ran out; None: it then ends.
        `ranks` are the processes that compute a step together; `metrics` is what the objective tells beside its loss.
        """
        super().__init__(
            model=model,
            args=arguments,
            data_collator=partial(_collate, objective, ranks),
            train_dataset=samples,
            eval_dataset=held_out or None,
            callbacks=[callback],
            optimizers=(optimizer, None),
        )
        self.remove_callback(PrinterCallback)
        self._objective, self._on_parted = objective, on_parted
        self._most_tokens: int | None = None
        """Of a micro-batch, since memory ran out."""
        self._first = trial
        self._ranks, self._names = ranks, ("loss", *metrics)
        self._told: Metrics = {}
        """What the objective tells of the last step."""
        ranks.begin(model.parameters())
        if ranks.is_sharded:
            self.accelerator.device_placement = False  # each part is where it belongs
            # copies in 16 bits of what was gathered would stay until the end of a step, those of all layers
            self.accelerator.autocast_handler = AutocastKwargs(cache_enabled=False)

    def training_step(self, model: nn.Module, inputs: Step, _num_items_in_batch: object = None) -> Tensor:
        """Compute one step's gradients, and return its loss; before the first one, try the longest batch."""
        model.train()
        inputs = self._prepare_inputs(inputs)  # a loader of parts of a sharded model leaves them where they are
        trial, self._first = self._first, None
        if trial is not None:
            trial.on_begin()
            self._in_parts(partial(self._try, model, trial), self._prepare_inputs(trial.step(self._objective)))
        self._draw_own_lots()
        device, tokens = str(self.args.device), sum(one["input_ids"].numel() for one in inputs["micro_batches"])
        with self._ranks.computing(device, tokens):
            told = self._in_parts(partial(self._compute, model), inputs)
        with self._ranks.at(self.state.global_step, device):
            loss, *rest = self._ranks.add_up(told)
            self._ranks.add_up_gradients(list(model.parameters()))
        self._told = dict(zip(self._names[1:], rest, strict=True))
        self.state.num_input_tokens_seen += inputs["tokens"]
        return loss

    def _draw_own_lots(self) -> None:
        """Have the processes after the first drop out other values than that one; nothing of it has to be resumed."""
        part = self._ranks.part
        if part.index:
            torch.manual_seed(self.args.seed + self.state.global_step * part.count + part.index)

    def _in_parts(self, compute: Callable[[Step], T], whole: Step) -> T:
        """Return what `compute` makes of a step; in ever smaller parts where memory runs out, if that may be."""
        while True:
            step = (self._most_tokens and parted(whole, self._most_tokens)) or whole
            try:
                return compute(step)
            except torch.OutOfMemoryError:
                most = max(batch["input_ids"].numel() for batch in step["micro_batches"]) // 2
                if self._on_parted is None or parted(step, most) is None:
                    raise
            self._most_tokens = most
            self._on_parted(most)
            self.model.zero_grad()  # of the part that had been computed
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _compute(self, model: nn.Module, inputs: Step) -> Tensor:
        """Compute the gradients of this process's part, and return its shares in the loss and the metrics."""
        told = self._nothing()
        for batch, counts in self._micro_batches(inputs):
            with self.accelerator.autocast():
                share, metrics = self._objective.share(model, batch, inputs)
            self.accelerator.backward(share if counts else 0.0 * share)
            if counts:
                told += self._shares(share, metrics)
        return told

    def _micro_batches(self, step: Step) -> Iterator[tuple[MicroBatch, bool]]:
        """Yield what this process computes of a step, and whether it counts.

        Where the model is sharded all have to compute as often as each other: who has nothing left computes something
        that does not count.
        """
        own = step["micro_batches"]
        lacking = self._ranks.most(len(own)) - len(own) if self._ranks.is_sharded else 0
        for batch in own:
            yield batch, True
        for _ in range(lacking):
            yield own[-1] if own else step["idle"], False

    def _nothing(self) -> Tensor:
        return torch.zeros(len(self._names), device=self.args.device)

    def _shares(self, loss: Tensor, metrics: Metrics) -> Tensor:
        """Return a loss and its metrics in the order of their names."""
        found = {"loss": loss.detach(), **metrics}
        return torch.stack([found[name].float() for name in self._names])

    def _try(self, model: nn.Module, trial: Trial, step: Step) -> None:
        """Compute the longest batch, and throw its gradients away; no later number differs for it."""
        batch, device = step["micro_batches"][0], self.args.device
        states = reserve_states(self.optimizer)
        began = seconds_on(device)
        with torch.random.fork_rng(devices=generators_of(device)):
            with self.accelerator.autocast():
                share, _ = self._objective.share(model, batch, step)
            self.accelerator.backward(share)
        took = seconds_on(device) - began
        model.zero_grad()
        del states
        trial.on_end(batch["input_ids"].numel(), took)

    def log(self, logs: dict[str, float], *args: object) -> None:
        """Tell of a step, with what its objective tells beside the loss, and how well processes computed together."""
        told: dict[str, float] = {}
        if "loss" in logs:  # it has been read, so that the step is done
            told = {name: float(value) for name, value in self._told.items()} | efficiency(self._ranks.paces())
        super().log({**logs, **told}, *args)

    def evaluation_loop(
        self, dataloader: DataLoader[Step], *, metric_key_prefix: str = "eval", **_: object
    ) -> EvalLoopOutput:
        """Return the mean loss of the held-out samples, however they are laid out, and its metrics."""
        self.model.eval()
        total = self._nothing()
        weights = 0
        # a loader draws a seed, and a checkpoint is saved before what is measured at its step
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for loaded in dataloader:
                step = self._prepare_inputs(loaded)
                weight = self._objective.weight(step)
                weights += weight
                for batch, counts in self._micro_batches(step):
                    with self.accelerator.autocast():
                        share, told = self._objective.share(self.model, batch, step)
                    if counts:
                        total += weight * self._shares(share, told)
        totals = zip(self._names, self._ranks.add_up(total).tolist(), strict=True)
        metrics = {f"{metric_key_prefix}_{name}": value / weights for name, value in totals}
        return EvalLoopOutput(None, None, metrics, num_samples=self.num_examples(dataloader))

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Save what one process would; the others only send their parts of it."""
        if self._ranks.is_first:
            super()._save_checkpoint(model, trial)
        else:
            self.save_model()
            whole_states(self._plain_optimizer, is_first=False)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:  # noqa: FBT001, FBT002 - Trainer's
        """Save the model; all processes that have a part of it have to call this."""
        with whole(self.model, is_first=self._ranks.is_first):
            if self._ranks.is_first:
                super().save_model(output_dir, _internal_call)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self._ranks.is_sharded:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        torch.save(whole_states(self._plain_optimizer, is_first=True), Path(output_dir) / OPTIMIZER_NAME)
        torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, folder: str, model: nn.Module | None = None) -> None:
        if self._ranks.is_sharded:
            load_weights(self.model, Path(folder))
        else:
            super()._load_from_checkpoint(folder, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not self._ranks.is_sharded:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        # not read into memory: each process needs a part of it
        states = torch.load(Path(checkpoint) / OPTIMIZER_NAME, map_location="cpu", mmap=True, weights_only=True)
        self._plain_optimizer.load_state_dict(part_states(self._plain_optimizer, states))
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / SCHEDULER_NAME, weights_only=True))

    @property
    def _plain_optimizer(self) -> Optimizer:
        """Return the optimizer inside of accelerate's."""
        return getattr(self.optimizer, "optimizer", self.optimizer)

    def floating_point_ops(self, _inputs: Step) -> int:
        """Return 0: nobody reads the count, and theirs takes another kind of batch."""
        return 0
