from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.model import load_for_training
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.work import Reporter, Work
from tests.finetune.test_trainer import Ear
from tests.loading.tiny_qwen3 import HYBRID, make_model, make_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train

KINDS: dict[str, dict[str, Any]] = {
    "rslora": {"rslora": True},
    "dora": {"dora": True},
    "loraplus": {"loraplus_ratio": 16},
    "all of them": {"rslora": True, "dora": True, "loraplus_ratio": 4},
    "head": {"targets": ["q_proj", "lm_head"]},
}
LINEAR_ATTENTION = {"num_value_heads": 4, "num_key_heads": 2, "key_head_dim": 8, "value_head_dim": 8}
TOKENS = [5, 9, 40, 7, 3, 22, 31]


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose head has weights of its own."""
    return make_model(tmp_path_factory.mktemp("untied") / "Tiny-Qwen3", tied=False)


class StoppingReporter(Reporter):
    def __init__(self, step: int) -> None:
        self.step, self.stop = step, threading.Event()

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.step:
            self.stop.set()


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(torch.tensor([TOKENS])).logits


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_reloaded_merged_and_resumed_as_it_was_trained(
    untied: Path, fields: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reloaded: the same logits to the bit. Merged: to 1e-4. Stopped and resumed: the same losses and weights."""
    trained: list[Any] = []
    save = results.save_result

    def spy(ready: Any, *given: Any, **named: Any) -> None:
        trained.append(logits(ready.model))
        save(ready, *given, **named)

    monkeypatch.setattr(results, "save_result", spy)
    fields |= {"max_steps": 6, "save_steps": None, "lora": {"r": 4, "alpha": 8, "dropout": 0.2, **KINDS[kind]}}
    out = Path(fields["output_dir"])

    train(FineTuneConfig.from_dict(fields), model_folder=untied)

    adapter = out / results.ADAPTER
    with quiet_libraries():
        model = load_model_and_tokenizer(untied, LoadOptions(device="cpu", adapter=adapter)).model
        untrained = logits(load_model_and_tokenizer(untied, LoadOptions(device="cpu")).model)
        assert (logits(model) - trained[0]).abs().max() == 0
        assert (trained[0] - untrained).abs().max() > 1e-3
        assert (logits(model.merge_and_unload()) - trained[0]).abs().max() < 1e-4

    stopping, whole = StoppingReporter(3), read_metrics(out / results.METRICS)
    again = FineTuneConfig.from_dict({**fields, "output_dir": str(out.with_name("again"))})
    with pytest.raises(Stopped):
        train(again, model_folder=untied, work=Work(stopping, stopping.stop))
    train(again, model_folder=untied, resume=True)

    resumed = read_metrics(Path(again.output_dir) / results.METRICS)
    assert [row["loss"] for row in resumed] == [row["loss"] for row in whole]
    name = Path(results.ADAPTER) / "adapter_model.safetensors"
    assert (out / name).read_bytes() == (Path(again.output_dir) / name).read_bytes()


@pytest.mark.parametrize(("ratio", "factor"), [(None, 1), (8, 8)])
def test_loraplus_moves_the_b_matrices_by_its_ratio(
    tiny: Path, fields: dict[str, Any], ratio: float | None, factor: int
) -> None:
    """Adam's first step has the length of the rate, whatever the gradient."""
    from safetensors.torch import load_file

    fields |= {"max_steps": 1, "schedule": "constant", "warmup_ratio": 0, "max_grad_norm": 1000, "learning_rate": 1e-3}

    train(FineTuneConfig.from_dict({**fields, "lora": {"loraplus_ratio": ratio}}), model_folder=tiny)

    weights = load_file(Path(fields["output_dir"]) / results.ADAPTER / "adapter_model.safetensors")
    largest = max(float(tensor.abs().max()) for name, tensor in weights.items() if "lora_B" in name)
    assert largest == pytest.approx(1e-3 * factor, rel=0.01)


def test_the_adapter_and_its_card_say_of_which_kind_it_is(tiny: Path, fields: dict[str, Any]) -> None:
    fields |= {"max_steps": 1, "lora": KINDS["all of them"]}

    train(FineTuneConfig.from_dict(fields), model_folder=tiny)

    folder = Path(fields["output_dir"]) / results.ADAPTER
    written = json.loads((folder / "adapter_config.json").read_text())
    assert (written["use_rslora"], written["use_dora"]) == (True, True)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| Method | rsLoRA, DoRA, r 16, alpha 32, dropout 0, LoRA+ ratio 4 |" in card


def test_a_checkpoint_of_an_adapted_head_does_not_hold_the_whole_head(untied: Path, fields: dict[str, Any]) -> None:
    from safetensors.torch import load_file

    fields |= {"max_steps": 2, "save_steps": 1, "lora": {"r": 2, "targets": ["lm_head"]}}

    train(FineTuneConfig.from_dict(fields), model_folder=untied)

    out = Path(fields["output_dir"])
    for folder in (out / results.ADAPTER, out / results.CHECKPOINTS / "checkpoint-1"):
        weights = load_file(folder / "adapter_model.safetensors")
        assert {tensor.shape[0] == 2 or tensor.shape[1] == 2 for tensor in weights.values()} == {True}


def test_the_head_of_a_model_with_tied_embeddings_is_not_adapted(tiny: Path, fields: dict[str, Any]) -> None:
    fields |= {"lora": {"targets": ["q_proj", "lm_head"]}}

    with pytest.raises(BadConfig, match="its weights are those of the embedding, too") as caught:
        train(FineTuneConfig.from_dict(fields), model_folder=tiny)

    assert "Leave lm_head out" in caught.value.hint
    assert not Path(fields["output_dir"]).exists()


def test_other_trainers_names_of_the_kinds_are_understood() -> None:
    least = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}

    assert FineTuneConfig.from_dict(
        {**least, "output_dir": "runs", "use_dora": True, "use_rslora": "true", "loraplus_lr_ratio": 16}
    ) == FineTuneConfig.from_dict(
        {**least, "output_dir": "runs", "lora": {"dora": True, "rslora": True, "loraplus_ratio": 16.0}}
    )
    with pytest.raises(BadConfig, match="neftune_noise_alpha: noise on embeddings"):
        FineTuneConfig.from_dict({**least, "neftune_noise_alpha": 5})
    with pytest.raises(BadConfig, match=r"lora\.loraplus_ratio: 0\.5 is not a number from 1 to 1000, or null"):
        FineTuneConfig.from_dict({**least, "lora": {"loraplus_ratio": 0.5}})


def test_of_a_mixture_of_experts_the_attention_is_adapted_and_the_reason_said(
    tiny: Path, fields: dict[str, Any], tmp_path: Path
) -> None:
    folder, ear = experts(tiny, tmp_path), Ear()

    with quiet_libraries():
        model = load_for_training(FineTuneConfig.from_dict(fields), folder, reporter=ear).model

    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if ".lora_" in name}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert any("Its experts are no linear layers" in notice for notice in ear.notices)
    named = FineTuneConfig.from_dict({**fields, "lora": {"targets": ["q_proj", "up_proj"]}})
    with pytest.raises(BadConfig, match="no linear layers up_proj; the experts of a mixture are none"):
        load_for_training(named, folder, reporter=ear)


def experts(tiny: Path, tmp_path: Path) -> Path:
    """Return a mixture of experts with the tokenizer of the tiny model."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    folder = shutil.copytree(tiny, tmp_path / "experts", ignore=shutil.ignore_patterns(".qwen3ft", "*.safetensors"))
    known = json.loads((tiny / "config.json").read_text())
    shape = {name: known[name] for name in ("vocab_size", "hidden_size", "num_hidden_layers", "head_dim")}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    of_experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    with quiet_libraries():
        Qwen3MoeForCausalLM(Qwen3MoeConfig(**shape, **heads, **of_experts)).save_pretrained(folder)
    return folder


def test_of_a_later_family_every_linear_layer_learns_and_rows_are_not_shared(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """Qwen3.5: three of four layers have linear attention, with layers of other names, and carry state along a row."""
    from transformers.models.qwen3_5 import Qwen3_5ForCausalLM, Qwen3_5TextConfig

    folder = tmp_path / "Tiny-Qwen3.5"
    tokenizer = make_tokenizer(folder, HYBRID)
    heads = {f"linear_{name}": size for name, size in LINEAR_ATTENTION.items()}
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "head_dim": 8, "eos_token_id": 2}
    model = Qwen3_5ForCausalLM(Qwen3_5TextConfig(vocab_size=len(tokenizer), **shape, **more, **heads))
    linear = {name.rpartition(".")[2] for name, one in model.named_modules() if type(one).__name__ == "Linear"}
    model.save_pretrained(folder)
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "max_steps": 2}), model_folder=folder, work=Work(ear))

    adapter = json.loads((Path(fields["output_dir"]) / "adapter" / "adapter_config.json").read_text("utf-8"))
    assert set(adapter["target_modules"]) == linear - {"lm_head"}
    assert len(adapter["target_modules"]) > 7
    assert any("Packing is off" in told for told in ear.notices)
