"""A form that talks to a model in this kernel, also to a base model beside what was tuned from it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.faces.verbs import write_command
from qwen3ft_jupyter.finetune.chat import without_thinking
from qwen3ft_jupyter.messages import tr
from qwen3ft_jupyter.notebook.conversation import BASE, TUNED, Reply, Turn, messages_for
from qwen3ft_jupyter.notebook.display import get_model_manager
from qwen3ft_jupyter.notebook.failures import as_ours
from qwen3ft_jupyter.notebook.form_parts import Form, error_html
from qwen3ft_jupyter.notebook.markup import element, verbatim
from qwen3ft_jupyter.processes import start_thread

if TYPE_CHECKING:
    from markupsafe import Markup

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.manager import ModelManager

_SHOW_S = 0.1
"""Between two pictures of an answer that is being written; widgets share the kernel's channel with everything else."""

_ANSWER = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0.2em 0 0.6em"


class ChatForm(Form):
    """A form that asks a model, or the result of a fine-tune, and shows the answers as they are written.

    Args:
        manager: what it works with; one for the settings in force if left out.
        model_name: what is asked at first: a model, or the job id or output folder of a fine-tune.
    """

    instead = "%" + write_command("chat", "NAME")

    def __init__(self, manager: ModelManager | None = None, *, model_name: str = "") -> None:
        import ipywidgets

        self._manager = manager or get_model_manager()
        self._turns: list[Turn] = []
        self._stop = threading.Event()
        self._shown_at = 0.0
        self.thread: threading.Thread | None = None
        names = [*self._fine_tunes(), *(model.model_name for model in self._manager.model_rows() if model.cached)]
        wide = {"layout": {"width": "40em", "max_width": "100%"}}
        self.model = ipywidgets.Combobox(
            options=names, value=model_name or next(iter(names), ""), description=tr("Model"), **wide
        )
        self.thinking = ipywidgets.Checkbox(value=False, description=tr("Think first"), indent=False)
        self.compare = ipywidgets.Checkbox(value=False, description=tr("Ask the base model, too"), indent=False)
        self.question = ipywidgets.Textarea(placeholder=tr("Your question"), rows=3, **wide)
        self.send_button = ipywidgets.Button(description=tr("Send"), icon="paper-plane", button_style="primary")
        self.send_button.on_click(lambda _: self._send())
        self.stop_button = ipywidgets.Button(description=tr("Stop"), icon="stop", disabled=True)
        self.stop_button.on_click(lambda _: self._stop.set())
        self.clear_button = ipywidgets.Button(description=tr("Clear"), icon="eraser")
        self.clear_button.on_click(lambda _: self._clear())
        self.talk = ipywidgets.HTML()
        self.problem = ipywidgets.HTML()
        choices = ipywidgets.HBox([self.thinking, self.compare])
        buttons = ipywidgets.HBox([self.send_button, self.stop_button, self.clear_button])
        self.widget: Any = ipywidgets.VBox([self.model, choices, self.talk, self.problem, self.question, buttons])

    def _fine_tunes(self) -> list[str]:
        """Return the folders of fine-tunes that have ended well, the newest first."""
        tunes = (job.status for job in self._manager.job_snapshots() if job.kind == "finetune")
        folders = (str((one.result or {}).get("output_dir", "")) for one in tunes if one.state == "succeeded")
        return list(dict.fromkeys(filter(None, folders)))

    def _send(self) -> None:
        question, self.problem.value = self.question.value.strip(), ""
        if not question:
            self._show_error(BadInput("There is no question.", hint=tr("Write one into the field.")))
            return
        self._turns.append(Turn(question))
        self.question.value = ""
        self._stop = threading.Event()
        self.send_button.disabled, self.stop_button.disabled = True, False
        sides = (BASE, TUNED) if self.compare.value else (TUNED,)
        options = {"thinking": self.thinking.value, "stop": self._stop}
        given = (self.model.value.strip(), self._turns[-1], sides, options)
        self.thread = threading.Thread(target=self._answer, args=given, name="qwen3ft form", daemon=True)
        if not start_thread(self.thread):
            self._answer(*given)

    def _answer(self, name: str, turn: Turn, sides: tuple[str, ...], options: dict[str, Any]) -> None:
        try:
            for side in sides:
                self._ask(name, turn, side, options)
        except Exception as error:  # noqa: BLE001 - border of a thread: whoever asked is told
            self._show_error(as_ours(error))
            if not turn.replies and turn in self._turns:  # the question is not lost, and not asked along with the next
                self._turns.remove(turn)
                self.question.value = self.question.value or turn.question
        self._show()
        self.send_button.disabled, self.stop_button.disabled = False, True

    def _ask(self, name: str, turn: Turn, side: str, options: dict[str, Any]) -> None:
        reply = Reply()

        def on_text(piece: str) -> None:
            reply.text += piece
            turn.replies[side] = reply
            self._show(is_final=False)

        if options["stop"].is_set():
            return
        text = self._manager.chat(
            name,
            messages_for([*(one for one in self._turns if one is not turn), turn], side),
            on_text=on_text,
            keep_thinking=True,
            use_adapter=side == TUNED,
            **options,
        )
        reply.text, reply.end = text, "stopped" if options["stop"].is_set() else "complete"
        turn.replies[side] = reply

    def _show(self, *, is_final: bool = True) -> None:
        now = time.monotonic()
        if is_final or now - self._shown_at >= _SHOW_S:
            self._shown_at = now
            self.talk.value = verbatim(element("div", *map(_turn_html, self._turns), role="log"))

    def _show_error(self, error: Qwen3ftError) -> None:
        self.problem.value = verbatim(error_html(error))

    def _clear(self) -> None:
        self._stop.set()
        self._turns.clear()
        self.problem.value = ""
        self._show()


def _turn_html(turn: Turn) -> Markup:
    answers = (_reply_html(side, reply, is_one_of_two=len(turn.replies) > 1) for side, reply in turn.replies.items())
    asked = element("div", element("b", tr("You")), ": ", element("span", turn.question, style=_ANSWER))
    return element("div", asked, *answers)


def _reply_html(side: str, reply: Reply, *, is_one_of_two: bool) -> Markup:
    names = {BASE: tr("Base model"), TUNED: tr("Fine-tuned")} if is_one_of_two else {}
    said = without_thinking(reply.text)
    thought = reply.text[: len(reply.text) - len(said)] if "</think>" in reply.text else ""
    parts = [element("b", names.get(side) or tr("Model")), ": "]
    if thought:
        parts.append(element("details", element("summary", tr("Thoughts")), element("div", thought, style=_ANSWER)))
    parts.append(element("div", said, style=_ANSWER))
    if reply.end == "stopped":
        parts.append(element("i", tr("Stopped.")))
    return element("div", *parts)
