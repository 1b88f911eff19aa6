from __future__ import annotations

import importlib.util
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import find
from qwen3ft_jupyter.errors import BadConfig, BadInput, LoadError, MissingPackage, Stopped
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.adapter import read_adapter
from qwen3ft_jupyter.finetune.check import check_quantization
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.dry_run import Needs
from qwen3ft_jupyter.finetune.fit import plan_memory
from qwen3ft_jupyter.finetune.merge import Base, Origin, merge, plan_merge
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.model import evaluate_as_trained, load_for_training
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.machine import Gpu, Machine
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.work import SILENT, Reporter, Work
from tests.finetune.adapters import make_adapter
from tests.finetune.test_trainer import Ear, TrlTrainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.finetune.merged import BaseWeights

LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-8B", "data": "train.jsonl", "output_dir": "runs"}
GIB = 2**30


@pytest.fixture
def four(fields: dict[str, Any]) -> dict[str, Any]:
    """A QLoRA in which rows are measured before and after steps."""
    return {**fields, "quantization": "4bit", "max_steps": 6, "save_steps": None, "eval_fraction": 0.25}


def losses(folder: Path, fields: dict[str, Any], name: str = "run") -> list[float]:
    out = Path(fields["output_dir"]).with_name(name)
    train(FineTuneConfig.from_dict({**fields, "output_dir": str(out), "overwrite": True}), model_folder=folder)
    return [row[name] for row in read_metrics(out / "metrics.jsonl") for name in ("loss", "eval_loss") if name in row]


@pytest.mark.train
def test_losses_are_those_of_trl_on_a_model_that_transformers_and_peft_made(
    tiny: Path, four: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL rounds an adapter on such a base to bfloat16; here it keeps the float32 that ours has.

    Ours has evaluated before its first step; on some CPUs that would have stopped it learning.
    """
    from qwen3ft_jupyter.finetune.compute import trainer

    four |= {"eval_fraction": 0, "lora": {"r": 4, "alpha": 8}, "schedule": "constant"}
    ours = losses(tiny, four)

    def theirs(_ours: Any, *given: Any, **named: Any) -> Any:
        model = quantized_by_peft(tiny)
        exact = {name: one.detach().clone() for name, one in model.named_parameters() if one.requires_grad}
        found = TrlTrainer(tiny, model, *given, **named)
        for name, one in model.named_parameters():
            one.data = exact.get(name, one.data)
        return found

    monkeypatch.setattr(trainer, "StepTrainer", theirs)

    assert losses(tiny, four) == pytest.approx(ours, abs=1e-5)
    assert ours[-1] < ours[0]


def quantized_by_peft(tiny: Path) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

    shape = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    model = AutoModelForCausalLM.from_pretrained(
        tiny,
        dtype=torch.float32,
        device_map={"": "cpu"},
        quantization_config=BitsAndBytesConfig(**shape, bnb_4bit_compute_dtype=torch.float32),
    )
    set_seed(42)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))


class StoppingReporter(Reporter):
    def __init__(self, step: int) -> None:
        self.step, self.stop = step, threading.Event()

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.step:
            self.stop.set()


@pytest.mark.train
def test_a_stopped_run_goes_on_bit_for_bit(tiny: Path, four: dict[str, Any]) -> None:
    whole = losses(tiny, four)
    again = FineTuneConfig.from_dict({**four, "output_dir": str(Path(four["output_dir"]).with_name("again"))})
    stopping = StoppingReporter(4)
    with pytest.raises(Stopped):
        train(again, model_folder=tiny, work=Work(stopping, stopping.stop))
    train(again, model_folder=tiny, resume=True)

    rows = read_metrics(Path(again.output_dir) / results.METRICS)
    assert [row[name] for row in rows for name in ("loss", "eval_loss") if name in row] == whole
    name = Path(results.ADAPTER) / "adapter_model.safetensors"
    assert (Path(four["output_dir"]) / name).read_bytes() == (Path(again.output_dir) / name).read_bytes()


@pytest.mark.train
def test_linear_layers_are_in_4_bits_and_embedding_head_and_adapter_are_not(tiny: Path, four: dict[str, Any]) -> None:
    import torch

    with quiet_libraries():
        model = load_for_training(FineTuneConfig.from_dict(four), tiny, reporter=SILENT).model

    base = model.get_base_model()
    kinds = {type(module.base_layer).__name__ for module in base.modules() if hasattr(module, "base_layer")}
    assert kinds == {"Linear4bit"}
    assert type(base.get_output_embeddings()) is torch.nn.Linear
    assert base.get_input_embeddings().weight.dtype == torch.float32
    assert {one.dtype for one in model.parameters() if one.requires_grad} == {torch.float32}


@pytest.mark.train
def test_a_base_that_is_stored_in_4_bits_is_trained_as_the_same_base_quantized_here(
    tiny: Path, four: dict[str, Any], tmp_path: Path
) -> None:
    stored = shutil.copytree(tiny, tmp_path / "stored", ignore=shutil.ignore_patterns("*.safetensors", ".qwen3ft"))
    with quiet_libraries():
        quantized_by_peft(tiny).unload().save_pretrained(stored)

    assert losses(stored, four) == losses(tiny, four, "here")
    with pytest.raises(LoadError, match="is stored quantized") as caught:
        losses(stored, {**four, "quantization": None})
    assert "quantization: 4bit" in caught.value.hint


@pytest.mark.train
def test_it_is_merged_into_the_whole_base_as_adapter_and_base_answer_and_the_card_says_so(
    tiny: Path, four: dict[str, Any], tmp_path: Path
) -> None:
    losses(tiny, four)
    config, adapter = FineTuneConfig.from_dict(four), Path(four["output_dir"]) / results.ADAPTER
    ear = Ear()
    origin = Origin("run", Path(four["output_dir"]), config=config.to_dict())
    plan = plan_merge(read_adapter(adapter), Base(tiny, config.model), origin, tmp_path / "merged", overwrite=False)

    result = merge(plan, Work(ear))

    assert result.self_test["exact"] <= 1e-4
    assert any("was trained on Qwen/Tiny-Qwen3 in 4 bits" in notice for notice in ear.notices)
    card = (tmp_path / "merged" / "README.md").read_text(encoding="utf-8")
    assert "| Method | QLoRA (base in 4 bits: NF4, double quantization), r 4" in card
    assert "It was trained on the base in 4 bits" in card


def test_without_bitsandbytes_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name))

    with pytest.raises(MissingPackage) as caught:
        check_quantization(FineTuneConfig.from_dict({**LEAST, "quantization": "4bit"}))
    assert "qwen3ft-jupyter[qlora]" in caught.value.hint
    check_quantization(FineTuneConfig.from_dict(LEAST))


@pytest.mark.parametrize(
    "theirs",
    [
        {"load_in_4bit": True},
        {"quantization_bit": 4, "finetuning_type": "lora"},
        {"quant_bits": "4", "train_type": "lora"},
        {"method": "qlora"},
        {"train_type": "qlora"},
    ],
)
def test_other_trainers_words_for_qlora_are_understood(theirs: dict[str, Any]) -> None:
    config = FineTuneConfig.from_dict({**LEAST, **theirs})

    assert (config.method, config.quantization) == ("lora", "4bit")


def test_what_is_not_trained_in_4_bits_is_refused_with_the_reason() -> None:
    with pytest.raises(BadConfig, match="quantization: '4bit' cannot be trained itself: it goes with method: lora"):
        FineTuneConfig.from_dict({**LEAST, "method": "full", "quantization": "4bit"})
    with pytest.raises(BadConfig, match="quantization_bit: quantization says it"):
        FineTuneConfig.from_dict({**LEAST, "quantization_bit": 8})


def test_a_plan_knows_what_4_bits_save_and_proposes_them() -> None:
    model = find("Qwen/Qwen3-8B")
    assert model is not None
    machine = Machine(64 * GIB, 64 * GIB, (Gpu("A10", (8, 6), 12 * GIB, 24 * GIB),))
    tokens = Tokens("counted", 10, 10_240, 900, 1024, (1024,) * 10)
    configs = (FineTuneConfig.from_dict(LEAST), FineTuneConfig.from_dict({**LEAST, "method": "qlora"}))

    whole, small = (plan_memory(one, tokens, Needs(one, model.architecture), machine) for one in configs)

    assert whole is not None
    assert small is not None
    assert small.weights < 0.45 * whole.weights
    assert (whole.fits, small.fits) == ("no", "yes")
    assert dict(whole.changes[0].fields) == {"quantization": "4bit"}
    assert whole.changes[0].total_bytes == small.total


@pytest.mark.train
@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
def test_it_is_merged_into_the_weights_that_it_was_trained_on_if_that_is_asked(
    tiny: Path, four: dict[str, Any], tmp_path: Path, *, dora: bool
) -> None:
    """Those of 4 bits as numbers again: it says what base and adapter said in training, to 1e-4."""
    import torch

    losses(tiny, {**four, "lora": {"r": 4, "alpha": 8, "dora": dora, "trainable_token_indices": [2, 9]}})
    run = Path(four["output_dir"])
    adapter, ear = run / results.ADAPTER, Ear()
    origin = Origin("run", run, config={"quantization": "4bit"}, dtype="float32")

    def merged(weights: BaseWeights) -> Path:
        base, target = Base(tiny, "Qwen/Tiny-Qwen3", weights=weights), tmp_path / weights
        result = merge(plan_merge(read_adapter(adapter), base, origin, target, overwrite=False), Work(ear))
        assert result.self_test["exact"] <= 1e-4
        assert result.base == weights
        return target

    folder = merged("dequantized")

    def logits(folder: Path, **options: Any) -> Any:
        with quiet_libraries(), torch.no_grad():
            model = load_model_and_tokenizer(folder, LoadOptions(device="cpu", dtype="float32", **options)).model
            evaluate_as_trained(model)
            return model(torch.tensor([[3, 17, 40, 9, 5, 230, 2, 8]])).logits

    trained = logits(tiny, quantization="4bit", adapter=adapter)
    assert (logits(folder) - trained).abs().max() <= 1e-4 * trained.abs().max()
    assert not any("whole weights" in notice for notice in ear.notices)
    assert "in 4 bits (NF4), dequantized" in (folder / "README.md").read_text("utf-8")
    assert (logits(merged("original")) - trained).abs().max() > 0.01


def test_of_a_run_that_was_not_in_4_bits_there_is_nothing_to_dequantize(tiny: Path, tmp_path: Path) -> None:
    adapter = read_adapter(make_adapter(tiny, tmp_path / "adapter"))
    base = Base(tiny, "Qwen/Tiny-Qwen3", weights="dequantized")

    with pytest.raises(BadInput, match="run was not trained in 4 bits") as caught:
        plan_merge(adapter, base, Origin("run", tmp_path), tmp_path / "merged", overwrite=False)
    assert "original" in caught.value.hint
    assert plan_merge(adapter, base, Origin("theirs"), tmp_path / "merged", overwrite=False).base is base
