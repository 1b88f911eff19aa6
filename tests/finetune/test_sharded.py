"""A model that several processes share out (FSDP2). Here they compute on a CPU and talk by gloo."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.ranks import RankLost, is_lost
from qwen3ft_jupyter.work import Work
from tests.finetune.lessons import pair_rows, rows
from tests.finetune.test_together import NO_CHANCE, Ear, alone, names_in, ranks, together, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psutil

    from qwen3ft_jupyter.finetune.results import Outcome

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(sys.platform == "win32", reason="NCCL and gloo groups are on Linux"),
]

SHARDED = "The model is sharded (FSDP): each of the 2 processes keeps a part of it."


def of(folder: Path, name: str, **given: Any) -> dict[str, Any]:
    """The fields of a full fine-tune in `folder`, with rows held out and gradients that are clipped."""
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows())), encoding="utf-8")
    return {
        "model": "Qwen/Tiny-Qwen3",
        "data": str(folder / "train.jsonl"),
        "output_dir": str(folder / name),
        "method": "full",
        "learning_rate": 1e-3,
        "max_steps": 8,
        "batch_size": 2,
        "gradient_accumulation": 2,
        "lora": NO_CHANCE,
        "save_steps": 3,
        "eval_fraction": 0.2,
        "eval_steps": 4,
        "report": False,
        "device": "cpu",
        **given,
    }


class Undisturbed:
    """One run by one process, and the same run sharded over two."""

    def __init__(self, folder: Path, tiny: Path) -> None:
        self.ear = Ear()
        self.alone = of(folder, "alone")
        self.sharded = of(folder, "sharded", report=True)
        self.one: Outcome = alone(self.alone, tiny)
        self.two: Outcome = together(self.sharded, tiny, Work(self.ear))


@pytest.fixture(scope="module")
def undisturbed(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), tiny)


def assert_same(fields: dict[str, Any], reference: dict[str, Any]) -> None:
    for name in ("loss", "eval_loss", "grad_norm", "learning_rate", "tokens"):
        measured, expected = values(fields, name), values(reference, name)
        assert measured[-len(expected) :] == pytest.approx(expected, abs=1e-6)  # the report has measured before, too


def test_a_full_fine_tune_on_several_devices_is_sharded_and_learns_what_one_process_does(
    undisturbed: Undisturbed,
) -> None:
    """The tiny model ties its head to its embedding, as 0.6B to 4B do."""
    assert SHARDED in undisturbed.ear.notices
    assert_same(undisturbed.sharded, undisturbed.alone)
    assert min(values(undisturbed.alone, "grad_norm")) > 1.0, "nothing was clipped"
    two, one = Path(undisturbed.sharded["output_dir"]), Path(undisturbed.alone["output_dir"])
    assert names_in(two) - {"report.json"} == names_in(one)
    for name in ("model/config.json", "model/generation_config.json"):
        assert (two / name).read_bytes() == (one / name).read_bytes()
    assert undisturbed.two.trainable_parameters == undisturbed.one.trainable_parameters
    assert undisturbed.two.parameters == undisturbed.one.parameters


def test_the_weights_that_are_saved_are_those_of_one_process(undisturbed: Undisturbed) -> None:
    from safetensors.torch import load_file

    two, one = (
        load_file(Path(fields["output_dir"]) / "model" / "model.safetensors")
        for fields in (undisturbed.sharded, undisturbed.alone)
    )

    assert two.keys() == one.keys()
    for name, weights in one.items():
        assert two[name].dtype == weights.dtype
        assert two[name].shape == weights.shape
        assert float((two[name] - weights).abs().max()) < 1e-4, name


def test_the_report_asks_a_sharded_model_before_and_after(undisturbed: Undisturbed) -> None:
    report = json.loads((Path(undisturbed.sharded["output_dir"]) / "report.json").read_text(encoding="utf-8"))

    assert report["held_out"]["before"]["loss"] > report["held_out"]["after"]["loss"]
    assert undisturbed.two.report


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"batch_size": 1, "gradient_accumulation": 1, "max_grad_norm": 0.1}, id="lora, steps of a sample"),
        pytest.param({"objective": "dpo"}, id="pairs"),
    ],
)
def test_an_adapter_of_a_sharded_model_learns_what_one_process_does(
    given: dict[str, Any], tiny: Path, tmp_path: Path
) -> None:
    given = {"method": "lora", "learning_rate": 1e-2, "max_steps": 5, **given}
    one, two = (of(tmp_path, name, sharding="full", **given) for name in ("alone", "sharded"))
    if given.get("objective") == "dpo":
        (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, pair_rows())), encoding="utf-8")
    ear = Ear()

    alone({**one, "sharding": "none"}, tiny)
    together(two, tiny, Work(ear))

    assert SHARDED in ear.notices
    assert_same(two, one)
    assert names_in(Path(two["output_dir"])) == names_in(Path(one["output_dir"]))


def test_a_stopped_run_goes_on_unsharded_and_the_other_way_round(
    undisturbed: Undisturbed, tiny: Path, tmp_path: Path
) -> None:
    fields = of(tmp_path, "run", save_steps=None)
    stop = threading.Event()

    with pytest.raises(Stopped, match="the checkpoint is kept"):
        together(fields, tiny, Work(Ear(lambda step: stop.set() if step == 1 else None), stop))
    stopped_at = len(values(fields))
    assert stopped_at < 7
    stop = threading.Event()
    later = Ear(lambda step: stop.set() if step == stopped_at + 1 else None)
    with pytest.raises(Stopped, match="the checkpoint is kept"):
        alone({**fields, "sharding": "none"}, tiny, Work(later, stop), resume=True)
    ear = Ear()
    together(fields, tiny, Work(ear), resume=True)

    assert any(notice.startswith("Resuming from checkpoint-") for notice in ear.notices)
    assert values(fields) == pytest.approx(values(undisturbed.alone), abs=1e-6)


def test_a_killed_process_changes_no_loss(undisturbed: Undisturbed, tiny: Path, tmp_path: Path) -> None:
    killed: list[psutil.Process] = []

    def kill(step: int) -> None:
        if step == 5 and not killed:
            killed.append(ranks()[1])
            killed[0].send_signal(signal.SIGKILL)

    ear, fields = Ear(kill), of(tmp_path, "run")
    together(fields, tiny, Work(ear))

    assert killed
    assert "Resuming from checkpoint-3." in ear.notices
    assert values(fields) == values(undisturbed.sharded)
    assert values(fields, "grad_norm") == values(undisturbed.sharded, "grad_norm")


def test_four_bits_cannot_be_sharded(tmp_path: Path) -> None:
    fields = of(tmp_path, "run", method="lora", quantization="4bit", sharding="full")

    with pytest.raises(BadConfig, match="weights in 4 bits cannot be sharded"):
        FineTuneConfig.from_dict(fields)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes this process one of several that are not there: what they send is nothing."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # torch puts the rank before what is raised
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    def pretend(count: int) -> None:
        if dist.is_initialized():
            dist.destroy_process_group()
        dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=count)

    yield pretend
    if dist.is_initialized():
        dist.destroy_process_group()


def test_the_plan_knows_what_each_process_keeps(tiny: Path, pretended: Any) -> None:
    """Bytes of the parts of weights, gradients and Adam's states that a process really has, after a step."""
    from qwen3ft_jupyter.catalog.memory import Architecture, Training, training_memory

    config = json.loads((tiny / "config.json").read_bytes())
    kept, planned = {}, {}
    for count in (2, 4):
        pretended(count)
        kept[count], parameters = states_of_a_part(tiny)
        numbers = Architecture.of_config(config, parameters)
        assert numbers is not None
        how = Training("full", 16, weight_bytes=4, is_accumulated=True, overhead_bytes=0, shards=count)
        planned[count] = training_memory(numbers, how).states

    assert kept[2] - kept[4] == pytest.approx(planned[2] - planned[4], rel=0.01)
    assert kept[4] < planned[4], "what is gathered for a moment comes on top"


def states_of_a_part(folder: Path) -> tuple[int, int]:
    """The bytes of the states of the first process after a step, and the parameters of the whole model."""
    import torch
    from torch.distributed.tensor import DTensor
    from transformers import AutoModelForCausalLM

    from qwen3ft_jupyter.finetune.compute.sharding import mesh_of, shard

    model = AutoModelForCausalLM.from_pretrained(folder)
    parameters = model.num_parameters()
    shard(model, mesh_of("cpu"), is_offloaded=False)
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.arange(16)[None], labels=torch.arange(16)[None]).loss.backward()
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, DTensor)]
    tensors = [*model.parameters(), *(one.grad for one in model.parameters()), *states]
    assert len(states) == 2 * len(list(model.parameters()))
    return sum(one.to_local().numel() * one.element_size() for one in tensors), parameters


def test_what_torch_raises_when_a_process_is_gone_is_told_from_other_errors() -> None:
    """Layers are gathered by torch, amid forward and backward passes: nobody there can say it in our words."""
    import torch.distributed as dist

    gone = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:1")

    assert all(is_lost(error) for error in (gone, RankLost(), dist.DistBackendError("NCCL communicator was aborted")))
    assert not is_lost(RuntimeError("shapes differ"))
    assert not is_lost(ValueError("gloo/"))
