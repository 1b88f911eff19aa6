"""A setting, route, verb, field or error code that no page explains does not exist; what a page says is true."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
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
from qwen3ft_jupyter.settings.setting import Before
from scripts import fields, verbs
from tests.test_imports import LEVEL_OF, MODULES, imported_rooms, room_of

ROOT = Path(__file__).parent.parent


def read(doc: str) -> str:
    """Return the text of a document."""
    return (ROOT / doc).read_text("utf-8")


READMES = ["README.md", "README.zh-CN.md"]
DOCS = [
    *READMES,
    "CONTRIBUTING.md",
    "RELEASE.md",
    "SECURITY.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
PAGES = [doc for doc in DOCS if doc.removesuffix(".zh-CN.md") != doc]
"""In Chinese; each has its English one."""
NOT_FOR_USERS = {"CONTRIBUTING.md", "RELEASE.md", "docs/architecture.md", "docs/decisions.md", "docs/faults.md"}
GUIDES = [doc for doc in DOCS if doc not in NOT_FOR_USERS]
OF_OUR_FILES = [doc for doc in DOCS if not doc.startswith("docs/") or doc in NOT_FOR_USERS or "Made by" in read(doc)]
"""Others name files of their reader: `runs/first/README.md`, `jupyter_server_config.py`."""
HOMES = ("", "qwen3ft_jupyter", "qwen3ft_jupyter/server", "labextension/src", "labextension/src/__tests__")
"""Where files that a document names may lie."""


@pytest.fixture(params=READMES)
def readme(request: pytest.FixtureRequest) -> str:
    return (ROOT / str(request.param)).read_text("utf-8")


@pytest.fixture(params=["", ".zh-CN"])
def language(request: pytest.FixtureRequest) -> str:
    """What stands before the suffix of a page in that language."""
    return str(request.param)


def page(name: str, language: str) -> str:
    return (ROOT / f"docs/{name}{language}.md").read_text("utf-8")


def test_every_setting_is_documented(language: str) -> None:
    """One row each, in the order of the declarations, with its default where that is a word."""
    rows = re.findall(r"^\| `[A-Z0-9_]+` \| .*$", page("settings", language), re.MULTILINE)
    rows = [row.split(" | ") for row in rows]

    assert [row[0] for row in rows] == [f"| `{setting.variable}`" for setting in SETTINGS]
    for row, setting in zip(rows, SETTINGS, strict=True):
        if setting.kind not in {FOLDER, TOKEN}:
            default, _ = setting.default(Before({}, {}))
            assert row[1] in ({"none", "无"} if default in (None, ()) else {f"`{default}`"})


def test_every_route_is_documented(language: str) -> None:
    text = page("rest", language)
    routes = yaml.safe_load((ROOT / "qwen3ft_jupyter/server/openapi.yaml").read_text("utf-8"))["paths"]
    for path, methods in routes.items():
        for method in set(methods) & {"get", "post", "delete", "put", "patch"}:
            assert f"`{method.upper()} {path}`" in text


def test_the_reference_of_verbs_is_that_of_the_table() -> None:
    made = verbs.files()

    assert len(made) == 2
    for path, text in made.items():
        assert path.read_text("utf-8") == text, f"{path.name}: run python scripts/verbs.py"
        for verb in VERBS:
            assert f"\n## {verb.name}\n" in text


def test_what_is_made_from_the_fields_of_a_fine_tune_is_up_to_date() -> None:
    """Their reference in both languages, their part of openapi.yaml, and the schema that the form is tested with."""
    made = fields.files()

    assert len(made) == 4
    for path, text in made.items():
        assert path.read_text("utf-8") == text, f"{path.name}: run python scripts/fields.py"


def test_every_error_code_is_documented(language: str) -> None:
    text = page("troubleshooting", language)
    for cls in error_classes():
        if cls.__module__.startswith("qwen3ft_jupyter"):
            assert f"`{cls.code}`" in text


def test_every_field_of_a_fine_tune_is_documented(language: str) -> None:
    text = page("config", language)
    for name in FineTuneConfig.model_fields:
        assert f"`{name}`" in text


def test_the_readmes_say_the_two_commands_first(readme: str) -> None:
    assert readme.index("make demo") < 2500
    assert readme.index("make test") < 2500


def test_the_readmes_have_a_picture_and_lead_to_every_page(readme: str) -> None:
    """Or the index of pages does."""
    is_chinese = "**简体中文**" in readme
    index = (ROOT / "docs" / ("README.zh-CN.md" if is_chinese else "README.md")).read_text("utf-8")
    linked = {target.rpartition("/")[2] for target in links(readme + index)}

    assert re.search(r"^!\[.+\]\(docs/images/", readme, re.MULTILINE)
    for doc in GUIDES:
        if doc.endswith(".zh-CN.md") is is_chinese:
            assert doc.rpartition("/")[2] in linked, doc


def test_the_sizes_of_the_recommended_models_are_the_catalogues(readme: str) -> None:
    for model in catalog.catalog():
        if model.role:
            lora = estimate_bytes(model, "lora") / 1e9
            row = next(line for line in readme.splitlines() if line.startswith(f"| `{model.repo_id}` |"))
            assert row.endswith(f"| {model.download_bytes / 1e9:.1f} GB | {lora:.1f} GB |"), row


def links(text: str) -> list[str]:
    """Return where a text leads, blocks of code left out."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def words_in_code(doc: str) -> set[str]:
    """Return what a document shows in backticks, and the lines of its blocks of commands without their comments."""
    text = (ROOT / doc).read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = {line.partition("  #")[0].partition(" # ")[0].strip() for block in blocks for line in block.splitlines()}
    return lines | set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))


@pytest.mark.parametrize("doc", OF_OUR_FILES)
def test_every_file_that_is_named_exists(doc: str) -> None:
    """From the root, the package or the sources of the front end; in a row of a table, also from the rooms it names."""
    for line in (ROOT / doc).read_text("utf-8").splitlines():
        names = re.findall(r"`([\w./@-]+?)(?:::[^`]*)?`", line)
        rooms = [name for name in names if name.endswith("/")] if line.startswith("| `") else []
        homes = [ROOT / home / room for home in HOMES for room in ("", *rooms)]
        for name in names:
            is_file = re.search(r"\.(py|tsx?|md|toml|ya?ml)$", name) or (
                name.endswith("/") and doc == "CONTRIBUTING.md"
            )
            assert not is_file or any((home / name).exists() for home in homes), f"{doc} names {name}"


@pytest.mark.parametrize("doc", DOCS)
def test_every_command_that_is_named_exists(doc: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    packages = [json.loads((ROOT / path).read_text("utf-8")) for path in ("package.json", "tests/ui/package.json")]
    scripts = {
        "install",
        *(name for package in packages for name in (*package["scripts"], *package["devDependencies"])),
    }
    scripts |= {name.rpartition("/")[2] for name in scripts} | {"playwright"}
    for words in words_in_code(doc):
        assert set(re.findall(r"\bmake ([a-z-]+)", words)) <= targets, words
        assert set(re.findall(r"\bjlpm ([a-z:-]+)", words)) <= scripts, words
        for module in re.findall(r"\bpython -m ([\w.]+)", words):
            assert find_spec(module.partition(".")[0]) or (ROOT / module.replace(".", "/")).exists(), words
        for script in re.findall(r"\bpython ([\w/]+\.py)", words):
            assert (ROOT / script).is_file(), words


def test_the_map_has_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = {path.parent.name for path in (ROOT / "qwen3ft_jupyter").glob("*/__init__.py")}
    rooms |= {path.name for path in (ROOT / "labextension/src").iterdir() if path.is_dir() and path.name != "__tests__"}

    assert {room for room in rooms if not re.search(rf"^\| .*`{room}/`", text, re.MULTILINE)} == set()


def test_the_drawing_of_the_rooms_is_that_of_their_imports() -> None:
    drawing = (ROOT / "docs/architecture.md").read_text("utf-8").split("```mermaid")[1].split("```")[0]
    known: dict[str, set[str]] = {}
    for room, other in re.findall(r"(\w+) --> (\w+)", drawing):
        assert LEVEL_OF[other] < LEVEL_OF[room], f"{room} must not know {other}"
        known.setdefault(room, set()).add(other)
    for room in sorted(known, key=LEVEL_OF.__getitem__):
        known[room] |= {below for other in known[room] for below in known.get(other, ())}

    for path in MODULES:
        if (room := room_of(path)) in known:
            drawn = set(known) | {"errors"}
            assert imported_rooms(path) & drawn - {room} <= known[room], path
