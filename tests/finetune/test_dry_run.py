"""The memory of a fine-tune, found without weights."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import find
from qwen3ft_jupyter.catalog.memory import Training
from qwen3ft_jupyter.errors import JobFailed
from qwen3ft_jupyter.finetune import dry_run, planning
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import DataReport
from qwen3ft_jupyter.finetune.dry_run import KINDS, DryRun, Tried, try_in_child
from qwen3ft_jupyter.finetune.plan import FineTunePlan, make_plan
from qwen3ft_jupyter.finetune.planning import Base, try_run
from qwen3ft_jupyter.finetune.samples import Tokens
from qwen3ft_jupyter.loading.machine import Gpu, Machine
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

GB = 10**9
REPORT = DataReport(100, 100, ("messages",), 0, 0, ())
TOKENS = Tokens("counted", 8, 8000, 4000, 1000, (1000,) * 8)
MACHINE = Machine(64 * GB, 64 * GB, gpus=(Gpu("A10", (8, 6), 24 * GB, 24 * GB),))


def tried(tokens: int, **activations: int) -> Tried:
    """A step with 100 bytes of weights, 10 of gradients but in the forward pass, and these activations by phase."""
    peaks: dict[str, dict[str, int]] = {}
    for phase, count in activations.items():
        gradients = 0 if phase == "forward" else 10
        peaks[phase] = {**dict.fromkeys(KINDS, 0), "weights": 100, "gradients": gradients, "activations": count}
    return Tried(tokens, peaks)


def total(run: DryRun, length: int, **how: Any) -> int:
    memory = run.memory(Training("lora", length, overhead_bytes=0, is_checkpointed=False, **how))
    assert memory
    return memory.total


def test_the_worst_phase_at_a_length_counts_and_lies_on_a_line() -> None:
    """The optimizer's step needs more for each token here, the forward pass more in any case."""
    run = DryRun(5, 1, kept=(tried(20, forward=60, step=40), tried(10, forward=50, step=20)))

    assert total(run, 10) == 150
    assert total(run, 20) == 160
    assert [total(run, length, batch=2) for length in (5, 50)] == [150, 310]


def test_gradients_of_earlier_batches_count_in_every_phase() -> None:
    run = DryRun(5, 1, kept=(tried(10, forward=50, step=0),))

    assert total(run, 10, is_accumulated=True) == total(run, 10) + 10


def test_what_was_not_tried_is_not_told() -> None:
    run = DryRun(5, 1, kept=(tried(10, forward=50),))

    assert run.memory(Training("lora", 10, is_checkpointed=True)) is None
    assert DryRun.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def plan_of(fields: dict[str, Any], base: Base, run: DryRun | None, machine: Machine = MACHINE) -> FineTunePlan:
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "model": "me/mine", **fields})
    return make_plan(config, REPORT, TOKENS, base.numbers, machine, tried=run)


def test_a_model_that_no_formula_knows_is_planned_by_its_dry_run() -> None:
    """Memory, disk, what fits, and the smaller batch that makes it fit."""
    each = 5 * GB // 1000
    run = DryRun(
        10**9,
        10**6,
        checkpointed=(Tried(2000, {"forward": step(2000 * each)}), Tried(1000, {"forward": step(1000 * each)})),
    )
    plan = plan_of({"batch_size": 8, "gradient_accumulation": 1}, Base(None, None), run)
    assert plan.memory
    assert plan.disk

    assert (plan.memory.basis, plan.fits, plan.disk.checkpoint) == ("dry run", "no", 12 * 10**6)
    assert plan.memory.largest_batch == 4
    assert dict(plan.memory.changes[0].fields) == {"batch_size": 4, "gradient_accumulation": 2}


def step(activations: int) -> dict[str, int]:
    return {**dict.fromkeys(KINDS, 0), "weights": 2 * GB, "activations": activations}


def test_another_method_or_model_is_planned_by_formula() -> None:
    """The dry run says nothing of it."""
    known = find("Qwen/Qwen3-8B")
    assert known
    run = DryRun(known.parameters, known.parameters, checkpointed=(Tried(1000, {"step": step(90 * GB)}),))
    base = Base(None, known.architecture)
    plan = plan_of({"method": "full", "model": known.repo_id}, base, run)
    assert plan.memory

    lora = plan_of({**plan.memory.changes[0].fields, "model": known.repo_id}, base, None)
    assert plan.memory.basis == "dry run"
    assert lora.memory
    assert plan.memory.changes[0].total_bytes == lora.memory.total


def test_a_dry_run_is_asked_for_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models are left to the formula; where memory is short, both ways are tried."""
    asked: list[dict[str, Any]] = []

    def find_out(given: Any) -> DryRun:
        asked.append(json.loads(json.dumps(given)))
        return DryRun(1, 1)

    monkeypatch.setattr(planning, "_can_try", lambda _config: True)
    for model, fields in (("0.6B", {}), ("8B", {"activation_checkpointing": False}), ("8B", {"packing": False})):
        config = FineTuneConfig.from_dict({"data": "a", "model": f"Qwen/Qwen3-{model}", **fields})
        try_run(config, planning.base_model(config.model, None), TOKENS, MACHINE, find_out)
    small = Base(None, known_numbers("0.6B", parameters=10**6), {"model_type": "qwen3"}, 10**6)
    assert try_run(config, small, TOKENS, MACHINE, find_out) == (None, [])

    assert [one["checkpointing"] for one in asked] == [[True], [False, True], [True]]
    assert [one["shares_rows"] for one in asked] == [False, False, False]  # no two of these share a row
    assert asked[0]["model"]["num_hidden_layers"] == 28
    assert (asked[0]["length"], asked[0]["learned"]) == (1000, 0.5)


def known_numbers(size: str, **changed: Any) -> Any:
    found = find(f"Qwen/Qwen3-{size}")
    assert found
    return replace(found.architecture, **changed)


def test_a_dry_run_that_fails_leaves_the_formula_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_given: Any) -> DryRun:
        raise JobFailed("{problem}", problem="KeyError: 'odd'")

    monkeypatch.setattr(planning, "_can_try", lambda _config: True)
    config = FineTuneConfig.from_dict({"data": "a", "model": "Qwen/Qwen3-8B"})
    found, notices = try_run(config, planning.base_model(config.model, None), TOKENS, MACHINE, fails)

    assert found is None
    assert notices == ["Memory is told by formula: its dry run failed: KeyError: 'odd'"]


@pytest.mark.train
def test_the_shape_of_a_published_model_is_tried_in_a_process_of_its_own() -> None:
    """A mixture of experts: its weights are those of the catalogue, and no tensor of it has numbers."""
    model = find("Qwen/Qwen3-30B-A3B")
    assert model
    config = FineTuneConfig.from_dict({"data": "a", "model": model.repo_id, "batch_size": 1, "lora": {"r": 8}})
    base = planning.base_model(config.model, None)
    found, notices = try_run(config, base, TOKENS, MACHINE, partial(try_in_child, wait_s=300))
    assert notices == []
    assert found
    fields = {"model": model.repo_id, "batch_size": 1, "lora": {"r": 8}}
    plan, by_formula = (plan_of(fields, base, run).memory for run in (found, None))
    assert plan
    assert by_formula

    assert (found.parameters, found.trained) == (model.parameters, model.architecture.lora_weights(8))
    assert plan.total == pytest.approx(by_formula.total, rel=0.05)
    assert plan.total != by_formula.total


@pytest.mark.train
def test_what_libraries_raise_of_a_model_is_told() -> None:
    from qwen3ft_jupyter.finetune.compute.tried import answer

    config = FineTuneConfig.from_dict({"data": "a", "model": "me/mine"}).to_dict()
    precision = {"device": "cpu", "weights": "float32", "autocast": None}
    odd, batch = {"model_type": "odd"}, {"length": 5, "learned": 0.5, "shares_rows": False}
    with pytest.raises(JobFailed, match="odd"):
        answer({"model": odd, "config": config, "precision": precision, "checkpointing": [True], **batch})


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("no script")
    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(dry_run, "_ENTRY", slow)

    with pytest.raises(JobFailed, match="took longer than 1 s"):
        try_in_child({}, wait_s=1)


def test_a_process_that_nobody_asks_ends_with_the_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is begun before the data is read, which may turn out to be wrong."""
    if os.name == "nt":
        pytest.skip("no script")
    begun: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def start(*command: Any, **given: Any) -> subprocess.Popen[str]:
        begun.append(real(*command, **given))
        return begun[-1]

    slow = tmp_path / "slow.py"
    slow.write_text("import time; time.sleep(600)")
    monkeypatch.setattr(dry_run, "_ENTRY", slow)
    monkeypatch.setattr(subprocess, "Popen", start)

    with pytest.raises(KeyError), dry_run.child(is_quantized=False):
        raise KeyError

    assert begun[0].poll() is not None


def test_the_formula_is_told_before_the_dry_run_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = tmp_path / "a.jsonl"
    data.write_text(json.dumps({"question": "q", "answer": "a"}) * 1, "utf-8")
    told: list[str] = []

    class Ear(Reporter):
        def notice(self, message: str) -> None:
            told.append(message)

    @contextlib.contextmanager
    def played(*, is_quantized: bool) -> Iterator[Any]:
        assert not is_quantized
        yield lambda _asked: told.append("tried") or DryRun(1, 1)  # type: ignore[func-returns-value]

    monkeypatch.setattr(planning, "_can_try", lambda _config: True)
    monkeypatch.setattr(planning, "child", played)
    monkeypatch.setattr(planning, "machine_without_torch", lambda: MACHINE)
    config = FineTuneConfig.from_dict({"data": str(data), "model": "Qwen/Qwen3-8B", "output_dir": str(tmp_path)})

    planning.plan_run(config, planning.base_model(config.model, None), (), Work(Ear()))

    first, tried_then = told
    assert first.startswith("By formula: ")
    assert "of the 24.0 GB that are free on A10" in first
    assert tried_then == "tried"


def test_asking_for_one_imports_no_torch() -> None:
    code = "import sys, qwen3ft_jupyter.finetune.dry_run; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.train
@pytest.mark.parametrize("objective", ["dpo", "orpo", "pretrain"])
def test_every_objective_is_tried(objective: str) -> None:
    """A pair takes about what a sample of its length takes, whose loss is the same number of logits."""
    from qwen3ft_jupyter.finetune.compute.tried import dry_run as run
    from qwen3ft_jupyter.finetune.precision import Precision

    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = {"model_type": "qwen3", "vocab_size": 3000, "num_key_value_heads": 2, "head_dim": 16, **shape}

    def peak(name: str) -> int:
        config = FineTuneConfig.from_dict({"model": "a/b", "data": "x", "objective": name})
        how: dict[str, Any] = {"length": 101, "learned": 0.33, "shares_rows": False, "checkpointing": (False,)}
        with quiet_libraries():
            peaks = run(model, config, Precision("cpu", "float32", None), **how).kept[0].peaks
        return max(sum(one.values()) for one in peaks.values())

    assert peak(objective) == pytest.approx(peak("sft"), rel=0.1)
