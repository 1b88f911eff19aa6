"""What earlier runs on a machine tell of how long another will take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.plan import Rate
from qwen3ft_jupyter.finetune.planning import base_model, known_rate
from qwen3ft_jupyter.finetune.results import CONFIG, RESULT, Record
from tests.finetune.test_plan import gpu, plan_of

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.finetune.fit import MemoryPlan

GB = 10**9


def memory_of(**fields: Any) -> MemoryPlan:
    memory = plan_of(fields, [100] * 8, gpu(24 * GB)).memory
    assert memory is not None
    return memory


def run(folder: Path, model: str, memory: MemoryPlan, **known: Any) -> Path:
    """The folder of a run that took 10 seconds for 4,000 tokens."""
    folder.mkdir()
    then = {"device_name": memory.device_name, "dtype": memory.dtype, "is_checkpointed": memory.is_checkpointed}
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "model": model}).to_dict()
    record = Record(config, "id", None, (), {}, {"memory": then | known.pop("then", {})})
    (folder / CONFIG).write_text(json.dumps(record.to_json()), encoding="utf-8")
    result = {"method": "lora", "tokens": 4000, "seconds": 10.0, **known}
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
    return folder


def rate(memory: MemoryPlan, *earlier: Path, model: str = "Qwen/Qwen3-8B") -> Rate | None:
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "model": model})
    return known_rate(config, base_model(model, None), memory, earlier)


def test_a_run_of_the_same_is_measured_and_comes_before_a_newer_one_of_another(tmp_path: Path) -> None:
    memory = memory_of(model="Qwen/Qwen3-8B")
    other = run(tmp_path / "other", "Qwen/Qwen3-4B", memory)

    assert rate(memory, other, run(tmp_path / "same", "Qwen/Qwen3-8B", memory)) == Rate(400.0)


def test_a_run_of_another_size_is_set_against_the_work_of_a_token(tmp_path: Path) -> None:
    memory = memory_of(model="Qwen/Qwen3-8B")
    found = rate(memory, run(tmp_path / "run", "Qwen/Qwen3-4B", memory))

    assert found is not None
    assert found.reckoned_from == "Qwen/Qwen3-4B"
    assert found.tokens_per_s == pytest.approx(400.0 * 4_022_468_096 / 8_190_735_360)


def test_a_run_in_full_takes_more_work_for_a_token(tmp_path: Path) -> None:
    memory = memory_of(model="Qwen/Qwen3-8B")
    full = run(tmp_path / "run", "Qwen/Qwen3-8B", memory, method="full", then={"is_checkpointed": False})
    found = rate(memory, full)

    assert found is not None
    assert found.tokens_per_s == pytest.approx(400.0 * 6 / (6 if memory.is_checkpointed else 4))


@pytest.mark.parametrize(
    ("model", "then"),
    [
        ("Qwen/Qwen3-8B", {"device_name": "another GPU"}),
        ("Qwen/Qwen3-8B", {"dtype": "float32"}),
        ("Qwen/Qwen3-30B-A3B", {}),  # only some of its weights work for a token
        ("me/mine", {}),
    ],
)
def test_what_cannot_be_compared_gives_no_figure(tmp_path: Path, model: str, then: dict[str, str]) -> None:
    memory = memory_of(model="Qwen/Qwen3-8B")

    assert rate(memory, run(tmp_path / "run", model, memory, then=then)) is None


def test_a_model_of_quite_another_size_gives_no_figure(tmp_path: Path) -> None:
    memory = memory_of(model="Qwen/Qwen3-14B")

    assert rate(memory, run(tmp_path / "run", "Qwen/Qwen3-0.6B", memory), model="Qwen/Qwen3-14B") is None
