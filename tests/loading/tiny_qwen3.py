"""A Qwen3 of some ten thousand weights, with a tokenizer and templates that behave as Qwen3's do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]

HYBRID = """\
{%- if messages[0].role == 'system' -%}
    {{- '<|im_start|>system\\n' ~ messages[0].content ~ '<|im_end|>\\n' -}}
{%- endif -%}
{%- set seen = namespace(question=-1) -%}
{%- for turn in messages if turn.role == 'user' -%}
    {%- set seen.question = messages.index(turn) -%}
{%- endfor -%}
{%- for turn in messages -%}
    {%- if turn.role == 'user' -%}
        {{- '<|im_start|>user\\n' ~ turn.content ~ '<|im_end|>\\n' -}}
    {%- elif turn.role == 'tool' -%}
        {{- '<|im_start|>user\\n<tool_response>\\n' ~ turn.content ~ '\\n</tool_response><|im_end|>\\n' -}}
    {%- elif turn.role == 'assistant' -%}
        {%- set thought = turn.reasoning_content | default('') -%}
        {{- '<|im_start|>assistant\\n' -}}
        {%- if loop.index0 > seen.question and (loop.last or thought) -%}
            {{- '<think>\\n' ~ thought ~ '\\n</think>\\n\\n' -}}
        {%- endif -%}
        {{- turn.content ~ '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
    {%- if enable_thinking is defined and not enable_thinking -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}
{%- endif -%}
"""
"""As Qwen3's own: earlier answers without think block, the last one always with it."""

INSTRUCT = """\
{%- for turn in messages -%}
    {{- '<|im_start|>' ~ turn.role ~ '\\n' ~ turn.content ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
"""As Instruct-2507: it knows no think block."""

THINKING = HYBRID.replace(
    "{%- if enable_thinking is defined and not enable_thinking -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}",
    "{{- '<think>\\n' -}}",
)
"""As Thinking-2507: each answer begins inside a think block."""

CORPUS = [
    "Hello, who are you? I am a small assistant and I like short answers.",
    "What is the capital of France? The capital of France is Paris.",
    "system user assistant think tool question answer yes no one two three four five six seven eight nine ten",
    "你好，你是谁？我是一个小助手。法国的首都是哪里？法国的首都是巴黎。",
    '{"role": "user", "content": "text"} \n\n\n (1 + 2) * 3 = 9; let me see.',
]


def make_model(folder: Path, *, template: str = HYBRID, tied: bool = True, seed: int = 7, **config: Any) -> Path:
    """Write the model into `folder` and return it."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    tokenizer = make_tokenizer(folder, template)
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 2048,
    }
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer), tie_word_embeddings=tied, bos_token_id=0, eos_token_id=2, **{**sizes, **config}
        )
    )
    model.generation_config = GenerationConfig(
        eos_token_id=[2, 0], pad_token_id=0, do_sample=True, temperature=0.6, top_k=20
    )
    model.save_pretrained(folder)
    return folder


def make_tokenizer(folder: Path, template: str) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    raw.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in TAGS])
    folder.mkdir(parents=True, exist_ok=True)
    raw.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": template,
        "model_max_length": 2048,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return AutoTokenizer.from_pretrained(str(folder))
