"""A cell and a terminal of JupyterLab speak the language that JupyterLab is set to."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import lab_language
from qwen3ft_jupyter.lab_language import files_of_lab
from qwen3ft_jupyter.messages import VARIABLES, reader

if TYPE_CHECKING:
    from pathlib import Path

CHOSEN = """{
    // Language
    // @jupyterlab/translation-extension:plugin
    // Language settings.

    // Language locale
    // "locale": "de"
    "locale": "zh_CN"
}"""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("qwen3ft_jupyter.lab_language.time.monotonic", lambda: now[0])
    lab_language._read.cache_clear()
    return now


@pytest.fixture
def lab(tmp_path: Path) -> dict[str, str]:
    """The environment that a server gives to its kernels."""
    (tmp_path / "user/@jupyterlab/translation-extension").mkdir(parents=True)
    (tmp_path / "all").mkdir()
    return {"QWEN3FT_LAB_SETTINGS": files_of_lab(str(tmp_path / "user"), str(tmp_path / "all")), "LANG": "C.UTF-8"}


def choose(tmp_path: Path, text: str) -> None:
    (tmp_path / "user/@jupyterlab/translation-extension/plugin.jupyterlab-settings").write_text(text, "utf-8")


def test_the_language_that_is_chosen_in_the_menu_is_spoken(lab: dict[str, str], tmp_path: Path) -> None:
    choose(tmp_path, CHOSEN)

    assert reader(lab) == "zh"


def test_a_kernel_that_runs_follows_a_change(lab: dict[str, str], tmp_path: Path, clock: list[float]) -> None:
    choose(tmp_path, CHOSEN)
    before = reader(lab)
    choose(tmp_path, CHOSEN.replace("zh_CN", "en"))
    clock[0] += 5

    assert (before, reader(lab)) == ("zh", "en")


def test_what_a_person_sets_for_this_package_wins(lab: dict[str, str], tmp_path: Path) -> None:
    choose(tmp_path, CHOSEN)

    assert reader({**lab, "QWEN3FT_LANG": "en"}) == "en"


def test_what_an_administrator_chose_for_all_counts_where_nobody_else_chose(
    lab: dict[str, str], tmp_path: Path, clock: list[float]
) -> None:
    (tmp_path / "all/overrides.json").write_text('{"@jupyterlab/translation-extension:plugin": {"locale": "zh_CN"}}')
    first = reader(lab)
    choose(tmp_path, '{"locale": "en"}')
    clock[0] += 5

    assert (first, reader(lab)) == ("zh", "en")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"locale": 5}', '{"locale": "default"}', "\0", "// nothing"])
def test_where_none_is_chosen_the_systems_counts(lab: dict[str, str], tmp_path: Path, text: str) -> None:
    choose(tmp_path, text)
    (tmp_path / "all/overrides.json").write_text(text)

    assert reader(lab) == "en"
    assert reader({**lab, "LANG": "zh_CN.UTF-8"}) == "zh"


def test_a_command_in_a_terminal_of_the_lab_speaks_it(lab: dict[str, str], tmp_path: Path) -> None:
    choose(tmp_path, CHOSEN)
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES} | lab
    command = [sys.executable, "-m", "qwen3ft_jupyter", "load", "./no-such-folder"]

    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert "没有文件夹" in done.stderr
