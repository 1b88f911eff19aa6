"""The JSON Schema of the fine-tune config: editors, forms and OpenAPI are made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig
from qwen3ft_jupyter.finetune.presets import PRESETS

ROOT = Path(__file__).parent.parent.parent
LEAST: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}
SCHEMA = FineTuneConfig.json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def properties() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = dict(SCHEMA["properties"])
    for group, kind in (("lora", "LoraConfig"), ("dlc", "DlcConfig")):
        found |= {f"{group}.{name}": entry for name, entry in _fields_of(SCHEMA, kind).items()}
    return found


def _fields_of(schema: dict[str, Any], group: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["$defs"][group]["properties"]
    return found


def written_examples() -> list[Any]:
    """Every YAML config in the documentation and in the notebooks."""
    texts = [path.read_text("utf-8") for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))]
    blocks = [block for text in texts for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        blocks += [text for cell in cells if (text := "".join(cell["source"])).startswith("%%qwen3ft finetune")]
    plain = [re.sub(r"^%%.*\n", "", block) for block in blocks]
    return [block for block in plain if re.search(r"^model:", block, re.MULTILINE)]


def test_it_is_a_json_schema_of_its_dialect() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_it_has_every_field_with_what_a_form_shows() -> None:
    assert list(SCHEMA["properties"]) == list(FineTuneConfig.model_fields)
    assert SCHEMA["required"] == ["model", "data"]
    for name, entry in properties().items():
        assert entry["description"].endswith("."), name
        assert entry["title"], name
        assert entry["x-group"] in {"basic", "advanced"}, name
        assert "default" in entry or name in SCHEMA["required"], name


def test_what_is_of_account_with_another_field_alone_says_so() -> None:
    """Forms show it only then; what it says is what the config refuses."""
    needs = {name: entry["x-needs"] for name, entry in SCHEMA["properties"].items() if "x-needs" in entry}

    assert needs == {
        "beta": {"objective": ["dpo", "orpo"]},
        "rpo_alpha": {"objective": ["dpo"]},
        "label_smoothing": {"objective": ["dpo"]},
        "trainable_layers": {"method": ["full"]},
        "lora": {"method": ["lora"]},
        "dlc": {"launcher": ["pai-dlc"]},
    }
    for name in needs.keys() - {"lora", "dlc"}:
        with pytest.raises(BadConfig, match=name):
            FineTuneConfig.from_dict({**LEAST, name: 0.1 if name != "trainable_layers" else 1})


def test_no_help_says_null() -> None:
    """Who leaves a field of a form empty writes nothing of the kind."""
    assert [name for name, entry in properties().items() if "null" in entry["description"]] == []


def test_the_defaults_of_the_schema_are_those_of_a_config() -> None:
    config = FineTuneConfig.from_dict(LEAST).to_dict()
    groups = {group: config.pop(group) for group in ("lora", "dlc")}
    inner = {f"{group}.{name}": value for group in groups for name, value in groups[group].items()}

    for name, value in {**config, **inner}.items():
        if name not in {"model", "data", "output_dir"}:
            assert properties()[name]["default"] == value


def test_people_read_it_in_their_language() -> None:
    chinese = FineTuneConfig.json_schema("zh")

    assert chinese["properties"]["max_length"]["x-unit"] == "词元"
    groups = [_fields_of(chinese, group) for group in ("LoraConfig", "DlcConfig")]
    for name, entry in (item for group in (chinese["properties"], *groups) for item in group.items()):
        assert re.search(r"[\u4e00-\u9fff]", entry["description"]), name
    assert chinese["properties"]["method"]["enum"] == ["lora", "full"]


@pytest.mark.parametrize("text", written_examples())
def test_every_config_of_the_documentation_is_right(text: str) -> None:
    values = yaml.safe_load(re.sub(r"\$\w+", "train.jsonl", text))

    VALIDATOR.validate(values)
    FineTuneConfig.from_dict(values)


def test_the_documentation_has_configs() -> None:
    assert len(written_examples()) >= 2


@pytest.mark.parametrize("values", [{}, {"method": "full"}, {"columns": {"question": ["a", "b"], "answer": "c"}}])
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_the_record_of_a_config_is_right(values: dict[str, Any], preset: str | None) -> None:
    VALIDATOR.validate(FineTuneConfig.from_dict({**LEAST, **values, "preset": preset}).to_dict())


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": None},
        {"data": []},
        {"data": [3]},
        {"data": ""},
        {"epochs": 0},
        {"epochs": 1001},
        {"max_steps": 1.5},
        {"learning_rate": "fast"},
        {"schedule": "polynomial"},
        {"packing": "rows"},
        {"device": "tpu"},
        {"columns": {"quest": "q"}},
        {"preset": "fast"},
        {"learnig_rate": 1e-4},
        {"lora": {"r": 0}},
        {"lora": {"alfa": 3}},
        {"lora": {"targets": ["embed_tokens"]}},
        {"lora": 3},
    ],
    ids=str,
)
def test_what_the_schema_refuses_a_config_refuses_too(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**LEAST, **wrong})
    with pytest.raises(BadConfig):
        FineTuneConfig.from_dict({**LEAST, **wrong})


def test_a_json_file_may_name_the_schema_to_an_editor() -> None:
    values = {"$schema": "finetune.schema.json", **LEAST}

    VALIDATOR.validate(values)
    assert "$schema" not in FineTuneConfig.from_dict(values).to_dict()
    assert not VALIDATOR.is_valid({"$schemas": "x", **LEAST})


@pytest.mark.parametrize("name", ["model", "data"])
def test_a_field_that_is_missing_is_refused(name: str) -> None:
    assert not VALIDATOR.is_valid({key: value for key, value in LEAST.items() if key != name})


@pytest.mark.parametrize("group", [FineTuneConfig, LoraConfig])
def test_the_bounds_of_the_schema_are_those_of_a_config(group: type[FineTuneConfig | LoraConfig]) -> None:
    entries = SCHEMA if group is FineTuneConfig else SCHEMA["$defs"]["LoraConfig"]

    for name, entry in entries["properties"].items():
        for part in (entry, *entry.get("anyOf", ())):
            for bound, beyond in (("maximum", 1), ("minimum", -1), ("exclusiveMinimum", 0)):
                if bound in part:
                    wrong = {name: part[bound] + beyond}
                    with pytest.raises(BadConfig, match=f"{name}: "):
                        FineTuneConfig.from_dict({**LEAST, **(wrong if group is FineTuneConfig else {"lora": wrong})})
