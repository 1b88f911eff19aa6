from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.samples import Sample

pytestmark = pytest.mark.train


@pytest.fixture
def still(fields: dict[str, Any]) -> dict[str, Any]:
    """A fine-tune in which nothing is drawn but the order of the rows: no dropout; some rows are held out."""
    return {**fields, "lora": {"r": 4, "alpha": 8}, "eval_fraction": 0.25, "max_steps": 5, "schedule": "constant"}


def curve(tiny: Path, fields: dict[str, Any], name: str = "run", reporter: Reporter | None = None) -> list[float]:
    """Return the losses of a run, and then those on held-out rows."""
    folder = Path(fields["output_dir"]).with_name(name)
    config = FineTuneConfig.from_dict({**fields, "output_dir": str(folder), "overwrite": True})
    train(config, model_folder=tiny, work=Work(reporter) if reporter else None)
    rows = read_metrics(folder / "metrics.jsonl")
    return [row["loss"] for row in rows] + [row["eval_loss"] for row in rows if "eval_loss" in row]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_packed_or_not_and_in_whichever_batches_the_losses_are_the_same(
    tiny: Path, still: dict[str, Any], method: str
) -> None:
    """Also those on held-out rows; and accumulated gradients are those of a bigger batch."""
    still |= {"method": method}
    expected = curve(tiny, {**still, "packing": False, "batch_size": 4, "gradient_accumulation": 1})

    assert len(expected) == 6
    for packing, batch_size in ((True, 2), (True, 1), (False, 1)):
        layout = {"packing": packing, "batch_size": batch_size, "gradient_accumulation": 4 // batch_size}
        assert curve(tiny, {**still, **layout}) == pytest.approx(expected, rel=1e-5), layout


@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_are_those_of_transformers_own_trainer(
    tiny: Path, still: dict[str, Any], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theirs pads, masks, accumulates two batches of two, and has the model compute its loss from all logits."""
    from qwen3ft_jupyter.finetune.compute import trainer

    still |= {"method": method, "eval_fraction": 0}
    ours = curve(tiny, still)
    monkeypatch.setattr(trainer, "StepTrainer", PlainTrainer)

    assert curve(tiny, still) == pytest.approx(ours, rel=1e-5)


def PlainTrainer(model: Any, arguments: Any, _objective: object, *, samples: Any, callback: Any, **_: object) -> Any:  # noqa: N802 - a class to its caller
    import torch
    from transformers import PrinterCallback, Trainer

    def collate(batch: Sequence[Sample]) -> dict[str, Any]:
        width = max(len(one.input_ids) for one in batch)

        def padded(rows: list[list[int]], filler: int) -> Any:
            return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])

        return {
            "input_ids": padded([list(one.input_ids) for one in batch], 0),
            "attention_mask": padded([[1] * len(one.input_ids) for one in batch], 0),
            "labels": padded([list(one.labels) for one in batch], -100),
        }

    arguments.per_device_train_batch_size //= 2
    arguments.gradient_accumulation_steps = 2
    found = Trainer(model=model, args=arguments, data_collator=collate, train_dataset=samples, callbacks=[callback])
    found.remove_callback(PrinterCallback)
    return found


@pytest.mark.parametrize("method", ["lora", "full"])
def test_losses_are_those_of_trl(
    tiny: Path, still: dict[str, Any], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its SFTTrainer pads, and computes its loss its own way."""
    from qwen3ft_jupyter.finetune.compute import trainer

    still |= {"method": method, "eval_fraction": 0}
    ours = curve(tiny, still)
    monkeypatch.setattr(trainer, "StepTrainer", partial(TrlTrainer, tiny))

    assert curve(tiny, still) == pytest.approx(ours, rel=1e-5)


def TrlTrainer(  # noqa: N802 - a class to its caller
    tiny: Path, model: Any, arguments: Any, _objective: object, *, samples: Any, callback: Any, **_: object
) -> Any:
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    same = (
        "output_dir", "per_device_train_batch_size", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps",
        "weight_decay", "max_grad_norm", "optim", "seed", "data_seed", "logging_steps", "save_strategy", "report_to",
        "disable_tqdm", "use_cpu", "bf16", "dataloader_pin_memory",
    )  # fmt: skip
    found = SFTTrainer(
        model=model,
        args=SFTConfig(activation_checkpointing=False, **{name: getattr(arguments, name) for name in same}),
        train_dataset=Dataset.from_list(
            [{"input_ids": list(one.input_ids), "labels": list(one.labels)} for one in samples]
        ),
        processing_class=AutoTokenizer.from_pretrained(tiny),
        callbacks=[callback],
    )
    found.remove_callback(PrinterCallback)
    return found


def test_a_loss_that_the_model_computes_itself_is_the_same(
    tiny: Path, still: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen3ft_jupyter.finetune.compute import probes

    expected = curve(tiny, still)
    monkeypatch.setattr(probes, "has_plain_head", lambda _model: False)

    assert curve(tiny, still) == pytest.approx(expected, rel=1e-5)


def test_samples_that_see_their_neighbours_have_other_losses(
    tiny: Path, still: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the equality above means something: with a mask of ones transformers does not look at positions."""
    import torch

    from qwen3ft_jupyter.finetune.compute import objectives, probes

    expected = curve(tiny, {**still, "packing": False})

    def seeing_all(model: Any, batch: Any) -> Any:
        decoder = objectives.causal_model(model).get_decoder()
        mask = torch.ones_like(batch["input_ids"])
        return decoder(batch["input_ids"], attention_mask=mask, position_ids=batch["position_ids"]).last_hidden_state

    monkeypatch.setattr(objectives, "hidden_states", seeing_all)
    monkeypatch.setattr(probes, "packs_exactly", lambda *_: True)

    assert curve(tiny, still) != pytest.approx(expected, rel=1e-4)


def test_tokens_are_counted_without_padding(tiny: Path, still: dict[str, Any]) -> None:
    for packing in (True, False):
        curve(tiny, {**still, "packing": packing}, name=f"run-{packing}")

    counts = [
        [row["tokens"] for row in read_metrics(Path(still["output_dir"]).with_name(f"run-{packing}") / "metrics.jsonl")]
        for packing in (True, False)
    ]
    assert counts[0] == counts[1]


class Ear(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def test_a_model_whose_layers_carry_state_is_not_packed_and_says_so(
    tiny: Path, still: dict[str, Any], tmp_path: Path
) -> None:
    folder, ear = linear_attention(tiny, tmp_path), Ear()

    found = curve(folder, {**still, "max_steps": 2}, reporter=ear)

    assert "Packing is off: on this model samples in one row would see each other." in ear.notices
    assert curve(folder, {**still, "max_steps": 2, "packing": False}) == found
    with pytest.raises(BadConfig, match="packing: true is not exact on this model"):
        curve(folder, {**still, "packing": True}, name="refused")
    assert not Path(still["output_dir"]).with_name("refused").exists()


def linear_attention(tiny: Path, tmp_path: Path) -> Path:
    """Return a model of Qwen3.5's kind with the tokenizer of the tiny one."""
    from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    folder = shutil.copytree(tiny, tmp_path / "linear", ignore=shutil.ignore_patterns(".qwen3ft", "*.safetensors"))
    vocabulary = json.loads((tiny / "config.json").read_text())["vocab_size"]
    Qwen3_5ForCausalLM(
        Qwen3_5TextConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            linear_num_value_heads=4,
            linear_num_key_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
        )
    ).save_pretrained(folder)
    return folder
