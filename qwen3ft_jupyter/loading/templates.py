"""Renders a model's own chat template under limits: a child process of its own does it (see `template_child`).

Every template goes this way, known or not, when a model is loaded (two small conversations), when data is prepared and
when a question is asked. What is left: `tokenizer.apply_chat_template`, called by the user, runs in the user's process
in transformers' sandbox, which keeps templates from code but not from time and memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import LoadError, MissingPackage, UnsafeModel
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

    from qwen3ft_jupyter.loading.libraries import Tokenizer

logger = logging.getLogger(__name__)

MEMORY_BYTES = 512 * 1024**2
"""What a template may use beyond a bare interpreter. Qwen's needs well under 10 MB."""

DEFAULTS: Mapping[str, object] = {"tools": None, "documents": None, "add_generation_prompt": False}
"""Variables that transformers always sets; a template may tell None from undefined."""

TIME_S = 10.0
"""For one request, a batch of some dozen conversations; Qwen's template takes about 0.1 ms for each."""

OUTPUT_CHARS = 20_000_000
"""Longest rendering; far beyond any context."""

START_S = 30.0
"""For the child to start and compile the template, on a machine that is busy."""

MAX_TEMPLATE_CHARS = 1_000_000
"""Qwen's templates have a few thousand characters."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """One conversation to render; `variables` are what templates read besides messages, such as enable_thinking."""

    messages: Sequence[Mapping[str, object]]
    variables: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the child said."""

    texts: list[str | dict[str, str]] = field(default_factory=list)
    """One for each conversation; an error in its place if the template refuses it."""
    error: str = ""
    """Why the template is none."""
    ok: bool = False


class TemplateRenderer:
    """Renders conversations with one template; a context manager that owns the child process.

    Not for several threads at once.
    """

    def __init__(self, template: str, variables: Mapping[str, str] | None = None, *, time_s: float = TIME_S) -> None:
        """Take the template's source and the variables every rendering gets (the tokenizer's special tokens)."""
        self._template = template
        self._variables = dict(variables or {})
        self._time_s = time_s
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()
        self._is_pumped = False

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> TemplateRenderer:
        """Return the renderer of a tokenizer's template. Raises LoadError if it has none."""
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if not template:
            raise LoadError(
                "The model has no chat template: it does not know how a conversation is written.",
                hint="Use a model that has one; Qwen's Base models have it too.",
            )
        special = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
        return cls(str(template), special)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(self, renderings: Sequence[Rendering]) -> list[str]:
        """Return one text for each rendering.

        Raises:
            UnsafeModel: The template ran out of the memory or time it may take, or wrote too much.
            LoadError: The template is wrong, or refuses this conversation (message: the template's own words).
        """
        if self._process is None:
            self._start()
        conversations: list[dict[str, object]] = [
            {"messages": list(one.messages), "variables": {**DEFAULTS, **one.variables}} for one in renderings
        ]
        texts = self._ask(self._time_s, conversations=conversations).texts
        for text in texts:
            if not isinstance(text, str):
                raise LoadError("The model's chat template refuses this conversation: {error}.", error=text["error"])
        return [text for text in texts if isinstance(text, str)]

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # a broken pipe at the flush of close; it is dead anyway
                    stream.close()

    def _start(self) -> None:
        if len(self._template) > MAX_TEMPLATE_CHARS:
            raise UnsafeModel(
                "The model's chat template is longer than {limit} characters.",
                limit=MAX_TEMPLATE_CHARS,
            )
        self._answers = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("template_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_bare_environment(),
            encoding="utf-8",
        )
        pump = threading.Thread(target=_pump, args=(self._process, self._answers), daemon=True, name="chat-template")
        self._is_pumped = start_thread(pump)
        answer = self._ask(
            START_S,
            template=self._template,
            variables=self._variables,
            memory_bytes=MEMORY_BYTES,
            time_s=self._time_s + 1,
            output_chars=OUTPUT_CHARS,
        )
        if answer.error:
            self.close()
            if "No module named" in answer.error:
                raise MissingPackage("jinja2 is needed to render chat templates.", hint="pip install jinja2")
            raise LoadError("The model's chat template is not a template: {error}.", error=answer.error)

    def _ask(self, limit_s: float, **request: object) -> _Answer:
        process = self._process
        if process is None or process.stdin is None:
            raise LoadError("The chat template's process is gone.")
        with contextlib.suppress(OSError):  # it died: the empty answer below says so
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        line = self._wait(process, limit_s)
        if not line:
            self.close()
            raise UnsafeModel(
                "The model's chat template took more than {memory} or {time}.",
                hint="Qwen's templates need a thousandth of that; do not trust this model.",
                memory=f"{MEMORY_BYTES // 1024**2} MB",
                time=f"{limit_s:g} s",
            )
        return _Answer(**json.loads(line))

    def _wait(self, process: subprocess.Popen[str], limit_s: float) -> str:
        """Return the answer, or "" after the limit of time or (where the child cannot limit itself) of memory."""
        if not self._is_pumped:  # the system has no thread to give: the child's own limits have to do
            return process.stdout.readline() if process.stdout else ""
        until = time.monotonic() + limit_s
        while (left := until - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(left, 0.1))
            except queue.Empty:  # noqa: PERF203 - ten rounds a second
                if sys.platform != "linux" and _memory_bytes(process.pid) > 2 * MEMORY_BYTES:
                    return ""
        return ""


def _pump(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    """Move the child's lines to the queue; "" says that it ended. A thread because Windows cannot wait on pipes."""
    with contextlib.suppress(ValueError, OSError):  # closed under us
        for line in process.stdout or ():
            answers.put(line)
    answers.put("")


def _memory_bytes(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _bare_environment() -> dict[str, str]:
    """Return what an interpreter needs to start, and no token."""
    wanted = (
        "PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "SYSTEMROOT",
        "LD_LIBRARY_PATH",
        "HOME",
        "USERPROFILE",
        "APPDATA",
        "TZ",
    )
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    return {**kept, "PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"}


def probe(renderer: TemplateRenderer) -> None:
    """Render two small conversations, so that a template that eats the machine is refused when the model is loaded.

    Raises UnsafeModel. A template that merely refuses a conversation is fine.
    """
    system, question = {"role": "system", "content": "s"}, {"role": "user", "content": "q"}
    longer = [system] + [question, {"role": "assistant", "content": "a"}] * 8 + [question]
    for messages in ([question], longer):
        try:
            renderer.render([Rendering(messages, {"add_generation_prompt": True})])
        except UnsafeModel:  # noqa: PERF203 - two rounds, each with its own outcome
            raise
        except LoadError as error:  # it wants other roles, say; whoever renders real data will be told
            logger.debug("chat template: %s", error)
