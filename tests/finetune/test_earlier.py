from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, LoadError, Qwen3ftError
from qwen3ft_jupyter.finetune.check import check_fine_tune
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.results import read_record, read_run
from qwen3ft_jupyter.finetune.training import train
from tests.finetune.lessons import rows

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train

COMMIT = "a" * 40


@pytest.fixture(scope="module")
def runs(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each method, with the fields that the tests share."""
    folder = tmp_path_factory.mktemp("earlier")
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
    found = {}
    for method in ("lora", "full"):
        found[method] = folder / method
        fields = {
            "model": "Qwen/Tiny-Qwen3",
            "data": str(folder / "train.jsonl"),
            "output_dir": str(folder / method),
            "method": method,
            "max_steps": 6,
            "batch_size": 4,
            "gradient_accumulation": 1,
            "learning_rate": 1e-2,
            "schedule": "constant",
            "warmup_ratio": 0,
            "lora": {"r": 4, "alpha": 8},
            "save_steps": 4,
            "report": False,
            "device": "cpu",
        }
        train(FineTuneConfig.from_dict(fields), model_folder=tiny, base_commit=COMMIT, run_id=f"id-{method}")
    return found


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl")]


def began(fields: Mapping[str, Any]) -> FineTuneConfig:
    return check_fine_tune(fields, {})


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_finished_run_is_trained_further_from_where_it_ended(
    tiny: Path, runs: dict[str, Path], tmp_path: Path, method: str
) -> None:
    """What is not given is the first run's; its first loss is what the first run's weights give, not the base's."""
    first, out = runs[method], tmp_path / "second"
    config = began({"init_from": str(first), "output_dir": str(out), "max_steps": 3, "learning_rate": 1e-3})

    result = train(config, model_folder=tiny, base_commit=COMMIT)

    assert (config.method, config.lora.r, config.batch_size) == (method, 4, 4)
    assert result.first_loss < losses(first)[0] - 0.1
    record = read_record(out)
    assert record is not None
    assert {**record.parent, "sha256": ""} == {
        "folder": method, "run_id": f"id-{method}", "checkpoint": None, "sha256": ""
    }  # fmt: skip
    assert f"| Trained further from | {method}, id-{method} |" in (out / "README.md").read_text(encoding="utf-8")
    assert read_run(out).result["parent"] == record.parent


def test_going_on_from_a_checkpoint_starts_with_its_loss(tiny: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    """Without dropout and on the same rows, the step after a checkpoint has the loss that the first run had there."""
    first, out = runs["lora"], tmp_path / "second"
    checkpoint = first / "checkpoints" / "checkpoint-4"
    everything = {"init_from": str(checkpoint), "output_dir": str(out), "batch_size": 24, "max_steps": 1}

    from_checkpoint = train(began(everything), model_folder=tiny, base_commit=COMMIT)
    whole = {**everything, "init_from": str(first), "output_dir": str(tmp_path / "third")}
    from_end = train(began(whole), model_folder=tiny, base_commit=COMMIT)

    assert from_end.first_loss < from_checkpoint.first_loss < losses(first)[0]
    record = read_record(out)
    assert record is not None
    assert record.parent["checkpoint"] == "checkpoint-4"


def test_new_data_and_epochs_leave_the_old_ones_behind(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text(json.dumps(rows(1)[0]), encoding="utf-8")

    config = began({"init_from": str(runs["lora"]), "data": str(tmp_path / "new.jsonl"), "epochs": 3})

    assert [Path(path).name for path in config.data] == ["new.jsonl"]
    assert (config.epochs, config.max_steps, config.data_format) == (3, None, "auto")
    assert config.output_dir != str(runs["lora"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "full"}, "method: 'lora' then, 'full' now"),
        ({"lora": {"r": 8}}, "r: 4 then, 8 now"),
        ({"model": "Qwen/Qwen3-4B"}, "model: 'Tiny-Qwen3' then, 'Qwen3-4B' now"),
    ],
)
def test_what_cannot_be_trained_further_is_refused_with_the_difference(
    runs: dict[str, Path], tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadConfig, match="lora cannot be trained further like this") as caught:
        began({"init_from": str(runs["lora"]), "output_dir": str(tmp_path / "second"), **changes})

    assert named in caught.value.message


def test_a_folder_that_is_no_finished_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    half = shutil.copytree(runs["lora"], tmp_path / "half")
    (half / "result.json").unlink()
    (half / "checkpoints" / "checkpoint-4" / "COMPLETE").unlink()

    with pytest.raises(BadConfig, match=r"init_from: half is not finished.*checkpoint-N"):
        began({"init_from": str(half)})
    with pytest.raises(BadConfig, match="checkpoint-4 is no whole checkpoint"):
        began({"init_from": str(half / "checkpoints" / "checkpoint-4")})
    with pytest.raises(BadConfig, match="init_from: none is no fine-tune"):
        began({"init_from": str(tmp_path / "none")})


def test_an_adapter_goes_on_its_own_base_only(tiny: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    config = began({"init_from": str(runs["lora"]), "output_dir": str(tmp_path / "second"), "max_steps": 1})

    with pytest.raises(BadConfig, match=r"begun on commit aaaa.*the cached model is bbbb"):
        train(config, model_folder=tiny, base_commit="b" * 40)


def test_weights_of_another_shape_are_refused(tiny: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    """As when someone has exchanged the file for that of another run."""
    from safetensors.torch import load_file, save_file

    first = shutil.copytree(runs["lora"], tmp_path / "first")
    path = first / "adapter" / "adapter_model.safetensors"
    save_file(dict(list(load_file(path).items())[1:]), path)

    with pytest.raises(LoadError, match="another shape"):
        train(
            began({"init_from": str(first), "output_dir": str(tmp_path / "second"), "max_steps": 1}),
            model_folder=tiny,
            base_commit=COMMIT,
        )


def test_a_run_is_repeated_from_its_record_to_the_same_weights(
    tiny: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    config = began({"from_run": str(runs["lora"]), "output_dir": str(tmp_path / "again")})

    train(config, model_folder=tiny, base_commit=COMMIT)

    weights = Path("adapter") / "adapter_model.safetensors"
    assert config.revision == COMMIT
    assert losses(tmp_path / "again") == losses(runs["lora"])
    assert (tmp_path / "again" / weights).read_bytes() == (runs["lora"] / weights).read_bytes()
    assert "| Repeats | lora |" in (tmp_path / "again" / "README.md").read_text(encoding="utf-8")


def test_every_difference_to_the_run_that_is_repeated_is_named_before_anything_starts(
    tiny: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    first = shutil.copytree(runs["lora"], tmp_path / "first")
    record = json.loads((first / "config.json").read_text())
    changed = tmp_path / "train.jsonl"
    changed.write_text(json.dumps(rows(1)[0]), encoding="utf-8")
    (first / "config.json").write_text(json.dumps({**record, "data": [str(changed)]}))
    again = {"from_run": str(first), "output_dir": str(tmp_path / "again")}

    with pytest.raises(Qwen3ftError) as caught:
        began({**again, "learning_rate": 1e-4, "seed": 7, "revision": "b" * 40})

    told = caught.value.message
    assert "it would not be first again" in told
    for name in ("learning_rate: 0.01 then, 0.0001 now", "seed: 42 then, 7 now", "data: other contents", "revision: "):
        assert name in told
    assert not (tmp_path / "again").exists()


def test_other_versions_of_packages_are_told_of(tiny: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    from qwen3ft_jupyter.finetune.earlier import check_same

    first = shutil.copytree(runs["lora"], tmp_path / "first")
    record = json.loads((first / "config.json").read_text())
    record["versions"]["torch"] = "2.0.0"
    (first / "config.json").write_text(json.dumps(record))
    config = began({"from_run": str(first), "output_dir": str(tmp_path / "again")})

    told = check_same(config, record["data_sha256"], commit=COMMIT)

    assert [notice.startswith("Repeats first with other versions: torch 2.0.0 → ") for notice in told] == [True]
