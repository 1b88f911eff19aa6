from __future__ import annotations

import pytest

from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.transfer.plan import RESERVE_BYTES, check_room, in_order, make_plan
from tests.transfer.origin import remote

CONFIG, WEIGHTS = remote("config.json", b"{}"), remote("model.safetensors", bytes(40 << 20))


def test_config_and_tokenizer_come_before_the_weights() -> None:
    keyed = in_order([WEIGHTS, remote("a-large.safetensors", bytes(33 << 20)), CONFIG])

    assert [file.path for file in keyed.values()] == ["config.json", "a-large.safetensors", "model.safetensors"]


def test_the_plan_counts_what_is_missing() -> None:
    keyed = in_order([WEIGHTS, CONFIG])

    plan = make_plan(keyed, {str(WEIGHTS.sha256): 10 << 20})

    assert plan.total_bytes == (40 << 20) + 2
    assert plan.bytes_to_fetch == (30 << 20) + 2
    assert plan.room_bytes == plan.bytes_to_fetch + RESERVE_BYTES


def test_equal_files_under_two_paths_are_two_pieces_of_work() -> None:
    keyed = in_order([remote("a", b"same"), remote("b", b"same")])

    assert [file.path for file in keyed.values()] == ["a", "b"]
    assert len(set(keyed)) == 2


def test_no_room_names_the_missing_bytes() -> None:
    plan = make_plan(in_order([WEIGHTS]), {})

    check_room(plan, plan.room_bytes)
    with pytest.raises(NoSpace, match=r"1 bytes \(1 bytes\) are missing|\(1 bytes\) are missing"):
        check_room(plan, plan.room_bytes - 1)


def test_a_plan_with_nothing_to_fetch_needs_no_room() -> None:
    check_room(make_plan(in_order([CONFIG]), {str(CONFIG.sha256): 2}), 0)
