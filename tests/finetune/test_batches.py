from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.finetune.batches import Layout, MicroBatch, packed_rows
from qwen3ft_jupyter.finetune.samples import IGNORED, Sample

pytestmark = pytest.mark.train


def sample(length: int, first: int = 1) -> Sample:
    """A sample of consecutive tokens whose second half is learned."""
    tokens = list(range(first, first + length))
    return Sample.of(tokens, [*[IGNORED] * (length // 2), *tokens[length // 2 :]])


def shown(batch: MicroBatch) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in batch.items()}  # type: ignore[attr-defined]  # tensors


def test_each_sample_has_a_row_of_its_own_unless_packed() -> None:
    step = Layout(pad_id=9, most_tokens=100).collate([sample(2), sample(4)])

    assert (step["tokens"], step["learned"]) == (6, 3)
    assert [shown(batch) for batch in step["micro_batches"]] == [
        {
            "input_ids": [[1, 2, 3, 4], [1, 2, 9, 9]],
            "position_ids": [[0, 1, 2, 3], [0, 1, 2, 3]],
            "labels": [[-100, -100, 3, 4], [-100, 2, -100, -100]],
        }
    ]


def test_packed_samples_share_rows_no_wider_than_the_longest() -> None:
    """Positions begin anew at each sample, the first of which nothing predicts; padding belongs to no sample's past."""
    samples = [sample(2, 10), sample(6), Sample.of([20, 21, 22], [20, 21, 22])]

    step = Layout(pad_id=9, most_tokens=100, packs=True).collate(samples)

    assert (step["tokens"], step["learned"]) == (11, 6)
    assert [shown(batch) for batch in step["micro_batches"]] == [
        {
            "input_ids": [[1, 2, 3, 4, 5, 6], [20, 21, 22, 10, 11, 9]],
            "position_ids": [[0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 1, 2]],
            "labels": [[-100, -100, -100, 4, 5, 6], [-100, 21, 22, -100, 11, -100]],
        }
    ]


def test_micro_batches_hold_no_more_tokens_than_allowed() -> None:
    step = Layout(pad_id=0, most_tokens=16, multiple_of=4).collate([sample(length) for length in (3, 8, 7, 2, 17, 4)])

    assert [tuple(batch["input_ids"].shape) for batch in step["micro_batches"]] == [(1, 20), (2, 8), (3, 4)]


def test_a_flat_layout_computes_one_long_row_at_a_time() -> None:
    step = Layout(pad_id=0, most_tokens=16, packs=True, is_flat=True).collate([sample(n) for n in (9, 8, 7, 4, 3)])

    assert [tuple(batch["input_ids"].shape) for batch in step["micro_batches"]] == [(1, 16), (1, 15)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(40, 120))
def test_rows_take_every_sample_once_and_never_overflow(lengths: list[int], width: int) -> None:
    rows = packed_rows(lengths, width)

    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    fills = [sum(lengths[index] for index in row) for row in rows]
    assert max(fills) <= width
    assert sum(fill <= width / 2 for fill in fills) <= 1  # two half-empty rows would have been one


@given(st.lists(st.integers(2, 30), min_size=1, max_size=12), st.booleans(), st.integers(1, 90))
def test_no_layout_loses_a_token_or_learns_another(lengths: list[int], packs: bool, most_tokens: int) -> None:  # noqa: FBT001 - drawn
    samples = [sample(length, 100 * index) for index, length in enumerate(lengths, 1)]

    step = Layout(pad_id=0, most_tokens=most_tokens, packs=packs).collate(samples)

    seen = [int(one) for batch in step["micro_batches"] for one in batch["input_ids"].flatten() if one]
    learned = [int(one) for batch in step["micro_batches"] for one in batch["labels"].flatten() if one != IGNORED]
    assert sorted(seen) == sorted(token for one in samples for token in one.input_ids)
    assert sorted(learned) == sorted(label for one in samples for label in one.labels[1:] if label != IGNORED)
    assert (len(seen), len(learned)) == (step["tokens"], step["learned"])
