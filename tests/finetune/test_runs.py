"""What runs have left, read back and set beside each other."""

from __future__ import annotations

import builtins
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, LoadError, MissingPackage, UnknownModel
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard
from qwen3ft_jupyter.finetune.results import Record
from qwen3ft_jupyter.finetune.runs import compare, open_run, report_of
from qwen3ft_jupyter.manager import get_model_manager

if TYPE_CHECKING:
    from pathlib import Path

FIELDS: dict[str, Any] = {"model": "a/b", "method": "lora", "epochs": 1.0, "lora": {"r": 8, "alpha": 16}}


def make_run(folder: Path, *, is_finished: bool = True, **fields: Any) -> Path:
    folder.mkdir(parents=True)
    config = {**FIELDS, "output_dir": str(folder), **fields}
    (folder / "config.json").write_text(json.dumps(Record(config, f"id-{folder.name}", None, (), {}).to_json()))
    rows = [{"step": 0, "eval_loss": 3.0}, {"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval_loss": 1.5}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    if is_finished:
        result = {"method": "lora", "steps": 2, "eval_loss": 1.5, "tokens": 90, "seconds": 2.5, "peak_bytes": None}
        (folder / "result.json").write_text(json.dumps(result))
        card = ReportCard(asked=(Asked("row", "one?", "1", "x", "1"),), loss=Loss(3.0, 1.5), rows=3)
        (folder / "report.json").write_text(json.dumps(card.to_dict()))
    return folder


def test_a_run_tells_its_config_history_result_and_report(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path / "first"))

    assert run.config["model"] == "a/b"
    assert [row["step"] for row in run.history] == [0, 1, 2]
    assert run.numbers() == {
        "steps": 2,
        "first_loss": 2.0,
        "last_loss": 1.0,
        "eval_loss": 1.5,
        "perplexity": pytest.approx(4.4817, abs=1e-4),
        "best_step": 2,
        "tokens": 90,
        "seconds": 2.5,
        "exact_match": 100.0,
        "chrf": 100.0,
        "rouge_l": 100.0,
    }
    assert json.loads(json.dumps(run.to_dict()))["report"]["held_out"]["after"]["loss"] == 1.5


def test_an_unfinished_run_tells_what_it_has(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path / "half", is_finished=False))

    assert (run.result, run.report) == (None, None)
    assert run.numbers()["last_loss"] == 1.0
    assert run.to_dict()["result"] is None


def test_a_report_of_another_run_in_the_folder_is_not_taken(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "first")

    assert report_of(folder, "id-first") is not None
    assert report_of(folder, "id-second") is None


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="needs pandas")
def test_history_and_comparison_are_data_frames(tmp_path: Path) -> None:
    runs = [open_run(make_run(tmp_path / name, epochs=epochs)) for name, epochs in (("a", 1.0), ("b", 2.0))]

    frame, comparison = runs[0].history.to_frame(), compare(runs).to_frame()

    assert frame.loc[2, "loss"] == 1.0
    assert frame["eval_loss"].dropna().tolist() == [3.0, 1.5]
    assert comparison["epochs"].to_dict() == {"a": 1.0, "b": 2.0}


def test_without_pandas_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pandas" else find(name))
    history = open_run(make_run(tmp_path / "first")).history

    with pytest.raises(MissingPackage, match="pandas") as caught:
        history.to_frame()

    assert caught.value.hint == "pip install pandas"
    assert isinstance(history, builtins.list)


def test_runs_are_compared_in_what_differs(tmp_path: Path) -> None:
    first = make_run(tmp_path / "first")
    second = make_run(tmp_path / "second", epochs=2.0, lora={"r": 16, "alpha": 16}, is_finished=False)

    found = compare([open_run(first), open_run(second)])

    assert found.names == ("first", "second")
    assert found.fields == {"epochs": (1.0, 2.0), "lora.r": (8, 16)}
    assert found.numbers["last_loss"] == (1.0, 1.0)
    assert found.numbers["chrf"] == (100.0, None)


def test_the_manager_finds_runs_by_their_folder(tmp_path: Path) -> None:
    manager = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    first, second = make_run(tmp_path / "x" / "run"), make_run(tmp_path / "y" / "run", epochs=3.0)

    assert manager.run(first).folder == first
    assert manager.compare([first, str(second)]).names == (str(first), str(second))
    with pytest.raises(BadInput, match="name two runs or more"):
        manager.compare([first])
    with pytest.raises(UnknownModel):
        manager.run("runs/none")
    with pytest.raises(LoadError, match="holds no fine-tune"):
        manager.run(tmp_path)
