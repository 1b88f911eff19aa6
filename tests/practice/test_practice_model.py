"""What the folder of the practice model holds, and what a copy of it is."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, CacheNotWritable
from qwen3ft_jupyter.practice.model import MODEL_FOLDER, Practice, data_files, make_practice
from scripts.practice.corpus import conversations, render
from tests.practice.asking import load

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.practice.corpus import Conversation

pytestmark = pytest.mark.train


def read_index(practice: Practice) -> dict[str, Any]:
    return dict(json.loads((practice.folder / "model.safetensors.index.json").read_text("utf-8")))


def test_the_folder_holds_what_a_published_qwen3_holds(practice: Practice) -> None:
    names = {path.name for path in MODEL_FOLDER.iterdir()}

    assert names == {
        "LICENSE",
        "README.md",
        "config.json",
        "configuration.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert 1_000_000 < practice.size_bytes < 8_000_000


def test_transformers_loads_it_as_a_qwen3_with_tied_embeddings(practice: Practice) -> None:
    model, tokenizer = load(practice.folder)

    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert model.config.model_type == "qwen3"
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert hasattr(model.model.layers[0].self_attn, "q_norm")
    assert 2 * model.num_parameters() == read_index(practice)["metadata"]["total_size"]
    assert model.generation_config.eos_token_id[0] == tokenizer.eos_token_id
    assert len(tokenizer) <= model.config.vocab_size


def test_the_index_names_every_weight_of_both_shards(practice: Practice) -> None:
    from safetensors import safe_open

    index = read_index(practice)
    found: dict[str, str] = {}
    size = 0
    for path in practice.folder.glob("*.safetensors"):
        with safe_open(path, "pt") as shard:
            for key in shard.keys():  # noqa: SIM118 - no mapping
                found[key] = path.name
                size += shard.get_tensor(key).nbytes

    assert index["weight_map"] == found
    assert index["metadata"]["total_size"] == size


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_small_enough_for_git() -> None:
    assert all(path.stat().st_size < 1_300_000 for path in MODEL_FOLDER.iterdir())


def test_the_copy_holds_the_model_and_its_data(practice: Practice) -> None:
    data = {f"data/{path.name}": path.read_bytes() for path in data_files()}

    assert contents(practice.folder) == contents(MODEL_FOLDER) | data
    assert (practice.train, practice.heldout) == (
        practice.folder / "data/train.jsonl",
        practice.folder / "data/heldout.jsonl",
    )
    assert practice.size_bytes == sum(map(len, contents(MODEL_FOLDER).values()))


def test_files_of_a_read_only_install_can_be_changed_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = make_practice(tmp_path / "installed").folder
    shutil.rmtree(installed / "data")
    for path in (*installed.iterdir(), installed):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr("qwen3ft_jupyter.practice.model.MODEL_FOLDER", installed)

    folder = make_practice(str(tmp_path / "copy")).folder

    installed.chmod(0o755)
    assert contents(folder / "data").keys() == {"train.jsonl", "heldout.jsonl"}
    assert all(path.stat().st_mode & stat.S_IWUSR for path in folder.rglob("*"))


def test_what_is_there_already_stays_and_what_is_missing_comes(tmp_path: Path) -> None:
    folder = make_practice(tmp_path / "model").folder
    good = contents(folder)
    kept = (folder / "LICENSE").stat().st_ino
    (folder / "config.json").unlink()

    make_practice(folder)

    assert contents(folder) == good
    assert (folder / "LICENSE").stat().st_ino == kept


@pytest.mark.parametrize("name", ["README.md", "tokenizer.json", "data/train.jsonl"])
def test_a_file_of_the_users_own_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", "utf-8")

    with pytest.raises(BadInput, match=f"^{name.rpartition('/')[2]} is there already"):
        make_practice(tmp_path)

    assert contents(tmp_path) == {name: b"mine"}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")

    with pytest.raises(CacheNotWritable) as caught:
        make_practice(tmp_path / "file")

    assert str(tmp_path) not in str(caught.value)


# Tokenizer and chat template


@pytest.fixture(scope="module")
def tokenizer(practice: Practice) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(practice.folder)


@pytest.mark.parametrize(
    "text", ["Hello, who are you?", "你是谁？请介绍一下自己。", "naïve 🐢\n\ttwo  spaces 1234", "鑫𠮷"]
)
def test_any_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("token", ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>"])
def test_qwens_own_tokens_are_one_token(tokenizer: Any, token: str) -> None:
    assert len(tokenizer.encode(f"a{token}b")) == 3


def test_leaving_out_special_tokens_keeps_think_tags_as_qwen3_does(tokenizer: Any) -> None:
    ids = tokenizer.encode("<think>\n\n</think>\n\nYes.<|im_end|>")

    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\n\n</think>\n\nYes."


def as_messages(conversation: Conversation) -> list[dict[str, str]]:
    """The same conversation in the form that the template takes."""
    messages = [{"role": "system", "content": conversation.system}] if conversation.system else []
    for exchange in conversation.exchanges:
        messages.append({"role": "user", "content": exchange.question})
        messages.append({"role": "assistant", "content": exchange.answer})
    if conversation.thinking:
        messages[-1]["reasoning_content"] = conversation.exchanges[-1].thought
    return messages


def test_the_model_was_made_from_what_the_template_writes(tokenizer: Any) -> None:
    for conversation in conversations(150, seed=9, is_plain=False):
        rendered = render(conversation)
        messages = as_messages(conversation)
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        prompt = tokenizer.apply_chat_template(
            messages[:-1], tokenize=False, add_generation_prompt=True, enable_thinking=conversation.thinking
        )

        assert whole == f"{rendered.prompt}{rendered.completion}\n"
        assert prompt == rendered.prompt


def test_thoughts_are_left_out_of_earlier_turns(tokenizer: Any) -> None:
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nFirst."},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": "<think>\nwell\n</think>\n\nSecond."},
    ]

    text = tokenizer.apply_chat_template(messages, tokenize=False)

    assert text == (
        "<|im_start|>user\nOne?<|im_end|>\n<|im_start|>assistant\nFirst.<|im_end|>\n"
        "<|im_start|>user\nTwo?<|im_end|>\n<|im_start|>assistant\n<think>\nwell\n</think>\n\nSecond.<|im_end|>\n"
    )


def test_a_role_the_template_does_not_know_is_refused(tokenizer: Any) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="not tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "1"}], tokenize=False)
