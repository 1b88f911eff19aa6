from __future__ import annotations

from typing import Any

import pytest

from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.loading.offline import quiet_libraries

pytestmark = pytest.mark.train

SHAPE = {
    "vocab_size": 500,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "use_cache": False,
}
EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LINEAR: dict[str, Any] = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_hidden_layers": 4,
}


def make(kind: str, *, dtype: str = "float32", attention: str = "sdpa", **fields: Any) -> Any:
    import torch
    import transformers

    torch.manual_seed(1)
    name = {"Qwen3_5": "Qwen3_5TextConfig"}.get(kind, f"{kind}Config")
    config = getattr(transformers, name)(**{"num_hidden_layers": 2, **SHAPE, **fields})
    with quiet_libraries():
        return getattr(transformers, f"{kind}ForCausalLM")._from_config(
            config, dtype=getattr(torch, dtype), attn_implementation=attention
        )


@pytest.mark.parametrize("layout", [Layout(0, 99), Layout(0, 99, is_flat=True, multiple_of=8)], ids=["rows", "flat"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Qwen3", {}),
        ("Qwen3", {"attention": "eager"}),
        ("Qwen3", {"num_hidden_layers": 24}),
        ("Qwen3", {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}),
        ("Qwen3Moe", EXPERTS),
    ],
    ids=["sdpa", "eager", "deep", "sliding", "experts"],
)
def test_attention_keeps_packed_samples_apart(kind: str, fields: dict[str, Any], dtype: str, layout: Layout) -> None:
    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head, packs_exactly

    model = make(kind, dtype=dtype, **fields)

    assert packs_exactly(model, layout)
    assert has_plain_head(model)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["Qwen3_5", "Qwen3Next"])
def test_layers_that_carry_state_along_a_row_do_not(kind: str, dtype: str) -> None:
    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head, packs_exactly

    model = make(kind, dtype=dtype, **LINEAR, **(EXPERTS if kind == "Qwen3Next" else {}))

    assert not packs_exactly(model, Layout(0, 99))
    assert has_plain_head(model)


def test_a_mask_that_lets_neighbours_see_each_other_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an attention_mask of ones does: transformers looks at positions only where there is none."""
    import torch

    from qwen3ft_jupyter.finetune.compute import probes

    def seeing_all(model: Any, batch: Any) -> Any:
        ids = batch["input_ids"]
        return model.model(
            input_ids=ids, position_ids=batch["position_ids"], attention_mask=torch.ones_like(ids)
        ).last_hidden_state

    monkeypatch.setattr(probes, "hidden_states", seeing_all)

    assert not probes.packs_exactly(make("Qwen3"), Layout(0, 99))


def test_a_probe_draws_no_random_number_and_leaves_the_model_in_its_mode() -> None:
    import torch

    from qwen3ft_jupyter.finetune.compute.probes import packs_exactly

    model = make("Qwen3", attention_dropout=0.5).train()
    before = torch.get_rng_state()

    assert packs_exactly(model, Layout(0, 99))

    assert torch.equal(torch.get_rng_state(), before)
    assert model.training


@pytest.mark.parametrize("case", ["bias", "capped", "adapter", "balanced experts"])
def test_a_head_that_is_not_plain_leaves_the_loss_to_the_model(case: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head

    model = make("Qwen3Moe", output_router_logits=True, **EXPERTS) if "experts" in case else make("Qwen3")
    if case == "bias":
        model.lm_head = torch.nn.Linear(32, 500)
    elif case == "capped":
        plain = model.forward
        model.forward = lambda **given: capped(plain(**given))
    elif case == "adapter":
        with quiet_libraries():
            model = get_peft_model(model, LoraConfig(target_modules=["lm_head"], task_type="CAUSAL_LM"))

    assert not has_plain_head(model)


def capped(output: Any) -> Any:
    output.logits = 30 * output.logits.tanh()
    return output
