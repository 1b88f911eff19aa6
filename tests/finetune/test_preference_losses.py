from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.samples import IGNORED, Pair, Sample
from qwen3ft_jupyter.finetune.training import train
from tests.finetune.lessons import pair_rows
from tests.finetune.test_loss import VOCABULARY, loss_and_gradients, make

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.train

REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")


@pytest.fixture
def pairs(fields: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A fine-tune of pairs in which nothing is drawn but their order."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, pair_rows())), encoding="utf-8")
    quiet = {"lora": {"r": 4, "alpha": 8}, "schedule": "constant", "max_steps": 4, "save_steps": None}
    return {**fields, **quiet, "data": str(path), "objective": "dpo"}


def trained(tiny: Path, fields: dict[str, Any], name: str = "run") -> list[dict[str, float]]:
    """Return the metrics of the steps of a run."""
    folder = Path(fields["output_dir"]).with_name(name)
    train(FineTuneConfig.from_dict({**fields, "output_dir": str(folder), "overwrite": True}), model_folder=tiny)
    return read_metrics(folder / "metrics.jsonl")


def values(rows: list[dict[str, float]], *names: str) -> list[float]:
    return [row[name] for row in rows for name in names]


def TrlTrainer(  # noqa: N802 - a class to its caller
    tiny: Path,
    options: dict[str, Any],
    at_once: int,
    model: Any,
    arguments: Any,
    _objective: object,
    *,
    samples: Sequence[Pair],
    callback: Any,
    **_: object,
) -> Any:
    """TRL's own trainer on the same tokens: it pads, computes its loss its own way, and accumulates what it is told."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import DPOConfig, DPOTrainer

    class Tokenized(DPOTrainer):  # type: ignore[misc]  # the train extra has no types
        def _prepare_dataset(self, dataset: Any, *_: object) -> Any:
            return dataset

    same = (
        "output_dir", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay",
        "max_grad_norm", "optim", "seed", "data_seed", "logging_steps", "save_strategy", "report_to", "disable_tqdm",
        "use_cpu", "bf16", "dataloader_pin_memory",
    )  # fmt: skip
    found = Tokenized(
        model=model,
        ref_model=None if hasattr(model, "peft_config") else AutoModelForCausalLM.from_pretrained(tiny),
        args=DPOConfig(
            **{name: getattr(arguments, name) for name in same},
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=arguments.per_device_train_batch_size // at_once,
            activation_checkpointing=False,
            max_length=None,
            **options,
        ),
        train_dataset=Dataset.from_list([in_parts(pair) for pair in samples]),
        processing_class=AutoTokenizer.from_pretrained(tiny, padding_side="left"),
        callbacks=[callback],
    )
    found.remove_callback(PrinterCallback)
    return found


def in_parts(pair: Pair) -> dict[str, list[int]]:
    prompt = list(pair.chosen.labels).count(IGNORED)
    chosen, rejected = (list(one.input_ids) for one in pair.sequences)
    assert chosen[:prompt] == rejected[:prompt]
    return {"prompt_ids": chosen[:prompt], "chosen_ids": chosen[prompt:], "rejected_ids": rejected[prompt:]}


@pytest.mark.parametrize(
    ("ours", "theirs", "at_once"),
    [
        ({}, {}, 2),
        ({"method": "full", "learning_rate": 1e-3}, {}, 2),
        ({"beta": 0.3, "rpo_alpha": 0.7}, {"beta": 0.3, "loss_type": ["sigmoid", "sft"], "loss_weights": [1, 0.7]}, 4),
        ({"label_smoothing": 0.2}, {"loss_type": ["aot"], "label_smoothing": 0.2}, 1),  # of one pair aot sorts nothing
    ],
    ids=["lora", "full", "rpo_alpha", "label_smoothing"],
)
def test_dpo_is_that_of_trl(  # noqa: PLR0917 - pytest gives them by name
    tiny: Path,
    pairs: dict[str, Any],
    ours: dict[str, Any],
    theirs: dict[str, Any],
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Losses and all that is told of rewards, over four steps, to 1e-5."""
    from qwen3ft_jupyter.finetune.compute import trainer

    pairs |= ours
    found = trained(tiny, pairs)
    monkeypatch.setattr(trainer, "StepTrainer", partial(TrlTrainer, tiny, theirs, at_once))
    expected = trained(tiny, pairs)

    assert len(found) == 4
    assert found[-1]["loss"] < found[0]["loss"]
    assert values(found, "loss") == pytest.approx(values(expected, "loss"), abs=1e-5)
    assert values(found, *REWARDS) == pytest.approx(values(expected, *REWARDS), abs=1e-5)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("head", ["tied", "untied"])
@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_every_gradient_of_dpo_is_that_of_the_logits(
    rows_at_once: int, head: str, label_smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full fine-tune, whose head and embedding are trained, too, and which knows its reference before."""
    import torch
    from torch.nn.functional import logsigmoid

    from qwen3ft_jupyter.finetune.compute import loss as lean
    from qwen3ft_jupyter.finetune.compute.preferences import DirectPreferenceLoss

    monkeypatch.setattr(lean, "CHUNK_ELEMENTS", rows_at_once * VOCABULARY)
    model = make(tied=head == "tied", adapter=False)
    both = [Pair(ends(3, 14), ends(3, 20), (-30.0, -40.0)), Pair(ends(90, 22), ends(90, 11), (-50.0, -20.0))]
    layout = Layout(pad_id=0, most_tokens=1000, packs=True)
    ours = DirectPreferenceLoss(
        layout, is_lean=True, beta=0.1, rpo_alpha=0.5, label_smoothing=label_smoothing, autocast=None
    )
    step = ours.collate(both)
    (batch,) = step["micro_batches"]

    def log_probability(sample: Sample) -> Any:
        labels = torch.tensor(sample.labels)[1:]
        logs = model(torch.tensor([sample.input_ids.tolist()])).logits[0, :-1].log_softmax(-1)
        return logs[labels != IGNORED].gather(1, labels[labels != IGNORED, None]).sum()

    losses = []
    for pair in both:
        (chosen, rejected), (c, r) = map(log_probability, pair.sequences), pair.reference or (0, 0)
        margin = 0.1 * (chosen - c - rejected + r)
        losses.append(-(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin))
    words = sum(pair.chosen.trained_tokens for pair in both)
    learned = sum(log_probability(pair.chosen) for pair in both) / words
    expected, theirs = loss_and_gradients(model, torch.stack(losses).mean() - 0.5 * learned)

    found, gradients = loss_and_gradients(model, ours.share(model, batch, step)[0])

    assert found == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        assert (gradient - theirs[name]).abs().max() <= 1e-5 * theirs[name].abs().max(), name


def ends(start: int, length: int) -> Sample:
    """A sample of ever the same prompt, and an answer of so many tokens less the prompt's nine."""
    tokens = [*range(start, start + 9), *range(start + 9 + length, start + 2 * length)]
    return Sample.of(tokens, [*[IGNORED] * 9, *tokens[9:]])


def test_orpo_is_the_formula_of_trl_on_all_logits(
    tiny: Path, pairs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The odds by TRL's own functions; the first term is that of the answers alone, in which TRL has prompts, too."""
    from qwen3ft_jupyter.finetune.compute import trainer

    pairs |= {"objective": "orpo", "beta": 0.4, "learning_rate": 1e-3}
    found = trained(tiny, pairs)
    monkeypatch.setattr(trainer, "StepTrainer", OrpoTrainer)
    expected = trained(tiny, pairs)

    assert values(found, "loss") == pytest.approx(values(expected, "loss"), abs=1e-5)
    assert found[-1]["loss"] < found[0]["loss"]


def OrpoTrainer(model: Any, arguments: Any, _objective: object, *, samples: Any, callback: Any, **_: object) -> Any:  # noqa: N802 - a class to its caller
    import torch
    from torch.nn.functional import cross_entropy
    from torch.nn.utils.rnn import pad_sequence
    from transformers import PrinterCallback, Trainer
    from trl.experimental.orpo import ORPOTrainer

    def collate(batch: Sequence[Pair]) -> dict[str, Any]:
        rows = [*(pair.chosen for pair in batch), *(pair.rejected for pair in batch)]

        def padded(values: list[Any], filler: int) -> Any:
            return pad_sequence([torch.tensor(one) for one in values], batch_first=True, padding_value=filler)

        return {
            "input_ids": padded([one.input_ids.tolist() for one in rows], 0),
            "attention_mask": padded([[1] * one.length for one in rows], 0),
            "labels": padded([one.labels.tolist() for one in rows], IGNORED),
        }

    class Plain(Trainer):  # type: ignore[misc]  # the train extra has no types
        def compute_loss(self, model: Any, inputs: Any, *_: object, **__: object) -> Any:
            logits, labels = model(inputs["input_ids"], inputs["attention_mask"]).logits, inputs["labels"]
            means = ORPOTrainer.get_batch_logps(logits, labels, average_log_prob=True)
            told = SimpleNamespace(beta=0.4, accelerator=self.accelerator)
            odds = ORPOTrainer.odds_ratio_loss(told, *means.chunk(2))[0]
            count = len(labels) // 2
            learned = cross_entropy(logits[:count, :-1].flatten(0, 1), labels[:count, 1:].flatten())
            return learned - odds.mean()

    found = Plain(model=model, args=arguments, data_collator=collate, train_dataset=samples, callbacks=[callback])
    found.remove_callback(PrinterCallback)
    return found


def test_the_odds_are_exact_for_what_is_almost_certain_and_for_what_is_not() -> None:
    import torch

    from qwen3ft_jupyter.finetune.compute.preferences import log_of_one_less_exp

    values = torch.tensor([-1e-6, -1e-3, -0.5, -0.7, -5.0, -30.0, -200.0], requires_grad=True)
    exact = (-torch.expm1(values.detach().double())).log()

    found = log_of_one_less_exp(values)

    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()
    found.sum().backward()
    assert values.grad is not None
    assert bool(values.grad.isfinite().all())


def test_held_out_pairs_are_measured_by_the_same_names(tiny: Path, pairs: dict[str, Any]) -> None:
    rows = trained(tiny, {**pairs, "eval_fraction": 0.25})

    told = next(row for row in rows if "eval_loss" in row)
    assert 0 <= told["eval_rewards/accuracies"] <= 1
    assert told["eval_rewards/margins"] == pytest.approx(
        told["eval_rewards/chosen"] - told["eval_rewards/rejected"], abs=1e-6
    )


def test_the_card_says_what_was_learned_and_how(tiny: Path, pairs: dict[str, Any]) -> None:
    trained(tiny, {**pairs, "max_steps": 1, "beta": 0.25})

    card = (Path(pairs["output_dir"]) / "README.md").read_text(encoding="utf-8")
    assert "- dpo\n" in card
    told = "direct preference optimization (DPO, sigmoid), beta 0.25, rpo_alpha 0, label_smoothing 0"
    assert f"| Objective | {told} |" in card


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_reference_of_a_run_that_goes_on_from_another_is_what_that_one_learned(
    tiny: Path, pairs: dict[str, Any], data: Path, method: str
) -> None:
    """As after supervised tuning: at the first step nothing is preferred yet, so that the loss is log 2."""
    pairs |= {"method": method, "learning_rate": 1e-2, "max_steps": 3}
    trained(tiny, {**pairs, "objective": "sft", "data": str(data)}, "first")
    parent = str(Path(pairs["output_dir"]).with_name("first"))

    rows = trained(tiny, {**pairs, "init_from": parent}, "second")

    assert rows[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert rows[0]["rewards/chosen"] == pytest.approx(0, abs=1e-5)
    assert rows[-1]["loss"] < rows[0]["loss"]
