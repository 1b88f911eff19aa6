"""Complete means usable: what keeps files from being a model that can be loaded is named for what it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.catalog.usable import ModelFiles, opener, problems_of
from tests.cache.making import make_plain, safetensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = safetensors(b"weights" * 1000)
WHOLE = {"config.json": b"{}", "tokenizer.json": b'{"model": {}}', "model.safetensors": WEIGHTS}
INDEX = "model.safetensors.index.json"
SHARDS = {
    f"model-0000{number}-of-00002.safetensors": safetensors(b"weights" * 1000, tensor)
    for number, tensor in ((1, b"a"), (2, b"b"))
}
MAP = b'{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 1503300328\n" % (b"ab" * 32)
SHARDED = {"config.json": b"{}", "tokenizer.json": b"{}", **SHARDS, INDEX: MAP}


def words(folder: Path) -> list[str]:
    return [str(problem) for problem in problems_of(ModelFiles.at(str(folder)))]


def listed(*paths: str, left_out: tuple[str, ...] = ()) -> list[str]:
    """Return what is wrong with what a hub lists."""
    files = ModelFiles(dict.fromkeys(paths, 7), is_vouched=True, left_out=left_out)
    return [str(problem) for problem in problems_of(files)]


@pytest.mark.parametrize(
    "files",
    [
        WHOLE,
        SHARDED,
        {**WHOLE, "notes.txt": b"", "training_args.bin": b"pickle", "checkpoint-5/model.safetensors": b""},
        {"config.json": b"{}", "vocab.json": b"{}", "merges.txt": b"a b", "model.safetensors": WEIGHTS},
        {"config.json": b"{}", "tokenizer.model": b"sp", "model.safetensors": WEIGHTS},
        {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS},
        {**WHOLE, "model.safetensors": safetensors(b"")},
    ],
)
def test_what_can_be_loaded_has_nothing_wrong(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    assert words(make_plain(tmp_path / "model", files)) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({**WHOLE, "config.json": None}, "config.json is missing"),
        ({**WHOLE, "config.json": b""}, "config.json is empty"),
        ({**WHOLE, "config.json": b'{"model_type": "qw'}, "config.json is broken"),
        ({**WHOLE, "config.json": b"[]"}, "config.json is broken"),
        ({**WHOLE, "config.json": bytes(700)}, "config.json has nothing but zeros"),
        ({**WHOLE, "config.json": POINTER}, "config.json is a git-lfs pointer"),
        ({**WHOLE, "tokenizer.json": None}, "tokenizer.json is missing"),
        ({**WHOLE, "tokenizer.json": b""}, "tokenizer.json is empty"),
        ({**WHOLE, "tokenizer.json": b'{"model": {"a"'}, "tokenizer.json is broken"),
        ({**WHOLE, "tokenizer.json": b'{"a": "' + b"x" * (2 << 20)}, "tokenizer.json is broken"),
        ({**WHOLE, "tokenizer.json": POINTER}, "tokenizer.json is a git-lfs pointer"),
        ({**WHOLE, "tokenizer.json": None, "vocab.json": b"{}"}, "merges.txt is missing"),
        ({**WHOLE, "tokenizer.json": None, "tokenizer.model": b""}, "tokenizer.model is empty"),
        ({**WHOLE, "generation_config.json": b""}, "generation_config.json is empty"),
        ({**WHOLE, "tokenizer_config.json": b"{"}, "tokenizer_config.json is broken"),
        ({**WHOLE, "model.safetensors": None}, "model.safetensors is missing"),
        ({**WHOLE, "model.safetensors": b""}, "model.safetensors is empty"),
        ({**WHOLE, "model.safetensors": POINTER}, "model.safetensors is a git-lfs pointer"),
        ({**WHOLE, "model.safetensors": WEIGHTS[:-1]}, "model.safetensors is cut short"),
        ({**WHOLE, "model.safetensors": WEIGHTS[:20]}, "model.safetensors is not a safetensors file"),
        ({**WHOLE, "model.safetensors": b"weights" * 9}, "model.safetensors is not a safetensors file"),
        ({**WHOLE, "model.safetensors": bytes(9000)}, "model.safetensors has nothing but zeros"),
        ({**WHOLE, "model.safetensors": None, "weights.safetensors": WEIGHTS}, "model.safetensors is missing"),
        ({**SHARDED, INDEX: b"not json"}, f"{INDEX} is broken"),
        ({**SHARDED, INDEX: b'{"weight_map": {}}'}, f"{INDEX} is broken"),
        ({**SHARDED, INDEX: b""}, f"{INDEX} is empty"),
        ({**SHARDED, INDEX: MAP.decode().encode("utf-16")}, f"{INDEX} is broken"),
        ({**SHARDED, "config.json": b"\xef\xbb\xbf{}"}, "config.json is broken"),
        (
            {**SHARDED, INDEX: MAP.replace(b'"b"', b'"lm_head.weight"')},
            f"model-00002-of-00002.safetensors lacks lm_head.weight, which {INDEX} has there",
        ),
        ({**SHARDED, INDEX: POINTER}, f"{INDEX} is a git-lfs pointer"),
        ({**SHARDED, INDEX: None}, f"{INDEX} is missing"),
        ({**SHARDED, INDEX: b'{"weight_map": {"a": "../x.safetensors"}}'}, "no safetensors file of its folder"),
        ({**SHARDED, "model-00002-of-00002.safetensors": None}, "model-00002-of-00002.safetensors is missing, which"),
        ({**SHARDED, "model-00001-of-00002.safetensors": POINTER}, "model-00001-of-00002.safetensors is a git-lfs"),
        ({**WHOLE, INDEX: MAP}, "model-00001-of-00002.safetensors is missing, which"),
        ({**WHOLE, "model-00001-of-00003.safetensors": WEIGHTS}, "model-00002-of-00003.safetensors is missing"),
        ({"adapter_config.json": b"{}"}, "adapter_model.safetensors is missing"),
        ({"adapter_config.json": b"{}", "adapter_model.bin": b"p"}, "its weights are adapter_model.bin: only"),
        ({**WHOLE, "model.safetensors": None, "pytorch_model.bin": b"p"}, "its weights are pytorch_model.bin"),
        ({**WHOLE, "model.safetensors": None, "model-Q4_K_M.gguf": b"g"}, "its weights are model-Q4_K_M.gguf"),
        ({**WHOLE, "model.safetensors": None, "onnx/model.onnx": b"o"}, "its weights are onnx/model.onnx"),
    ],
)  # fmt: skip
def test_what_cannot_is_named_for_what_it_is(tmp_path: Path, files: Mapping[str, bytes | None], expected: str) -> None:
    folder = make_plain(tmp_path / "model", {path: data for path, data in files.items() if data is not None})

    assert any(expected in said for said in words(folder)), words(folder)


@pytest.mark.parametrize(
    "suffix",
    [".incomplete", ".aria2", ".part", ".crdownload", ".parallel_tmp", ".download", ".td", ".xltd", ".PART",
     ".baiduyun.p.downloading", "_0_167772159"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "model-00002-of-00002.safetensors"])
def test_what_another_program_left_beside_a_file_says_that_it_is_not_whole(
    tmp_path: Path, name: str, suffix: str
) -> None:
    folder = make_plain(tmp_path / "model", {**WHOLE, name + suffix: b"half"})

    assert words(folder) == [f"{name} has not arrived in whole: {name}{suffix} lies beside it"]


def test_weights_that_were_never_written_to_the_end_are_not_whole(tmp_path: Path) -> None:
    size = 40 << 20
    whole = safetensors(bytes(size))
    folder = make_plain(tmp_path / "model", {**WHOLE, "model.safetensors": whole[: len(whole) - size]})
    os.truncate(folder / "model.safetensors", len(whole))

    assert words(folder) == ["model.safetensors has holes: parts of it were never written"]


def test_of_a_repo_whose_every_file_is_right_only_what_it_lacks_of_its_weights_counts() -> None:
    assert listed("config.json", "model.safetensors") == []
    assert listed("config.json", INDEX, *SHARDS) == []
    assert listed("config.json", INDEX, "model-00001-of-00002.safetensors") == [
        "model-00002-of-00002.safetensors is missing"
    ]
    assert listed("README.md") == ["model.safetensors is missing"]


def test_a_pointer_is_no_weights_even_if_the_hub_lists_it(tmp_path: Path) -> None:
    folder = make_plain(tmp_path / "model", {"model.safetensors": POINTER, "config.json": b""})
    files = ModelFiles({"model.safetensors": len(POINTER), "config.json": 0}, opener(str(folder)), is_vouched=True)

    assert [str(problem) for problem in problems_of(files)] == [
        "model.safetensors is a git-lfs pointer, not the file itself"
    ]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter.pth", "v1-5.ckpt", "flax_model.msgpack", "tf_model.h5"])
def test_weights_that_stay_on_the_hub_are_named(name: str) -> None:
    assert listed("config.json", left_out=(f"{name} (1.0 GB)", "modeling.py (3 B)")) == [
        f"its weights are {name} (1.0 GB), which stay on the hub: such files can run code"
    ]
