from __future__ import annotations

from qwen3ft_jupyter.transfer.objects import in_order
from tests.transfer.origin import remote

CONFIG, WEIGHTS = remote("config.json", b"{}"), remote("model.safetensors", bytes(40 << 20))


def test_config_and_tokenizer_come_before_the_weights() -> None:
    keyed = in_order([WEIGHTS, remote("a-large.safetensors", bytes(33 << 20)), CONFIG])

    assert [file.path for file in keyed.values()] == ["config.json", "a-large.safetensors", "model.safetensors"]


def test_equal_files_under_two_paths_are_two_pieces_of_work() -> None:
    keyed = in_order([remote("a", b"same"), remote("b", b"same")])

    assert [file.path for file in keyed.values()] == ["a", "b"]
    assert len(set(keyed)) == 2
