"""The reference of verbs in two languages, made from their one table and the catalogue of texts.

python scripts/verbs.py          write docs/verbs.md and docs/verbs.zh-CN.md
python scripts/verbs.py --check  exit 1 if one of them is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.verbs import COMMON, VERBS, Face, Option, Verb
from qwen3ft_jupyter.messages import translate
from scripts.making import ROOT, write_or_check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.messages import Language

PAGES: Mapping[Path, Language] = {ROOT / "docs/verbs.md": "en", ROOT / "docs/verbs.zh-CN.md": "zh"}
_HEAD: Mapping[Language, str] = {
    "en": """# Verbs

**English** | [简体中文](verbs.zh-CN.md)

Made by `python scripts/verbs.py` from the table in `qwen3ft_jupyter/faces/verbs/`.

`%qwen3ft VERB …` in a notebook and `qwen3ft VERB …` in a terminal are the same verbs with the same options;
what only one of them has is marked. `%qwen3ft help VERB` and `qwen3ft VERB --help` say the same.

A download, a verify and a repair that are started in a terminal are jobs, whose work that command does: `jobs`, the
panel and other terminals show, pause, limit and stop them. Ctrl-C, SIGTERM and SIGHUP stop them and keep what
arrived; if the command is killed, `jobs resume ID` continues. With `--detach` they get a process of their own.

Exit codes of the command: 0; 1 for an error, named on stderr with its code; 2 for a line that it cannot read;
130 after Ctrl-C, and 128 plus its number after another signal.
""",
    "zh": """# 命令

[English](verbs.md) | **简体中文**

由 `python scripts/verbs.py` 根据 `qwen3ft_jupyter/faces/verbs/` 中的表生成。

Notebook 里的 `%qwen3ft VERB …` 与终端里的 `qwen3ft VERB …` 是同样的命令和选项；只在一处可用的会注明。
`%qwen3ft help VERB` 与 `qwen3ft VERB --help` 说的是同样的内容。

在终端里开始的下载、校验和修复也是任务，由该命令自己的进程完成：`jobs`、面板和其他终端都能查看、暂停、限速和停止
它们。Ctrl-C、SIGTERM 和 SIGHUP 会停止任务并保留已到的内容；命令被杀掉时，用 `jobs resume ID` 继续。加 `--detach`
则在单独的进程里进行。

命令的退出码：成功为 0；出错为 1，错误代码和消息写到标准错误；无法识别的命令行为 2；
按 Ctrl-C 为 130，其他信号为 128 加信号编号。
""",
}
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "common": "Options of every verb",
        "other": "Other spellings: {names}.",
        "cli": " *(terminal)*",
        "magic": " *(notebook)*",
    },
    "zh": {
        "common": "所有命令的选项",
        "other": "其他写法：{names}。",
        "cli": " *（终端）*",
        "magic": " *（Notebook）*",
    },
}


def files() -> dict[Path, str]:
    """Return the text of each page, by its path."""
    return {path: reference(language) for path, language in PAGES.items()}


def reference(language: Language = "en") -> str:
    """Return the text of a page."""
    common = [f"## {_WORDS[language]['common']}", "", *_rows(COMMON, language)]
    about = [line for verb in VERBS for line in _about(verb, language)]
    return "\n".join([_HEAD[language], *common, *about]) + "\n"


def _about(verb: Verb, language: Language) -> list[str]:
    face: Face = "magic" if "magic" in verb.faces else "cli"
    lines = ["", f"## {verb.name}", "", f"`{verb.usage(face)}`{_only(verb.faces, language)}", ""]
    lines += [translate(line, language) for line in (verb.summary, *verb.details)]
    if verb.aliases:
        names = ", ".join(f"`{alias}`" for alias in verb.aliases)
        lines.append(_WORDS[language]["other"].format(names=names))
    return [*lines, *(["", *_rows(verb.options, language)] if verb.options else [])]


def _rows(options: tuple[Option, ...], language: Language) -> list[str]:
    return [
        f"- `{option.flag} {option.metavar}".rstrip()
        + f"`{_only(option.faces, language)} {translate(option.help, language)}"
        for option in options
    ]


def _only(faces: frozenset[str], language: Language) -> str:
    named = faces - {"rest"}
    return _WORDS[language][next(iter(named))] if len(named) == 1 else ""


if __name__ == "__main__":
    sys.exit(write_or_check(files))
