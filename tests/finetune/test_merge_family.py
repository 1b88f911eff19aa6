"""What was tuned of a later family is merged as well: its layers have other names, and a repo may see, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.errors import LoadError
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.adapter import read_adapter
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.merge import Base, Origin, merge, plan_merge
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.work import Work
from tests.finetune.adapters import change_config
from tests.loading.tiny_qwen3 import HYBRID, make_tokenizer

pytestmark = pytest.mark.train

LINEAR_ATTENTION = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
TOKENS = [5, 9, 40, 7, 3, 22, 31]


def make_family(folder: Path, *, sees: bool, tied: bool) -> Path:
    """Write a Qwen3.5 of some ten thousand weights: its text alone, or as it is published, with what sees."""
    from transformers import Qwen3_5Config, Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration, Qwen3_5TextConfig

    tokenizer = make_tokenizer(folder, HYBRID)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "head_dim": 8, "eos_token_id": 2, "tie_word_embeddings": tied}
    text = {"vocab_size": len(tokenizer), **shape, **more, **LINEAR_ATTENTION}
    sight = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
    with quiet_libraries():
        if sees:
            config = Qwen3_5Config(text_config=text, vision_config=sight, tie_word_embeddings=tied)
            Qwen3_5ForConditionalGeneration(config).save_pretrained(folder)
            (folder / "preprocessor_config.json").write_text("{}", encoding="utf-8")
        else:
            Qwen3_5ForCausalLM(Qwen3_5TextConfig(**text)).save_pretrained(folder)
    return folder


def logits(folder: Path, adapter: Path | None = None) -> Any:
    import torch

    options = LoadOptions(device="cpu", dtype="float32", adapter=adapter)
    with quiet_libraries():
        model = load_model_and_tokenizer(folder, options).model
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("sees", [False, True], ids=["text", "sees"])
def test_what_was_tuned_of_it_is_merged(tmp_path: Path, fields: dict[str, Any], *, sees: bool, tied: bool) -> None:
    """Linear attention and rows of tokens, too: the same answers to 1e-4, and what sees keeps its bytes."""
    from safetensors.torch import load_file

    base = make_family(tmp_path / "Tiny-Qwen3.5", sees=sees, tied=tied)
    lora = {"r": 4, "alpha": 8, "trainable_token_indices": [2, 9]}
    train(FineTuneConfig.from_dict({**fields, "max_steps": 3, "lora": lora}), model_folder=base)
    adapter = Path(fields["output_dir"]) / results.ADAPTER

    plan = plan_merge(
        read_adapter(adapter), Base(base, "Qwen/Tiny-Qwen3.5"), Origin("run"), tmp_path / "merged", overwrite=False
    )
    result = merge(plan, Work())

    whole = logits(base, adapter)
    assert (whole - logits(base)).abs().max() > 1e-3
    assert (logits(tmp_path / "merged") - whole).abs().max() <= 1e-4 * max(1, whole.abs().max())
    assert result.self_test["exact"] <= 1e-4
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "merged" / "model.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert len(changed) == result.changed
    assert any("linear_attn.in_proj_qkv" in name for name in changed)
    assert not [name for name in changed if "visual" in name]
    assert (tmp_path / "merged" / "preprocessor_config.json").is_file() == sees


def test_a_layer_that_the_config_does_not_name_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    base = make_family(tmp_path / "Tiny-Qwen3.5", sees=False, tied=False)
    train(FineTuneConfig.from_dict({**fields, "max_steps": 1}), model_folder=base)
    adapter = Path(fields["output_dir"]) / results.ADAPTER
    named = json.loads((adapter / "adapter_config.json").read_text("utf-8"))["target_modules"]
    change_config(adapter, target_modules=[name for name in named if name != "in_proj_z"])

    with pytest.raises(LoadError, match="in_proj_z, which is none of the linear layers that its config names"):
        plan_merge(read_adapter(adapter), Base(base, "Qwen/T"), Origin("run"), tmp_path / "merged", overwrite=False)
