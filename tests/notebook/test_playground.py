"""The playground's part in a real kernel, on the practice model and an adapter for it."""

from __future__ import annotations

import os
import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.finetune.chat import without_thinking
from qwen3ft_jupyter.notebook.conversation import SIDES, Reply, Turn, messages_for
from qwen3ft_jupyter.notebook.playground import TARGET, Playground
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.work import Progress
from tests.finetune.adapters import change_config, make_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.work import Reporter

pytestmark = pytest.mark.train

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 120.0
LONG = {"max_new_tokens": 100_000, "temperature": 5.0, "top_p": 1.0, "top_k": 0, "seed": 9}
"""Thousands of tokens: what is said next is nearly left to chance."""


class Page:
    """What a page is told, and what it would then show."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        self.state: dict[str, Any] = {}
        self.kinds: list[str] = []
        self.code = ""
        self.progress: list[dict[str, Any]] = []
        self.open()

    def open(self) -> None:
        self._send("comm_open", {"target_name": TARGET, "data": {}})
        self.wait_for(lambda state: "phase" in state)

    def tell(self, do: str, **wanted: Any) -> None:
        self._send("comm_msg", {"data": {"do": do, **wanted}})

    def load(self, model: str, adapter: str = "", locale: str = "en") -> dict[str, Any]:
        self.tell("load", model=model, adapter=adapter, locale=locale)
        self.wait_for(lambda state: state["phase"] == "loading")
        return self.wait_for(lambda state: state["phase"] != "loading")

    def ask(self, question: str, do: str = "ask", **wanted: Any) -> dict[str, Any]:
        self.begin(question, do, **wanted)
        return self.wait_for(lambda state: state["phase"] == "ready")

    def begin(self, question: str, do: str = "ask", **wanted: Any) -> None:
        self.tell(do, question=question, **wanted)
        self.wait_for(lambda state: state["phase"] == "answering")

    def wait_for(self, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            self._hear()
            if self.state and is_reached(self.state):
                return self.state
        raise AssertionError(f"the kernel went silent: {self.state}")

    def _hear(self) -> None:
        try:
            message = self.client.get_iopub_msg(timeout=1)
        except queue.Empty:
            return
        content = message["content"]
        if message["msg_type"] != "comm_msg" or content["comm_id"] != self.name:
            return
        data = content["data"]
        self.kinds.append(data["type"])
        if data["type"] == "state":
            self.state = data
        elif data["type"] == "code":
            self.code = data["code"]
        elif data["type"] == "progress":
            self.progress.append(data["progress"])
        elif data["type"] == "text":
            reply = self.state["turns"][-1]["replies"][data["side"]]
            reply.update(text=reply["text"] + data["text"], tokens=data["tokens"], seconds=data["seconds"])

    def _send(self, kind: str, content: dict[str, Any]) -> None:
        message = self.client.session.msg(kind, {"comm_id": self.name, **content})
        self.client.shell_channel.send(message)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)  # what peft begins an adapter with
    folder = make_adapter(MODEL_FOLDER, tmp_path_factory.mktemp("runs") / "adapter", lora_alpha=64)
    change_config(folder, base_model_name_or_path=PRACTICE_REPO_ID)
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("kernel")
    environ = os.environ | {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "MODEL_CACHE_DIR": str(folder / "cache"),
        "QWEN3FT_STATE_DIR": str(folder / "state"),
    }
    manager: KernelManager
    manager, client = start_new_kernel(kernel_name="python3", env=environ, cwd=str(folder))
    reply = client.execute_interactive("from qwen3ft_jupyter.notebook.playground import serve\nserve()")
    assert reply["content"]["status"] == "ok", reply["content"]
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def page(client: Any, request: pytest.FixtureRequest) -> Page:
    page = Page(client, request.node.name)
    page.tell("stop")
    page.wait_for(lambda state: state["phase"] in {"ready", "empty"})
    return page


@pytest.fixture
def loaded(page: Page) -> Page:
    page.load(PRACTICE_REPO_ID)
    page.tell("clear")
    page.wait_for(lambda state: state["turns"] == [])
    return page


@pytest.fixture
def tuned(page: Page, adapter: Path) -> Page:
    state = page.load(PRACTICE_REPO_ID, str(adapter))
    assert state["phase"] == "ready", state["error"]
    page.tell("clear")
    page.wait_for(lambda state: state["turns"] == [])
    return page


def test_a_load_tells_its_bytes_and_then_what_the_model_is(page: Page) -> None:
    state = page.load(PRACTICE_REPO_ID)

    assert state["phase"] == "ready"
    told = [each for each in page.progress if each["phase_words"] == "Loading the model"]
    assert any(each["unit"] == "bytes" and each["total"] > 1_000_000 for each in told)
    assert not state["model"]["has_adapter"]
    assert state["model"]["sampling"] == {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 128}


def test_an_answer_comes_in_pieces_and_goes_on_from_the_last(loaded: Page) -> None:
    loaded.ask("Who are you?")
    state = loaded.ask("你是谁？")

    first, second = state["turns"]
    assert first["replies"]["base"]["text"].startswith("I am a practice model")
    assert first["replies"]["base"]["end"] == second["replies"]["base"]["end"] == "complete"
    assert second["replies"]["base"]["tokens"] > 3
    assert second["replies"]["base"]["seconds"] > 0
    assert loaded.kinds.count("text") >= 2


def test_with_an_adapter_both_sides_answer_the_same_question(tuned: Page) -> None:
    state = tuned.ask("Who are you?", sides=["base", "tuned"])

    assert state["model"]["has_adapter"]
    replies = state["turns"][0]["replies"]
    assert replies["base"]["text"].startswith("I am a practice model")
    assert replies["tuned"]["text"] != replies["base"]["text"]


def test_without_a_word_of_sides_the_adapter_answers(tuned: Page) -> None:
    state = tuned.ask("Who are you?")

    assert list(state["turns"][0]["replies"]) == ["tuned"]


def test_stop_ends_the_answer_and_keeps_what_is_written(loaded: Page) -> None:
    loaded.begin("Who are you?", options=LONG)
    loaded.wait_for(lambda state: state["turns"][0]["replies"].get("base", {}).get("tokens", 0) > 3)
    loaded.tell("stop")
    state = loaded.wait_for(lambda state: state["phase"] == "ready")

    reply = state["turns"][0]["replies"]["base"]
    assert reply["end"] == "stopped"
    assert reply["text"]


def test_a_page_that_comes_back_finds_all_and_the_old_one_is_told(client: Any, loaded: Page) -> None:
    loaded.begin("Who are you?", options=LONG)
    again = Page(client, "another page")

    assert again.state["phase"] == "answering"
    assert again.state["turns"][0]["question"] == "Who are you?"
    again.tell("stop")
    again.wait_for(lambda state: state["phase"] == "ready")


def test_again_answers_the_last_question_anew(loaded: Page) -> None:
    loaded.ask("Who are you?")
    state = loaded.ask("你好", do="again", options={"max_new_tokens": 1})

    [turn] = state["turns"]
    assert turn["question"] == "你好"
    assert turn["replies"]["base"]["end"] == "length"


def test_the_same_seed_draws_the_same_answer(loaded: Page) -> None:
    options = {"temperature": 1.8, "top_p": 1.0, "top_k": 0, "max_new_tokens": 30}
    texts = []
    for seed in (5, 5, 6):
        loaded.tell("clear")
        state = loaded.ask("Who are you?", options={**options, "seed": seed})
        texts.append(state["turns"][-1]["replies"]["base"]["text"])

    assert texts[0] == texts[1] != texts[2]


def test_the_code_gets_the_same_answers(tuned: Page) -> None:
    options = {"temperature": 1.5, "max_new_tokens": 20}
    tuned.ask("Who are you?", sides=["base", "tuned"], system="Be brief.", options=options)
    state = tuned.ask("你好", sides=["base", "tuned"], system="Be brief.", options=options)
    tuned.tell("code")
    tuned.wait_for(lambda _state: tuned.code != "")
    printed: list[str] = []
    reply = tuned.client.execute_interactive(
        tuned.code,
        output_hook=lambda message: printed.append(str(message["content"].get("text", ""))),
    )

    assert reply["content"]["status"] == "ok", reply["content"]
    replies = state["turns"][-1]["replies"]
    assert "".join(printed).strip() == "\n".join(without_thinking(replies[side]["text"]) for side in SIDES).strip()


def test_a_conversation_goes_on_in_another_kernel(loaded: Page) -> None:
    turns = [{"question": "Hi", "replies": {"base": {"text": "Hello", "tokens": 1, "seconds": 1.0, "end": "complete"}}}]
    loaded.tell("restore", turns=[*turns, 5, {"question": "Why", "replies": {"x": 1, "tuned": 2}}])
    state = loaded.wait_for(lambda state: len(state["turns"]) == 2)

    assert state["turns"][0]["replies"]["base"]["text"] == "Hello"
    assert state["turns"][1] == {"question": "Why", "replies": {}, "system": "", "options": {}}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"do": "ask", "question": " "}, "no question"),
        ({"do": "ask", "question": "a", "options": {"temperature": -1}}, "temperature"),
        ({"do": "ask", "question": "a", "options": {"top_p": 2}}, "top_p"),
        ({"do": "ask", "question": "a", "options": {"top_k": -1}}, "top_k"),
        ({"do": "ask", "question": "a", "options": {"seed": -1}}, "seed"),
        ({"do": "ask", "question": "a", "options": {"temperature": "hot"}}, "temperature: hot is no number"),
    ],
)
def test_what_is_wrong_is_said_and_joins_no_conversation(loaded: Page, wanted: dict[str, Any], words: str) -> None:
    loaded.tell(**wanted)
    state = loaded.wait_for(lambda state: state["error"] is not None)

    assert words in state["error"]["message"]
    assert state["turns"] == []
    assert state["phase"] == "ready"


def test_a_second_question_waits_for_the_first(loaded: Page) -> None:
    loaded.begin("Who are you?", options=LONG)
    loaded.tell("ask", question="And you?")
    state = loaded.wait_for(lambda state: state["error"] is not None)

    assert "still at work" in state["error"]["message"]
    loaded.tell("stop")
    state = loaded.wait_for(lambda state: state["phase"] == "ready")
    assert [turn["question"] for turn in state["turns"]] == ["Who are you?"]


class SlowManager:
    """Loads until it is told to go on."""

    def __init__(self) -> None:
        self.is_loading, self.goes_on = threading.Event(), threading.Event()

    def load_model_and_tokenizer(self, _name: str, *, reporter: Reporter) -> None:
        self.is_loading.set()
        assert self.goes_on.wait(LIMIT_S)
        reporter.progress(Progress("loading", 1, 2))
        raise AssertionError("nobody has stopped it")


def test_a_load_is_stopped_and_the_kernel_stays() -> None:
    manager, told = SlowManager(), queue.Queue[dict[str, Any]]()
    playground = Playground(lambda: cast("ModelManager", manager))
    playground.connect(told.put)
    playground.hear({"do": "load", "model": PRACTICE_REPO_ID})
    assert manager.is_loading.wait(LIMIT_S)
    playground.hear({"do": "stop"})
    while told.get(timeout=LIMIT_S).get("phase") != "loading":
        pass  # what was told before
    manager.goes_on.set()
    while (state := told.get(timeout=LIMIT_S)).get("phase") != "empty":
        pass

    assert state["error"] is None
    assert state["model"] is None


def test_a_model_that_is_not_here_is_not_fetched(page: Page) -> None:
    state = page.load("Qwen/Qwen3-0.6B", locale="zh-CN")

    assert state["phase"] == "empty"
    assert state["error"] == {"code": "not-cached", "message": "模型不在缓存中。", "hint": "请先下载。"}


def test_an_adapter_that_would_run_code_is_refused(page: Page, adapter: Path, tmp_path: Path) -> None:
    for path in adapter.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change_config(tmp_path, auto_mapping={"parent_library": "os"})
    state = page.load(PRACTICE_REPO_ID, str(tmp_path))

    assert state["error"]["code"] == "unsafe-model"
    assert "auto_mapping" in state["error"]["message"]


def test_a_side_without_an_answer_of_its_own_goes_on_with_the_others() -> None:
    turns = [
        Turn("a", {"base": Reply("<think>x</think>one")}),
        Turn("b"),
        Turn("c", {"tuned": Reply("two")}),
        Turn("d"),
    ]

    contents = [one["content"] for one in messages_for(turns, "tuned")]
    assert contents == ["a", "one", "c", "two", "d"]
