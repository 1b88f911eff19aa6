"""The form that talks to a model: answers as they are written, the base beside what was tuned, nothing lost."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import LoadError
from qwen3ft_jupyter.notebook.actions import ACTIONS
from qwen3ft_jupyter.notebook.chat_form import ChatForm
from tests.server.standin import DONE, HOSTILE, StandInManager

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 60.0


class Talker(StandInManager):
    """Answers with what it was asked last, in two pieces; with a base that shouts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked_of: list[tuple[str, list[dict[str, str]], bool, bool]] = []
        self.error: Exception | None = None
        self.is_held = threading.Event()
        self.waits = False

    def chat(self, model_name: str, question: Any, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        self.asked_of.append((model_name, question, options["use_adapter"], options["thinking"]))
        last = str(question[-1]["content"])
        said = last if options["use_adapter"] else last.upper()
        thought = "<think>\nhm\n</think>\n\n" if options["thinking"] else ""
        for piece in (thought, said):
            options["on_text"](piece)
        if self.waits:
            self.is_held.set()
            assert options["stop"].wait(LIMIT_S)
        return thought + said


@pytest.fixture
def manager(tmp_path: Path) -> Talker:
    return Talker(tmp_path)


def ask(form: ChatForm, question: str) -> str:
    form.question.value = question
    form.send_button.click()
    if form.thread is not None:
        form.thread.join(LIMIT_S)
        assert not form.thread.is_alive()
    return str(form.talk.value)


def test_a_question_is_answered_and_the_next_one_goes_on_from_there(manager: Talker) -> None:
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")

    ask(form, "Who are you?")
    shown = ask(form, "Why?")

    assert manager.asked_of[-1] == (
        "Qwen/Qwen3-0.6B",
        [
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "Who are you?"},
            {"role": "user", "content": "Why?"},
        ],
        True,
        False,
    )
    assert shown.count("Why?") == 2
    assert form.question.value == ""
    assert not form.send_button.disabled


def test_the_base_model_answers_beside_the_fine_tune_if_it_is_asked_too(manager: Talker) -> None:
    form = ChatForm(manager.real, model_name="runs/first")
    form.compare.value = True

    shown = ask(form, "meow")

    assert [with_adapter for *_, with_adapter, _ in manager.asked_of] == [False, True]
    assert "MEOW" in shown
    assert shown.index("Base model") < shown.index("Fine-tuned")


def test_thoughts_are_folded_and_what_a_model_writes_is_text(manager: Talker) -> None:
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")
    form.thinking.value = True

    shown = ask(form, HOSTILE)

    assert "<details><summary>Thoughts</summary>" in shown
    assert HOSTILE not in shown


def test_an_answer_is_stopped_and_what_was_written_stays(manager: Talker) -> None:
    manager.waits = True
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")
    form.question.value = "Tell me more."
    form.send_button.click()
    assert manager.is_held.wait(LIMIT_S)
    assert form.send_button.disabled

    form.stop_button.click()
    assert form.thread is not None
    form.thread.join(LIMIT_S)

    assert form.talk.value.count("Tell me more.") == 2
    assert "Stopped." in form.talk.value


def test_a_refusal_gives_the_question_back(manager: Talker) -> None:
    manager.error = LoadError("It does not fit.", hint="Take a smaller one.")
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")

    ask(form, "Hello?")
    refused = form.problem.value
    manager.error = None
    ask(form, form.question.value)

    assert "Take a smaller one." in refused
    assert [talk for _, talk, *_ in manager.asked_of] == [[{"role": "user", "content": "Hello?"}]]
    assert form.problem.value == ""


def test_a_failure_that_nobody_foresaw_is_told_and_the_form_goes_on(manager: Talker) -> None:
    manager.error = RuntimeError("CUDA error")
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")

    ask(form, "Hello?")
    told = form.problem.value
    manager.error = None
    ask(form, form.question.value)

    assert "That failed (RuntimeError)." in told
    assert len(manager.asked_of) == 1
    assert not form.send_button.disabled


def test_nothing_is_asked_without_a_question(manager: Talker) -> None:
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")

    ask(form, "  ")

    assert "There is no question." in form.problem.value
    assert manager.asked_of == []


def test_fine_tunes_are_offered_before_the_models_that_are_cached(manager: Talker) -> None:
    job = manager.new_job("finetune", {}, "Fine-tune")
    job.script = [type(DONE)("succeeded", 1, result={"output_dir": "/runs/first"}, updated=2.0, ended=2.0)]

    assert list(ChatForm(manager.real).model.options) == ["/runs/first", "Qwen/Qwen3-0.6B"]


def test_a_cleared_talk_is_forgotten(manager: Talker) -> None:
    form = ChatForm(manager.real, model_name="Qwen/Qwen3-0.6B")
    ask(form, "One?")

    form.clear_button.click()
    shown = ask(form, "Two?")

    assert "One?" not in shown
    assert manager.asked_of[-1][1] == [{"role": "user", "content": "Two?"}]


def test_chat_without_a_name_is_the_form() -> None:
    assert "ChatForm" in str(ACTIONS["chat"].__annotations__["return"])
