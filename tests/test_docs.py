"""A setting, route, verb, command or error code that the README does not explain does not exist for its users."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from qwen3ft_jupyter import catalog
from qwen3ft_jupyter.catalog.memory import estimate_bytes
from qwen3ft_jupyter.errors import error_classes
from qwen3ft_jupyter.faces.verbs import VERBS
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.settings.declared import SETTINGS
from qwen3ft_jupyter.settings.kinds import FOLDER, TOKEN

ROOT = Path(__file__).parent.parent
READMES = ["README.md", "README.zh-CN.md"]


@pytest.fixture(params=READMES)
def readme(request: pytest.FixtureRequest) -> str:
    return (ROOT / str(request.param)).read_text("utf-8")


def test_every_setting_is_documented(readme: str) -> None:
    """One row each, in the order of the declarations, with its default where that is a word."""
    rows = [row.split(" | ") for row in re.findall(r"^\| `[A-Z0-9_]+` \| .*$", readme, re.MULTILINE)]

    assert [row[0] for row in rows] == [f"| `{setting.variable}`" for setting in SETTINGS]
    for row, setting in zip(rows, SETTINGS, strict=True):
        if setting.kind not in {FOLDER, TOKEN}:
            default, _ = setting.default({}, {})
            assert row[1] in ({"none", "无"} if default in (None, ()) else {f"`{default}`"})


def test_every_route_is_documented(readme: str) -> None:
    routes = yaml.safe_load((ROOT / "qwen3ft_jupyter/server/openapi.yaml").read_text("utf-8"))["paths"]
    for path, methods in routes.items():
        for method in set(methods) & {"get", "post", "delete", "put", "patch"}:
            assert f"`{method.upper()} {path}`" in readme


def test_every_verb_is_documented(readme: str) -> None:
    for verb in VERBS:
        assert f"`{verb.name}`" in readme or f"`{verb.name} " in readme


def test_the_reference_of_verbs_is_that_of_the_table() -> None:
    made = runpy.run_path(str(ROOT / "scripts/verbs.py"))["reference"]()

    assert (ROOT / "docs/verbs.md").read_text("utf-8") == made
    for verb in VERBS:
        assert f"\n## {verb.name}\n" in made


def test_every_error_code_is_documented(readme: str) -> None:
    for cls in error_classes():
        if cls.__module__.startswith("qwen3ft_jupyter"):
            assert f"`{cls.code}`" in readme


def test_every_field_of_a_fine_tune_is_documented(readme: str) -> None:
    for entry in fields(FineTuneConfig):
        assert f"`{entry.name}`" in readme


def test_the_readmes_say_the_two_commands_first(readme: str) -> None:
    assert readme.index("make demo") < 2500
    assert readme.index("make test") < 2500


def test_every_picture_exists(readme: str) -> None:
    pictures = [line.split("](")[1].split(")")[0] for line in readme.splitlines() if line.startswith("![")]
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()


def test_the_sizes_of_the_recommended_models_are_the_catalogues(readme: str) -> None:
    for model in catalog.catalog():
        if model.role:
            lora = estimate_bytes(model, "lora") / 1e9
            row = next(line for line in readme.splitlines() if line.startswith(f"| `{model.repo_id}` |"))
            assert row.endswith(f"| {model.download_bytes / 1e9:.1f} GB | {lora:.1f} GB |"), row
