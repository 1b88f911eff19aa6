from __future__ import annotations

import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, BadData, DoesNotFit, JobFailed, LoadError, Stopped
from qwen3ft_jupyter.finetune import checkpoints, model, spool
from qwen3ft_jupyter.finetune.chat import AnswerOptions, answer
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import read_data, split
from qwen3ft_jupyter.finetune.job import run
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.output import check_output
from qwen3ft_jupyter.finetune.results import is_run, read_run
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.libraries import LoadedPair
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.machine import Machine
from qwen3ft_jupyter.work import Progress, Reporter, Work
from tests.finetune.lessons import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.train


class Ear(Reporter):
    """Keeps what it is told; calls `on_step` after each step's metrics."""

    def __init__(self, on_step: Callable[[int], None] = lambda _step: None) -> None:
        self.phases: list[Progress] = []
        self.notices: list[str] = []
        self.rows: list[dict[str, float]] = []
        self.on_step = on_step

    def progress(self, progress: Progress) -> None:
        self.phases.append(progress)

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def metrics(self, values: Mapping[str, float]) -> None:
        self.rows.append(dict(values))
        if "loss" in values:
            self.on_step(int(values["step"]))


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl")]


@pytest.fixture(scope="module")
def whole(whole_run: Path) -> list[float]:
    """The losses of a run that nothing interrupted."""
    return losses(whole_run)


@pytest.fixture(scope="module")
def whole_run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing interrupted; its settings are those of the fixture `config`."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    config = FineTuneConfig.from_dict(
        {
            "model": "Qwen/Tiny-Qwen3",
            "data": str(folder / "train.jsonl"),
            "output_dir": str(folder / "run"),
            "max_steps": 12,
            "batch_size": 2,
            "gradient_accumulation": 2,
            "learning_rate": 1e-2,
            "lora": {"r": 4, "alpha": 8, "dropout": 0.2},
            "report": False,
            "device": "cpu",
        }
    )
    train(config, model_folder=tiny)
    return folder / "run"


def test_a_lora_learns_and_leaves_everything_needed(
    tiny: Path, config: FineTuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        tried.append(arguments[:2])
        raise OSError("no way out")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    ear = Ear()

    result = train(config, model_folder=tiny, work=Work(ear))

    out = Path(config.output_dir)
    assert tried == []
    assert set(result.to_dict()) == {
        "output_dir",
        "method",
        "steps",
        "first_loss",
        "last_loss",
        "seconds",
        "parameters",
        "trainable_parameters",
        "dtype",
        "device",
        "tokens",
        "base_commit",
        "data",
        "planned",
        "peak_bytes",
        "result_step",
        "mfu",
    }
    assert result.last_loss < result.first_loss - 0.2  # a random base gives an adapter little to hold on to
    assert (result.method, result.steps, result.dtype, result.device) == ("lora", 12, "float32", "cpu")
    assert 0 < result.trainable_parameters < result.parameters
    assert [row["step"] for row in ear.rows] == list(range(1, 13))
    assert {"loss", "learning_rate", "epoch", "tokens_per_s", "tokens", "seconds", "mfu"} <= ear.rows[0].keys()
    assert sys.platform != "linux" or ear.rows[0]["memory_bytes"] > 10**7
    assert result.tokens == ear.rows[-1]["tokens"]
    assert list(dict.fromkeys(one.phase for one in ear.phases)) == ["preparing", "loading", "training", "saving"]
    steps = [one for one in ear.phases if one.phase == "training"]
    assert (steps[0].done, steps[-1].done, steps[-1].total, steps[-1].unit) == (0, 12, 12, "steps")
    assert read_metrics(out / "metrics.jsonl") == ear.rows
    assert (
        json.loads((out / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "Qwen/Tiny-Qwen3"
    )
    assert not list(out.rglob("*.bin"))  # pickles, even in checkpoints
    assert (
        FineTuneConfig.from_dict(
            {
                name: value
                for name, value in json.loads((out / "config.json").read_text()).items()
                if name not in {"made_by", "run_id", "base_commit", "data_sha256", "versions", "plan"}
            }
        )
        == config
    )
    for card in (out / "README.md", out / "adapter" / "README.md"):
        text = card.read_text(encoding="utf-8")
        assert "base_model: Qwen/Tiny-Qwen3" in text
        assert "train.jsonl" in text
        assert str(out.parent) not in text


def test_the_adapter_on_its_base_is_the_model_that_was_trained(tiny: Path, config: FineTuneConfig) -> None:
    train(config, model_folder=tiny)
    found = read_run(Path(config.output_dir))

    base, tokenizer = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))
    tuned, _ = load_model_and_tokenizer(tiny, LoadOptions(device="cpu", adapter=found.adapter_folder))

    question = "What is two?"
    assert found.base_model == "Qwen/Tiny-Qwen3"
    assert answer(LoadedPair(tuned, tokenizer), question, AnswerOptions(max_new_tokens=12)) != answer(
        LoadedPair(base, tokenizer), question, AnswerOptions(max_new_tokens=12)
    )


def test_the_first_loss_is_the_cross_entropy_of_the_answers(tiny: Path, fields: dict[str, Any], tmp_path: Path) -> None:
    """Computed by hand: rendered by transformers, tokenized, logits of the untouched model, answer tokens only."""
    import torch

    row = {"messages": [{"role": "user", "content": "one?"}, {"role": "assistant", "content": "two."}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    base, tokenizer = load_model_and_tokenizer(tiny, LoadOptions(device="cpu"))
    text = tokenizer.apply_chat_template(row["messages"], tokenize=False).removesuffix("\n")
    head = text[: text.index("two.")]
    ids = torch.tensor([tokenizer(head)["input_ids"] + tokenizer(text[len(head) :])["input_ids"]])
    start = len(tokenizer(head)["input_ids"])
    expected = torch.nn.functional.cross_entropy(base(input_ids=ids).logits[0, start - 1 : -1], ids[0, start:])

    result = train(FineTuneConfig.from_dict({**fields, "max_steps": 1}), model_folder=tiny)

    assert result.first_loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_same_seed_gives_the_same_losses(tiny: Path, config: FineTuneConfig, whole: list[float]) -> None:
    train(config, model_folder=tiny)

    assert losses(Path(config.output_dir)) == whole


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_killed_run_resumes_to_the_very_same_losses(
    tiny: Path, fields: dict[str, Any], whole: list[float], whole_run: Path
) -> None:
    """LoRA with dropout, killed at step 8, after the checkpoint of step 5 and an unmarked one of step 7."""
    out = Path(fields["output_dir"])
    killed = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed_run.py")), json.dumps(fields), str(tiny), "8"],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [row["step"] for row in read_metrics(out / "metrics.jsonl")] == list(range(1, 9))
    half = shutil.copytree(out / "checkpoints" / "checkpoint-5", out / "checkpoints" / "checkpoint-7")
    (half / "optimizer.pt").unlink()
    ear = Ear()

    result = train(FineTuneConfig.from_dict(fields), model_folder=tiny, resume=True, work=Work(ear))

    assert "Resuming from checkpoint-5." in ear.notices
    assert [row["step"] for row in ear.rows] == list(range(6, 13))
    assert losses(out) == whole
    assert (out / "metrics.jsonl").read_text().count('"step"') == 12
    assert (result.first_loss, result.last_loss) == (whole[0], whole[-1])
    assert result.tokens == read_run(whole_run).result["tokens"]
    weights = Path("adapter") / "adapter_model.safetensors"
    assert (out / weights).read_bytes() == (whole_run / weights).read_bytes()


def test_stop_saves_the_exact_step_and_resume_goes_on_from_it(
    tiny: Path, fields: dict[str, Any], whole: list[float]
) -> None:
    config = FineTuneConfig.from_dict({**fields, "save_steps": None})
    stop = threading.Event()
    ear = Ear(on_step=lambda step: stop.set() if step == 3 else None)

    with pytest.raises(Stopped, match=r"Stopped after step 4 of 12"):
        train(config, model_folder=tiny, work=Work(ear, stop))

    saved = checkpoints.last_complete(Path(config.output_dir) / "checkpoints")
    assert saved is not None
    assert saved.name == "checkpoint-4"
    with pytest.raises(LoadError, match="no finished fine-tune"):
        read_run(Path(config.output_dir))

    train(config, model_folder=tiny, resume=True)

    assert losses(Path(config.output_dir)) == whole


def test_a_full_fine_tune_saves_a_model_that_loads(tiny: Path, fields: dict[str, Any]) -> None:
    config = FineTuneConfig.from_dict({**fields, "method": "full", "learning_rate": 1e-2})

    result = train(config, model_folder=tiny)

    found = read_run(Path(config.output_dir))
    assert found.model_folder is not None
    tuned, tokenizer = load_model_and_tokenizer(found.model_folder, LoadOptions(device="cpu"))
    assert result.trainable_parameters == result.parameters == sum(one.numel() for one in tuned.parameters())
    assert result.last_loss < 0.6 * result.first_loss
    assert tuned.generation_config.eos_token_id == [2, 0]
    assert answer(LoadedPair(tuned, tokenizer), "What is two?", AnswerOptions(max_new_tokens=16))


def test_held_out_rows_are_measured_each_epoch_and_not_trained_on(tiny: Path, fields: dict[str, Any]) -> None:
    ear = Ear()
    config = FineTuneConfig.from_dict({**fields, "max_steps": None, "epochs": 2, "eval_fraction": 0.25})

    result = train(config, model_folder=tiny, work=Work(ear))

    evaluated = [row for row in ear.rows if "eval_loss" in row]
    assert result.steps == 10  # 18 of 24 rows, in fours: five steps an epoch
    assert [row["step"] for row in evaluated] == [5, 10]
    assert result.eval_loss == evaluated[-1]["eval_loss"]
    assert read_metrics(Path(config.output_dir) / "metrics.jsonl")[4].keys() >= {"loss", "eval_loss"}


def test_a_bfloat16_base_trains_a_float32_adapter(tiny: Path, fields: dict[str, Any]) -> None:
    result = train(FineTuneConfig.from_dict({**fields, "dtype": "bfloat16", "max_steps": 3}), model_folder=tiny)

    import torch
    from safetensors.torch import load_file

    weights = load_file(Path(fields["output_dir"]) / "adapter" / "adapter_model.safetensors")
    assert result.dtype == "bfloat16"
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_activation_checkpointing_changes_no_loss(tiny: Path, fields: dict[str, Any], whole: list[float]) -> None:
    train(FineTuneConfig.from_dict({**fields, "activation_checkpointing": True}), model_folder=tiny)

    assert losses(Path(fields["output_dir"])) == pytest.approx(whole, rel=1e-4)


def test_an_earlier_result_is_not_mixed_with_a_new_one(tiny: Path, fields: dict[str, Any]) -> None:
    short = {**fields, "max_steps": 1}
    train(FineTuneConfig.from_dict(short), model_folder=tiny)

    with pytest.raises(BadConfig, match="output_dir: run holds an earlier fine-tune"):
        train(FineTuneConfig.from_dict(short), model_folder=tiny)
    train(FineTuneConfig.from_dict({**short, "overwrite": True, "max_steps": 2}), model_folder=tiny)

    assert len(losses(Path(fields["output_dir"]))) == 2


def test_only_the_run_that_was_begun_is_resumed(tiny: Path, fields: dict[str, Any], data: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Stopped):
        train(FineTuneConfig.from_dict(fields), model_folder=tiny, work=Work(Ear(lambda _step: stop.set()), stop))

    with pytest.raises(BadConfig, match="another learning_rate, lora"):
        train(
            FineTuneConfig.from_dict({**fields, "learning_rate": 1, "lora": {"r": 8}}), model_folder=tiny, resume=True
        )
    data.write_text(data.read_text() + "\n")
    with pytest.raises(BadData, match="has changed"):
        train(FineTuneConfig.from_dict(fields), model_folder=tiny, resume=True)


def test_a_loss_that_is_no_number_ends_the_run(tiny: Path, config: FineTuneConfig, fields: dict[str, Any]) -> None:
    with pytest.raises(JobFailed, match="The loss became nan at step 1"):
        train(config, model_folder=_broken(tiny, fields))


def _broken(tiny: Path, fields: dict[str, Any]) -> Path:
    """A model whose last norm is NaN, as after an overflow."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny, Path(fields["output_dir"]).with_name("broken"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_base_model_is_told_of(tiny: Path, fields: dict[str, Any]) -> None:
    folder = shutil.copytree(tiny, Path(fields["output_dir"]).with_name("base"))
    path = folder / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": 0}))
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "max_steps": 1, "method": "full"}), model_folder=folder, work=Work(ear))

    saved = json.loads((Path(fields["output_dir"]) / "model" / "generation_config.json").read_text())
    assert any("Base model" in notice for notice in ear.notices)
    assert saved["eos_token_id"] == [2, 0]


def test_a_full_fine_tune_that_cannot_fit_is_refused_before_loading(tiny: Path, fields: dict[str, Any]) -> None:
    machine = Machine(ram_free_bytes=200_400_000, ram_total_bytes=10**9)

    with pytest.raises(DoesNotFit, match=r"needs at least 0\.5 MB, 0\.4 MB are free") as caught:
        model.load_for_training(
            FineTuneConfig.from_dict({**fields, "method": "full"}), tiny, reporter=Reporter(), machine=machine
        )

    assert "method: lora" in caught.value.hint


def test_a_run_that_fails_early_leaves_the_earlier_result_as_it_was(tiny: Path, fields: dict[str, Any]) -> None:
    short = {**fields, "max_steps": 1}
    train(FineTuneConfig.from_dict(short), model_folder=tiny)
    before = _everything(Path(fields["output_dir"]))

    with pytest.raises(LoadError):
        train(FineTuneConfig.from_dict({**short, "overwrite": True}), model_folder=tiny / "nothing")
    Path(fields["data"]).write_text("no rows")
    with pytest.raises(BadData):
        train(FineTuneConfig.from_dict({**short, "overwrite": True}), model_folder=tiny)

    assert _everything(Path(fields["output_dir"])) == before


def test_a_run_that_fails_while_it_learns_keeps_the_earlier_result(tiny: Path, fields: dict[str, Any]) -> None:
    short = {**fields, "max_steps": 1}
    train(FineTuneConfig.from_dict(short), model_folder=tiny)
    out = Path(fields["output_dir"])
    before = (out / "adapter" / "adapter_model.safetensors").read_bytes()

    with pytest.raises(JobFailed):
        train(FineTuneConfig.from_dict({**short, "overwrite": True}), model_folder=_broken(tiny, fields))

    kept = read_run(out / "previous").adapter_folder
    assert kept is not None
    assert (kept / "adapter_model.safetensors").read_bytes() == before
    load_model_and_tokenizer(tiny, LoadOptions(device="cpu", adapter=kept))

    train(FineTuneConfig.from_dict({**short, "overwrite": True}), model_folder=tiny)

    assert not (out / "previous").exists()
    assert read_run(out).result["steps"] == 1


def _everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Context:
    """What a job gives its function."""

    def __init__(self, attempt: int, name: str = "20250301-093000-finetune-0001") -> None:
        self.reporter, self.stop, self.attempt = Ear(), threading.Event(), attempt
        self.work = Work(self.reporter, self.stop)
        self.folder = Path("jobs") / name


def test_the_jobs_second_attempt_resumes(tiny: Path, fields: dict[str, Any], whole: list[float]) -> None:
    first, second = Context(1), Context(2)
    first.reporter.on_step = lambda step: first.stop.set() if step == 6 else None
    with pytest.raises(Stopped):
        run(FineTuneConfig.from_dict(fields), tiny, first, base_commit="a" * 40)
    with pytest.raises(BadConfig, match="the cached model is bbbb"):
        run(FineTuneConfig.from_dict(fields), tiny, second, base_commit="b" * 40)

    result = run(FineTuneConfig.from_dict(fields), tiny, second, base_commit="a" * 40)

    found = read_run(Path(fields["output_dir"]))
    assert second.reporter.rows[0]["step"] == 8
    assert losses(Path(fields["output_dir"])) == whole
    assert found.base_commit == result.base_commit == "a" * 40
    assert "a" * 40 in (Path(fields["output_dir"]) / "README.md").read_text()


def test_a_refused_job_that_is_resumed_leaves_the_others_run_alone(tiny: Path, fields: dict[str, Any]) -> None:
    """Two jobs of the same fields and folder: the second is refused, fails, and so can be resumed."""
    run(FineTuneConfig.from_dict({**fields, "max_steps": 1}), tiny, Context(1))
    before = _everything(Path(fields["output_dir"]))

    for attempt in (1, 2):
        with pytest.raises(BadConfig, match="earlier fine-tune"):
            run(
                FineTuneConfig.from_dict({**fields, "max_steps": 1}),
                tiny,
                Context(attempt, "20250301-093001-finetune-0002"),
            )

    assert _everything(Path(fields["output_dir"])) == before
    assert is_run(Path(fields["output_dir"]))
    check_output(FineTuneConfig.from_dict(fields), run_id="20250301-093000-finetune-0001")


def test_a_replacing_job_that_is_resumed_before_it_began_starts_anew(tiny: Path, fields: dict[str, Any]) -> None:
    """As after a stop while its model was being downloaded: the folder still holds the other's result."""
    fields |= {"max_steps": 2, "overwrite": True, "save_steps": 1}
    run(FineTuneConfig.from_dict(fields), tiny, Context(1))
    second = Context(2, "20250301-093001-finetune-0002")

    run(FineTuneConfig.from_dict(fields), tiny, second)

    assert [row["step"] for row in second.reporter.rows] == [1, 2]
    assert not any("Resuming" in notice for notice in second.reporter.notices)
    assert read_run(Path(fields["output_dir"])).config["run_id"] == "20250301-093001-finetune-0002"


def test_another_output_folder_can_be_given(tiny: Path, fields: dict[str, Any], tmp_path: Path) -> None:
    result = train(
        FineTuneConfig.from_dict({**fields, "max_steps": 1, "output_dir": str(tmp_path / "other")}), model_folder=tiny
    )

    assert result.output_dir == str(tmp_path / "other")
    assert read_run(tmp_path / "other").config["output_dir"] == str(tmp_path / "other")
    assert not Path(fields["output_dir"]).exists()


def test_held_out_rows_that_do_not_fit_cost_the_measurement_alone(tiny: Path, fields: dict[str, Any]) -> None:
    """Of two rows the second is held out, and too long."""
    long = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "no " * 500}]}
    Path(fields["data"]).write_text("\n".join(json.dumps(row) for row in [*rows(1), long]))
    conversations = read_data([Path(fields["data"])]).conversations
    seed = next(seed for seed in range(99) if list(split(conversations, 0.5, seed)[1]) == [conversations[1]])
    ear = Ear()

    result = train(
        FineTuneConfig.from_dict({**fields, "eval_fraction": 0.5, "max_length": 64, "max_steps": 1, "seed": seed}),
        model_folder=tiny,
        work=Work(ear),
    )

    assert result.eval_loss is None
    assert any("none of the 1 answers in them fits max_length" in notice for notice in ear.notices)


def test_an_evaluation_that_one_row_cannot_give_is_told(tiny: Path, fields: dict[str, Any]) -> None:
    Path(fields["data"]).write_text(json.dumps(rows(1)[0]))
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "eval_fraction": 0.2, "max_steps": 1}), model_folder=tiny, work=Work(ear))

    assert "Nothing is measured on held-out rows: there is only one row." in ear.notices


def test_card_and_result_tell_what_was_used_shortened_and_left_out(tiny: Path, fields: dict[str, Any]) -> None:
    long = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "no " * 500}]}
    Path(fields["data"]).write_text("\n".join(json.dumps(row) for row in [*rows(2), *[long] * 8]))
    ear = Ear()

    result = train(
        FineTuneConfig.from_dict({**fields, "max_length": 64, "max_steps": 1}), model_folder=tiny, work=Work(ear)
    )

    facts = {name: result.data[name] for name in ("rows", "conversations", "answers", "left_out", "held_out")}
    assert facts == {"rows": 10, "conversations": 2, "answers": 2, "left_out": 8, "held_out": 0}
    assert read_run(Path(fields["output_dir"])).result["data"] == result.data
    card = (Path(fields["output_dir"]) / "README.md").read_text(encoding="utf-8")
    assert "| Conversations | 2 of 10 rows; 0 more held out |" in card
    assert "8 answers left out" in card
    assert any(notice.startswith("WARNING: only 20 % of the answers") for notice in ear.notices)


def test_a_run_that_diverges_says_so(tiny: Path, fields: dict[str, Any]) -> None:
    ear = Ear()
    wild = {
        **fields,
        "method": "full",
        "learning_rate": 1.0,
        "max_grad_norm": 1000,
        "schedule": "constant",
        "max_steps": 5,
    }

    result = train(FineTuneConfig.from_dict(wild), model_folder=tiny, work=Work(ear))

    assert result.diverged
    assert read_run(Path(fields["output_dir"])).result["diverged"]
    assert any("the run diverged" in notice for notice in ear.notices)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_file_of_a_result_is_as_open_as_the_umask_says(tiny: Path, fields: dict[str, Any], method: str) -> None:
    train(FineTuneConfig.from_dict({**fields, "method": method, "max_steps": 1}), model_folder=tiny)

    probe = Path(fields["output_dir"]) / "probe"
    probe.write_text("")
    folder = Path(fields["output_dir"]) / {"lora": "adapter", "full": "model"}[method]
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert modes == dict.fromkeys(modes, probe.stat().st_mode)


def test_a_full_fine_tune_is_saved_in_its_bases_number_type(tiny: Path, fields: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    base = shutil.copytree(tiny, tmp_path / "base", ignore=shutil.ignore_patterns(".qwen3ft"))
    AutoModelForCausalLM.from_pretrained(tiny, dtype="bfloat16").save_pretrained(base)
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "method": "full", "max_steps": 1}), model_folder=base, work=Work(ear))

    folder = Path(fields["output_dir"]) / "model"
    assert {str(one.dtype) for one in load_file(folder / "model.safetensors").values()} == {"torch.bfloat16"}
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert "Trained in float32, saved in bfloat16, which is the base model's type." in ear.notices


def test_samples_on_disk_give_the_losses_of_samples_in_memory(
    tiny: Path, config: FineTuneConfig, whole: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 1)

    train(config, model_folder=tiny)

    assert losses(Path(config.output_dir)) == whole
    assert not list(Path(config.output_dir).parent.glob("tmp*"))
