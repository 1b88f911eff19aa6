"""Looks ahead at a fine-tune, or starts it or an evaluation, in a process of its own: no server imports so much."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qwen3ft_jupyter.errors import JobFailed, Qwen3ftError, Stopped, error_from_json
from qwen3ft_jupyter.manager.params import Starter
from qwen3ft_jupyter.messages import map_texts, to_json, with_messages

if TYPE_CHECKING:
    from collections.abc import Mapping

Look = Literal["plan", "preview", "start", "evaluate"]
COMMAND = "ahead"
"""The word after our own file that makes a process do this."""
_ENTRY = Path(__file__).parent.parent / "__main__.py"
_POLL_S = 0.2


def look_ahead(
    starter: Starter, look: Look, given: Mapping[str, Any], *, folder: Path | None, stop: threading.Event
) -> dict[str, Any]:
    """Return what `ModelManager.plan_fine_tune` or `preview` does, as JSON with messages; else the id of a new job.

    Args:
        starter: Says which settings are in force.
        look: Which of them.
        given: `config`, as text in YAML or as fields, and the other arguments; those of `evaluate` as they are.
        folder: Where relative paths begin; None: where this process is.
        stop: Ends the work.

    Raises:
        Stopped: `stop` was set.
        Qwen3ftError: As there.
        JobFailed: The process died.
    """
    asked = json.dumps({**starter.to_dict(), "look": look, "given": dict(given)})
    process = subprocess.Popen(
        [sys.executable, str(_ENTRY), COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        encoding="utf-8",
    )
    with process:
        text = _wait(process, asked, stop)
    try:
        told = json.loads(text)
    except ValueError as error:
        raise JobFailed("The process that reads the data ended early.", hint="Was there too little memory?") from error
    if "error" in told:
        raise error_from_json(told["error"])
    answer: dict[str, Any] = with_messages(told["answer"])
    return answer


def _wait(process: subprocess.Popen[str], asked: str, stop: threading.Event) -> str:
    given: str | None = asked
    while True:
        try:
            return process.communicate(given, timeout=_POLL_S)[0]
        except subprocess.TimeoutExpired:  # noqa: PERF203 - five rounds a second
            given = None  # it is on its way
            if stop.is_set():
                process.kill()
                raise Stopped("Nobody waits for the answer any more.") from None


def main() -> int:
    """Answer what the standard input asks, on the standard output."""
    answer = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # libraries print
        told = _answer(json.load(sys.stdin))
    json.dump(told, answer)
    return 0


def _answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml

    try:
        given, manager = dict(asked["given"]), Starter.from_dict(asked).open_manager()
        if asked["look"] == "evaluate":
            return {"answer": {"id": manager.evaluate(fetch=False, **given).id}}
        config = given.pop("config")
        fields = parse_yaml(config) if isinstance(config, str) else config
        if asked["look"] == "start":
            return {"answer": {"id": manager.fine_tune(fields, fetch=False, **given).id}}
        look = manager.plan_fine_tune if asked["look"] == "plan" else manager.preview
        found = look(fields, **given)
    except Qwen3ftError as error:
        return {"error": error.to_json()}
    return {"answer": map_texts(to_json, found.to_dict())}
