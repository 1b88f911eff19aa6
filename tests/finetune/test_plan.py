"""What a fine-tune will be, told before it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from qwen3ft_jupyter.catalog import find
from qwen3ft_jupyter.catalog.memory import Architecture
from qwen3ft_jupyter.errors import BadInput, DoesNotFit, NoSpace
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import DataReport
from qwen3ft_jupyter.finetune.plan import FineTunePlan, Rate, change_words, check_plan, closeness, make_plan
from qwen3ft_jupyter.finetune.samples import Basis, Tokens
from qwen3ft_jupyter.loading.machine import Gpu, Machine

GB = 10**9
REPORT = DataReport(100, 100, ("messages",), 0, 0, ())


def gpu(free: int, name: str = "A10") -> Machine:
    return Machine(64 * GB, 64 * GB, gpus=(Gpu(name, (8, 6), free, 24 * GB),))


def numbers_of(model: str) -> Architecture:
    found = find(model)
    assert found is not None
    return found.architecture


def tokens_of(lengths: list[int]) -> Tokens:
    return Tokens("counted", len(lengths), sum(lengths), sum(lengths) // 3, max(lengths), tuple(lengths))


def plan_of(
    fields: dict[str, Any], lengths: list[int], machine: Machine, *, disk_free: int | None = None
) -> FineTunePlan:
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "output_dir": "/runs/a", "model": "Qwen/Qwen3-8B", **fields})
    return make_plan(config, REPORT, tokens_of(lengths), numbers_of(config.model), machine, disk_free=disk_free)


def test_steps_warm_up_checkpoints_and_tokens_follow_from_samples_and_batch() -> None:
    plan = plan_of({"epochs": 2, "warmup_ratio": 0.1, "save_steps": 5}, [100] * 81, gpu(80 * GB))

    assert (plan.steps.an_epoch, plan.steps.total, plan.steps.warmup) == (11, 22, 2)
    assert plan.steps.checkpoints == 4  # after 5, 10, 15 and 20 steps
    assert plan.steps.tokens == 2 * 8100


def test_a_number_of_steps_says_how_many_tokens_are_seen() -> None:
    assert plan_of({"max_steps": 5}, [100] * 80, gpu(80 * GB)).steps.tokens == 4000


def test_rows_of_one_length_need_no_padding_and_mixed_ones_do_unless_they_share_rows() -> None:
    apart = {"packing": False, "batch_size": 8, "gradient_accumulation": 1}
    mixed = [10, 30, 100] * 40

    assert plan_of(apart, [100] * 80, gpu(80 * GB)).steps.padding == 0
    assert plan_of({**apart, "batch_size": 1}, mixed, gpu(80 * GB)).steps.padding == 0
    assert 0.3 < plan_of(apart, mixed, gpu(80 * GB)).steps.padding < 0.7
    assert plan_of({**apart, "packing": True}, mixed, gpu(80 * GB)).steps.padding < 0.3


def test_the_parts_of_memory_add_up_and_fit_a_gpu_that_is_known_to_hold_them() -> None:
    """On fake tensors an 8B with rank 8 and a loss in chunks takes 17.3 GiB at 2,048 tokens; the runtime one more."""
    plan = plan_of({"batch_size": 1, "max_length": 2048, "lora": {"r": 8}}, [2048] * 8, gpu(24 * GB))
    memory = plan.memory
    assert memory is not None

    parts = (memory.weights, memory.adapter, memory.gradients, memory.optimizer, memory.activations, memory.logits)
    assert sum(parts) + memory.margin == memory.total
    assert memory.total == pytest.approx(18.3 * 2**30, rel=0.05)
    assert (memory.fits, memory.changes, memory.device_name, memory.dtype) == ("yes", (), "A10", "bfloat16")
    assert memory.largest_batch >= 1
    assert memory.largest_length >= 2048


def test_the_largest_batch_and_length_are_the_last_that_fit() -> None:
    whole = plan_of({"batch_size": 1}, [1000] * 8, gpu(24 * GB)).memory
    assert whole is not None

    for fields, length, fits in (
        ({"batch_size": whole.largest_batch}, 1000, "yes"),
        ({"batch_size": whole.largest_batch + 1}, 1000, "unknown"),
        ({"batch_size": 1}, whole.largest_length, "yes"),
        ({"batch_size": 1}, whole.largest_length + 50, "unknown"),
    ):
        assert plan_of(fields, [length] * 8, gpu(24 * GB)).fits == fits


def test_what_cannot_fit_is_refused_with_the_cheapest_change_first() -> None:
    fields = {"activation_checkpointing": False, "batch_size": 4, "gradient_accumulation": 2}
    plan = plan_of(fields, [1024] * 8, gpu(19_500_000_000))
    assert plan.memory is not None

    assert plan.fits == "no"
    assert [dict(change.fields) for change in plan.memory.changes] == [
        {"activation_checkpointing": True, "batch_size": 2, "gradient_accumulation": 4},
        {"activation_checkpointing": True, "batch_size": 1, "gradient_accumulation": 8, "quantization": "4bit"},
        {"activation_checkpointing": True, "batch_size": 1, "gradient_accumulation": 8, "model": "Qwen/Qwen3-4B"},
    ]
    with pytest.raises(DoesNotFit, match="A10") as caught:
        check_plan(plan)
    assert "activation_checkpointing: true, batch_size: 2" in str(caught.value.hint)


def test_computing_activations_again_alone_is_proposed_where_that_is_enough() -> None:
    plan = plan_of({"activation_checkpointing": False, "model": "Qwen/Qwen3-4B"}, [1024] * 8, gpu(16 * GB))

    assert plan.memory is not None
    assert dict(plan.memory.changes[0].fields) == {"activation_checkpointing": True}


@pytest.mark.parametrize(
    ("fields", "lengths", "free"),
    [
        ({"activation_checkpointing": False, "batch_size": 4, "gradient_accumulation": 2}, [1024] * 8, 24 * GB),
        ({"method": "full"}, [500] * 8, 40 * GB),
        ({"batch_size": 8, "gradient_accumulation": 1}, [500] * 99 + [8000], 23 * GB),
        ({"model": "Qwen/Qwen3-32B"}, [500] * 8, 12 * GB),
    ],
)
def test_each_change_makes_it_fit_and_keeps_the_samples_of_a_step(
    fields: dict[str, Any], lengths: list[int], free: int
) -> None:
    before = plan_of({"max_length": 8192, **fields}, lengths, gpu(free))
    assert before.memory is not None
    assert before.fits != "yes"
    assert before.memory.changes

    for change in before.memory.changes:
        changed = {"max_length": 8192, **fields, **change.fields}
        config = FineTuneConfig.from_dict({"data": "a", "model": "Qwen/Qwen3-8B", **changed})
        original = FineTuneConfig.from_dict({"data": "a", "model": "Qwen/Qwen3-8B", **fields})
        assert config.effective_batch_size == original.effective_batch_size
        shortened = [min(length, config.max_length) for length in lengths]
        after = plan_of(changed, shortened, gpu(free))
        assert (after.fits, after.memory and after.memory.total) == ("yes", change.total_bytes), change_words(change)


def test_max_length_is_lowered_only_where_few_samples_are_longer() -> None:
    few = plan_of({"max_length": 65536, "batch_size": 1}, [500] * 99 + [60000], gpu(24 * GB)).memory
    most = plan_of({"max_length": 65536, "batch_size": 1}, [60000] * 100, gpu(24 * GB)).memory
    assert few is not None
    assert most is not None

    assert [(change.shortened, [*change.fields]) for change in few.changes][:1] == [(1, ["max_length"])]
    assert all("max_length" not in change.fields for change in most.changes)


def test_what_is_too_close_to_tell_is_not_refused_but_told() -> None:
    total = plan_of({}, [1024] * 8, gpu(80 * GB)).memory
    assert total is not None
    plan = plan_of({}, [1024] * 8, gpu(total.total - 10**8))

    check_plan(plan)
    assert plan.fits == "unknown"
    assert "It may not fit" in closeness(plan)
    assert closeness(plan_of({}, [1024] * 8, gpu(80 * GB))) == ""


def test_a_full_fine_tune_on_a_gpu_has_float32_weights_and_their_16_bit_copies() -> None:
    memory = plan_of({"method": "full", "model": "Qwen/Qwen3-0.6B"}, [500] * 8, gpu(24 * GB)).memory
    parameters = numbers_of("Qwen/Qwen3-0.6B").parameters
    assert memory is not None

    assert (memory.weights, memory.gradients, memory.optimizer) == (6 * parameters, 4 * parameters, 8 * parameters)


def test_on_a_cpu_the_computers_memory_counts() -> None:
    plan = plan_of({"model": "Qwen/Qwen3-0.6B"}, [200] * 8, Machine(2 * GB, 64 * GB))

    assert plan.memory is not None
    assert (plan.memory.device, plan.memory.free, plan.fits) == ("cpu", 2 * GB, "no")


def test_a_device_that_this_machine_lacks_is_refused() -> None:
    with pytest.raises(BadInput, match="cuda:3"):
        plan_of({"device": "cuda:3"}, [200] * 8, gpu(24 * GB))


def test_disk_is_needed_for_many_samples_until_they_are_counted() -> None:
    bases: list[tuple[int, Basis]] = [(10**6, "sampled"), (10**9, "sampled"), (10**9, "counted")]
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "output_dir": "/runs/a", "model": "Qwen/Qwen3-8B"})
    needed = []
    for number, basis in bases:
        tokens = replace(tokens_of([200] * 8), tokens=number, basis=basis)
        disk = make_plan(config, REPORT, tokens, numbers_of(config.model), gpu(24 * GB), disk_free=GB).disk
        assert disk is not None
        needed.append((disk.needed, disk.certain))

    assert needed[0] == needed[2]
    assert [more - less for more, less in zip(needed[1], needed[0], strict=True)] == [4 * 10**9] * 2


def test_disk_is_needed_for_the_result_and_for_the_checkpoints_that_are_kept_at_once() -> None:
    adapter = 4 * numbers_of("Qwen/Qwen3-8B").lora_weights(16)
    fields = {"save_steps": 2, "keep_checkpoints": 1, "max_steps": 9}
    disk = plan_of(fields, [200] * 8, gpu(24 * GB), disk_free=10**8)
    assert disk.disk is not None

    assert disk.disk.checkpoint == 3 * adapter  # the adapter, and Adam's two states of it
    assert disk.disk.needed == disk.disk.result + 2 * disk.disk.checkpoint  # the new one before the old one goes
    assert not disk.has_room
    with pytest.raises(NoSpace, match=r"needs 1\.2 GB of disk .* 100 MB are free"):
        check_plan(disk)


def test_checkpoints_by_the_clock_are_no_reason_to_refuse() -> None:
    plan = plan_of({}, [200] * 8, gpu(24 * GB), disk_free=2 * 10**8)

    assert plan.steps.checkpoints is None
    assert plan.disk is not None
    assert plan.disk.needed > 2 * 10**8 > plan.disk.certain
    assert plan.has_room


def test_a_model_of_unknown_parts_has_no_memory_but_steps() -> None:
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "model": "me/mine"})
    plan = make_plan(config, REPORT, tokens_of([5] * 16), None, gpu(24 * GB))

    assert (plan.memory, plan.disk, plan.fits, plan.steps.total) == (None, None, "unknown", 2)
    check_plan(plan)


def test_time_is_that_of_an_earlier_run_or_unknown() -> None:
    config = FineTuneConfig.from_dict({"data": "a.jsonl", "model": "Qwen/Qwen3-8B"})
    known = make_plan(
        config, REPORT, tokens_of([100] * 8), numbers_of(config.model), gpu(24 * GB), rate=lambda _memory: Rate(400.0)
    )

    assert (known.tokens_per_s, known.seconds) == (400.0, 2.0)
    assert plan_of({}, [100] * 8, gpu(24 * GB)).seconds is None


def test_a_plan_is_json_without_the_length_of_every_sample() -> None:
    told = plan_of({}, [100] * 8, gpu(24 * GB)).to_dict()

    assert json.loads(json.dumps(told)).keys() == told.keys()
    assert "lengths" not in told["tokens"]
    assert (told["fits"], told["has_room"]) == ("yes", True)


def test_planning_imports_no_torch() -> None:
    code = "import sys, qwen3ft_jupyter.finetune.plan, qwen3ft_jupyter.finetune.planning; print('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_config_of_another_makers_model_is_read() -> None:
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    found = Architecture.of_config({**config, "vocab_size": 1000, "tie_word_embeddings": True})
    assert found is not None

    assert (found.query, found.key_value) == (64, 64)  # no head_dim and no fewer keys than queries
    assert Architecture.of_config({"text_config": {**config, "vocab_size": 1000}}, 5) == replace(
        found, parameters=5, tied=False
    )


@pytest.mark.parametrize(
    "config", [{}, {"hidden_size": "64"}, {"layer_types": ["linear_attention"], "hidden_size": 64}]
)
def test_a_config_that_is_no_plain_transformers_gives_no_numbers(config: dict[str, Any]) -> None:
    assert Architecture.of_config(config) is None


@pytest.mark.parametrize("size", ["0.6B", "8B", "30B-A3B"])
def test_weights_reckoned_from_a_config_are_those_of_the_catalogue(size: str) -> None:
    numbers = numbers_of(f"Qwen/Qwen3-{size}")
    config = {
        "hidden_size": numbers.hidden,
        "num_hidden_layers": numbers.layers,
        "num_attention_heads": numbers.query // 128,
        "num_key_value_heads": numbers.key_value // 128,
        "head_dim": 128,
        "intermediate_size": numbers.intermediate,
        "vocab_size": numbers.vocab,
        "tie_word_embeddings": numbers.tied,
        "num_experts": numbers.experts,
    }

    assert Architecture.of_config(config) == numbers


def gpus(count: int, free: int) -> Machine:
    return Machine(900 * GB, 900 * GB, gpus=(Gpu("H100", (9, 0), free, free),) * count)


FULL = {"method": "full", "batch_size": 1, "gradient_accumulation": 8}


def test_a_model_that_one_gpu_cannot_hold_is_planned_over_so_many_that_can() -> None:
    one = plan_of(FULL, [1024] * 80, gpus(4, 80 * GB)).memory
    assert one is not None
    assert (one.fits, one.devices, one.sharding) == ("no", 1, "none")
    advised = dict(one.changes[0].fields)
    assert advised == {"devices": 3}

    three, two = (plan_of({**FULL, "devices": count}, [1024] * 80, gpus(4, 80 * GB)).memory for count in (3, 2))

    assert three is not None
    assert two is not None
    assert (three.fits, three.devices, three.sharding, three.changes) == ("yes", 3, "full", ())
    assert three.total == one.changes[0].total_bytes
    assert two.fits != "yes"
    assert three.optimizer == -(-one.optimizer // 3)
    assert three.largest_model == "Qwen/Qwen3-8B"


def test_an_adapter_is_sharded_only_where_one_gpu_cannot_hold_the_model() -> None:
    fields = {"devices": 2, "batch_size": 1, "gradient_accumulation": 8}
    roomy, tight = (plan_of(fields, [1024] * 80, gpus(2, free)).memory for free in (40 * GB, 16 * GB))
    assert roomy is not None
    assert tight is not None

    assert (roomy.sharding, tight.sharding) == ("none", "full")
    assert tight.fits == "yes"
    four_bits = plan_of({**fields, "quantization": "4bit"}, [1024] * 80, gpus(2, 6 * GB)).memory
    assert four_bits is not None
    assert four_bits.sharding == "none"


def test_the_memory_of_the_host_is_the_last_resort() -> None:
    memory = plan_of({**FULL, "devices": 2}, [1024] * 80, gpus(2, 24 * GB)).memory
    assert memory is not None
    assert "sharding" not in dict(memory.changes[0].fields)

    offloaded = plan_of({**FULL, "devices": 2, "sharding": "offload"}, [1024] * 80, gpus(2, 24 * GB)).memory

    assert offloaded is not None
    assert (offloaded.optimizer, offloaded.fits) == (0, "yes")
