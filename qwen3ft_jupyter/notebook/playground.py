"""The kernel's part of the playground: holds a model and a conversation, and tells a page in JupyterLab of both.

The page starts a kernel of its own, runs `serve()` there and opens a comm. What it wants comes as ``{"do": …}``; it is
told in ``{"type": "state"}`` all there is, and in between what is new. A page that was reloaded opens another comm and
is told all again. Loading and answering have a thread, so that the kernel hears "stop" meanwhile.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from qwen3ft_jupyter.errors import BadInput, LoadError, NotCached, Qwen3ftError, Stopped
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.finetune.chat import MAX_SEED, AnswerOptions, has_adapter, own_sampling, stream
from qwen3ft_jupyter.messages import Speaker, as_language
from qwen3ft_jupyter.notebook.conversation import (
    BASE,
    OPTIONS,
    Reply,
    Source,
    Turn,
    messages_for,
    parse_sides,
    write_code,
)
from qwen3ft_jupyter.notebook.failures import as_ours
from qwen3ft_jupyter.paths import is_file
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.work import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwen3ft_jupyter.loading.libraries import LoadedPair
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.work import Progress

TARGET: Final = "qwen3ft.playground"
"""The name under which a page finds it."""

SHORTEST_S: Final = 0.05
"""Between two messages about what is under way: smooth to read, and far below what servers allow a kernel to say."""

Wanted = dict[str, Any]  # Any: a page may send anything


class Comm(Protocol):
    """A line to a page; the package comm has no types."""

    def send(self, data: dict[str, Any]) -> None:
        """Send a message."""

    def on_msg(self, callback: Callable[[dict[str, Any]], None]) -> None:
        """Hand over what comes."""


def serve() -> None:
    """Let a page open the playground of this kernel."""
    import comm

    comm.get_comm_manager().register_target(TARGET, _opened)


_here: list[Playground] = []
"""The one of this process: a page that comes back finds it as it left it."""


def _opened(line: Comm, _message: object) -> None:
    if not _here:
        from qwen3ft_jupyter.manager import get_model_manager

        # a download is the page's to offer: it shows the plan first, and the job is seen in the panel
        _here.append(Playground(lambda: get_model_manager(offline=True)))
    line.on_msg(lambda message: _here[0].hear(message["content"]["data"]))
    _here[0].connect(line.send)


class Playground:
    """A model, a conversation with it, and the one page that is told of them."""

    def __init__(self, make_manager: Callable[[], ModelManager]) -> None:
        self._make_manager = make_manager
        self._tell: Callable[[dict[str, Any]], None] = lambda _message: None
        self._lock = threading.RLock()
        """Held while the state changes and while it is told: what is told comes in order."""
        self._speaker = Speaker()
        self._phase = "empty"
        self._progress: dict[str, Any] | None = None
        self._error: dict[str, str] | None = None
        self._pair: LoadedPair | None = None
        self._about: dict[str, Any] | None = None
        self._source = Source("")
        self._turns: list[Turn] = []
        self._stop = threading.Event()

    def connect(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """Tell this page from now on; one that was told before learns that it no longer is."""
        with self._lock:
            self._send({"type": "taken"})
            self._tell = tell
            self._send_state()

    def hear(self, wanted: Wanted) -> None:
        """Do what a page wants; whatever is wrong with it is told, never raised."""
        actions = {
            "load": self._load,
            "ask": self._ask,
            "again": self._again,
            "stop": self._halt,
            "clear": self._clear,
            "code": self._write_code,
            "restore": self._restore,
        }
        with self._lock:
            try:
                action = actions.get(str(wanted.get("do")))
                if action is not None:
                    self._error = None
                    action(wanted)
            except Exception as error:  # noqa: BLE001 - border of a kernel hook: a traceback would reach nobody
                self._error = self._explain(error)
            self._send_state()

    def _load(self, wanted: Wanted) -> None:
        self._refuse_if_busy()
        self._speaker = Speaker(as_language(str(wanted.get("locale", ""))), speaker_of("magic").grammar)
        self._phase, self._about, self._stop = "loading", None, threading.Event()
        self._begin(self._run_load, str(wanted.get("model") or ""), str(wanted.get("adapter") or ""))

    def _run_load(self, model: str, adapter: str) -> None:
        self._pair = None
        _give_back_memory()
        stop = self._stop
        reporter = _Teller(self, stop)
        manager = self._make_manager()
        source = Source(adapter or model)
        if model and adapter and is_file(Path(adapter, "adapter_config.json")):  # an adapter that is no run of ours
            source = Source(model, adapter)
            pair = manager.load_model_and_tokenizer(model, adapter=Path(adapter), reporter=reporter)
        else:
            pair = manager.load_model_and_tokenizer(source.name, reporter=reporter)
        with self._lock:
            if stop.is_set():  # after the last thing that was told
                raise Stopped("Stopped.")
            self._pair, self._about = pair, _describe(pair)
            self._source = replace(source, has_adapter=has_adapter(pair))

    def _ask(self, wanted: Wanted) -> None:
        question = str(wanted.get("question", ""))
        if not question.strip():
            raise BadInput("There is no question.")
        self._answer(self._turns, question, wanted)

    def _again(self, wanted: Wanted) -> None:
        """Answer the last question anew, changed if the page says so."""
        if not self._turns:
            raise BadInput("There is no question.")
        question = str(wanted.get("question") or self._turns[-1].question)
        self._answer(self._turns[:-1], question, wanted)

    def _answer(self, earlier: list[Turn], question: str, wanted: Wanted) -> None:
        self._refuse_if_busy()
        pair = self._pair
        if pair is None:
            raise LoadError("No model is loaded.")
        asked = wanted.get("options")
        given = asked if isinstance(asked, dict) else {}
        options = {**asdict(own_sampling(pair.model)), **{name: given[name] for name in OPTIONS if name in given}}
        for name, value in options.items():
            if value is not None and not isinstance(value, (int, float)):
                raise BadInput("{name}: {value} is no number.", name=name, value=str(value))
        if options["temperature"] and options.get("seed") is None:
            options["seed"] = secrets.randbelow(MAX_SEED)  # so that code can ask the same and get the same
        AnswerOptions(**options)  # whatever is wrong is said before the question joins the conversation
        sides = parse_sides(wanted.get("sides") or (), has_adapter=has_adapter(pair))
        turn = Turn(question, system=str(wanted.get("system", "")), options=options)
        self._turns, self._phase = [*earlier, turn], "answering"
        self._stop = threading.Event()
        self._begin(self._run_answers, pair, sides)

    def _run_answers(self, pair: LoadedPair, sides: tuple[str, ...]) -> None:
        turns, stop = self._turns, self._stop
        for side in sides:
            if stop.is_set():
                return
            use_adapter = side != BASE or not has_adapter(pair)
            settings = AnswerOptions(**turns[-1].options, use_adapter=use_adapter, stop=stop)
            reply, messages = Reply(), messages_for(turns, side)
            with self._lock:
                turns[-1].replies[side] = reply
                self._send_state()
            try:
                self._write(pair, messages, settings, side, reply)
            except Exception as error:  # noqa: BLE001 - border of a thread: the page is told
                with self._lock:
                    reply.end, reply.error = "failed", self._explain(error)

    def _write(
        self, pair: LoadedPair, messages: list[dict[str, str]], options: AnswerOptions, side: str, reply: Reply
    ) -> None:
        began = told = time.monotonic()
        waiting = ""
        with stream(pair, messages, options) as pieces:
            if pieces.prompt.rstrip().endswith("<think>"):
                waiting = "<think>\n"  # the answer of a model that always reasons begins inside
            for piece in pieces:
                waiting += piece
                now = time.monotonic()
                if now - told >= SHORTEST_S:
                    self._tell_text(side, reply, waiting, pieces.tokens, now - began)
                    waiting, told = "", now
        self._tell_text(side, reply, waiting, pieces.tokens, time.monotonic() - began)
        with self._lock:
            reply.end = pieces.end

    def _tell_text(self, side: str, reply: Reply, text: str, tokens: int, seconds: float) -> None:
        with self._lock:
            reply.text += text
            reply.tokens, reply.seconds = tokens, round(seconds, 3)
            self._send({"type": "text", "side": side, "text": text, "tokens": tokens, "seconds": reply.seconds})

    def _halt(self, _wanted: Wanted) -> None:
        self._stop.set()

    def _clear(self, _wanted: Wanted) -> None:
        self._refuse_if_busy()
        self._turns = []

    def _write_code(self, _wanted: Wanted) -> None:
        if self._turns and self._source.name:
            self._send({"type": "code", "code": write_code(self._source, self._turns)})

    def _restore(self, wanted: Wanted) -> None:
        """Go on with a conversation of a kernel that is gone."""
        self._refuse_if_busy()
        turns = wanted.get("turns")
        self._turns = [Turn.from_dict(one) for one in turns if isinstance(one, dict)] if isinstance(turns, list) else []

    def _refuse_if_busy(self) -> None:
        if self._phase in {"loading", "answering"}:
            raise BadInput("The model is still at work.", hint="Stop it, or wait.")

    def _begin(self, work: Callable[..., None], *given: object) -> None:
        self._progress = None

        def run() -> None:
            failure = None
            try:
                work(*given)
            except Stopped:
                pass  # as somebody wanted
            except Exception as error:  # noqa: BLE001 - border of a thread: the page is told
                failure = self._explain(error)
            with self._lock:
                self._phase = "ready" if self._pair is not None else "empty"
                self._progress, self._error = None, failure
                self._send_state()

        thread = threading.Thread(target=run, daemon=True, name="qwen3ft playground")
        if not start_thread(thread):
            run()  # then nothing can stop it

    def show_progress(self, progress: Progress) -> None:
        """Tell how far the loading is."""
        with self._lock:
            said = {**progress.to_dict(), "detail": self._speaker.say(progress.detail)}
            self._progress = {**said, "phase_words": self._speaker.say_alone(say.phase_word(progress.phase))}
            self._send({"type": "progress", "progress": self._progress})

    def _explain(self, error: Exception) -> dict[str, str]:
        return _as_told(error).to_dict(self._speaker.language, self._speaker.grammar)

    def _send_state(self) -> None:
        self._send(
            {
                "type": "state",
                "phase": self._phase,
                "progress": self._progress,
                "error": self._error,
                "model": self._about,
                "turns": [turn.to_dict() for turn in self._turns],
            }
        )

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):  # the page is gone; it will ask when it is back
            self._tell(message)


class _Teller(Reporter):
    """Tells the page of a load, not more often than it can show; ends a load that somebody has stopped."""

    def __init__(self, playground: Playground, stop: threading.Event) -> None:
        self._playground, self._stop = playground, stop
        self._last = ("", 0.0)

    def progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped("Stopped.")
        phase, told = self._last
        now = time.monotonic()
        if progress.phase != phase or now - told >= SHORTEST_S:
            self._last = (progress.phase, now)
            self._playground.show_progress(progress)


def _describe(pair: LoadedPair) -> dict[str, Any]:
    """Return what a page has to know of a loaded model."""
    model, tokenizer = pair
    template = tokenizer.chat_template
    return {
        "has_adapter": has_adapter(pair),
        "can_think": "enable_thinking" in str(template),
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "sampling": asdict(own_sampling(model)),
    }


def _as_told(error: Exception) -> Qwen3ftError:
    if isinstance(error, NotCached):
        return NotCached("The model is not in the cache.", hint="Download it first.")
    return as_ours(error)


def _give_back_memory() -> None:
    """Let a GPU have what the model before has held."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
