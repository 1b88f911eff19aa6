"""Renders chat templates in a process of its own, under limits of memory, time and output. Run by path, never imported.

A chat template is a program that came with a model. The sandbox keeps it from Python; nothing in Jinja keeps it from
looping for ever or from building a string of gigabytes, so it does that here, where it can be killed.

Lines of JSON on stdin and stdout. First {"template", "variables", "memory_bytes", "time_s", "output_chars"},
answered {"ok": true} or {"error"}; then {"conversations": [{"messages", "variables"}]}, each answered
{"texts": [str | {"error"}]}.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.nodes import Node
    from jinja2.parser import Parser

if __name__ == "__main__":
    del sys.path[0]  # this file's folder: its neighbours must not shadow anybody's modules


def main() -> None:
    """Answer requests until stdin ends."""
    setup = json.loads(sys.stdin.readline())
    import jinja2.ext
    import jinja2.sandbox  # noqa: F401 - before the limits: the libraries' own memory is not the template's

    _limit_memory(setup["memory_bytes"])
    _set_alarm(setup["time_s"])  # compiling computes constants: 'a' * 10**9 is one
    try:
        template = _compile(setup["template"])
    except MemoryError:
        sys.exit(99)
    except Exception as error:  # noqa: BLE001 - border: whatever a stranger's template provokes is an answer, not a crash
        _answer(error=_text(error))
        return
    _set_alarm(0)
    _answer(ok=True)
    for line in sys.stdin:
        _set_alarm(setup["time_s"])
        answers = []
        for conversation in json.loads(line)["conversations"]:
            variables = {**setup["variables"], **conversation["variables"]}
            variables["messages"] = [_with_all_names(message) for message in conversation["messages"]]
            answers.append(_render(template, variables, setup["output_chars"]))
        _set_alarm(0)
        _answer(texts=answers)


def _with_all_names(message: dict[str, object]) -> dict[str, object]:
    """Give a turn's reasoning under both names that templates know, in the order of transformers."""
    reasoning = message.get("reasoning_content")
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


def _render(template: Template, variables: dict[str, object], output_chars: int) -> str | dict[str, str]:
    parts: list[str] = []
    room = output_chars
    try:
        for part in template.generate(**variables):
            room -= len(part)
            if room < 0:
                return {"error": f"its output is longer than {output_chars} characters"}
            parts.append(part)
    except MemoryError:
        sys.exit(99)  # the parent tells this from a template's own complaint
    except Exception as error:  # noqa: BLE001 - border, as above
        return {"error": _text(error)}
    return "".join(parts)


def _compile(source: str) -> Template:
    """Compile as transformers does: same sandbox, same whitespace rules, same helper names."""
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}…{% endgeneration %}` marks the assistant's text for other tools; here it is transparent."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Parser) -> list[Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: object,
        ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - the names and order templates know
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,  # noqa: FBT001, FBT002
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(pattern: str) -> str:
        return datetime.now().strftime(pattern)  # noqa: DTZ005 - local time, as transformers

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = tojson
    environment.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return environment.from_string(source)


def _limit_memory(memory_bytes: int) -> None:
    """Allow `memory_bytes` beyond what this process has; Windows and macOS lack it, there the parent watches."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib would cost a start-up import
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))


def _set_alarm(seconds: float) -> None:
    """Die by SIGALRM if the parent is gone and nobody else ends an endless loop."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _answer(**value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
