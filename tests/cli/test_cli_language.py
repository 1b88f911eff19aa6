"""What the command line says of itself and of lines that it cannot read, in the language of whoever reads it."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cli import main
from qwen3ft_jupyter.manager import ModelManager
from qwen3ft_jupyter.messages import VARIABLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("QWEN3FT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QWEN3FT_LANG", "en")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--help"], "命令："),
        (["help"], "download      以任务方式将模型下载到缓存"),
        (["download", "--help"], "--force                       即使模型已在缓存中"),
        (["help", "chat"], "用法：qwen3ft chat"),
        (["status"], "默认值"),
        (["status"], "平台：modelscope → huggingface"),
    ],
)
def test_what_helps_is_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: list[str], said: str
) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")

    with contextlib.suppress(SystemExit):
        main(line)

    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([], "缺少 VERB"),
        (["downloadd"], "没有 qwen3ft downloadd 这个命令。"),
        (["downloadd"], "您是否想输入“download”？"),
        (["download"], "缺少 NAME"),
        (["download", "a/b", "c"], "此处无法识别：c"),
        (["download", "a/b", "--forse"], "您是否想输入“--force”？"),
        (["download", "a/b", "--hub"], "--hub：缺少值"),
        (["download", "a/b", "--hub", "x"], "--hub：'x' 不在可选值之中"),
        (["chat", "a/b", "--max-new-tokens", "x", "hi"], "--max-new-tokens：'x' 不是整数"),
        (["load", "a/b", "--4bit", "--8bit"], "--8bit 不能与 --4bit 同用"),
        (["evict"], "缺少其中之一：NAME --all"),
        (["evict", "--all", "--everything"], "不能与 --all 同用"),
        (["jobs", "stopx"], "没有 jobs stopx 这个命令"),
        (["load", "runs/nope"], "没有文件夹“runs/nope”"),
        (["jobs", "stop", "nope"], "没有"),
    ],
)
def test_what_is_wrong_is_said_in_the_readers_language(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: list[str], said: str
) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh_CN")

    with contextlib.suppress(SystemExit):
        main(line)

    captured = capsys.readouterr()
    assert said in captured.err
    assert not re.search(r"usage:|argument|is missing|There is no|Did you", captured.err)
    assert captured.out == ""


@pytest.mark.parametrize("text", ["-how are you?", "--max is what", "-5 degrees, warm?", "--hub is what, --offline?"])
def test_a_question_may_begin_with_a_dash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(ModelManager, "chat", lambda _self, _name, question, **_: f"<{question}>")

    assert main(["chat", "a/b", text]) == 0
    assert main(["chat", "a/b", text, "--max-new-tokens", "5"]) == 0
    assert main(["chat", "--hub", "modelscope", "a/b", "--", text]) == 0

    assert capsys.readouterr().out == f"<{text}>\n" * 3
