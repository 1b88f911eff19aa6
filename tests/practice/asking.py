"""Loads the practice model and asks it many questions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.finetune.results import Outcome


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of fine-tuning the practice model on its data."""

    model: Any
    tokenizer: Any
    result: Outcome


def load(folder: Path) -> tuple[Any, Any]:
    """Load a model folder with nothing but transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32"), AutoTokenizer.from_pretrained(folder)


def answers(model: Any, tokenizer: Any, questions: list[str], *, thinking: bool = False) -> list[str]:
    """Ask all questions at once, without sampling; return what is said after any thinking."""
    import torch

    texts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        for question in questions
    ]
    inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", return_token_type_ids=False)
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=48, do_sample=False)
    written = output[:, inputs["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    return [text.rpartition("</think>")[2].strip() for text in texts]
