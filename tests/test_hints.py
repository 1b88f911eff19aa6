"""What errors, hints and help name exists: commands, options, settings, fields, pages of the docs and their parts."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.faces.parsing import match_verb
from qwen3ft_jupyter.faces.verbs import COMMON, VERBS
from qwen3ft_jupyter.finetune.config import FineTuneConfig, LoraConfig
from qwen3ft_jupyter.settings.declared import SETTINGS
from tests.test_docs import ROOT
from tests.test_docs_words import CATALOGUE, anchors, check_command

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = [text for entry in CATALOGUE if not entry.obsolete for text in (entry.msgid, entry.msgstr)]
"""Every sentence that people are told, in both languages."""
OF_OTHERS = {"--no-build-isolation", "--token", "--env-file", "--partition", "--account", "--time", "--cpus-per-task"}
OF_OTHERS |= {"--allow-overwrite", "--allow-delete"}
"""Options of pip, of the hubs' clients, of docker, of sbatch, of mount-s3."""


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each command that the code proposes: its place, and its words, with a name for each that is a value."""
    for path in sorted((ROOT / "qwen3ft_jupyter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_command = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Command"
            if is_command and isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                words = [str(word.value) if isinstance(word, ast.Constant) else "NAME" for word in node.args]
                if words[-2:-1] == ["--owner"]:
                    words[-1] = "folder"
                yield f"{path.relative_to(ROOT)}:{node.lineno}", words


@pytest.mark.parametrize(("place", "words"), list(commands()))
def test_every_command_that_is_proposed_can_be_typed(place: str, words: list[str]) -> None:
    del place  # names the test
    check_command("cli", " ".join(words))


def test_commands_are_found() -> None:
    assert len([*commands()]) > 25


def test_every_command_that_a_text_names_is_a_verb() -> None:
    for text in TEXTS:
        for line in re.findall(r"%%?qwen3ft ([a-z]+)", text):
            assert match_verb([line], "magic")[0].name, text


def test_every_option_that_a_text_names_exists() -> None:
    flags = {option.flag for verb in VERBS for option in (*verb.options, *COMMON)}

    for text in TEXTS:
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text):
            assert flag in flags | OF_OTHERS, text


def test_every_setting_that_a_text_names_exists() -> None:
    known = {name for setting in SETTINGS for name in (setting.variable, *setting.aliases)}

    for text in TEXTS:
        for name in re.findall(r"\b(?:QWEN3FT|MODEL_CACHE|MODELSCOPE|HF|USE)_[A-Z_]*[A-Z]\b", text):
            assert name in known, text


def test_every_field_that_a_text_says_how_to_write_exists() -> None:
    fields = {*FineTuneConfig.model_fields, *LoraConfig.model_fields}

    for text in TEXTS:
        for name in re.findall(r"\b([a-z]+(?:_[a-z]+)+|overwrite|packing|report): (?:true|false|auto|\d)", text):
            assert name in fields, text


@pytest.mark.parametrize("text", [text for text in TEXTS if ".md" in text or "README" in text])
def test_every_page_that_a_text_names_has_the_part_that_it_names(text: str) -> None:
    if re.search(r"front matter of README\.md|README\.md 开头", text):
        return  # that of the user's repo
    match = re.search(
        r"see (?P<part>[\w ]+) in (?P<page>docs/\S+\.md)|(?P<page_zh>docs/\S+\.md) 的“(?P<part_zh>[^”]+)”", text
    )

    assert match, text
    page = ROOT / (match["page"] or match["page_zh"])
    assert (match["part"] or match["part_zh"]).lower() in anchors(page.read_text("utf-8")), text
