"""Which files of a result are published, and what may not be in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3ft_jupyter.errors import BadInput, LoadError, UnsafeModel
from qwen3ft_jupyter.finetune.published import Private, find_published
from tests.finetune.results import write_adapter, write_safetensors

PLANTED = (
    "optimizer.pt",
    "optimizer.safetensors",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "training_args.bin",
    "train.jsonl",
    "metrics.jsonl",
    "log.txt",
    "result.json",
    "merge.json",
    ".env",
    "secrets.json",
    "Modelfile",
    "modeling_qwen3.py",
    "model.safetensors.bak",
)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def test_only_the_files_of_the_model_are_published(adapter: Path) -> None:
    for name in PLANTED:
        (adapter / name).write_text("HF_TOKEN=hf_" + "a" * 34, "utf-8")
    for name in ("checkpoint-10", ".qwen3ft", "data"):
        (adapter / name).mkdir()
        (adapter / name / "adapter_model.safetensors").write_bytes(b"mine")

    files, left = find_published(adapter, Private())

    names = ["adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json"]
    assert [file.path for file in files] == names
    assert [file.source for file in files] == [adapter / name for name in names]
    assert {*left} == {*PLANTED, "checkpoint-10", ".qwen3ft", "data"}


def test_a_symlink_stays_here_wherever_it_leads(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    (adapter / "LICENSE").symlink_to(tmp_path / "mine.txt")

    files, left = find_published(adapter, Private())

    assert "LICENSE" not in [file.path for file in files]
    assert left == ("LICENSE",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token: hf_" + "Ab1" * 12, "line 2: that looks like a token"),
        ("key sk-" + "Ab1" * 12, "line 2: that looks like a token"),
        ("my-own-secret", "line 2: that looks like a token"),
        ("read from {home}/data/train.jsonl", "line 2: it names a folder"),
        ("{home}", "line 2: it names a folder"),
    ],
)
def test_a_card_with_something_private_is_refused_and_it_is_not_told(
    adapter: Path, tmp_path: Path, text: str, said: str
) -> None:
    home = tmp_path / "home"
    (adapter / "README.md").write_text(f"# First\n{text.format(home=home)}\n", "utf-8")

    with pytest.raises(BadInput, match=f"README.md, {said}") as caught:
        find_published(adapter, Private(("my-own-secret",), (home,)))

    assert text.format(home=home) not in str(caught.value)


def test_what_only_begins_like_a_folder_is_none(adapter: Path) -> None:
    (adapter / "README.md").write_text("POST /root-cause and /rooted, see hf_transfer\n", "utf-8")

    files, _ = find_published(adapter, Private((), (Path("/root"), Path("/"))))

    assert "README.md" in [file.path for file in files]


def test_where_transformers_found_a_model_is_left_out_of_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", {"model.embed_tokens.weight": (8, 4)})
    config = {"_name_or_path": str(folder), "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "tokenizer.json").write_text("{}", "utf-8")

    files, _ = find_published(folder, Private((), (tmp_path,)))

    sent = {file.path: file for file in files}
    assert sent["config.json"].source is None
    assert json.loads(sent["config.json"].content) == {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    assert sent["config.json"].size == len(sent["config.json"].content)


def test_a_config_that_names_a_folder_elsewhere_is_refused(adapter: Path, tmp_path: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    (adapter / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": str(tmp_path / "models/qwen")}), "utf-8"
    )

    with pytest.raises(BadInput, match=r"adapter_config\.json, line 1: it names a folder"):
        find_published(adapter, Private((), (tmp_path,)))


def test_what_is_no_model_is_refused(tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "empty").mkdir()
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    with pytest.raises(LoadError):
        find_published(tmp_path / "empty", Private())
    with pytest.raises(UnsafeModel):
        find_published(adapter, Private())


def test_a_file_for_llama_cpp_is_published_alone(tmp_path: Path) -> None:
    folder = tmp_path / "first-gguf"
    folder.mkdir()
    (folder / "first.gguf").write_bytes(b"GGUF")

    files, _ = find_published(folder, Private())

    assert [file.path for file in files] == ["first.gguf"]
