"""What a form is told while someone fills it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.form import check_form

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {"model": "a/b", "data": "train.jsonl"}


def test_every_wrong_field_is_told_at_once_by_its_whole_name(tmp_path: Path) -> None:
    filled = check_form({"epochs": "two", "lora": {"r": 0, "nonsense": 1}, "bogus": 1}, root=tmp_path)

    told = {name: each.message for each in filled.problems for name in each.fields}
    assert told.keys() == {"model", "data", "epochs", "lora.r", "lora.nonsense", "bogus"}
    assert told["epochs"] == "epochs: 'two' is not a number above 0 and at most 1000"


def test_what_is_right_is_what_a_fine_tune_takes(tmp_path: Path) -> None:
    filled = check_form(CONFIG, root=tmp_path)

    assert filled.problems == ()
    assert yaml.safe_load(filled.yaml) == CONFIG
    FineTuneConfig.from_dict(filled.config, base=tmp_path)


def test_a_problem_of_no_field_is_told_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(BadConfig):
        check_form("- a list", root=tmp_path)


def test_data_sets_that_are_not_here_are_told_by_the_names_that_download_them(tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "folder").mkdir()
    asked: list[str] = []

    def absent_name(name: str) -> str | None:
        asked.append(name)
        return None if name == "org/here" else f"ms:{name.removeprefix('ms:')}"

    data = ["org/far#500", "ms:org/talks:zh", "org/here", "org/folder", "train.jsonl", "org/far", 7]
    filled = check_form({"model": "a/b", "data": data}, root=tmp_path, absent_name=absent_name)

    assert filled.absent == ("ms:org/far", "ms:org/talks:zh")
    assert asked == ["org/far", "ms:org/talks:zh", "org/here", "org/far"], "no file, no folder"
    assert check_form({"model": "a/b", "data": "org/far"}, root=tmp_path, absent_name=absent_name).absent == (
        "ms:org/far",
    )


@pytest.mark.parametrize(
    ("item", "asked"),
    [
        ({"path": "org/far", "rows": 500}, ["org/far"]),
        ({"path": "hf:org/far", "subset": "zh", "split": "test", "weight": 2}, ["hf:org/far:zh:test"]),
        ({"path": "org/far", "rows": "many"}, []),
        ({"path": 7}, []),
        ({"path": "org/folder", "rows": 5}, []),
        ("org/folder#5", []),
        ("lists/mine", []),
        ("lists/mine#5", []),
    ],
)
def test_data_is_looked_for_however_it_is_written(tmp_path: Path, item: object, asked: list[str]) -> None:
    (tmp_path / "org/folder").mkdir(parents=True)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')

    for data in (item, [item]):
        found = check_form({"model": "a/b", "data": data}, root=tmp_path, absent_name=lambda name: name)
        assert found.absent == tuple(asked)


@pytest.mark.parametrize(
    ("given", "field", "default"),
    [
        ({}, "lora.r", 16),
        ({"preset": "quick"}, "lora.r", 8),
        ({"preset": "quick", "lora": {"r": 64}}, "lora.r", 8),
        ({"preset": "quick", "lora": {"r": 64}}, "lora.alpha", 16),
        ({"preset": "quick"}, "max_steps", 50),
        ({"preset": "quick", "epochs": 2}, "max_steps", None),
        ({"preset": "thorough"}, "epochs", 3.0),
        ({"preset": "thorough", "epochs": 9}, "epochs", 3.0),
        ({"method": "full"}, "learning_rate", 1e-5),
        ({"objective": "dpo"}, "learning_rate", 5e-6),
        ({"preset": "nonsense", "lora": "nonsense"}, "lora.r", 16),
    ],
)
def test_an_empty_field_shows_what_preset_method_and_objective_give(
    tmp_path: Path, given: dict[str, Any], field: str, default: object
) -> None:
    assert check_form(given, root=tmp_path).defaults[field] == default


def test_what_an_empty_field_shows_is_what_the_config_takes(tmp_path: Path) -> None:
    for preset in ("quick", "balanced", "thorough"):
        given = {**CONFIG, "preset": preset, "output_dir": "runs/x"}
        taken = FineTuneConfig.from_dict(given, base=tmp_path).to_dict()
        shown = check_form(given, root=tmp_path).defaults
        groups = {group: taken.pop(group) for group in ("lora", "dlc")}
        flat = taken | {f"{group}.{name}": value for group in groups for name, value in groups[group].items()}
        assert {name: flat[name] for name in shown if name not in given} == {
            name: value for name, value in shown.items() if name not in given
        }


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("data/train.jsonl", "../../data/train.jsonl"),
        ("data/train.jsonl#500", "../../data/train.jsonl#500"),
        ("train.jsonl", "../../train.jsonl"),
        ("work/deep/train.jsonl", "train.jsonl"),
        ("owner/name", "owner/name"),
        ("hf::owner/name:subset", "hf::owner/name:subset"),
        ("/data/train.jsonl", "/data/train.jsonl"),
        ("~/train.jsonl", "~/train.jsonl"),
        ("here/folder", "../../here/folder"),
    ],
)
def test_the_yaml_names_files_from_where_it_is_read(tmp_path: Path, name: str, written: str) -> None:
    (tmp_path / "here" / "folder").mkdir(parents=True)

    filled = check_form({"model": "a/b", "data": [name]}, root=tmp_path, folder="work/deep")

    assert yaml.safe_load(filled.yaml)["data"] == [written]
    assert filled.config["data"] == [name]
    back = check_form(filled.yaml, root=tmp_path, base="work/deep")
    assert back.config["data"] == [name]


@pytest.mark.parametrize(
    ("path", "written"), [("data/train.jsonl", "../../data/train.jsonl"), ("owner/name", "owner/name"), (7, 7)]
)
def test_a_file_that_is_given_in_fields_is_named_from_where_the_yaml_is_read(
    tmp_path: Path, path: object, written: object
) -> None:
    item = {"path": path, "rows": 500}
    for data, moved in ((item, {**item, "path": written}), ([item, "a.jsonl"], None)):
        filled = check_form({"model": "a/b", "data": data}, root=tmp_path, folder="work/deep")

        expected = moved if moved is not None else [{**item, "path": written}, "../../a.jsonl"]
        assert yaml.safe_load(filled.yaml)["data"] == expected
        assert filled.config["data"] == data
        assert check_form(filled.yaml, root=tmp_path, base="work/deep").config["data"] == data


def test_the_names_of_another_trainer_come_back_as_ours(tmp_path: Path) -> None:
    filled = check_form("model_name_or_path: a/b\ndata: train.jsonl\nlora_rank: 4\n", root=tmp_path)

    assert filled.config == {"model": "a/b", "data": "train.jsonl", "lora": {"r": 4}}
    assert filled.problems == ()
