"""The head of a model card, as each hub reads it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.finetune.front_matter import Facts, write_front_matter

if TYPE_CHECKING:
    from qwen3ft_jupyter.settings.declared import HubName

FACTS = Facts(
    "first",
    "Qwen/Qwen3-0.6B",
    "adapter",
    "peft",
    "apache-2.0",
    datasets=("swift/self-cognition",),
    held_out="self-cognition",
    eval_loss=1.5,
)
CARD = "---\nbase_model: Qwen/Qwen3-0.6B\nlibrary_name: peft\ntags:\n- lora\n---\n\n# first\n\nTold by the run.\n"


def head_of(card: str) -> dict[str, Any]:
    return dict(yaml.safe_load(card.split("---\n")[1]))


def test_hugging_face_gets_what_it_links_and_shows() -> None:
    from huggingface_hub import ModelCard

    card = write_front_matter(CARD, FACTS, "huggingface")

    data = ModelCard(card).data  # as its own client reads it
    assert (data.license, data.base_model, data.library_name) == ("apache-2.0", "Qwen/Qwen3-0.6B", "peft")
    assert (data.datasets, data.metrics, data.pipeline_tag) == (
        ["swift/self-cognition"], ["perplexity"], "text-generation",
    )  # fmt: skip
    assert data.to_dict()["base_model_relation"] == "adapter"
    values = {one.metric_type: one.metric_value for one in data.eval_results or []}
    assert values == {"loss": 1.5, "perplexity": round(math.exp(1.5), 4)}
    assert card.endswith("# first\n\nTold by the run.\n")


def test_modelscope_gets_its_own_names() -> None:
    head = head_of(write_front_matter(CARD, FACTS, "modelscope"))

    assert head["license"] == "Apache License 2.0"
    assert head["base_model"] == ["Qwen/Qwen3-0.6B"]
    assert head["base_model_relation"] == "adapter"
    assert head["datasets"] == {"train": ["swift/self-cognition"]}
    assert (head["tasks"], head["frameworks"], head["metrics"]) == (["text-generation"], ["Pytorch"], ["perplexity"])
    assert head["tags"] == ["lora"]
    assert "model-index" not in head


def test_a_loss_of_preferences_has_no_perplexity() -> None:
    card = write_front_matter(CARD, replace(FACTS, is_likelihood=False), "huggingface")

    assert "perplexity" not in card
    assert "type: loss" in card


@pytest.mark.parametrize("hub", ["huggingface", "modelscope"])
def test_what_somebody_wrote_stays(hub: HubName) -> None:
    card = "---\nlicense: cc-by-4.0\ndatasets:\n- me/mine\nlanguage:\n- zh\nmine: 你好\n---\n# Mine\n"

    written = write_front_matter(card, FACTS, hub)

    head = head_of(written)
    assert (head["license"], head["language"], head["mine"]) == ("cc-by-4.0", ["zh"], "你好")
    assert "me/mine" in str(head["datasets"])
    assert "你好" in written
    assert head["base_model"]


@pytest.mark.parametrize("card", ["", "# Mine\n\n---\n\nA line.\n"])
def test_a_card_without_a_head_gets_one(card: str) -> None:
    written = write_front_matter(card, Facts("first"), "huggingface")

    assert head_of(written) == {"library_name": "transformers", "pipeline_tag": "text-generation"}
    assert written.endswith(card or "# first\n")


@pytest.mark.parametrize("head", ["a: b: c", "- a\n- b", 'a: !!int ""', "a: !!bool x", "a: !!timestamp x"])
def test_a_head_that_is_no_yaml_is_named(head: str) -> None:
    with pytest.raises(BadInput, match=r"README\.md: what stands between"):
        write_front_matter(f"---\n{head}\n---\n# Mine\n", FACTS, "huggingface")
