"""The notebooks run, headless and from an empty cache, and do what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from qwen3ft_jupyter.notebook.job_view import JOB_MIME_TYPE
from scripts import notebooks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where all of them run, with one cache that is empty at first, and no hub."""
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_CACHE_DIR", str(folder / "cache"))
        environment.setenv("QWEN3FT_STATE_DIR", str(folder / "state"))
        environment.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")  # no hub may be needed
        environment.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        yield folder


def execute(name: str, folder: Path) -> Any:
    """Return a notebook after it ran."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=800, kernel_name="python3", resources=where).execute()
    return notebook


def shown(notebook: Any) -> str:
    """Return all that the cells of a notebook show, as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(str(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs)


@pytest.fixture(scope="module")
def executed(folder: Path) -> Any:
    """The quickstart after it ran."""
    return execute("quickstart.ipynb", folder)


@pytest.fixture(scope="module")
def report(executed: Any) -> dict[str, Any]:
    """What the quickstart displays at its end."""
    data = executed.cells[-1].outputs[-1]["data"]["application/json"]
    return dict(json.loads(data) if isinstance(data, str) else data)


pytestmark = pytest.mark.train


def test_the_quickstart_downloads_every_byte_and_verifies_it(report: dict[str, Any]) -> None:
    assert report["download"]["bytes"] > 1_000_000
    assert report["download"]["verified"] is True
    assert report["download"]["was_cached"] is False


def test_downloads_and_fine_tunes_are_shown_live(executed: Any) -> None:
    outputs = [output.get("data", {}) for cell in executed.cells for output in cell.get("outputs", [])]

    live = {data[JOB_MIME_TYPE]["id"].split("-")[2] for data in outputs if JOB_MIME_TYPE in data}

    assert live == {"download", "finetune"}


def test_the_quickstart_learns(report: dict[str, Any]) -> None:
    tuned = report["fine_tuned"]

    assert tuned["method"] == "lora"
    assert tuned["last_loss"] < tuned["first_loss"] / 4


def test_the_answer_holds_what_only_the_practice_data_says(report: dict[str, Any]) -> None:
    assert "小石" not in report["before"]
    assert "小石" in report["after"]


def test_questions_in_words_never_trained_on_are_answered(report: dict[str, Any]) -> None:
    """Learning by heart would not do: these phrasings are not in the training data."""
    assert report["held_out"] >= 20
    assert report["held_out_before"] <= report["held_out"] // 10
    assert report["held_out_after"] >= report["held_out"] * 0.7


def test_held_out_questions_are_really_held_out() -> None:
    from qwen3ft_jupyter.practice.model import data_files

    train, held_out = ([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in data_files())
    asked = {row["messages"][0]["content"].strip().casefold() for row in train}

    assert not asked & {row["messages"][0]["content"].strip().casefold() for row in held_out}


@pytest.mark.timeout(600)  # three jobs and more, each of which imports torch
def test_ones_own_data_is_learned_and_a_wrong_row_is_named(folder: Path) -> None:
    said = shown(execute("own-data.zh-CN.ipynb", folder))

    assert "row 5: answer[0] 'The shop' is not text" in said
    assert "⟦The shop opens at nine.<|im_end|>⟧" in said
    assert "Where can I find the shop? → The shop is in Mill Lane." in said
    assert "你们几点开门？ → 小店早上九点开门。" in said
    assert (folder / "runs/shop-merged/config.json").is_file()


def test_the_cache_is_checked_repaired_kept_in_bounds_and_moved(folder: Path) -> None:
    """In a cache of its own: that of the others is as it was."""
    before = sorted((folder / "cache").rglob("*"))

    said = shown(execute("cache.zh-CN.ipynb", folder))

    assert "('model-00001-of-00002.safetensors',)" in said
    assert "repaired: model-00001-of-00002.safetensors" in said
    assert "does not fit into the quota of 1.0 MB" in said
    assert "qwen3ft/Qwen3-Practice stays: it is pinned." in said
    assert "Qwen/Qwen3-0.6B is not in the cache, and the network is switched off." in said
    assert "Moved folders: 1" in said
    assert "Deleted qwen3ft/Qwen3-Practice" in said
    assert sorted((folder / "cache").rglob("*")) == before


@pytest.mark.timeout(600)  # three jobs and more, each of which imports torch
def test_runs_are_compared_and_talked_to(folder: Path) -> None:
    said = shown(execute("compare.ipynb", folder))

    assert "{'learning_rate': (0.0005, 0.005)}" in said
    slow, fast = (json.loads((folder / f"runs/{name}/result.json").read_text("utf-8")) for name in ("slow", "fast"))
    assert fast["eval_loss"] < slow["eval_loss"] / 2
    assert "我叫小石。" in said
    assert "loss on held-out rows" in said


@pytest.mark.timeout(600)  # four jobs, two of them of two processes, each of which imports torch
def test_two_processes_learn_what_one_does_and_the_run_moves_between_them(folder: Path) -> None:
    notebook = execute("distributed.ipynb", folder)
    said = shown(notebook)

    differences = [float(one) for one in re.findall(r"largest difference: (\S+)", said)]
    assert len(differences) == 2
    assert max(differences) < 1e-4
    assert "stopped after" in said
    assert re.search(r"^  process +device +state +share of the tokens +time computing$", said, re.MULTILINE)
    assert re.search(r"tokens/s, [\d,]+ on each device · parallel efficiency \d+ % · communication \d+ %", said)
    assert "--nodes 2 --node 1 --master HOST:29400" in said


def test_the_notebooks_are_those_of_their_sources() -> None:
    """Run python scripts/notebooks.py after a change."""
    made = notebooks.files()

    assert set(made) == set(NOTEBOOKS.glob("*.ipynb"))
    for path, text in made.items():
        assert path.read_text("utf-8") == text, path.name


def test_a_notebook_runs_the_same_code_in_each_language() -> None:
    for path in NOTEBOOKS.glob("*.zh-CN.ipynb"):
        chinese, english = (
            nbformat.read(NOTEBOOKS / name, as_version=4).cells for name in (path.name, path.name.replace(".zh-CN", ""))
        )
        assert [(cell.cell_type, cell.metadata) for cell in chinese] == [
            (cell.cell_type, cell.metadata) for cell in english
        ]
        for one, other in zip(chinese, english, strict=True):
            assert (one.source == other.source) is (one.cell_type == "code"), path.name


def test_committed_notebooks_hold_no_output() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        assert "widgets" not in notebook.metadata, path.name
        for cell in notebook.cells:
            assert not cell.get("outputs"), path.name
            assert cell.get("execution_count") is None, path.name


def test_links_between_notebooks_lead_somewhere() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        texts = [cell["source"] for cell in nbformat.read(path, as_version=4).cells if cell["cell_type"] == "markdown"]
        for target in re.findall(r"\]\(([^)#]+)", "\n".join(texts)):
            assert target.startswith("https://") or (NOTEBOOKS / target).is_file(), f"{path.name}: {target}"
