"""What is made from the fields of a fine-tune: their reference in two languages, and their schema for REST.

python scripts/fields.py          write docs/finetune.md, docs/finetune.zh-CN.md, the part of openapi.yaml, the schema
python scripts/fields.py --check  exit 1 if one of them is not up to date
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.names import SAME
from qwen3ft_jupyter.finetune.presets import PRESETS
from scripts.making import ROOT, write_or_check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.messages import Language

OPENAPI = ROOT / "qwen3ft_jupyter/server/openapi.yaml"
SCHEMA = ROOT / "labextension/src/__tests__/finetune.schema.json"
"""What `GET /qwen3ft/finetune/schema` answers, for the tests of the form that is drawn from it."""
BEGIN, END = (f"    # {word} made by scripts/fields.py\n" for word in ("BEGIN", "END"))
PAGES: Mapping[Path, Language] = {ROOT / "docs/finetune.md": "en", ROOT / "docs/finetune.zh-CN.md": "zh"}

_HEAD: Mapping[Language, str] = {
    "en": """# The fields of a fine-tune

**English** | [简体中文](finetune.zh-CN.md)

Made by `python scripts/fields.py` from the model in `qwen3ft_jupyter/finetune/config.py`.

`%%qwen3ft finetune`, `qwen3ft finetune CONFIG.yaml`, `manager.fine_tune({…})`, the record in a run's `config.json`
and the REST API take the same fields. Every wrong one is named at once, before anything starts.

An editor that checks YAML, such as VS Code with the YAML extension, names wrong fields while you write, completes the
others and explains them:

```bash
qwen3ft finetune --schema > finetune.schema.json
```

```yaml
# yaml-language-server: $schema=finetune.schema.json
model: Qwen/Qwen3-0.6B
data: train.jsonl
preset: balanced
lora:
  r: 32
```

`FineTuneConfig.json_schema()` and `GET /qwen3ft/finetune/schema` answer the same schema. A config may be written more
freely than it says: `1e-4` and `"3"` are numbers, `yes` is true, capitals do not count, and in Python numbers of numpy
and torch, paths and data frames are taken.
""",
    "zh": """# 微调的字段

[English](finetune.md) | **简体中文**

由 `python scripts/fields.py` 根据 `qwen3ft_jupyter/finetune/config.py` 中的模型生成。

`%%qwen3ft finetune`、`qwen3ft finetune CONFIG.yaml`、`manager.fine_tune({…})`、运行记录 `config.json` 和 REST API
使用相同的字段。在任何工作开始之前，所有错误的字段会一次全部列出。

能检查 YAML 的编辑器（例如装有 YAML 扩展的 VS Code）会在书写时指出错误的字段，补全其他字段并给出说明：

```bash
qwen3ft finetune --schema > finetune.schema.json
```

```yaml
# yaml-language-server: $schema=finetune.schema.json
model: Qwen/Qwen3-0.6B
data: train.jsonl
preset: balanced
lora:
  r: 32
```

`FineTuneConfig.json_schema("zh")` 和 `GET /qwen3ft/finetune/schema` 给出同一份 schema。实际书写可以更随意：`1e-4` 和
`"3"` 是数字，`yes` 表示真，不区分大小写；在 Python 中还可以使用 numpy 和 torch 的数值、路径和 DataFrame。
""",
}
_SPELLED = {"boolean": "`true`, `false`", "null": "`null`"}
_WORDS: Mapping[str, tuple[str, str]] = {
    "basic": ("Basic", "基本"),
    "advanced": ("Advanced", "高级"),
    "lora": ("Within `lora`", "`lora` 之内"),
    "dlc": ("Within `dlc`", "`dlc` 之内"),
    "presets": ("Presets", "预设"),
    "names": ("Names of other trainers", "其他训练工具的名称"),
    "field": ("field", "字段"),
    "accepts": ("accepts", "接受"),
    "default": ("default", "默认值"),
    "meaning": ("meaning", "含义"),
    "required": ("required", "必填"),
    "string": ("text", "文本"),
    "object": ("fields", "一组字段"),
    "array": ("list", "列表"),
    "follows": ("as described", "见说明"),
    "of_presets": (
        "Where a field is not given. Steps and epochs exclude each other; DPO and ORPO keep their own learning rates.",
        "未给出某个字段时的取值。步数与轮数二者取一；DPO 和 ORPO 使用自己的学习率。",
    ),
    "of_names": (
        "What LLaMA-Factory, ms-swift, TRL and peft call it. Their other fields are answered with what to do instead.",
        "LLaMA-Factory、ms-swift、TRL 和 peft 对它的叫法。这些工具的其他字段会得到相应的替代办法。",
    ),
    "theirs": ("theirs", "它们的名称"),
}


def reference(language: Language) -> str:
    """Return the text of the page in a language."""
    schema = FineTuneConfig.json_schema(language)
    say = {name: words[language == "zh"] for name, words in _WORDS.items()}
    parts = [_HEAD[language]]
    groups = {group: _in_group(schema, group) for group in ("basic", "advanced")}
    groups |= {"lora": schema["$defs"]["LoraConfig"]["properties"], "dlc": schema["$defs"]["DlcConfig"]["properties"]}
    for name, fields in groups.items():
        parts += [f"## {say[name]}\n", *_field_rows(fields, say), ""]
    parts += [f"## {say['presets']}\n", say["of_presets"], "", *_preset_rows(say), ""]
    parts += [f"## {say['names']}\n", say["of_names"], "", *_name_rows(say)]
    return "\n".join(parts) + "\n"


def _in_group(schema: Mapping[str, Any], group: str) -> dict[str, Any]:
    return {name: entry for name, entry in schema["properties"].items() if entry["x-group"] == group}


def _field_rows(fields: Mapping[str, Any], say: Mapping[str, str]) -> Iterator[str]:
    yield f"| {say['field']} | {say['accepts']} | {say['default']} | {say['meaning']} |"
    yield "| --- | --- | --- | --- |"
    for name, entry in fields.items():
        value = entry.get("default", say["required"])
        default = value if value == say["required"] else f"`{_written(value)}`"
        if value == "" or isinstance(value, dict):
            default = say["follows"]
        unit = f" ({entry['x-unit']})" if "x-unit" in entry else ""
        yield f"| `{name}` | {_accepts(entry, say)}{unit} | {default} | {entry['description']} |"


def _accepts(entry: Mapping[str, Any], say: Mapping[str, str]) -> str:
    """Return what the schema of a field accepts."""
    if "anyOf" in entry:
        return ", ".join(_accepts(part, say) for part in entry["anyOf"])
    if "const" in entry or "enum" in entry:
        return ", ".join(f"`{_written(value)}`" for value in entry.get("enum", [entry.get("const")]))
    if "maximum" in entry:
        low = f"{entry['minimum']:,} –" if "minimum" in entry else f"> {entry['exclusiveMinimum']:,}, ≤"
        return f"{low} {entry['maximum']:,}"
    if (kind := entry.get("type")) in _SPELLED:
        return _SPELLED[kind]
    inner = entry.get("items", {}).get("enum")
    return f"{say['array']}: {_accepts({'enum': inner}, say)}" if inner else say[kind or "object"]


def _preset_rows(say: Mapping[str, str]) -> Iterator[str]:
    flat = {
        preset: {
            **{name: value for name, value in given.items() if not isinstance(value, dict)},
            **{f"learning_rate (`method: {method}`)": rate for method, rate in given["learning_rate"].items()},
            **{f"lora.{name}": value for name, value in given["lora"].items()},
        }
        for preset, given in PRESETS.items()
    }
    yield f"| {say['field']} | " + " | ".join(f"`{preset}`" for preset in flat) + " |"
    yield "| --- |" + " --- |" * len(flat)
    for name in dict.fromkeys(name for given in flat.values() for name in given):
        shown, _, of = name.partition(" ")
        values = (f"`{_written(given[name])}`" if name in given else "" for given in flat.values())
        yield f"| {f'`{shown}` {of}'.strip()} | " + " | ".join(values) + " |"


def _name_rows(say: Mapping[str, str]) -> Iterator[str]:
    yield f"| {say['field']} | {say['theirs']} |"
    yield "| --- | --- |"
    for ours in dict.fromkeys(SAME.values()):
        yield f"| `{ours}` | {', '.join(f'`{theirs}`' for theirs in SAME if SAME[theirs] == ours)} |"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def openapi_part() -> str:
    """Return the schemas of the fields as ``openapi.yaml`` holds them."""
    schema = FineTuneConfig.json_schema()
    groups = schema.pop("$defs")
    del schema["$schema"], schema["patternProperties"]
    text = yaml.safe_dump({"FineTuneFields": schema, **groups}, sort_keys=False, allow_unicode=True, width=116)
    return textwrap.indent(text.replace("#/$defs/", "#/components/schemas/"), "    ")


def files() -> dict[Path, str]:
    """Return what is made, whole, by file."""
    before, _, rest = OPENAPI.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    pages = {path: reference(language) for path, language in PAGES.items()}
    schema = json.dumps(FineTuneConfig.json_schema(), indent=1) + "\n"
    return {**pages, OPENAPI: f"{before}{BEGIN}{openapi_part()}{END}{after}", SCHEMA: schema}


if __name__ == "__main__":
    sys.exit(write_or_check(files))
