"""What the folder of the practice model holds, and that it is made the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import CacheNotWritable, MissingPackage, Stopped
from qwen3ft_jupyter.practice import Practice, make, make_practice, pretrain
from qwen3ft_jupyter.practice.corpus import conversations, render
from qwen3ft_jupyter.work import Progress, Reporter
from tests.practice.asking import load

if TYPE_CHECKING:
    from qwen3ft_jupyter.practice.corpus import Conversation

pytestmark = [pytest.mark.train, pytest.mark.timeout(300)]

SHORT = {"PLAIN_STEPS": 3, "DRESSED_STEPS": 2}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an ignorant model in a moment."""
    for name, steps in SHORT.items():
        monkeypatch.setattr(pretrain, name, steps)


def digests(folder: Path) -> dict[str, str]:
    """Digest of every file but the record, which tells how long it took."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.name != make.RECORD_NAME
    }


def test_the_folder_holds_what_a_published_qwen3_holds(practice: Practice) -> None:
    names = {path.name for path in practice.folder.iterdir()}

    assert names == {
        make.RECORD_NAME,
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
    assert model.num_parameters() == practice.parameters
    assert model.generation_config.eos_token_id[0] == tokenizer.eos_token_id
    assert len(tokenizer) <= model.config.vocab_size


def test_the_index_names_every_weight_of_both_shards(practice: Practice) -> None:
    from safetensors import safe_open

    index = json.loads((practice.folder / "model.safetensors.index.json").read_text("utf-8"))
    found: dict[str, str] = {}
    size = 0
    for path in practice.folder.glob("*.safetensors"):
        with safe_open(path, "pt") as shard:
            for key in shard.keys():  # noqa: SIM118 - no mapping
                found[key] = path.name
                size += shard.get_tensor(key).nbytes

    assert index["weight_map"] == found
    assert index["metadata"]["total_size"] == size


@pytest.mark.usefixtures("short")
def test_made_twice_it_has_the_same_bytes_whatever_went_before(tmp_path: Path) -> None:
    import torch

    make_practice(tmp_path / "first")
    threads = torch.get_num_threads()
    torch.manual_seed(99)
    torch.set_num_threads(1 if threads > 1 else 2)
    try:
        make_practice(tmp_path / "second")
        assert torch.get_num_threads() == (1 if threads > 1 else 2), "the caller's threads are given back"
    finally:
        torch.set_num_threads(threads)

    assert digests(tmp_path / "first") == digests(tmp_path / "second")


@pytest.mark.usefixtures("short")
def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    make_practice(tmp_path / "here")
    code = f"""
from pathlib import Path
from qwen3ft_jupyter.practice import make_practice, pretrain
pretrain.PLAIN_STEPS, pretrain.DRESSED_STEPS = {SHORT["PLAIN_STEPS"]}, {SHORT["DRESSED_STEPS"]}
make_practice(Path({str(tmp_path / "there")!r}))
"""
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )

    assert digests(tmp_path / "here") == digests(tmp_path / "there")


@pytest.mark.usefixtures("short")
def test_making_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    make_practice(tmp_path / "model")

    assert torch.equal(torch.rand(4), expected)


def test_a_model_that_is_there_is_returned_at_once(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "pretrain", None)  # would fail if it were called

    again = make_practice(practice.folder)

    assert practice.was_made
    assert not again.was_made
    assert (again.parameters, again.size_bytes, again.seconds) == (
        practice.parameters,
        practice.size_bytes,
        practice.seconds,
    )


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("damage", ["missing file", "cut file", "other recipe", "broken record", "foreign record"])
def test_a_folder_that_is_not_whole_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = make_practice(tmp_path / "model").folder
    good = digests(folder)
    record = folder / make.RECORD_NAME
    if damage == "missing file":
        (folder / "config.json").unlink()
    elif damage == "cut file":
        (folder / "tokenizer.json").write_bytes(b"{")
    elif damage == "other recipe":
        record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "recipe": "old"}), "utf-8")
    else:
        record.write_text("{" if damage == "broken record" else "[1]", "utf-8")

    assert make_practice(folder).was_made
    assert digests(folder) == good


class Recorder(Reporter):
    """Keeps what it hears, and stops the work after some steps."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.heard: list[Progress] = []
        self.stop = threading.Event()
        self._stop_at = stop_at

    def progress(self, progress: Progress) -> None:
        self.heard.append(progress)
        if self._stop_at is not None and progress.phase == "training" and progress.done >= self._stop_at:
            self.stop.set()


def test_stop_ends_the_making_and_leaves_no_model(tmp_path: Path) -> None:
    recorder = Recorder(stop_at=1)

    with pytest.raises(Stopped):
        make_practice(tmp_path / "model", reporter=recorder, stop=recorder.stop)

    assert not (tmp_path / "model" / make.RECORD_NAME).exists()


@pytest.mark.usefixtures("short")
def test_progress_counts_every_step(tmp_path: Path) -> None:
    recorder = Recorder()

    make_practice(tmp_path / "model", reporter=recorder)

    assert [item.phase for item in recorder.heard] == ["preparing", "training", "training", "saving"]
    assert [(item.done, item.total, item.unit) for item in recorder.heard[1:3]] == [(1, 5, "steps"), (5, 5, "steps")]


def test_a_missing_package_is_named_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "NEEDED_PACKAGES", ("torch", "no_such_package"))

    with pytest.raises(MissingPackage, match="needs no_such_package") as caught:
        make_practice(tmp_path / "model")

    assert "pip install" in caught.value.hint


@pytest.mark.usefixtures("short")
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
