"""The reference of verbs, made from their one table.

python scripts/verbs.py          write docs/verbs.md
python scripts/verbs.py --check  exit 1 if it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

from qwen3ft_jupyter.faces.verbs import COMMON, VERBS, Face, Option, Verb

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs/verbs.md"
_HEAD = """# Verbs

Made by `python scripts/verbs.py` from the table in `qwen3ft_jupyter/faces/verbs.py`.

`%qwen3ft VERB …` in a notebook and `qwen3ft VERB …` in a terminal are the same verbs with the same options;
what only one of them has is marked. `%qwen3ft help VERB` and `qwen3ft VERB --help` say the same.

A download, a verify and a repair that are started in a terminal are jobs, whose work that command does: `jobs`, the
panel and other terminals show, pause, limit and stop them. Ctrl-C, SIGTERM and SIGHUP stop them and keep what
arrived; if the command is killed, `jobs resume ID` continues. With `--detach` they get a process of their own.

Exit codes of the command: 0; 1 for an error, named on stderr with its code; 2 for a line that it cannot read;
130 after Ctrl-C, and 128 plus its number after another signal.
"""
_ONLY = {frozenset({"cli"}): " *(terminal)*", frozenset({"magic"}): " *(notebook)*"}


def reference() -> str:
    """Return the text of ``docs/verbs.md``."""
    common = ["## Options of every verb", "", *_rows(COMMON)]
    return "\n".join([_HEAD, *common, *(line for verb in VERBS for line in _about(verb))]) + "\n"


def _about(verb: Verb) -> list[str]:
    face: Face = "magic" if "magic" in verb.faces else "cli"
    lines = ["", f"## {verb.name}", "", f"`{verb.usage(face)}`{_only(verb.faces)}", "", verb.summary]
    lines += verb.details
    if verb.aliases:
        lines.append(f"Other spellings: {', '.join(f'`{alias}`' for alias in verb.aliases)}.")
    return [*lines, *(["", *_rows(verb.options)] if verb.options else [])]


def _rows(options: tuple[Option, ...]) -> list[str]:
    return [
        f"- `{option.flag} {option.metavar}".rstrip() + f"`{_only(option.faces)} {option.help}" for option in options
    ]


def _only(faces: frozenset[str]) -> str:
    return _ONLY.get(faces - {"rest"}, "")


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(TARGET.read_text("utf-8") != reference())
    TARGET.write_text(reference(), "utf-8")
