"""What a front end receives from a real kernel."""

from __future__ import annotations

import os
import queue
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from qwen3ft_jupyter.notebook.job_view import JOB_MIME_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 240.0
SETUP = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.server import standin
import qwen3ft_jupyter.manager
stand_in = standin.StandInManager()
qwen3ft_jupyter.manager.get_model_manager = lambda *args, **options: stand_in
%load_ext qwen3ft_jupyter
print([name for name in ("torch", "transformers", "ipywidgets") if name in sys.modules])
"""


class Kernel:
    """Runs code and collects what a front end gets."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager = manager
        self.client = client

    def start(self, code: str) -> str:
        return str(self.client.execute(code))

    def message(self, request: str) -> dict[str, Any]:
        """Return the next message that answers `request`."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                message: dict[str, Any] = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == request:
                return message
        raise AssertionError("the kernel went silent")

    def rest(self, request: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while True:
            message = self.message(request)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
            if message["msg_type"] not in ("status", "execute_input"):
                messages.append(message)

    def run(self, code: str) -> list[dict[str, Any]]:
        return self.rest(self.start(code))


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("kernel")
    environ = os.environ | {
        "PYTHONPATH": str(ROOT),
        "QWEN3FT_LANG": "en",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "QWEN3FT_STATE_DIR": str(folder / "state"),
    }
    manager, client = start_new_kernel(kernel_name="python3", env=environ, cwd=str(folder))
    kernel = Kernel(manager, client)
    [loaded] = kernel.run(SETUP)
    assert loaded["content"].get("text") == "[]\n", loaded
    yield kernel
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["msg_type"] for message in messages]


def test_help_is_a_rich_result(kernel: Kernel) -> None:
    [result] = kernel.run("%qwen3ft help")

    assert result["msg_type"] == "execute_result"
    assert {"text/html", "text/plain"} <= set(result["content"]["data"])


def test_status_can_be_assigned_and_read(kernel: Kernel) -> None:
    [printed] = kernel.run("status = %qwen3ft status\nprint(status[0]['name'])")

    assert printed["content"]["text"] == "USE_MODELSCOPE\n"


def test_each_line_of_a_cell_shows_its_answer_once(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft status\n%qwen3ft models\n%qwen3ft list")

    assert kinds(messages) == ["display_data", "display_data", "execute_result"]
    texts = [message["content"]["data"]["text/plain"] for message in messages]
    assert [word in text for word, text in zip(("USE_MODELSCOPE", "Qwen3 models", "cache"), texts, strict=True)] == [
        True
    ] * 3


def test_a_download_that_is_not_the_last_line_is_shown_once(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft download Qwen/Qwen3-4B\nprint('after')")

    assert [kind for kind in kinds(messages) if kind != "update_display_data"] == ["display_data", "stream"]


@pytest.mark.parametrize(
    ("code", "question"),
    [
        ("%qwen3ft chat a/b who are you?", "who are you?"),
        ("%qwen3ft chat a/b What's your name", "What's your name"),
        ("%%qwen3ft chat a/b\nWhat's this?\nAnd that?\n", "What's this?\nAnd that?"),
        ("%%qwen3ft chat a/b Say in one word:\nwho?", "Say in one word:\n\nwho?"),
    ],
)
def test_a_question_is_asked_as_it_is_typed(kernel: Kernel, code: str, question: str) -> None:
    [answer] = kernel.run(code)

    assert answer["content"]["data"]["text/plain"] == f"You asked: {question}"


def test_a_download_is_one_output_that_is_renewed(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft download Qwen/Qwen3-4B")

    assert kinds(messages) == ["display_data", "update_display_data", "update_display_data"]
    ids = {message["content"]["transient"]["display_id"] for message in messages}
    [job] = {message["content"]["data"][JOB_MIME_TYPE]["id"] for message in messages}
    assert ids == {f"qwen3ft-{job}"}
    assert "queued" in messages[0]["content"]["data"]["text/html"]
    assert "<progress" in messages[1]["content"]["data"]["text/html"]
    assert "succeeded" in messages[2]["content"]["data"]["text/html"]


def test_a_job_that_was_followed_can_be_shown_again_later(kernel: Kernel) -> None:
    kernel.run("job = %qwen3ft download Qwen/Qwen3-4B")

    [shown] = kernel.run("job")

    assert shown["msg_type"] == "display_data"
    assert "succeeded" in shown["content"]["data"]["text/plain"]


def test_a_fine_tune_in_a_cell_draws_its_loss(kernel: Kernel) -> None:
    kernel.run("stand_in.next_metrics = [{'step': 1, 'loss': 3.0}, {'step': 2, 'loss': 0.5}]")

    messages = kernel.run("%%qwen3ft finetune\nmodel: Qwen/Qwen3-0.6B\ndata: train.jsonl\n")
    kernel.run("stand_in.next_metrics = []")

    assert kinds(messages)[0] == "display_data"
    assert "polyline" in messages[-1]["content"]["data"]["text/html"]


def test_loading_fills_the_variables(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft load Qwen/Qwen3-0.6B --as small\nprint(small.dtype, small_tokenizer.name)")

    assert [message["content"]["text"] for message in messages if message["msg_type"] == "stream"] == [
        "torch.bfloat16 tokenizer\n"
    ]


def test_an_error_is_short_and_stops_the_cells_after_it(kernel: Kernel) -> None:
    request = kernel.start("%qwen3ft cache evict me/mine\nprint('not reached')")

    [error] = kernel.rest(request)

    assert error["msg_type"] == "error"
    assert error["content"]["ename"] == "NotCached"
    assert error["content"]["traceback"] == ["not-cached: me/mine is not in the cache.", "Download it."]


def test_an_error_in_python_shows_the_users_line_and_not_our_code(kernel: Kernel) -> None:
    messages = kernel.run(
        "from qwen3ft_jupyter.hubs.names import parse_repo_id\n"
        "def my_helper():\n"
        "    return parse_repo_id('../etc')\n"
        "my_helper()"
    )

    [error] = [message["content"] for message in messages if message["msg_type"] == "error"]
    shown = "\n".join(error["traceback"])
    assert error["ename"] == "BadName"
    assert "my_helper" in shown
    assert "BadName" in error["traceback"][-1]
    assert "qwen3ft_jupyter/hubs" not in shown
    assert "qwen3ft_jupyter\\hubs" not in shown


def test_a_wrong_line_shows_the_usage(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft download a b")

    shown = "".join(message["content"].get("text", "") or str(message["content"].get("evalue")) for message in messages)
    assert "unrecognized arguments: b" in shown
    assert "%qwen3ft download [NAME]" in shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%qwen3ft downl", ["download"]),
        ("job = %qwen3ft sta", ["status"]),
        ("%qwen3ft load Qwen/Qwen3-4", ["Qwen/Qwen3-4B"]),
        ("%qwen3ft load Qwen/Qwen3-0.6B --4", ["--4bit"]),
        ("%%qwen3ft fine", ["finetune"]),
    ],
)
def test_tab_completes(kernel: Kernel, line: str, expected: list[str]) -> None:
    reply = kernel.client.complete(line, len(line), reply=True, timeout=LIMIT_S)["content"]

    start = reply["cursor_start"]
    assert [line[:start] + match for match in reply["matches"]] == [
        line[: line.rindex(" ") + 1] + word for word in expected
    ]


def test_a_reporter_shows_one_bar_and_prints_nothing_even_from_threads(kernel: Kernel) -> None:
    messages = kernel.run(
        "import threading\n"
        "from qwen3ft_jupyter.notebook.display import default_reporter\n"
        "from qwen3ft_jupyter.work import Progress\n"
        "reporter = default_reporter()\n"
        "work = lambda: [reporter.progress(Progress('transferring', n, 100)) for n in range(101)]\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads];\n"
    )

    assert kinds(messages)[0] == "display_data"
    assert set(kinds(messages)[1:]) == {"update_display_data"}
    assert "100 B" in messages[-1]["content"]["data"]["text/plain"]
    assert len(messages) <= 8


def test_a_form_is_a_widget_and_only_then_ipywidgets_is_imported(kernel: Kernel) -> None:
    messages = kernel.run("%qwen3ft download")

    shown = [message for message in messages if message["msg_type"] == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in shown[-1]["content"]["data"]


def test_interrupting_a_followed_job_leaves_it_running_until_it_is_stopped(kernel: Kernel, tmp_path: Path) -> None:
    """With a real process: the cell ends, the process goes on, and `stop` ends it."""
    kernel.run(
        "from qwen3ft_jupyter.jobs.store import JobStore\n"
        f"store = JobStore(Path({str(tmp_path)!r}), worker=[sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "from tests.jobs.following import start\n"
        "real = start(store, 'download', {}, title='a long one', grace_s=0.1)\n"
        "stand_in.jobs = store.list\n"
    )
    request = kernel.start("%qwen3ft jobs follow {real.id}")
    while kernel.message(request)["msg_type"] != "display_data":
        pass

    kernel.manager.interrupt_kernel()
    messages = kernel.rest(request)
    [running] = kernel.run("print(real.status().is_active)")
    stopped = kernel.run("%qwen3ft stop {real.id}")
    ended, renewed = kernel.run("print(real.wait(timeout_s=200).is_active)")
    [failed] = [m for m in kernel.run("%qwen3ft jobs follow {real.id}") if m["msg_type"] == "error"]

    error = next(message["content"] for message in messages if message["msg_type"] == "error")
    assert error["ename"] == "NoLongerFollowed"
    assert "%qwen3ft jobs stop" in error["traceback"][-1]
    assert running["content"]["text"] == "True\n"
    assert kinds(stopped) == ["display_data"]
    assert ended["content"]["text"] == "False\n"
    assert renewed["msg_type"] == "update_display_data"
    assert "stopped" in renewed["content"]["data"]["text/html"]
    assert failed["content"]["ename"] == "Stopped"


def test_what_is_saved_of_a_job_nobody_follows_is_true_in_the_end(kernel: Kernel, tmp_path: Path) -> None:
    """A job at the end of a cell, as in the quickstart: its output is renewed once when the job is over."""
    kernel.run(
        "from qwen3ft_jupyter.jobs.store import JobStore\n"
        "from qwen3ft_jupyter import get_model_manager\n"
        "from tests.jobs.following import start\n"
        f"store = JobStore(Path({str(tmp_path)!r}), worker=[sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "from qwen3ft_jupyter.notebook import display\n"
        "display.get_model_manager()\n"
        "real = start(store, 'download', {}, title='a long one', grace_s=0.1)\n"
    )

    [shown] = kernel.run("real")
    kernel.run("real.stop()")
    after = kernel.run("real.wait(timeout_s=200).state")
    later = kernel.run("1")

    assert shown["msg_type"] == "display_data"
    assert "as of" in shown["content"]["data"]["text/plain"]
    renewed = [message for message in [*after, *later] if message["msg_type"] == "update_display_data"]
    assert [message["content"]["transient"] for message in renewed] == [shown["content"]["transient"]]
    assert "stopped" in renewed[0]["content"]["data"]["text/plain"].splitlines()[0]
