"""One Chinese word for one thing: those that the glossary in CONTRIBUTING.md rejects stand nowhere that users read."""

from __future__ import annotations

import re

import pytest

from tests.test_docs import ROOT
from tests.test_docs_words import CATALOGUE

PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.zh-CN.md"), *ROOT.glob("docs/**/*.zh-CN.md"))
)
NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("notebooks/*.zh-CN.ipynb"), *ROOT.glob("notebooks/sources/*.md"))
)
ASKED = re.compile("你(?:好|是谁|们|叫什么|会音乐)")
"""In what the examples ask a model, people say it as they do."""


def rejected() -> list[str]:
    """Return the words in the last column of the glossary's table."""
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("### In Chinese")[2].partition("\n## ")[0]
    rows = [line.split("|")[3] for line in table.splitlines() if line.startswith("| ")]
    return [word.split()[0] for row in rows[1:] for word in re.split("[,;]", row) if re.search("[\u4e00-\u9fff]", word)]


def wrong_words(text: str) -> list[str]:
    """Return which of them a text has.

    >>> wrong_words("你好！请先评测，再问您的站点。")
    ['站点', '评测']
    """
    plain = ASKED.sub("", text)
    return [word for word in rejected() if word in plain]


def test_the_glossary_rejects_words() -> None:
    assert {"站点", "评测", "你", "聊天"} <= set(rejected())
    assert wrong_words("你的站点") == ["站点", "你"]


def test_no_translation_has_a_word_that_the_glossary_rejects() -> None:
    found = {entry.msgid: words for entry in CATALOGUE if not entry.obsolete and (words := wrong_words(entry.msgstr))}

    assert found == {}


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS])
def test_no_page_or_notebook_has_a_word_that_the_glossary_rejects(path: str) -> None:
    assert wrong_words((ROOT / path).read_text("utf-8")) == []
