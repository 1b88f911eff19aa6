"""The notebooks run, headless and from an empty cache, and do what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from qwen3ft_jupyter.notebook.job_view import JOB_MIME_TYPE

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The quickstart after it ran."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MODEL_CACHE_DIR", str(folder / "cache"))
        environment.setenv("QWEN3FT_STATE_DIR", str(folder / "state"))
        environment.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")  # no hub may be needed
        environment.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
        client = NotebookClient(
            notebook, timeout=800, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return notebook


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


def test_committed_notebooks_hold_no_output() -> None:
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), path.name
            assert cell.get("execution_count") is None, path.name
