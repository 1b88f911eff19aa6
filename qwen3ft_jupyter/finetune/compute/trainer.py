"""The `transformers.Trainer` of a fine-tune: a batch of its loader is an optimizer step, laid out by the objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, Trainer
from transformers.trainer_utils import EvalLoopOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader
    from transformers import TrainerCallback, TrainingArguments

    from qwen3ft_jupyter.finetune.batches import Step
    from qwen3ft_jupyter.finetune.compute.objectives import SupervisedTuning
    from qwen3ft_jupyter.finetune.samples import Sample
    from qwen3ft_jupyter.loading.libraries import Model


class StepTrainer(Trainer):  # type: ignore[misc]  # the train extra has no types
    """Computes a step's micro-batches itself, so that a step has the same samples in every layout."""

    def __init__(
        self,
        model: Model,
        arguments: TrainingArguments,
        objective: SupervisedTuning,
        *,
        samples: Sequence[Sample],
        held_out: Sequence[Sample],
        callback: TrainerCallback,
        optimizer: Optimizer | None = None,
    ) -> None:
        """Take what is trained, on what, and who is told. An optimizer of None is made by the arguments."""
        super().__init__(
            model=model,
            args=arguments,
            data_collator=objective.collate,
            train_dataset=samples,
            eval_dataset=held_out or None,
            callbacks=[callback],
            optimizers=(optimizer, None),
        )
        self.remove_callback(PrinterCallback)
        self._objective = objective

    def training_step(self, model: nn.Module, inputs: Step, _num_items_in_batch: object = None) -> Tensor:
        """Compute one step's gradients, and return its loss."""
        model.train()
        loss = torch.zeros((), device=self.args.device)
        for batch in inputs["micro_batches"]:
            with self.accelerator.autocast():
                share = self._objective.loss(model, batch, inputs["learned"])
            self.accelerator.backward(share)
            loss += share.detach()
        self.state.num_input_tokens_seen += inputs["tokens"]
        return loss

    def evaluate(self, *arguments: Any, **given: Any) -> dict[str, float]:  # Any: as Trainer's
        """Evaluate without a trace: a loader draws from the generator that the dropout of the next step draws from."""
        with torch.random.fork_rng(devices=[]):
            metrics: dict[str, float] = super().evaluate(*arguments, **given)
        return metrics

    def evaluation_loop(
        self, dataloader: DataLoader[Step], *, metric_key_prefix: str = "eval", **_: object
    ) -> EvalLoopOutput:
        """Return the mean loss of all learned tokens of the held-out samples, however they are laid out."""
        self.model.eval()
        loss, learned = torch.zeros((), device=self.args.device), 0
        with torch.no_grad():
            for step in dataloader:
                learned += step["learned"]
                for batch in step["micro_batches"]:
                    with self.accelerator.autocast():
                        loss += self._objective.loss(self.model, batch, 1)
        metrics = {f"{metric_key_prefix}_loss": loss.item() / learned}
        return EvalLoopOutput(None, None, metrics, num_samples=self.num_examples(dataloader))

    def floating_point_ops(self, _inputs: Step) -> int:
        """Return 0: nobody reads the count, and theirs takes another kind of batch."""
        return 0
