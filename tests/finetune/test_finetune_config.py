from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml, read_config

BASE = Path("/work space").absolute()
LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}


def problems(values: dict[str, Any]) -> str:
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_dict(values)
    return caught.value.message


def test_model_and_data_are_enough() -> None:
    config = FineTuneConfig.from_dict(LEAST, base=BASE, now=datetime(2025, 3, 1, 9, 30))  # noqa: DTZ001 - any zone

    assert config.method == "lora"
    assert config.learning_rate == 2e-4
    assert (config.lora.r, config.lora.alpha, config.lora.targets) == (16, 32, "all-linear")
    assert config.data == (str(BASE / "train.jsonl"),)
    assert config.output_dir == str(BASE / "runs" / "Qwen3-0.6B-lora-20250301-093000")


def test_a_full_fine_tune_learns_with_a_smaller_rate() -> None:
    assert FineTuneConfig.from_dict({**LEAST, "method": "full"}).learning_rate == 1e-5


def test_the_resolved_config_survives_json() -> None:
    config = FineTuneConfig.from_dict({**LEAST, "data": ["a.json", "b.csv"], "lora": {"targets": ["q_proj", "v_proj"]}})

    assert FineTuneConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_yaml_numbers_that_yaml_takes_for_text_are_numbers() -> None:
    config = FineTuneConfig.from_yaml("model: Qwen/Qwen3-4B\ndata: [a.json]\nlearning_rate: 1e-4\nepochs: 3\n")

    assert (config.learning_rate, config.epochs) == (1e-4, 3.0)


def test_every_wrong_field_is_named_at_once() -> None:
    message = problems(
        {
            "data": [],
            "learnig_rate": 1,
            "learning_rate": "fast",
            "batch_size": 0,
            "epochs": True,
            "method": "dpo",
            "lora": {"r": 1.5, "alfa": 3, "targets": ["embed_tokens"]},
            "eval_fraction": 0.9,
            "device": "tpu",
            "seed": float("nan"),
        }
    )

    for part in (
        "has 13 wrong fields",
        "learnig_rate: unknown field, did you mean learning_rate?",
        "learning_rate: 'fast' is not a number above 0",
        "batch_size: 0 is not a whole number from 1",
        "epochs: True is not a number",
        "method: 'dpo' is not one of lora, full",
        "data: [] is not a file or a list of files",
        "lora.r: 1.5 is not a whole number",
        "lora.alfa: unknown field, did you mean alpha?",
        "lora.targets: ['embed_tokens'] is not all-linear, or names among q_proj",
        "eval_fraction: 0.9 is not a number from 0 to 0.5",
        "device: 'tpu' is not auto, cpu, mps",
        "seed: nan is not a whole number",
        "model: missing",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("value", "expected"), [("auto", "auto"), ("Auto", "auto"), (True, True), ("false", False), (0, False)]
)
def test_packing_is_auto_true_or_false(value: object, expected: object) -> None:
    assert FineTuneConfig.from_dict(LEAST).packing == "auto"
    found = FineTuneConfig.from_dict({**LEAST, "packing": value}).packing
    assert (found, type(found)) == (expected, type(expected))
    assert "packing: 'rows' is not auto, true or false" in problems({**LEAST, "packing": "rows"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(1, 1), ("4", 4), ("All", "all"), ("auto", "auto"), ([2, 0, 2], (0, 2)), ("[0, 1]", (0, 1)), ("0,3", (0, 3))],
        *[("cuda:1", (1,)), (["cuda:0", "cuda:2"], (0, 2))],
    ],
)
def test_devices_are_a_number_of_gpus_or_their_numbers(value: object, expected: object) -> None:
    config = FineTuneConfig.from_dict({**LEAST, "devices": value})

    assert config.devices == expected
    assert FineTuneConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("value", [0, -1, 65, "two", [], [-1], 1.5, True, None])
def test_other_devices_are_refused(value: object) -> None:
    message = problems({**LEAST, "devices": value})

    assert "devices: " in message
    assert "a number of GPUs, a list of them such as [0, 2], all, or auto" in message


def test_a_config_made_with_keywords_is_checked_in_the_same_words() -> None:
    with pytest.raises(
        BadConfig, match=r"2 wrong fields: epochs: -1 is not a number above 0.*; lora\.r: 0 is not a whole"
    ):
        FineTuneConfig(**{**LEAST, "epochs": -1, "lora": {"r": 0}})
    assert FineTuneConfig(**{**LEAST, "lora_rank": 8}).lora.r == 8


def test_the_adapters_fields_made_with_keywords_are_checked_in_the_same_words() -> None:
    wrong: dict[str, Any] = {"r": 0, "alfa": 1}

    with pytest.raises(
        BadConfig, match=r"2 wrong fields: lora\.alfa: unknown field, did you mean alpha.*lora\.r: 0 is not"
    ):
        LoraConfig(**wrong)


def test_a_config_that_is_no_group_of_fields_is_refused() -> None:
    with pytest.raises(BadConfig, match="is not a list of fields"):
        FineTuneConfig.model_validate("train.jsonl")


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        FineTuneConfig.from_dict(LEAST).epochs = 2.0


def test_a_wrong_path_is_shown_without_its_folder() -> None:
    assert "secret" not in problems({**LEAST, "device": "/home/secret/name"})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [", "not YAML at line 1"),
        ("a: 1\n\tb: 2", "not YAML at line 2"),
        ('a: !!int ""', "not YAML"),
        ("a: !!bool x", "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: 2025-13-45", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("a: \x00", "not YAML"),
        ("- a", "not a list of fields"),
        ("", "not a list"),
    ],
)
def test_yaml_that_is_no_config_is_refused(text: str, part: str) -> None:
    with pytest.raises(BadConfig, match=part):
        FineTuneConfig.from_yaml(text)


def test_yaml_cannot_make_objects() -> None:
    with pytest.raises(BadConfig, match="not YAML"):
        FineTuneConfig.from_yaml("model: !!python/object/apply:os.getcwd []")


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfmodel: Qwen/Qwen3-4B\nlora: {r: 8}\n2: x\n")

    assert read_config(path) == {"model": "Qwen/Qwen3-4B", "lora": {"r": 8}, "2": "x"}
    assert parse_yaml('{"data": ["a.json"]}') == {"data": ["a.json"]}


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (None, r"config\.yaml cannot be read: No such file"),
        (b"\xff\xfe", r"config\.yaml cannot be read: it is not UTF-8"),
        (b"a: 1\nb: [", r"config\.yaml is not YAML at line 2"),
        (b"just words", r"config\.yaml is not a list of fields"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, raw: bytes | None, part: str) -> None:
    path = tmp_path / "config.yaml"
    if raw is not None:
        path.write_bytes(raw)

    with pytest.raises(BadConfig, match=part) as caught:
        read_config(path)

    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("save_minutes: 1:30", "save_minutes: '1:30'"), ("max_steps: 1:00", "'1:00'"), ("devices: 1:2", "devices: '1:2'")],
)
def test_what_yaml_reads_in_base_sixty_is_no_number(line: str, wrong: str) -> None:
    assert wrong in problems(parse_yaml(f"model: a/b\ndata: x.jsonl\n{line}"))


def test_a_number_or_a_date_in_yaml_is_what_a_person_reads() -> None:
    text = "seed: 010\nrevision: 0123456\noutput_dir: 2026-01-01\nmax_steps: 1_000\nepochs: 0.5\nsave_minutes: .5"
    config = FineTuneConfig.from_yaml(f"model: a/b\ndata: x.jsonl\n{text}\ndlc: {{workspace: 012345}}", base=BASE)

    assert (config.seed, config.max_steps, config.epochs, config.save_minutes) == (10, 1000, 0.5, 0.5)
    assert (config.revision, config.dlc.workspace) == ("0123456", "012345")
    assert config.output_dir == str(BASE / "2026-01-01")
    assert FineTuneConfig.from_yaml("model: a/b\ndata: x.jsonl\nrevision: 1234567").revision == "1234567"


def test_an_unknown_field_of_a_group_is_answered_with_those_of_that_group() -> None:
    with pytest.raises(BadConfig) as caught:
        FineTuneConfig.from_dict({**LEAST, "dlc": {"access_key_id": "x"}})

    assert "dlc.access_key_id: unknown field, it is none of region, workspace" in caught.value.message
    assert "learning_rate" not in str(caught.value)


def test_a_column_that_is_named_for_two_things_is_refused() -> None:
    assert "names Q twice: a column holds one thing" in problems({**LEAST, "columns": {"question": "Q", "answer": "Q"}})
