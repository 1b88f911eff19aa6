"""The notebooks in two languages, each pair made from one source: what they say stands twice in it, what they run once.

python scripts/notebooks.py          write notebooks/*.ipynb from notebooks/sources/*.md
python scripts/notebooks.py --check  exit 1 if one of them is not up to date

A source is Markdown. `<!-- en -->` begins a text in English, `<!-- zh -->` right after it the same in Chinese. A block
of ```python is a cell with code, in both notebooks; what follows that word is metadata of the cell: NAME="VALUE".
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scripts.making import ROOT, write_or_check

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "sources"
SUFFIXES: Mapping[str, str] = {"en": "", "zh": ".zh-CN"}
_MARK = re.compile(r"^<!-- (en|zh) -->$|^```python(.*)\n([\s\S]*?)^```$", re.MULTILINE)
_OTHER: Mapping[str, str] = {
    "en": "**English** | [简体中文]({name}.zh-CN.ipynb)",
    "zh": "[English]({name}.ipynb) | **简体中文**",
}
_METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a source: a text in one language, or code."""

    kind: Literal["en", "zh", "code"]
    text: str
    metadata: Mapping[str, str]


def files() -> dict[Path, str]:
    """Return the text of each notebook, by its path."""
    made: dict[Path, str] = {}
    for source in sorted(SOURCES.glob("*.md")):
        parts = read(source.read_text("utf-8"), source.name)
        for language, suffix in SUFFIXES.items():
            made[NOTEBOOKS / f"{source.stem}{suffix}.ipynb"] = notebook(parts, language, source.stem)
    return made


def read(text: str, name: str) -> list[Part]:
    """Return the parts of a source. Raises ValueError if a text is missing in a language."""
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    parts = [
        Part(mark[1], text[mark.end() : end].strip(), {})  # type: ignore[arg-type]  # the pattern knows two
        if mark[1]
        else Part("code", mark[3].rstrip("\n"), dict(re.findall(r'(\w+)="([^"]*)"', mark[2])))
        for mark, end in zip(marks, ends, strict=True)
    ]
    for number, part in enumerate(parts):
        after = parts[number + 1].kind if number + 1 < len(parts) else ""
        before = parts[number - 1].kind if number else ""
        if (part.kind == "en" and after != "zh") or (part.kind == "zh" and before != "en") or not part.text:
            raise ValueError(f"{name}: a text has no counterpart in the other language: {part.text[:60]!r}")
    return parts


def notebook(parts: list[Part], language: str, name: str) -> str:
    """Return a notebook in a language as JSON, as JupyterLab writes it."""
    shown = [part for part in parts if part.kind in {language, "code"}]
    cells = [_cell(part, number) for number, part in enumerate(shown)]
    cells[0]["source"] += ["\n", "\n", _OTHER[language].format(name=name)]
    whole = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _cell(part: Part, number: int) -> dict[str, Any]:
    common = {"id": f"cell-{number:02}", "metadata": dict(part.metadata), "source": part.text.splitlines(keepends=True)}
    if part.kind == "code":
        return {"cell_type": "code", "execution_count": None, **common, "outputs": []}
    return {"cell_type": "markdown", **common}


if __name__ == "__main__":
    sys.exit(write_or_check(files))
