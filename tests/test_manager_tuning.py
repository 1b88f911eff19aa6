"""What is told of a fine-tune before it starts, in every face that people type in; with a real model and real files."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.errors import BadConfig, DoesNotFit, NotCached, Stopped
from qwen3ft_jupyter.finetune import planning
from qwen3ft_jupyter.loading.machine import Machine
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.notebook.magics import Qwen3FTMagics
from qwen3ft_jupyter.notebook.tuning_views import PlanView, PreviewView

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.train
HOSTILE = '<img src=x onerror="alert(1)">'
ROWS: list[dict[str, Any]] = [
    {"question": "What is one?", "answer": "It is 1."},
    {"question": HOSTILE, "answer": "\x1b[2J<b>It is 2.</b>"},
    {"question": "What is three?", "answer": ""},
]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the practice model."""
    folder = tmp_path_factory.mktemp("practice")
    get_model_manager(cache_dir=folder / "cache", state_dir=folder / "state").ensure_model_cached(PRACTICE_REPO_ID)
    return folder / "cache"


@pytest.fixture
def manager(cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelManager:
    monkeypatch.setenv("MODEL_CACHE_DIR", str(cached))
    monkeypatch.setenv("QWEN3FT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QWEN3FT_LANG", "en")
    monkeypatch.chdir(tmp_path)
    return get_model_manager()


@pytest.fixture
def config(manager: ModelManager) -> str:
    Path("train.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    Path("c.yaml").write_text(f"model: {PRACTICE_REPO_ID}\ndata: train.jsonl\noutput_dir: runs/a\ndevice: cpu\n")
    return "c.yaml"


@pytest.fixture
def run(manager: ModelManager) -> Iterator[Any]:
    shell = InteractiveShell.instance()
    magics = Qwen3FTMagics(shell, lambda **_: manager)
    shell.register_magics(magics)
    untyped: Any = shell

    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return untyped.run_line_magic("qwen3ft", line)
        return untyped.run_cell_magic("qwen3ft", line, cell)

    yield run
    InteractiveShell.clear_instance()


def files() -> list[str]:
    return sorted(path.name for path in Path().rglob("*") if path.is_file() and "state" not in path.parts)


def test_a_plan_starts_nothing_and_leaves_nothing(manager: ModelManager, config: str) -> None:
    before = files()

    plan = manager.plan_fine_tune(config, epochs=3)
    other = manager.plan_fine_tune({"model": PRACTICE_REPO_ID, "output_dir": "runs/b"}, data=ROWS)

    assert (plan.data.rows, plan.data.conversations, plan.steps.total) == (3, 2, 3)
    assert (plan.tokens.basis, plan.fits, plan.is_cached) == ("counted", "yes", True)
    assert other.tokens == plan.tokens
    assert files() == before
    assert manager.jobs() == []


def test_a_run_that_trains_another_further_is_planned_from_that_ones_fields(
    manager: ModelManager, config: str, cached: Path
) -> None:
    """With the commit of its base, and its job's id for a name; a repetition takes no other field."""
    from qwen3ft_jupyter.finetune.check import check_fine_tune
    from qwen3ft_jupyter.finetune.results import Record

    first = check_fine_tune(config, {"max_steps": 7, "learning_rate": 0.003})
    commit = manager.cached_models()[0].commit
    digest = hashlib.sha256(Path("train.jsonl").read_bytes()).hexdigest()
    Path("runs/a/adapter").mkdir(parents=True)
    Path("runs/a/adapter/adapter_config.json").write_text("{}")
    Path("runs/a/config.json").write_text(json.dumps(Record(first.to_dict(), None, commit, (digest,), {}).to_json()))
    Path("runs/a/result.json").write_text("{}")

    further = manager.plan_fine_tune(init_from="runs/a", output_dir="runs/b", epochs=2)
    again = manager.plan_fine_tune({"from_run": "runs/a", "output_dir": "runs/c"})

    assert (further.steps.total, again.steps.total) == (2, 7)
    assert further.is_cached
    with pytest.raises(BadConfig, match=r"not be a again: learning_rate: 0\.003 then, 0\.1 now"):
        manager.plan_fine_tune({"from_run": "runs/a", "output_dir": "runs/c", "lr": 0.1})


def test_a_plan_names_every_wrong_field_as_the_run_would(manager: ModelManager, config: str) -> None:
    for ask in (manager.plan_fine_tune, manager.fine_tune):
        with pytest.raises(BadConfig, match=r"2 wrong fields: .*epochs.*batch_size"):
            ask(config, epochs=0, batch_size="many")


def test_a_run_whose_weights_do_not_fit_is_refused_before_it_is_a_job(
    manager: ModelManager, config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "machine_without_torch", lambda: Machine(2_000_000_000, 10**10))

    with pytest.raises(DoesNotFit, match=r"Qwen/Qwen3-0\.6B needs at least .* 2\.0 GB are free"):
        manager.fine_tune(config, model="Qwen/Qwen3-0.6B", method="full")

    assert manager.jobs() == []


@pytest.mark.parametrize("data", [["train.jsonl", "org/far"], ["org/far"]])
def test_a_run_whose_weights_do_not_fit_is_refused_whether_its_data_is_here_or_not(
    manager: ModelManager, config: str, monkeypatch: pytest.MonkeyPatch, data: list[str]
) -> None:
    monkeypatch.setattr(planning, "machine_without_torch", lambda: Machine(2_000_000_000, 10**10))

    with pytest.raises(DoesNotFit, match=r"Qwen/Qwen3-0\.6B needs at least .* 2\.0 GB are free"):
        manager.fine_tune(config, model="Qwen/Qwen3-0.6B", method="full", data=data, fetch=False)

    assert manager.jobs() == []


def test_the_command_line_says_what_it_will_be(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["finetune", config, "--dry-run"]) == 0

    said = capsys.readouterr().out
    assert "data: 2 of 3 rows are learned from" in said
    assert "steps: 1, 0 of them warm-up; 1 an epoch" in said
    assert ": it fits" in said
    assert "1 rows left out whose answer is empty" in said
    assert "time: not known" in said
    assert not Path("runs").exists()


def test_the_exit_code_says_that_it_cannot_be(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "machine_without_torch", lambda: Machine(1_000, 10**10))

    assert cli.main(["finetune", config, "--dry-run"]) == 1
    assert "it does NOT fit" in capsys.readouterr().out
    assert cli.main(["finetune", config, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fits"] == "no"


def test_it_is_said_in_chinese(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")

    cli.main(["finetune", config, "--dry-run"])

    said = capsys.readouterr().out
    assert "数据: 3 行中学习 2 行" in said.replace("：", ": ")
    assert "放得下" in said


def test_a_cell_says_what_it_will_be(run: Any, config: str) -> None:
    view = run("finetune --dry-run", Path(config).read_text())

    assert isinstance(view, PlanView)
    assert isinstance(run(f"finetune {config} --dry-run"), PlanView)
    assert view.plan.steps.total == 1
    assert "2 of 3 rows are learned from" in view.text()
    assert "2 of 3 rows are learned from" in str(view.html())
    with pytest.raises(UsageError, match="in the cell, or name its file"):
        run("finetune --dry-run")


def test_a_terminal_marks_what_is_learned(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["preview", config, "--count", "2"]) == 0

    said = capsys.readouterr().out
    assert "⟦It is 1.<|im_end|>⟧" in said
    assert "\x1b" not in said  # what data holds cannot draw on a terminal
    assert "What is one?<|im_end|>" in said
    assert cli.main(["preview", "train.jsonl", "--model", PRACTICE_REPO_ID, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 2


def test_a_cell_marks_what_is_learned_and_cannot_be_broken_out_of(run: Any, config: str) -> None:
    view = run("preview", Path(config).read_text())

    assert isinstance(view, PreviewView)
    html = str(view.html())
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert "\x1b" not in html + view.text()
    assert html.count("<b style=") == 2  # the two answers
    assert "var(--jp-" in html
    assert len(html) < 8_000
    assert run(f"preview train.jsonl --model {PRACTICE_REPO_ID}").preview.samples == 2


def test_a_server_looks_ahead_without_importing_what_that_takes(manager: ModelManager, config: str) -> None:
    """In a process of its own: with the same answer, the same errors, and an end when nobody waits any more."""
    text, stop = Path(config).read_text(), threading.Event()
    folder = Path.cwd()

    plan = manager.look_ahead("plan", {"config": text}, folder=folder, stop=stop)
    preview = manager.look_ahead("preview", {"config": {"model": PRACTICE_REPO_ID, "data": "train.jsonl"}, "count": 1},
                                 folder=folder, stop=stop)  # fmt: skip

    assert plan["data"] == {**manager.plan_fine_tune(config).to_dict()["data"], "notices": plan["data"]["notices"]}
    assert {type(notice) for notice in plan["data"]["notices"]} == {Message}
    assert len(preview["first"]) == 1
    assert "".join(token["text"] for token in preview["first"][0]["tokens"]).startswith(
        "<|im_start|>user\nWhat is one?"
    )
    with pytest.raises(BadConfig, match="epochs"):
        manager.look_ahead("plan", {"config": f"{text}epochs: 0\n"}, folder=folder, stop=stop)
    stop.set()
    with pytest.raises(Stopped):
        manager.look_ahead("plan", {"config": text}, folder=folder, stop=stop)


def test_a_server_starts_a_fine_tune_in_a_folder_that_is_not_its_own(
    manager: ModelManager, config: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, folder = Path(config).read_text(), Path.cwd()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    started = manager.look_ahead("start", {"config": text}, folder=folder, stop=threading.Event())

    job = manager.job(started["id"])
    assert job.snapshot().params["config"]["output_dir"] == str(folder / "runs" / "a")
    job.stop()
    job.wait()


def test_a_rough_plan_is_one_of_the_same_run(manager: ModelManager, config: str) -> None:
    rough, whole = manager.plan_fine_tune(config, rough=True), manager.plan_fine_tune(config)

    assert (rough.tokens.basis, whole.tokens.basis) == ("estimated", "counted")
    assert (rough.data, rough.output_dir, rough.is_cached) == (whole.data, whole.output_dir, True)


def test_a_preview_takes_what_a_notebook_holds(manager: ModelManager) -> None:
    found = manager.preview(ROWS, PRACTICE_REPO_ID, count=1)

    assert (found.rows, found.samples, len(found.first)) == (3, 2, 1)
    assert files() == []


def test_a_preview_of_a_model_that_is_not_here_says_how_to_get_it(manager: ModelManager) -> None:
    with pytest.raises(NotCached, match=r"%qwen3ft download Qwen/Qwen3-0\.6B"):
        manager.preview(ROWS, "Qwen/Qwen3-0.6B")
